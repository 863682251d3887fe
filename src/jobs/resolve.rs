//! From a job to a request: every check, and the field at fault.

use super::job::{Defaults, Job, NamedBy, PieceDigests};
use crate::engine::{Connections, Proxy, Request};
use crate::error::{Error, Remedy};
use crate::formats::file_name::ForeignName;
use crate::formats::span::{self, Span};
use crate::plan::{Address, Origin};
use crate::verify::{Digest, Pieces};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// Reason why a job cannot be carried out: the field at fault, and what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Invalid {
    /// Name of the field, as in the job's text.
    pub field: &'static str,
    /// Error of the field.
    pub error: Error,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.error)
    }
}

impl std::error::Error for Invalid {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        invalid.error.retold(invalid.to_string())
    }
}

/// Turns a job into a request, with `defaults` where it says nothing. Asks no server and touches no file.
///
/// ```
/// let mut job = haul::Job::new("https://example.org/disk.img");
/// job.digests = vec!["sha256:nonsense".to_owned()];
/// let invalid = haul::resolve(&job, &haul::Defaults::default()).unwrap_err();
/// assert_eq!(invalid.field, "digests");
/// ```
///
/// # Errors
/// The first field that makes no sense, by itself or beside the others.
pub fn resolve(job: &Job, defaults: &Defaults) -> Result<Request, Invalid> {
    let request = resolve_unnamed(job, defaults)?;
    if job.range.is_some() && job.output.is_none() {
        let error = Error::usage("a part of a file needs a name of its own, since it is not the file")
            .with_remedy(Remedy::NameTheFile);
        return Err(Invalid { field: "range", error });
    }
    match request.target(None) {
        // The server will say.
        Err(_) if request.asks_for_its_name() => Ok(request),
        Err(error) => Err(Invalid { field: "output", error }),
        Ok(_) => Ok(request),
    }
}

/// As [`resolve`], for a job whose file may have no name: it is only asked about, or goes into no file.
///
/// ```
/// let page = haul::Job::new("https://example.org/");
/// assert!(haul::resolve(&page, &haul::Defaults::default()).is_err());
/// assert!(haul::resolve_unnamed(&page, &haul::Defaults::default()).is_ok());
/// ```
///
/// # Errors
/// The first field that makes no sense, by itself or beside the others.
pub fn resolve_unnamed(job: &Job, defaults: &Defaults) -> Result<Request, Invalid> {
    let at = |field| move |error: Error| Invalid { field, error };
    let mut request = sourced(job, defaults).map_err(at("url"))?;
    for digest in &job.digests {
        request = request.digest(digest.parse::<Digest>().map_err(Error::from).map_err(at("digests"))?);
    }
    request.check_digests().map_err(at("digests"))?;
    if let Some(pieces) = &job.pieces {
        request = with_pieces(request, pieces).map_err(at("pieces"))?;
    }
    for mirror in &job.mirrors {
        request = request.mirror(mirror).map_err(at("mirrors"))?;
    }
    request.check_mirrors().map_err(at("mirrors"))?;
    for mirror in &job.recorded_mirrors {
        request = request.recorded_mirror(mirror);
    }
    for (origin, lines) in &job.headers {
        request = with_headers(request, origin, lines).map_err(at("headers"))?;
    }
    if let Some(login) = &job.login {
        request = request.basic_auth(&login.user, &login.password);
    }
    if let Some(token) = &job.bearer {
        request = request.bearer(token);
    }
    if let NamedBy::Document(home) = &job.named_by {
        let home = home.as_deref().map(Request::new).transpose().map_err(at("named_by"))?;
        request = request.named_by_document(home.as_ref().map(Request::address));
    }
    if let Some(range) = &job.range {
        let span = span::parse(range).map_err(|why| Invalid { field: "range", error: Error::usage(why) })?;
        request = match span {
            Span::From(start, end) => request.only(start, end),
            Span::Last(bytes) => request.only_last(bytes),
        };
    }
    if let Some(size) = job.size {
        request = request.size(size);
    }
    if let Some(directory) = job.dir.as_ref().or(defaults.dir.as_ref()) {
        request = request.directory(directory);
    }
    if let Some(root) = &defaults.root {
        request = request.within(root);
    }
    if let Some(text) = job.options.proxy.as_ref().or(defaults.options.proxy.as_ref()) {
        request = request.proxy(&proxy(text)).map_err(at("proxy"))?;
    }
    let request = with_options(with_name(request, job)?, job, defaults);
    crate::engine::check_secrets(&request).map_err(at("headers"))?;
    Ok(request)
}

