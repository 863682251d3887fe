//! `haul.lock`: the files of a directory, with where they come from and what they are.

use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::{Algorithm, Digest, Job, Request};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

/// Version of the format.
const VERSION: u64 = 1;
/// Size limit, in bytes: a million files have room.
const LARGEST: u64 = 512 << 20;

/// One file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Path below the directory of the lock, with `/` between its parts.
    pub(super) path: String,
    pub(super) url: String,
    /// In bytes.
    pub(super) size: Option<u64>,
    /// In hexadecimal digits.
    pub(super) sha256: Option<String>,
    /// Validator of the server, for people; nothing depends on it.
    pub(super) etag: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u64,
    #[serde(default)]
    file: Vec<Entry>,
}

/// The content of a lock, by path.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lock(pub(super) BTreeMap<String, Entry>);

impl Entry {
    /// The digest, if there is one.
    ///
    /// # Errors
    /// `Usage` if it is none.
    pub(super) fn digest(&self) -> Result<Option<Digest>, Error> {
        let hex = self.sha256.as_deref();
        hex.map(|hex| Digest::from_hex(Algorithm::Sha256, hex).map_err(Error::from)).transpose()
    }

    /// Job that fetches the file into `directory`.
    pub(super) fn job(&self, directory: &Path) -> Job {
        let mut job = Job::new(self.url.as_str());
        job.output = Some(directory.join(&self.path));
        job.size = self.size;
        job.digests = self.sha256.iter().map(|hex| format!("sha256:{hex}")).collect();
        job
    }

    /// # Errors
    /// The key, and `Usage` with the reason, for what an honest lock does not hold.
    fn check(&self) -> Result<(), (&'static str, Error)> {
        self.check_path().map_err(|why| ("path", Error::usage(format!("{:?} {why}", self.path))))?;
        self.digest().map_err(|error| ("sha256", error))?;
        Request::new(&self.url).and_then(|request| refuse_secret(&request)).map_err(|error| ("url", error))
    }

    fn check_path(&self) -> Result<(), String> {
        let path = Path::new(&self.path);
        let is_out = |part: Component<'_>| !matches!(part, Component::Normal(_) | Component::CurDir);
        if path.components().any(is_out) {
            return Err("leads out of the directory".to_owned());
        }
        let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
        // A path has one form, so that no file is there under two names.
        let plain = parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        if plain.is_empty() || plain.contains('\0') {
            return Err("names no file".to_owned());
        }
        if path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
            return Err("lies in the store of a repository".to_owned());
        }
        if escape::for_terminal(&self.path) != self.path {
            return Err("has characters that cannot be shown".to_owned());
        }
        if plain != self.path {
            return Err(format!("is not the shortest form of the path: write {plain:?}"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match crate::formats::file_name::beside_which(&name) {
            Some(_) => Err("is a name that haul keeps for unfinished files".to_owned()),
            None => Ok(()),
        }
    }
}

impl Lock {
    /// Reads a lock; `None` if there is none.
    ///
    /// # Errors
    /// `Usage` with the place, for one that was changed so that it makes no sense.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
        let text = super::bounded::read(path, LARGEST)
            .map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))?;
        Self::parse(&text).map(Some).map_err(|error| error.retold(format!("{shown}: {error}")))
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let read: Text = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let key =
                text.lines().nth(line - 1).and_then(key_of).map_or(String::new(), |key| format!("{key}: "));
            Error::usage(format!("line {line}: {key}{}", error.message().replace('\n', " ")))
        })?;
        if read.version != VERSION {
            return Err(Error::usage(format!("version {} is not one that this haul knows", read.version)));
        }
        let mut lock = Self::default();
        for (number, entry) in read.file.into_iter().enumerate() {
            let line = |key: &str| line_of(text, number, key);
            entry
                .check()
                .map_err(|(key, error)| error.retold(format!("line {}: {key}: {error}", line(key))))?;
            let path = entry.path.clone();
            if lock.0.insert(path.clone(), entry).is_some() {
                return Err(Error::usage(format!(
                    "line {}: path: the file {path} is there twice",
                    line("path")
                )));
            }
        }
        Ok(lock)
    }

    /// Adds a file to the lock at `path`, which other runs may change meanwhile.
    ///
    /// # Errors
    /// Those of [`Self::read`], [`Self::add`] and [`Self::write`].
    #[expect(clippy::disallowed_methods, reason = "the directory is opened for its lock")]
    pub(super) fn add_to(path: &Path, entry: Entry) -> Result<(), Error> {
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: std::io::Error| Error::disk("cannot lock", directory, &error);
        let held = fs::File::open(directory).map_err(failed)?;
        // The last writer wins if the file system has no locks.
        let _ = held.lock();
        let mut lock = Self::read(path)?.unwrap_or_default();
        lock.add(entry)?;
        lock.write(path)
    }

    /// Adds a file, in place of an older entry of its path.
    ///
    /// # Errors
    /// `Usage` for a path that leads out of the directory.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), Error> {
        entry.check().map_err(|(_, error)| error)?;
        self.0.insert(entry.path.clone(), entry);
        Ok(())
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "# Written by haul add; haul sync brings the directory to what it says.\nversion = {VERSION}\n"
        );
        for entry in self.0.values() {
            // Writing to a string cannot fail.
            let _ =
                write!(text, "\n[[file]]\npath = {}\nurl = {}\n", quoted(&entry.path), quoted(&entry.url));
            let _ = entry.size.map(|size| writeln!(text, "size = {size}"));
            for (key, value) in [("sha256", &entry.sha256), ("etag", &entry.etag)] {
                let _ = value.as_ref().map(|value| writeln!(text, "{key} = {}", quoted(value)));
            }
        }
        text
    }

    /// Writes the lock, as a whole or not at all.
    ///
    /// # Errors
    /// `Disk`.
    #[expect(clippy::disallowed_methods, reason = "the lock is no download")]
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let beside = PathBuf::from(format!("{}.{}.tmp", path.display(), std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)
        })();
        written.map_err(|error| {
            let _ = fs::remove_file(&beside);
            Error::disk("cannot write", path, &error)
        })
    }
}

