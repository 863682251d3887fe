//! Request for one file.

mod naming;
mod output;
mod patience;
mod proofs;
mod sources;

pub use output::{NameSource, Output, Writer};
use patience::Patience;
pub(super) use proofs::{contradictory, refuse_legacy};

use super::report::ProvedBy;
use super::settings::Connections;
use crate::destination::{IfExists, NamedBy, OwnDestination};
use crate::error::Error;
use crate::formats::cookie_file::Cookies;
use crate::formats::escape;
use crate::formats::file_name::ForeignName;
use crate::formats::netrc::Netrc;
use crate::formats::redaction;
use crate::formats::span::Span;
use crate::plan::concurrency::Allowance;
use crate::plan::pace::Pace;
use crate::plan::{Address, AddressError, Origin};
use crate::transport::{Credentials, OwnProxy, Part, Proxy, Renewal, RequestSigner};
use crate::verify::{Digest, MinisignSignature, Pieces};
use std::fmt;
use std::io::Write;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Request for a file: its source, its destination, and its verification.
///
/// ```
/// # fn main() -> Result<(), haul::Error> {
/// let request = haul::Request::new("https://example.org/disk.img")?
///     .output("disk.img")
///     .connections(haul::Connections::AtMost(4))
///     .if_exists(haul::IfExists::Overwrite);
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
pub struct Request {
    pub(crate) address: Address,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) headers: Vec<(String, String)>,
    /// Headers for other origins among the sources.
    pub(crate) headers_elsewhere: Vec<(Origin, String, String)>,
    pub(crate) netrc: Option<Arc<Netrc>>,
    pub(crate) cookies: Option<Arc<Cookies>>,
    pub(crate) named_by: NamedBy,
    pub(crate) directory: PathBuf,
    pub(crate) create_directory: bool,
    /// Directory that the file does not leave.
    pub(crate) root: Option<Arc<Path>>,
    pub(crate) output: Output,
    /// File name from a list, used unless the user gives one.
    pub(crate) named: Option<ForeignName>,
    /// Subdirectory below the directory.
    pub(crate) below: Option<ForeignName>,
    /// One for each algorithm.
    pub(crate) digests: Vec<Digest>,
    /// Sources of digests other than the caller.
    pub(crate) proved_by: Vec<(Digest, ProvedBy)>,
    pub(crate) signature: Option<Arc<MinisignSignature>>,
    /// Digests of pieces, which show where the file is wrong.
    pub(crate) pieces: Option<Arc<Pieces>>,
    /// Source of the digests of pieces.
    pub(crate) pieces_by: ProvedBy,
    /// The first two that contradict one another.
    contradiction: Option<(Digest, Digest)>,
    pub(crate) size: Option<u64>,
    /// Part of the resource that is fetched as if it were all of it.
    pub(crate) span: Option<Span>,
    pub(crate) max_size: Option<u64>,
    pub(crate) limit_rate: Option<NonZeroU64>,
    pub(crate) connections: Connections,
    pub(crate) min_split: Option<u64>,
    pub(crate) if_exists: IfExists,
    pub(crate) restart: bool,
    pub(crate) may_restart: bool,
    pub(crate) content_disposition: bool,
    pub(crate) name_of_answer: bool,
    pub(crate) remote_time: bool,
    pub(crate) renewal: Option<Renewal>,
    pub(crate) mirrors: Vec<(Address, Option<Credentials>)>,
    /// Mirrors from a manifest, which receive no secrets.
    pub(crate) recorded_mirrors: Vec<Address>,
    /// Proxy in place of that of the client.
    pub(crate) proxy: Option<OwnProxy>,
    /// Signs the requests to the origin of the URL.
    pub(crate) signer: Option<Arc<dyn RequestSigner>>,
    /// Times and tries in place of those of the client.
    pub(super) patience: Patience,
}

/// Minimum segment size in bytes, unless the user sets it: in general, and for the first split.
const MIN_SPLIT: u64 = 1 << 20;
const FIRST_SPLIT: u64 = 64 << 10;

