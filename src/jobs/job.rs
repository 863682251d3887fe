//! A job: one download as plain data.

use crate::engine::{IfExists, Request};
use crate::error::Error;
use crate::verify::Algorithm;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Identifier of a job in its queue: it stays the same over restarts, and is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(super) u64);

impl fmt::Display for JobId {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for JobId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Description of one download. All fields but the URL have a default; see [`resolve`](crate::resolve) for the checks.
///
/// ```
/// let job: haul::Job = serde_json::from_str(
///     r#"{"url": "https://example.org/disk.img", "dir": "/tmp", "options": {"connections": 4}, "tags": {"for": "me"}}"#,
/// )?;
/// assert_eq!(job.options.connections, Some(4));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Job {
    /// An absolute http or https URL, or `s3://bucket/key` with the feature `s3`. A user name and password in it are sent to its origin alone.
    pub url: String,
    /// Other URLs of the same bytes; they need a digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Digests that the file must have, such as `sha256:HEX`; one of each algorithm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// Digests of the pieces of the file, which show where it is wrong if it has not the digest, and prove it if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<Box<PieceDigests>>,
    /// Size of the file in bytes, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Part of the file: `A-B` with both positions included, `A-` or `-N`. Digests and the size are those of the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// File to save to; a relative path is taken from the directory. By default the last part of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// Directory to save in; it is created if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Name that a list or a document proposes, a path below the directory; made safe, and used if no output is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Directory below the directory that a list proposes; made safe, and created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// Headers as lines of `Name: value`, by the origin that they are sent to, such as `https://example.org`; each must be the
    /// origin of the URL or of a mirror.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// User name and password for the origin of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// Bearer token for the origin of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// Origin of the URL and the mirrors, which decides the servers that receive the secrets of the job.
    #[serde(default, skip_serializing_if = "NamedBy::is_user")]
    pub named_by: NamedBy,
    /// Sources from the manifest of an earlier run. They receive no secrets, and are used only with a digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recorded_mirrors: Vec<String>,
    /// Options that may have a default, and that may change while the job waits or runs.
    #[serde(default)]
    pub options: JobOptions,
    /// Jobs of a higher priority start first; among equals the order of the queue counts.
    #[serde(default)]
    pub priority: i32,
    /// Tags for the caller's own use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Job {
    /// A job for the resource at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// True if it states digests that prove the file: one of the whole, or strong ones of all its pieces.
    ///
    /// ```
    /// let mut job = haul::Job::new("https://example.org/disk.img");
    /// job.pieces = Some(Box::new(haul::PieceDigests {
    ///     length: 1 << 20,
    ///     algorithm: "sha-256".to_owned(),
    ///     digests: vec!["0".repeat(64)],
    /// }));
    /// assert!(job.is_proven());
    /// ```
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let strong = |pieces: &PieceDigests| {
            let algorithm = pieces.algorithm.parse::<Algorithm>();
            !pieces.digests.is_empty() && algorithm.is_ok_and(Algorithm::is_collision_resistant)
        };
        !self.digests.is_empty() || self.pieces.as_deref().is_some_and(strong)
    }

    /// Text that tells the job apart from others of a list, whatever else it states: its URL, and the name that is proposed for the file.
    #[must_use]
    pub fn identity(&self) -> String {
        [
            self.url.as_str(),
            self.name.as_deref().unwrap_or_default(),
            self.below.as_deref().unwrap_or_default(),
        ]
        .join("\n")
    }

    /// Adds headers for the origin of the URL, as lines of `Name: value`.
    ///
    /// # Errors
    /// `Usage` if the URL is none.
    pub fn add_headers(&mut self, lines: &[String]) -> Result<(), Error> {
        if !lines.is_empty() {
            let origin = Request::new(&self.url)?.address().origin().to_string();
            self.headers.entry(origin).or_default().extend_from_slice(lines);
        }
        Ok(())
    }
}