/// Key that is assigned in a line.
fn key_of(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim().trim_matches(['"', '\'']))
}

/// Line of a key of an entry, by the entry's number counted from 0; that of the entry where the key has none of its own.
fn line_of(text: &str, number: usize, key: &str) -> usize {
    let begins_entry = |line: &str| line.trim_start().starts_with("[[file]]");
    let mut entries = text.lines().enumerate().filter(|(_, line)| begins_entry(line));
    let Some((begins, _)) = entries.nth(number) else {
        return 1;
    };
    let mut below = text.lines().skip(begins + 1).take_while(|line| !begins_entry(line));
    begins + 1 + below.position(|line| key_of(line) == Some(key)).map_or(0, |at| at + 1)
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// # Errors
/// `Usage` for a URL with a secret in it.
pub(super) fn refuse_secret(request: &Request) -> Result<(), Error> {
    if !request.has_secret_url() {
        return Ok(());
    }
    let cause = "a URL with a signature or a password is not locked: it would expire, or be read by others";
    Err(Error::usage(cause).with_hint(
        "lock the URL that leads to it; secrets for it are given with -H, --netrc or --bearer-file at each run",
    ))
}

/// Error for a file that is not what the lock says.
pub(super) fn changed(entry: &Entry, why: &str) -> Error {
    Error::new(Kind::Checksum, format!("{} is not what the lock says: {why}", entry.path))
        .with_hint("move it away, and haul sync fetches the one that is locked; haul add locks another one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(path: &str) -> Entry {
        Entry {
            path: path.to_owned(),
            url: "http://h/f".to_owned(),
            size: Some(5),
            sha256: Some("0".repeat(64)),
            etag: Some("\"v\\1\"".to_owned()),
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written_in_the_order_of_its_paths() {
        let mut lock = Lock::default();
        for path in ["b/c", "a", "d e"] {
            lock.add(entry(path)).unwrap();
        }
        let text = lock.to_text();
        assert_eq!(Lock::parse(&text).unwrap(), lock);
        let order: Vec<_> = text.lines().filter(|line| line.starts_with("path")).collect();
        assert_eq!(order, ["path = \"a\"", "path = \"b/c\"", "path = \"d e\""]);
    }

    #[test]
    fn an_entry_that_was_tampered_with_is_refused() {
        let good = {
            let mut lock = Lock::default();
            lock.add(entry("a")).unwrap();
            lock.to_text()
        };
        assert!(Lock::parse(&good).is_ok());
        for (from, to) in [
            ("path = \"a\"", "path = \"../a\""),
            ("path = \"a\"", "path = \"/etc/a\""),
            ("path = \"a\"", "path = \"\""),
            ("path = \"a\"", "path = \"b/../../a\""),
            ("path = \"a\"", "path = \"a.part\""),
            ("path = \"a\"", "path = \"b//a\""),
            ("path = \"a\"", "path = \"b/./a\""),
            ("path = \"a\"", "path = \"a/\""),
            ("url = \"http", "url = \"file"),
            ("sha256 = \"0", "sha256 = \"x"),
            ("sha256 = \"0", "sha256 = \""),
            ("size = 5", "size = -5"),
            ("size = 5", "sise = 5"),
            ("version = 1", "version = 2"),
            ("etag", "path = \"b\"\netag"),
        ] {
            assert!(Lock::parse(&good.replacen(from, to, 1)).is_err(), "{to}");
        }
        let twice = format!("{good}{}", &good[good.find("\n[[").unwrap()..]);
        assert!(Lock::parse(&twice).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_told_with_its_line_and_key() {
        let mut lock = Lock::default();
        lock.add(entry("a")).unwrap();
        lock.add(entry("b/n")).unwrap();
        let good = lock.to_text();
        for (from, to, told) in [
            (
                "path = \"b/n\"",
                "path = \"./b/n\"",
                "line 12: path: \"./b/n\" is not the shortest form of the path: write \"b/n\"",
            ),
            ("path = \"b/n\"", "path = \"../n\"", "line 12: path: \"../n\" leads out of the directory"),
            ("path = \"b/n\"", "path = \"\"", "line 12: path: \"\" names no file"),
            ("path = \"b/n\"", "path = \"a\"", "line 12: path: the file a is there twice"),
            ("url = \"http://h/f\"\nsize = 5", "url = \"file:///f\"\nsize = 5", "line 6: url: "),
            ("sha256 = \"0", "sha256 = \"x", "line 8: sha256: "),
            ("size = 5", "size = -1", "line 7: size: "),
            ("size = 5", "sise = 5", "line 7: sise: "),
        ] {
            let error = Lock::parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(told), "{to}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives(name in "[^/\\x00]{1,20}", etag in any::<String>()) {
            let mut lock = Lock::default();
            let entry = Entry { path: name, etag: Some(etag), ..entry("x") };
            if lock.add(entry).is_ok() {
                prop_assert_eq!(Lock::parse(&lock.to_text()).unwrap(), lock);
            }
        }
    }
}
