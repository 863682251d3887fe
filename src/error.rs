//! Failures as facts; the text is made at the edge.

use std::fmt;

/// Class of a failure. Each has one exit code on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// None of the other classes.
    Other,
    /// The request makes no sense (a bad URL, a bad digest, contradictory flags).
    Usage,
    /// The server says that the resource does not exist (404, 410).
    NotFound,
    /// The server requires other credentials (401, 403, 407).
    Auth,
    /// Another refusal of the server, or an invalid response.
    Http,
    /// The server could not be reached, or the connection broke and stayed broken.
    Network,
    /// TLS failed, or the server could not be authenticated.
    Tls,
    /// The resource changed, or the data on disk cannot be continued safely.
    Changed,
    /// The disk is full, failing, or not writable.
    Disk,
    /// The target exists already.
    Exists,
    /// Another process is working on the same target.
    Locked,
    /// The file does not have the expected digest.
    Checksum,
    /// Refused, because going on would be unsafe.
    Unsafe,
    /// The caller cancelled.
    Cancelled,
}

impl Kind {
    /// Name of the class in JSON events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Auth => "auth",
            Self::Http => "http",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Changed => "changed",
            Self::Disk => "disk",
            Self::Exists => "exists",
            Self::Locked => "locked",
            Self::Checksum => "checksum",
            Self::Unsafe => "unsafe",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A failure: its class, its cause, its URL (redacted), the bytes kept and the next step.
///
/// `Display` gives the cause on one line, escaped for a terminal and clipped to a readable length; the other facts are
/// methods.
pub struct Error {
    facts: Box<Facts>,
}

struct Facts {
    kind: Kind,
    cause: String,
    url: Option<String>,
    kept: Option<u64>,
    /// True if the same request continues from the kept bytes.
    continues: bool,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self {
            facts: Box::new(Facts {
                kind,
                cause: cause.into(),
                url: None,
                kept: None,
                continues: false,
                hint: None,
                source: None,
            }),
        }
    }

    pub(crate) fn usage(cause: impl Into<String>) -> Self {
        Self::new(Kind::Usage, cause)
    }

    /// A failure of the disk, with the operation and the path.
    pub(crate) fn disk(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let path = crate::formats::escape::for_terminal(&path.to_string_lossy()).into_owned();
        let hint = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Some("free some space, then run the same command again")
            }
            // The file exists; it is not the directory that refuses.
            std::io::ErrorKind::PermissionDenied
                if doing.starts_with("cannot open") || doing.starts_with("cannot read") =>
            {
                Some(
                    "it is another user's, or its mode keeps you out: see ls -l, or save elsewhere with -d or -o",
                )
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Some("choose a directory you may write to with -d or -o")
            }
            _ => None,
        };
        let cause = match error.kind() {
            std::io::ErrorKind::FileTooLarge => {
                format!("{doing} {path}: file too large for this file system or limit")
            }
            _ => format!("{doing} {path}: {}", plain(error)),
        };
        let failure = Self::new(Kind::Disk, cause);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }

    /// A condition that cannot occur. It is reported instead of trusted.
    pub(crate) fn defect(what: &str) -> Self {
        Self::new(Kind::Other, format!("a defect of haul: {what}"))
            .with_hint("please report it; nothing was published")
    }

    pub(crate) fn with_url(mut self, url: &impl fmt::Display) -> Self {
        self.facts.url.get_or_insert_with(|| url.to_string());
        self
    }

    /// States how many bytes stay on disk; `continues` if the same request, made again, goes on from them.
    pub(crate) fn with_kept(mut self, bytes: u64, continues: bool) -> Self {
        (self.facts.kept, self.facts.continues) = (Some(bytes), continues);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.facts.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds an explanation, and replaces the hint.
    pub(crate) fn explained(mut self, more: &str, hint: &str) -> Self {
        self.facts.cause.push_str(more);
        self.facts.hint = Some(hint.to_owned());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.facts.source = Some(source.into());
        self
    }

    /// The class of this failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.facts.kind
    }

    /// The URL concerned, without credentials and with signatures hidden.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.facts.url.as_deref()
    }

    /// Number of bytes of the file that stay on disk for the next run; `None` if there was no file yet.
    #[must_use]
    pub fn kept(&self) -> Option<u64> {
        self.facts.kept
    }

    /// Returns true if the same request, made again, continues from the kept bytes.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.facts.continues && self.facts.kept.is_some_and(|bytes| bytes > 0)
    }

    /// Advice on the next step, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.facts.hint.as_deref()
    }
}

/// Message of the operating system without the code that Rust appends: people read words, programs read the kind.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::formats::escape::shown(&self.facts.cause))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.facts.kind)
            .field("cause", &self.facts.cause)
            .field("url", &self.facts.url)
            .field("kept", &self.facts.kept)
            .field("hint", &self.facts.hint)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.facts.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_speaks_of_the_file_or_of_the_directory_by_what_was_refused() {
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        for (doing, names) in [
            ("cannot open", "another user's"),
            ("cannot read back", "another user's"),
            ("cannot create", "a directory you may write to"),
            ("cannot remove", "a directory you may write to"),
        ] {
            let error = Error::disk(doing, std::path::Path::new("f.part"), &denied);
            assert!(error.hint().unwrap().contains(names), "{doing}: {:?}", error.hint());
        }
    }
}