/// Request for the URL of a job.
fn sourced(job: &Job, defaults: &Defaults) -> Result<Request, Error> {
    #[cfg(feature = "s3")]
    if let Some(store) = defaults.s3.as_ref().filter(|_| crate::engine::is_s3(&job.url)) {
        return store.request(&job.url);
    }
    #[cfg(not(feature = "s3"))]
    let _ = defaults;
    Request::new(&job.url)
}

/// Proxy by its URL, or none by an empty text.
fn proxy(text: &str) -> Proxy {
    if text.trim().is_empty() { Proxy::Direct } else { Proxy::Through(text.to_owned()) }
}

fn with_pieces(request: Request, pieces: &PieceDigests) -> Result<Request, Error> {
    let PieceDigests { length, algorithm, digests } = pieces;
    let mut request = request;
    request.pieces = Some(Arc::new(Pieces::parse(*length, algorithm, digests)?));
    Ok(request)
}

fn with_name(mut request: Request, job: &Job) -> Result<Request, Invalid> {
    let safe = |field, name: &Option<String>| {
        let safe = name.as_deref().map(ForeignName::below).transpose();
        safe.map_err(|why| Invalid { field, error: Error::usage(why) })
    };
    let Some(path) = &job.output else {
        request.named = safe("name", &job.name)?;
        request.below = safe("below", &job.below)?;
        return Ok(request);
    };
    if path.file_name().is_none() {
        let error = Error::usage(format!("{} does not end in a file name", path.display()));
        return Err(Invalid { field: "output", error });
    }
    Ok(request.output(path))
}

fn with_options(mut request: Request, job: &Job, defaults: &Defaults) -> Request {
    let options = job.options.or(&defaults.options);
    if let Some(connections) = options.connections {
        request = request.connections(Connections::AtMost(connections));
    }
    if let Some(rate) = options.limit_rate.and_then(NonZeroU64::new) {
        request = request.limit_rate(rate);
    }
    if let Some(bytes) = options.max_size.filter(|bytes| *bytes > 0) {
        request = request.max_size(bytes);
    }
    if let Some(bytes) = options.min_split {
        request = request.min_split(bytes);
    }
    if let Some(policy) = options.if_exists {
        request = request.if_exists(policy);
    }
    if let Some(retries) = options.retries {
        request = request.retries(retries);
    }
    if let Some(seconds) = options.retry_wait {
        request = request.retry_wait(Duration::from_secs(seconds));
    }
    if let Some(seconds) = options.connect_timeout {
        request = request.connect_timeout(Duration::from_secs(seconds));
    }
    if let Some(seconds) = options.timeout {
        request = request.timeout(Duration::from_secs(seconds));
    }
    request
        .restart(options.restart.unwrap_or(false))
        .restart_if_changed(options.restart_if_changed.unwrap_or(true))
        .remote_time(options.remote_time.unwrap_or(false))
        .content_disposition(options.content_disposition.unwrap_or(false))
        .name_of_answer(options.name_of_answer.unwrap_or(false))
}