impl Request {
    /// Requests the resource at `url`, an absolute http or https URL. A user name and password in it are sent to its
    /// origin as Basic credentials and appear nowhere else. With the feature `s3` it may be an object,
    /// `s3://bucket/key?versionId=ID`, which is requested as [`S3::from_environment`](crate::S3::from_environment) describes.
    ///
    /// # Errors
    /// `Usage` for anything else.
    pub fn new(url: &str) -> Result<Self, Error> {
        #[cfg(feature = "s3")]
        if is_s3(url) {
            return crate::s3::S3::from_environment().request(url);
        }
        let (address, credentials) = parse(url)?;
        Ok(Self::of(address, credentials))
    }

    fn of(address: Address, credentials: Option<Credentials>) -> Self {
        Self {
            address,
            credentials,
            headers: Vec::new(),
            headers_elsewhere: Vec::new(),
            netrc: None,
            cookies: None,
            named_by: NamedBy::User,
            directory: PathBuf::from("."),
            create_directory: false,
            root: None,
            output: Output::Named,
            named: None,
            below: None,
            digests: Vec::new(),
            proved_by: Vec::new(),
            signature: None,
            pieces: None,
            pieces_by: ProvedBy::Request,
            contradiction: None,
            size: None,
            span: None,
            max_size: None,
            limit_rate: None,
            connections: Connections::Auto,
            min_split: None,
            if_exists: IfExists::Auto,
            restart: false,
            may_restart: true,
            content_disposition: false,
            name_of_answer: false,
            remote_time: false,
            renewal: None,
            mirrors: Vec::new(),
            recorded_mirrors: Vec::new(),
            proxy: None,
            signer: None,
            patience: Patience::default(),
        }
    }