impl fmt::Debug for Job {
    /// Without secrets: neither the query of a URL nor headers are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = crate::plan::Address::parse(&self.url).map(|(address, _)| address.to_string());
        f.debug_struct("Job")
            .field("url", &url.as_deref().unwrap_or("(no URL)"))
            .field("mirrors", &self.mirrors.len())
            .field("digests", &self.digests)
            .field("output", &self.output)
            .field("dir", &self.dir)
            .field("name", &self.name)
            .field("headers", &self.headers.len())
            .field("options", &self.options)
            .field("priority", &self.priority)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

/// Digests of the pieces of a file (RFC 5854 §4.1.3). Strong ones prove it where no digest of the whole is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceDigests {
    /// Length of a piece in bytes; the last one may be shorter.
    pub length: u64,
    /// Hash function, such as `sha256`.
    pub algorithm: String,
    /// Digests in hexadecimal digits, in the order of the pieces.
    pub digests: Vec<String>,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password, possibly empty.
    pub password: String,
}

impl fmt::Debug for Login {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Origin of the URL of a job: the user, or a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NamedBy {
    /// The user, whose secrets are sent to it.
    #[default]
    User,
    /// A document, which may come from anybody: secrets are sent only to the origin of the document, given here as a URL; to none
    /// if it was a local file.
    Document(Option<String>),
}

impl NamedBy {
    fn is_user(&self) -> bool {
        *self == Self::User
    }
}

/// Options of a job, each with a default if it is not given.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct JobOptions {
    /// Maximum number of connections. By default as many as make it faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Rate limit in bytes per second; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_rate: Option<u64>,
    /// Maximum size of the file in bytes; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Minimum size in bytes of a range with a request of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_split: Option<u64>,
    /// Action if the target exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_exists: Option<IfExists>,
    /// Discard the remains of an earlier run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<bool>,
    /// Start over once if the resource has changed. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_if_changed: Option<bool>,
    /// Give the file the time of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_time: Option<bool>,
    /// Take the file name that the server suggests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<bool>,
    /// Take the file name that the server suggests, or else that of the URL that redirects lead to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_of_answer: Option<bool>,
    /// URL of a proxy in place of that of the client, possibly with a user name and password; empty for none at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Rounds of failure in a row without new bytes before giving up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Shortest time between two tries, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_wait: Option<u64>,
    /// Timeout for each of resolving, connecting and the TLS handshake, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<u64>,
    /// Time in which the response has to begin, and for which a connection may deliver nothing, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

impl fmt::Debug for JobOptions {
    /// Without secrets: of a proxy only the presence is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Self { proxy: None, ..self.clone() };
        let text = serde_json::to_string(&shown).unwrap_or_default();
        f.debug_struct("JobOptions").field("values", &text).field("proxy", &self.proxy.is_some()).finish()
    }
}

impl JobOptions {
    /// These options, and where they say nothing, those of `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            connections: self.connections.or(other.connections),
            limit_rate: self.limit_rate.or(other.limit_rate),
            max_size: self.max_size.or(other.max_size),
            min_split: self.min_split.or(other.min_split),
            if_exists: self.if_exists.or(other.if_exists),
            restart: self.restart.or(other.restart),
            restart_if_changed: self.restart_if_changed.or(other.restart_if_changed),
            remote_time: self.remote_time.or(other.remote_time),
            content_disposition: self.content_disposition.or(other.content_disposition),
            name_of_answer: self.name_of_answer.or(other.name_of_answer),
            proxy: self.proxy.clone().or_else(|| other.proxy.clone()),
            retries: self.retries.or(other.retries),
            retry_wait: self.retry_wait.or(other.retry_wait),
            connect_timeout: self.connect_timeout.or(other.connect_timeout),
            timeout: self.timeout.or(other.timeout),
        }
    }
}

/// Change of a job that is in a queue: what is not given stays.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct JobChange {
    /// Options that get another value.
    pub options: JobOptions,
    /// Headers in place of all that the job has, as in [`Job::headers`].
    pub headers: Option<BTreeMap<String, Vec<String>>>,
    /// Tags that get another value.
    pub tags: BTreeMap<String, String>,
    /// Directory in place of that of the job. It counts for a job that has not begun.
    pub dir: Option<PathBuf>,
    /// File in place of that of the job, or of none, in the same way.
    pub output: Option<Option<PathBuf>>,
}

impl JobChange {
    /// The job after this change, and whether a download of it has to begin anew to be as it is now.
    pub(super) fn applied_to(&self, job: &Job) -> (Job, bool) {
        let mut changed = job.clone();
        changed.options = self.options.or(&job.options);
        if let Some(headers) = &self.headers {
            changed.headers.clone_from(headers);
        }
        changed.tags.extend(self.tags.clone());
        changed.dir = self.dir.clone().or(changed.dir);
        if let Some(output) = &self.output {
            changed.output.clone_from(output);
        }
        let of_requests = |options: &JobOptions| {
            let JobOptions { proxy, retries, retry_wait, connect_timeout, timeout, .. } = options.clone();
            (proxy, retries, retry_wait, connect_timeout, timeout)
        };
        let anew =
            changed.headers != job.headers || of_requests(&changed.options) != of_requests(&job.options);
        (changed, anew)
    }
}

