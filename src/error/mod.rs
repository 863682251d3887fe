//! Failures as facts: class, cause, details, and the next step as a value. Front ends make the text.

mod detail;
mod failure;
mod phase;
mod remedy;

use detail::Detail;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use failure::Trouble;
pub(crate) use failure::{Cause, Failure};
pub use phase::Phase;
pub use remedy::Remedy;

/// Class of a failure. Each has one exit code on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// None of the other classes.
    Other,
    /// The request is invalid (a bad URL, a bad digest, contradictory options).
    Usage,
    /// The resource (404, 410), the unfinished download or the job does not exist, or the job is in another state.
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
    /// The target, or the session of a queue, is in use.
    Locked,
    /// The file does not have the expected digest, or is not what was signed, or a signature is missing.
    Checksum,
    /// Refused, because going on would be unsafe.
    Unsafe,
    /// The caller cancelled, or the queue is closed.
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

/// A failure: its class, its cause, its URL (redacted), details such as the status, the bytes kept and the next step.
///
/// `Display` gives the cause on one line, escaped for a terminal and clipped to a readable length; the other facts are
/// methods. A caller with a queue of its own asks [`Error::is_transient`] and [`Error::retry_after`].
pub struct Error {
    facts: Box<Facts>,
}

struct Facts {
    kind: Kind,
    cause: String,
    url: Option<String>,
    detail: Detail,
    /// True if the same request continues from the kept bytes.
    continues: bool,
    remedy: Option<Remedy>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure with its class and its cause in words, for front ends and for what they bring along.
    ///
    /// ```
    /// let error = haul::Error::new(haul::Kind::Usage, "no such list").with_remedy(haul::Remedy::OneDigest);
    /// assert_eq!(error.to_string(), "no such list");
    /// ```
    #[must_use]
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self {
            facts: Box::new(Facts {
                kind,
                cause: cause.into(),
                url: None,
                detail: Detail::default(),
                continues: false,
                remedy: None,
                source: None,
            }),
        }
    }

    /// A failure of kind `Usage`.
    #[must_use]
    pub fn usage(cause: impl Into<String>) -> Self {
        Self::new(Kind::Usage, cause)
    }

    /// A failure of the disk, with the operation and the path.
    #[must_use]
    pub fn disk(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let path = crate::formats::escape::for_terminal(&path.to_string_lossy()).into_owned();
        let remedy = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Some(Remedy::FreeSpace),
            // The file exists; it is not the directory that refuses.
            std::io::ErrorKind::PermissionDenied
                if doing.starts_with("cannot open") || doing.starts_with("cannot read") =>
            {
                Some(Remedy::CheckAccess)
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Some(Remedy::WritableDirectory)
            }
            _ => None,
        };
        let cause = match error.kind() {
            std::io::ErrorKind::FileTooLarge => {
                format!("{doing} {path}: file too large for this file system or limit")
            }
            _ => format!("{doing} {path}: {}", plain(error)),
        };
        let mut failure = Self::new(Kind::Disk, cause);
        (failure.facts.remedy, failure.facts.detail.errno) = (remedy, error.raw_os_error());
        failure
    }

    /// A condition that cannot occur. It is reported instead of trusted.
    pub(crate) fn defect(what: &str) -> Self {
        Self::new(Kind::Other, format!("a defect of haul: {what}")).with_remedy(Remedy::Report)
    }

    /// The same failure with another cause in words; all other facts are kept, but for the source.
    #[must_use]
    pub fn retold(&self, cause: impl Into<String>) -> Self {
        let Facts { kind, url, detail, continues, remedy, .. } = &*self.facts;
        Self {
            facts: Box::new(Facts {
                kind: *kind,
                cause: cause.into(),
                url: url.clone(),
                detail: detail.clone(),
                continues: *continues,
                remedy: remedy.clone(),
                source: None,
            }),
        }
    }

    pub(crate) fn with_url(mut self, url: &impl fmt::Display) -> Self {
        self.facts.url.get_or_insert_with(|| url.to_string());
        self
    }

    /// States how many bytes stay on disk; `continues` if the same request, made again, goes on from them.
    pub(crate) fn with_kept(mut self, bytes: u64, continues: bool) -> Self {
        (self.facts.detail.kept, self.facts.continues) = (Some(bytes), continues);
        self
    }

    /// States the next step, unless one is stated already.
    #[must_use]
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.facts.remedy.get_or_insert(remedy);
        self
    }

    /// States the next step in the words of a front end.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        self.with_remedy(Remedy::Said(hint.into()))
    }

    /// Adds an explanation to the cause, and replaces the next step.
    pub(crate) fn explained(mut self, more: &str, remedy: Remedy) -> Self {
        self.facts.cause.push_str(more);
        self.facts.remedy = Some(remedy);
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.facts.detail.status = Some(status);
        self
    }

    /// States the time that the server asks to wait.
    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.facts.detail.retry_after = wait;
        self
    }

    /// States that the failure passes with time.
    pub(crate) fn passing(mut self) -> Self {
        self.facts.detail.passes = true;
        self
    }

    /// States the rounds of failure in a row.
    pub(crate) fn with_attempts(mut self, rounds: u32) -> Self {
        self.facts.detail.attempts = Some(rounds);
        self
    }

    pub(crate) fn with_phase(mut self, phase: Phase) -> Self {
        self.facts.detail.phase.get_or_insert(phase);
        self
    }

    /// States the error behind it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
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
        self.facts.detail.kept
    }

    /// Returns true if the same request, made again, continues from the kept bytes.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.facts.continues && self.facts.detail.kept.is_some_and(|bytes| bytes > 0)
    }

    /// The next step, if there is advice on it. A front end words it for its own controls.
    #[must_use]
    pub fn remedy(&self) -> Option<&Remedy> {
        self.facts.remedy.as_ref()
    }

    /// The HTTP status that the failure is about.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.facts.detail.status
    }

    /// The code of the operating system (errno(3)), of a failure of the disk or of a connection.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.facts.detail.errno
    }

    /// Class of a failure of the network, where it is known.
    ///
    /// ```
    /// let error = haul::Error::new(haul::Kind::Network, "no network");
    /// assert_eq!(error.trouble(), None);
    /// ```
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.facts.detail.trouble
    }

    /// The host of the URL concerned.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let (_, rest) = self.facts.url.as_deref()?.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?;
        // The colons of an IPv6 address stand in brackets (RFC 3986 §3.2.2).
        let port = host.rfind(':').filter(|colon| host.rfind(']').is_none_or(|bracket| bracket < *colon));
        Some(&host[..port.unwrap_or(host.len())]).filter(|host| !host.is_empty())
    }

    /// The peer of the connection that failed: the server, or the proxy before it.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.facts.detail.address
    }

    /// The phase in which the download failed.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.facts.detail.phase
    }

    /// Rounds of failure in a row before the download was given up, the last one included.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.facts.detail.attempts
    }

    /// The time that the server asks to wait before the next request (RFC 9110 §10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.facts.detail.retry_after
    }

    /// Returns true if the same request may succeed later although nothing but time has passed: the network or the server
    /// may recover, another process may end. A caller may make the request again, after [`Error::retry_after`] if that is given;
    /// [`Queue`](crate::Queue) does not do so by itself.
    ///
    /// ```
    /// # async fn example(client: &haul::Client, request: haul::Request) {
    /// match client.start(request).join().await {
    ///     Err(error) if error.is_transient() => println!("later: {error}"),
    ///     Err(error) => println!("never: {error}"),
    ///     Ok(report) => println!("{} bytes", report.size),
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let detail = &self.facts.detail;
        match self.facts.kind {
            Kind::Network | Kind::Locked => true,
            Kind::Http | Kind::Auth | Kind::NotFound => {
                detail.passes || detail.retry_after.is_some() || detail.status.is_some_and(detail::may_pass)
            }
            _ => false,
        }
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
            .field("detail", &self.facts.detail)
            .field("remedy", &self.facts.remedy)
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
        for (doing, remedy) in [
            ("cannot open", Remedy::CheckAccess),
            ("cannot read back", Remedy::CheckAccess),
            ("cannot create", Remedy::WritableDirectory),
            ("cannot remove", Remedy::WritableDirectory),
        ] {
            let error = Error::disk(doing, std::path::Path::new("f.part"), &denied);
            assert_eq!(error.remedy(), Some(&remedy), "{doing}");
        }
    }

    #[test]
    fn a_queue_is_told_whether_time_alone_may_help() {
        let http = |status| Error::new(Kind::Http, "no").with_status(status);
        let limited = Error::new(Kind::Auth, "slow down").with_retry_after(Some(Duration::from_secs(60)));
        for (error, transient) in [
            (Error::new(Kind::Network, "the connection was reset"), true),
            (Error::new(Kind::Locked, "another process"), true),
            (http(503), true),
            (http(429), true),
            (http(500), true),
            (http(400), false),
            (http(501), false),
            (Error::new(Kind::Http, "not HTTP"), false),
            (Error::new(Kind::NotFound, "gone").with_status(404), false),
            (Error::new(Kind::Auth, "no").with_status(403), false),
            (limited, true),
            (Error::new(Kind::Checksum, "other bytes"), false),
            (Error::new(Kind::Disk, "full"), false),
            (Error::new(Kind::Cancelled, "cancelled"), false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error:?}");
        }
    }

    #[test]
    fn a_failure_that_is_retold_keeps_its_facts() {
        let full =
            Error::disk("cannot write", std::path::Path::new("f"), &std::io::Error::from_raw_os_error(28));
        let full = full.with_url(&"http://h/f").with_kept(7, true).with_attempts(3);
        let retold = full.retold(format!("list: line 3: {full}"));
        assert_eq!((retold.errno(), retold.kept(), retold.attempts()), (Some(28), Some(7), Some(3)));
        assert_eq!((retold.kind(), retold.remedy(), retold.url()), (full.kind(), full.remedy(), full.url()));
        assert!(retold.is_resumable() && retold.to_string().starts_with("list: line 3: cannot write"));
    }

    #[test]
    fn the_host_is_that_of_the_url() {
        for (url, host) in [
            ("https://example.org/f?x=1", Some("example.org")),
            ("http://example.org:8080", Some("example.org")),
            ("http://user@[2001:db8::1]:8080/f", Some("[2001:db8::1]")),
            ("http://[2001:db8::1]/f", Some("[2001:db8::1]")),
            ("nonsense", None),
        ] {
            assert_eq!(Error::new(Kind::Network, "no").with_url(&url).host(), host, "{url}");
        }
    }

    #[test]
    fn a_failure_carries_its_facts_into_the_error() {
        let reset = std::io::Error::from_raw_os_error(104);
        let at = "192.0.2.7:443".parse().unwrap();
        let failure = Failure::Broken(Cause::of(&reset, "the connection was reset").behind("the proxy p"));
        let error = failure.at(Some(at)).into_error();
        assert_eq!((error.kind(), error.errno(), error.address()), (Kind::Network, Some(104), Some(at)));
        assert_eq!(error.to_string(), "the proxy p: the connection was reset");
    }
}