/// Adds the headers for one origin.
fn with_headers(mut request: Request, origin: &str, lines: &[String]) -> Result<Request, Error> {
    let (address, user) = Address::parse(origin).map_err(|_| {
        // The text is not shown: it may contain a password.
        Error::usage("an origin is written as https://HOST or https://HOST:PORT")
    })?;
    let bare = user.is_none() && address.request_target() == "/";
    if !bare {
        return Err(Error::usage(format!(
            "{address} is no origin, which is written as https://HOST or https://HOST:PORT"
        )));
    }
    let origin: Origin = address.origin();
    if !request.sources().any(|source| source.is_of(&origin)) {
        return Err(Error::usage(format!("{address} is neither the origin of the URL nor of a mirror")));
    }
    for line in lines {
        let (name, value) =
            line.split_once(':').ok_or_else(|| Error::usage("a header is written as 'Name: value'"))?;
        request = request.header_for(&origin, name, value.trim_matches([' ', '\t']));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JobOptions;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn job(text: &str) -> Job {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let digest = format!(r#""digests": ["sha256:{HEX}"]"#);
        for (fields, field) in [
            (r#""url": "ftp://h/f""#.to_owned(), "url"),
            (r#""url": "http://h/""#.to_owned(), "output"),
            (r#""url": "http://h/f", "output": "d/..""#.to_owned(), "output"),
            (r#""url": "http://h/f", "range": "5-4""#.to_owned(), "range"),
            (r#""url": "http://h/f", "range": "5-9""#.to_owned(), "range"),
            (r#""url": "http://h/f", "name": "../f""#.to_owned(), "name"),
            (r#""url": "http://h/f", "below": "/d""#.to_owned(), "below"),
            (r#""url": "http://h/f", "named_by": {"document": "nonsense"}"#.to_owned(), "named_by"),
            (r#""url": "http://h/f", "digests": ["sha256:12"]"#.to_owned(), "digests"),
            (
                format!(r#""url": "http://h/f", "digests": ["sha256:{HEX}", "sha256:{}"]"#, "0".repeat(64)),
                "digests",
            ),
            (
                r#""url": "http://h/f", "pieces": {"length": 0, "algorithm": "md5", "digests": []}"#
                    .to_owned(),
                "pieces",
            ),
            (
                r#""url": "http://h/f", "pieces": {"length": 1, "algorithm": "md5", "digests": ["1"]}"#
                    .to_owned(),
                "pieces",
            ),
            (r#""url": "http://h/f", "options": {"proxy": "nonsense"}"#.to_owned(), "proxy"),
            (r#""url": "http://h/f", "mirrors": ["http://g/f"]"#.to_owned(), "mirrors"),
            (format!(r#""url": "http://h/f", "mirrors": ["nonsense"], {digest}"#), "mirrors"),
            (r#""url": "http://h/f", "headers": {"http://g": ["A: b"]}"#.to_owned(), "headers"),
            (r#""url": "http://h/f", "headers": {"http://h/f": ["A: b"]}"#.to_owned(), "headers"),
            (r#""url": "http://h/f", "headers": {"http://h": ["nonsense"]}"#.to_owned(), "headers"),
            (r#""url": "http://h/f", "headers": {"http://h": ["A: b\r\nC: d"]}"#.to_owned(), "headers"),
        ] {
            let invalid = resolve(&job(&format!("{{{fields}}}")), &Defaults::default()).unwrap_err();
            assert_eq!(invalid.field, field, "{fields}: {invalid}");
            assert!(Error::from(invalid).to_string().starts_with(field));
        }
    }

    #[test]
    fn what_a_job_says_counts_and_otherwise_the_defaults() {
        let options = JobOptions { connections: Some(3), max_size: Some(10), ..JobOptions::default() };
        let defaults = Defaults { dir: Some("/d".into()), options, ..Defaults::default() };
        let request = resolve(
            &job(r#"{"url": "http://h/f", "options": {"connections": 5, "max-size": 0}}"#),
            &defaults,
        );
        let request = request.unwrap();
        assert_eq!(request.planned_path(), Some("/d/f".into()));
        assert_eq!(request.connections, Connections::AtMost(5));
        assert_eq!(request.max_size, None);
        let request = resolve(&job(r#"{"url": "http://h/f", "dir": "/e"}"#), &defaults).unwrap();
        assert_eq!(request.planned_path(), Some("/e/f".into()));
        let listed = r#"{"url": "http://h/f", "name": "g/con", "below": "b"}"#;
        let request = resolve(&job(listed), &defaults).unwrap();
        assert_eq!(request.planned_path(), Some("/d/b/g/_con".into()));
        assert_eq!(request.connections, Connections::AtMost(3));
    }
}