impl fmt::Debug for JobChange {
    /// Without secrets: of headers only the number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobChange")
            .field("options", &self.options)
            .field("headers", &self.headers.as_ref().map(BTreeMap::len))
            .field("tags", &self.tags)
            .finish()
    }
}

/// Values for jobs that do not give their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Defaults {
    /// Directory to save in. Default the current one.
    pub dir: Option<PathBuf>,
    /// Directory that no file leaves, by a link either. Default none.
    pub root: Option<PathBuf>,
    /// Options of the jobs.
    pub options: JobOptions,
    /// Access to S3, for URLs of objects. By default as the environment describes it.
    #[cfg(feature = "s3")]
    #[serde(skip)]
    pub s3: Option<crate::s3::S3>,
}

/// End of a job, as its queue records it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobEnd {
    /// Error text; empty for a complete job.
    pub text: String,
    /// Name of the class of the error ([`Kind::name`](crate::Kind::name)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Path of the complete file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Size of the complete file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_its_text_and_says_nothing_of_what_it_does_not_have() {
        let short = Job::new("https://example.org/f");
        let text = serde_json::to_string(&short).unwrap();
        assert_eq!(text, r#"{"url":"https://example.org/f","options":{},"priority":0}"#);
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), short);
        let mut full = short;
        full.headers.insert("https://example.org".into(), vec!["Authorization: secret".into()]);
        full.options.if_exists = Some(IfExists::Overwrite);
        full.options.limit_rate = Some(5);
        full.priority = -3;
        full.login = Some(Login { user: "u".into(), password: "p".into() });
        full.named_by = NamedBy::Document(Some("https://example.org/list".into()));
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), full);
        assert!(serde_json::from_str::<Job>(r#"{"url": "x", "outptu": "y"}"#).is_err());
    }

    #[test]
    fn what_is_shown_of_a_job_holds_no_secret() {
        let mut job = Job::new("https://user:geheim@example.org/f?X-Amz-Signature=geheim");
        job.headers.insert("https://example.org".into(), vec!["Cookie: geheim".into()]);
        job.bearer = Some("geheim".into());
        job.login = Some(Login { user: "u".into(), password: "geheim".into() });
        job.options.proxy = Some("http://u:geheim@proxy:1".into());
        let (options, headers) = (job.options.clone(), Some(job.headers.clone()));
        let change = JobChange { options, headers, ..JobChange::default() };
        assert!(!format!("{change:?}").contains("geheim"), "{change:?}");
        let shown = format!("{job:?} {:?}", job.login);
        assert!(shown.contains("example.org/f") && !shown.contains("geheim"), "{shown}");
    }

    #[test]
    fn only_what_is_of_the_requests_makes_a_download_begin_anew() {
        let mut job = Job::new("https://example.org/f");
        job.options.limit_rate = Some(5);
        job.tags.insert("a".into(), "b".into());
        let slower = JobOptions { limit_rate: Some(1), ..JobOptions::default() };
        let (changed, anew) = JobChange { options: slower, ..JobChange::default() }.applied_to(&job);
        assert_eq!((changed.options.limit_rate, changed.tags.len(), anew), (Some(1), 1, false));
        let proxied = JobOptions { proxy: Some(String::new()), ..JobOptions::default() };
        assert!(JobChange { options: proxied, ..JobChange::default() }.applied_to(&job).1);
        let hurried = JobOptions { timeout: Some(2), ..JobOptions::default() };
        assert!(JobChange { options: hurried, ..JobChange::default() }.applied_to(&job).1);
        let headers = [("https://example.org".to_owned(), vec!["A: b".to_owned()])].into();
        let with_headers = JobChange { headers: Some(headers), ..JobChange::default() };
        let (changed, anew) = with_headers.applied_to(&job);
        assert!(anew && changed.headers.len() == 1 && changed.options.limit_rate == Some(5));
        assert!(!with_headers.applied_to(&changed).1);
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = JobId(0x1234);
        assert_eq!(id.to_string(), "0000000000001234");
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