    /// The URL, redacted when it is shown.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Digests that the file must have, one of each algorithm.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Saves to this file. A character device, such as `/dev/null`, is written to in order, as a stream is.
    #[must_use]
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Output::File(path.into());
        self
    }

    /// Writes everything in order into `writer`.
    #[must_use]
    pub fn stream(mut self, writer: impl Write + Send + 'static) -> Self {
        self.output = Output::Stream(Writer::new(writer));
        self
    }

    /// Writes everything into a destination of the caller's own.
    #[must_use]
    pub fn into_destination(mut self, destination: Arc<impl OwnDestination>) -> Self {
        self.output = Output::Own(destination);
        self
    }

    /// Saves in this directory, which is created if it is missing.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        (self.directory, self.create_directory) = (path.into(), true);
        self
    }

    /// Keeps the file below `root`, whatever links there are on the way to it when it is begun and when it is named: one that leads out
    /// fails with an error of kind `Unsafe`. A link in `root` itself counts as the directory that it leads to.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let request = haul::Request::new("https://example.org/disk.img")?.directory("/srv/files/new").within("/srv/files");
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn within(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into().into());
        self
    }

    /// States the size of the file in bytes: a source that states another length, or none, is refused. Only a digest
    /// proves the content.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Fetches only the bytes from `start` up to, but not including, `end`, or to the end of the resource. Digests, sizes and positions are
    /// those of the part. It fails if the server serves no ranges. Give the output a name: the part is not the file.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let header = haul::Request::new("https://example.org/disk.img")?.only(0, Some(512)).output("header.bin");
    /// # let _ = header;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn only(mut self, start: u64, end: Option<u64>) -> Self {
        self.span = Some(Span::From(start, end));
        self
    }

    /// Fetches only so many bytes at the end of the resource, whose length the server has to state.
    #[must_use]
    pub fn only_last(mut self, bytes: u64) -> Self {
        self.span = Some(Span::Last(bytes));
        self
    }

    /// The part of the resource, if its place is known.
    pub(crate) fn part(&self) -> Option<Part> {
        match self.span? {
            Span::From(start, end) => Some(Part { start, end }),
            Span::Last(_) => None,
        }
    }

    /// Names the part in the URL, as a fragment: no server sees it, and a part is never taken for another one, or for the whole.
    pub(crate) fn name_part(&mut self) {
        if let Some(Part { start, end }) = self.part() {
            let last = end.map_or(String::new(), |end| end.saturating_sub(1).to_string());
            self.address = self.address.with_fragment(&format!("bytes={start}-{last}"));
        }
    }

    /// Refuses a file of more bytes, with an error of kind `Unsafe`, before its first byte is taken. One whose length
    /// the server does not state is given up once more bytes have come.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Rate limit of this download, in bytes per second. That of the client applies as well.
    #[must_use]
    pub fn limit_rate(mut self, rate: NonZeroU64) -> Self {
        self.limit_rate = Some(rate);
        self
    }

    /// Sends this header to the origin of the URL, and to no other.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends this header to one origin, which is that of the URL or of a mirror, and to no other.
    pub(crate) fn header_for(self, origin: &Origin, name: &str, value: &str) -> Self {
        if self.address.is_of(origin) {
            return self.header(name, value);
        }
        let mut request = self;
        request.headers_elsewhere.push((origin.clone(), name.to_owned(), value.to_owned()));
        request
    }

    /// Sends Basic credentials to the origin of the URL, and to no other.
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials::Basic { user: user.into(), password: password.into() });
        self
    }

    /// Goes through this proxy in place of that of the client, on the way to the URL, its mirrors and where they redirect to. The servers
    /// that the client reaches without a proxy (`no_proxy`) are still reached so. [`Proxy::Environment`] leaves it to the client.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let proxy = haul::Proxy::Through("socks5h://127.0.0.1:1080".to_owned());
    /// let request = haul::Request::new("https://example.org/disk.img")?.proxy(&proxy)?;
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Usage` for a proxy that cannot be used.
    pub fn proxy(mut self, proxy: &Proxy) -> Result<Self, Error> {
        self.proxy = proxy.of_request()?;
        Ok(self)
    }

    /// Sends a bearer token to the origin of the URL, and to no other.
    #[must_use]
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.credentials = Some(Credentials::Bearer(token.into()));
        self
    }

    /// Takes passwords from a netrc file, for the host of the URL and those of the mirrors, each for itself. If a user
    /// is named already, with no password, only the password of that user is taken; credentials given with
    /// [`Self::bearer`], with a password or in an `Authorization` header stay. Entries for `default` count for no host.
    ///
    /// A netrc file knows hosts alone, so the password goes to the port and over the scheme of the URL, http included.
    /// It follows no redirect to another origin.
    #[must_use]
    pub fn netrc(mut self, netrc: impl Into<Arc<Netrc>>) -> Self {
        self.netrc = Some(netrc.into());
        self
    }

    /// Sends the cookies that a file has for the URL to the origin of the URL, and to no other; those that it has for a
    /// mirror, to the mirror. They are chosen for each requested URL, also along redirects. Expired ones are left out.
    /// Cookies that a redirect sets are sent back to the origin that set them, for this request only.
    #[must_use]
    pub fn cookies(mut self, cookies: impl Into<Arc<Cookies>>) -> Self {
        self.cookies = Some(cookies.into());
        self
    }

    /// Declares that the URL and the mirrors were named by a document, which came from the server of `home`, or from
    /// none. A document may come from anybody: no server of another origin receives the secrets of this request, or is
    /// shown the certificate of the client.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let list = haul::Request::new("https://example.org/list.txt")?.bearer("t0ken");
    /// let found_in_it = haul::Request::new("https://mirror.example.net/disk.img")?
    ///     .bearer("t0ken")
    ///     .named_by_document(Some(list.address()));
    /// # let _ = found_in_it;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named_by_document(mut self, home: Option<&Address>) -> Self {
        self.named_by = NamedBy::Document(home.map(Address::origin));
        self
    }

    /// Maximum number of connections.
    #[must_use]
    pub fn connections(mut self, connections: Connections) -> Self {
        self.connections = connections;
        self
    }

    /// Allowance for the plan, if at most `possible` connections can be opened, and within the number of those that are of use at
    /// `rate` bytes per second.
    pub(crate) fn allowance(&self, possible: usize, rate: Option<NonZeroU64>) -> Allowance {
        let worth = rate.map_or(usize::MAX, Pace::most_connections);
        self.connections.allowance(possible.min(worth))
    }

    /// Minimum size of a range with a request of its own, in bytes, unless to relieve a slow connection.
    #[must_use]
    pub fn min_split(mut self, bytes: u64) -> Self {
        self.min_split = Some(bytes.max(1));
        self
    }

    /// Action if the target exists.
    #[must_use]
    pub fn if_exists(mut self, policy: IfExists) -> Self {
        self.if_exists = policy;
        self
    }

    /// Discards the remains of an earlier run.
    #[must_use]
    pub fn restart(mut self, restart: bool) -> Self {
        self.restart = restart;
        self
    }

    /// Starts a changed resource over, once (the default), or else fails and keeps everything.
    #[must_use]
    pub fn restart_if_changed(mut self, restart: bool) -> Self {
        self.may_restart = restart;
        self
    }

    /// Takes the file name from the server's `Content-Disposition`, made safe.
    #[must_use]
    pub fn content_disposition(mut self, accept: bool) -> Self {
        self.content_disposition = accept;
        self
    }

    /// Names the file as its answer does: by `Content-Disposition`, or else by the last part of the URL that redirects lead to, made safe. If
    /// the server does not tell, the name is that of the URL itself, or `index.html`. It is asked for with HEAD.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let request = haul::Request::new("https://example.org/download?id=7")?.name_of_answer(true);
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn name_of_answer(mut self, accept: bool) -> Self {
        self.name_of_answer = accept;
        self
    }

    /// Minimum segment sizes: in general, and for the first split on a long round trip.
    pub(crate) fn splits(&self) -> (u64, u64) {
        (self.min_split.unwrap_or(MIN_SPLIT), self.min_split.unwrap_or(FIRST_SPLIT))
    }

    /// Gives the file the modification time that the server states.
    #[must_use]
    pub fn remote_time(mut self, keep: bool) -> Self {
        self.remote_time = keep;
        self
    }
}

/// Returns true for the URL of an object.
#[cfg(feature = "s3")]
pub(crate) fn is_s3(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://"))
}

#[cfg(feature = "s3")]
impl crate::s3::S3 {
    /// Requests the object at `url`, `s3://bucket/key` or `s3://bucket/key?versionId=ID`; the key is written as it is, without percent
    /// encoding. Each request is signed when it is made; a redirect to another origin never carries the signature. The `ETag` counts as
    /// strong validator, and a checksum of the whole object that the store states as a weak proof.
    ///
    /// # Errors
    /// `Usage` for another URL, or for an environment or profile that makes no sense.
    pub fn request(&self, url: &str) -> Result<Request, Error> {
        let location = crate::s3::Location::parse(url).map_err(|why| {
            Error::usage(format!("{}: {why}", escape::clip(&escape::for_terminal(url), 200)))
        })?;
        let mut request = Request::of(self.address(&location)?, None);
        let signer: Arc<dyn RequestSigner> = self.signer()?;
        request.signer = Some(signer);
        Ok(request)
    }
}

/// Parses a URL that a user gave, and splits off its credentials.
fn parse(url: &str) -> Result<(Address, Option<Credentials>), Error> {
    let (address, userinfo) = Address::parse(url).map_err(|error| match error {
        AddressError::Scheme(_) | AddressError::Malformed(_) | AddressError::Userinfo => {
            let shown = escape::for_terminal(&redaction::refused(url)).into_owned();
            Error::usage(format!("{}: {error}", escape::clip(&shown, 200)))
        }
    })?;
    let credentials =
        userinfo.map(|userinfo| Credentials::Basic { user: userinfo.user, password: userinfo.password });
    Ok((address, credentials))
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of headers are often secrets.
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("address", &self.address)
            .field("headers", &headers)
            .field("output", &self.output)
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}
