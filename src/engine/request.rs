//! Request for one file.

use super::report::{ProvedBy, Transport};
use super::settings::Connections;
use crate::destination::{IfExists, NamedBy, OwnDestination};
use crate::error::{Error, Kind, Remedy};
use crate::formats::cookie_file::Cookies;
use crate::formats::escape;
use crate::formats::file_name::ForeignName;
use crate::formats::netrc::Netrc;
use crate::formats::redaction;
use crate::formats::span::Span;
use crate::plan::concurrency::Allowance;
use crate::plan::pace::Pace;
use crate::plan::{Address, AddressError, Origin};
use crate::storage::Target;
use crate::transport::{Credentials, Fresh, OwnProxy, Part, Proxy, Renewal, RequestSigner};
use crate::verify::{Algorithm, Digest, MinisignSignature, Pieces, Signer};
use std::fmt;
use std::future::Future;
use std::io::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Destination of the bytes.
#[non_exhaustive]
pub enum Output {
    /// A file in the request's directory, named after the URL.
    Named,
    /// This file; a relative path is taken from the request's directory.
    File(PathBuf),
    /// Into a destination of the caller's own. Nothing is kept for another run.
    Own(Arc<dyn OwnDestination>),
    /// In order, into a writer, which is moved to a thread of its own. Nothing is kept for another run.
    Stream(Writer),
}

/// Source of the name that a file is saved under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameSource {
    /// The request itself.
    Request,
    /// A list or a document.
    List,
    /// The server.
    Server,
    /// The last part of the URL.
    Url,
}

impl NameSource {
    /// Name of the source in JSON events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::List => "list",
            Self::Server => "server",
            Self::Url => "url",
        }
    }
}

/// Writer of the caller's own. Its lock is never waited for: it makes a request one that threads may share.
pub struct Writer(Mutex<Box<dyn Write + Send>>);

impl Writer {
    /// Takes the writer.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(writer)))
    }

    pub(crate) fn into_box(self) -> Box<dyn Write + Send> {
        // It is not written to while it is here.
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    /// True if no file is made.
    pub(crate) fn is_no_file(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Own(_))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("Named"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Own(_) => f.write_str("Own"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// Maximum number of mirrors taken from a manifest.
const RECORDED_MIRRORS: usize = 16;

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
    pub(crate) remote_time: bool,
    pub(crate) renewal: Option<Renewal>,
    pub(crate) mirrors: Vec<(Address, Option<Credentials>)>,
    /// Mirrors from a manifest, which receive no secrets.
    pub(crate) recorded_mirrors: Vec<Address>,
    /// Proxy in place of that of the client.
    pub(crate) proxy: Option<OwnProxy>,
    /// Signs the requests to the origin of the URL.
    pub(crate) signer: Option<Arc<dyn RequestSigner>>,
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
            remote_time: false,
            renewal: None,
            mirrors: Vec::new(),
            recorded_mirrors: Vec::new(),
            proxy: None,
            signer: None,
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

    /// The finished file must have this digest; may be given several times, with one digest for each algorithm: a
    /// download with two that contradict one another fails at once, with an error of kind `Usage`.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        match self.digests.iter().find(|other| other.algorithm() == digest.algorithm()) {
            None => self.digests.push(digest),
            Some(other) if *other == digest => {}
            Some(other) => {
                self.contradiction.get_or_insert_with(|| (other.clone(), digest));
            }
        }
        self
    }

    /// As [`Self::digest`], for a digest that a document states, which came over this way; the report names it.
    #[must_use]
    pub fn digest_of(self, digest: Digest, document: impl Into<String>, over: Transport) -> Self {
        let mut request = self.digest(digest.clone());
        request.proved_by.push((digest, ProvedBy::document(document, over)));
        request
    }

    /// As [`Self::digest_of`], for a document whose signature was [verified](MinisignSignature::verify); the report names its signer.
    #[must_use]
    pub fn digest_of_signed(self, digest: Digest, document: impl Into<String>, signer: &Signer) -> Self {
        let mut request = self.digest(digest.clone());
        let by = ProvedBy::SignedDocument { document: document.into(), signer: signer.clone() };
        request.proved_by.push((digest, by));
        request
    }

    /// The finished file must be the one that was signed: it is verified as a whole, whatever part of it an earlier run has fetched, and
    /// gets its name only then. The digest that was signed is computed while the file comes in. A signature proves the bytes as a
    /// digest does, so that ranges may be joined without a strong validator.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let key: haul::MinisignKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse()?;
    /// let text = std::fs::read_to_string("disk.img.minisig")?;
    /// let request = haul::Request::new("https://example.org/disk.img")?
    ///     .signature(key.signature(&text, "disk.img.minisig")?)?;
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Checksum` for a [legacy](MinisignSignature::is_legacy) signature.
    pub fn signature(mut self, signature: MinisignSignature) -> Result<Self, Error> {
        refuse_legacy(&signature)?;
        self.signature = Some(Arc::new(signature));
        Ok(self)
    }

    /// Returns true if a digest, a signature or, for a file on disk, strong digests of all [pieces](Self::pieces) are given, which prove the
    /// bytes wherever they come from.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        !self.digests.is_empty() || self.signature.is_some() || self.proving_pieces().is_some()
    }

    /// Hash functions of the digests and of the signature.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        crate::destination::algorithms(&self.digests, self.signature.is_some())
    }

    /// States digests of the pieces of the file, each of `length` bytes, in order. If the file has not the [digest](Self::digest) that it must
    /// have, they show which pieces are wrong: a source that gave one is left out, and only these pieces are fetched again. Without a
    /// digest or a signature of the whole they prove a file on disk if each of them is collision resistant, and have no effect otherwise.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let length = std::num::NonZeroU64::new(1 << 20).expect("not zero");
    /// let pieces = vec!["md5:d41d8cd98f00b204e9800998ecf8427e".parse()?, "md5:0cc175b9c0f1b6a831c399e269772661".parse()?];
    /// let request = haul::Request::new("https://example.org/disk.img")?.pieces(length, pieces);
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pieces(mut self, length: NonZeroU64, digests: Vec<Digest>) -> Self {
        self.pieces = Some(Arc::new(Pieces::new(length, digests)));
        self
    }

    /// Names the document that states the digests of the [pieces](Self::pieces), which came over this way.
    #[must_use]
    pub fn pieces_stated_by(mut self, document: impl Into<String>, over: Transport) -> Self {
        self.pieces_by = ProvedBy::document(document, over);
        self
    }

    /// The pieces, if they prove the file because neither a digest nor a signature of the whole does.
    pub(crate) fn proving_pieces(&self) -> Option<&Arc<Pieces>> {
        let alone = self.digests.is_empty() && self.signature.is_none() && !self.output.is_no_file();
        self.pieces.as_ref().filter(|pieces| alone && pieces.strong().is_some())
    }

    /// Refuses two different digests of one algorithm, which are never both right.
    pub(crate) fn check_digests(&self) -> Result<(), Error> {
        match &self.contradiction {
            None => Ok(()),
            Some((one, other)) => Err(contradictory(one, other)),
        }
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

    /// Adds a source that is said to hold the same bytes. Ranges are fetched from all of them; one that does not agree,
    /// or keeps failing, is dropped with an event. Nothing but a digest or a signature shows that two servers hold the same bytes, so
    /// [`Self::digest`], [`Self::signature`] or strong digests of all [pieces](Self::pieces) must be given as well, and the bytes must go into a file. A user name and password in the URL
    /// are for this mirror; the credentials and headers of the request are for the origin of its own URL.
    ///
    /// # Errors
    /// `Usage` for anything that is not an http or https URL.
    pub fn mirror(mut self, url: &str) -> Result<Self, Error> {
        self.mirrors.push(parse(url)?);
        Ok(self)
    }

    /// Adds a source from a manifest. No secret reaches it, whatever its origin. Signed URLs are left out, and all of
    /// them if there is no digest.
    pub(crate) fn recorded_mirror(mut self, url: &str) -> Self {
        let given = |address: &Address| self.sources().any(|source| source == address);
        if let Ok((address, None)) = parse(url)
            && crate::plan::is_whole_record(url)
            && self.is_proven()
            && self.recorded_mirrors.len() < RECORDED_MIRRORS
            && !given(&address)
        {
            self.recorded_mirrors.push(address);
        }
        self
    }

    /// Mirrors make sense only if a digest will verify their bytes.
    pub(crate) fn check_mirrors(&self) -> Result<(), Error> {
        if self.mirrors.is_empty() {
            return Ok(());
        }
        if self.output.is_no_file() {
            return Err(Error::usage(
                "mirrors and a pipe do not go together: what a wrong mirror gave could not be taken back",
            ));
        }
        if !self.is_proven() {
            return Err(Error::usage(
                "mirrors need a digest: nothing else shows that two servers hold the same file",
            )
            .with_remedy(Remedy::PublishedDigest));
        }
        Ok(())
    }

    /// Target path, as far as it is known before the server is asked.
    #[must_use]
    pub fn planned_path(&self) -> Option<PathBuf> {
        if self.asks_for_its_name() {
            return None;
        }
        self.target(None).ok().flatten().map(|target| target.path())
    }

    /// Returns true if the server is to provide the file name.
    pub(crate) fn asks_for_its_name(&self) -> bool {
        matches!(self.output, Output::Named) && self.named.is_none() && self.content_disposition
    }

    /// Source of the name that it is saved under; `None` for a stream.
    pub(crate) fn name_source(&self, suggested: Option<&ForeignName>) -> Option<NameSource> {
        match &self.output {
            Output::Stream(_) | Output::Own(_) => None,
            Output::File(_) => Some(NameSource::Request),
            Output::Named if self.named.is_some() => Some(NameSource::List),
            Output::Named if self.asks_for_its_name() && suggested.is_some() => Some(NameSource::Server),
            Output::Named => Some(NameSource::Url),
        }
    }

    /// Target of the download; `None` for a stream. `suggested` is the server's name for the file.
    ///
    /// # Errors
    /// `Usage` if there is no name for the file.
    pub(crate) fn target(&self, suggested: Option<ForeignName>) -> Result<Option<Target>, Error> {
        match &self.output {
            Output::Stream(_) | Output::Own(_) => return Ok(None),
            Output::File(path) => return Target::from_path(&self.directory, path).map(Some),
            Output::Named => {}
        }
        let by_list = || self.named.clone();
        let by_server = suggested.filter(|_| self.asks_for_its_name());
        let by_url = || ForeignName::from_url_path(self.address.path());
        let name = by_list().or(by_server).or_else(by_url).ok_or_else(|| {
            Error::usage(format!("{} does not end in a file name", self.address))
                .with_remedy(Remedy::NameTheFile)
        })?;
        let name = match &self.below {
            Some(directory) => name.within(directory),
            None => name,
        };
        Ok(Some(Target::foreign(&self.directory, &name)))
    }

    /// Minimum segment sizes: in general, and for the first split on a long round trip.
    pub(crate) fn splits(&self) -> (u64, u64) {
        (self.min_split.unwrap_or(MIN_SPLIT), self.min_split.unwrap_or(FIRST_SPLIT))
    }

    /// The URL and its mirrors.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Address> {
        let given = self.mirrors.iter().map(|(address, _)| address);
        std::iter::once(&self.address).chain(given).chain(&self.recorded_mirrors)
    }

    /// Sets the source of a fresh URL for when the server refuses this one (401, 403, 404, 410): signed URLs expire
    /// before a large file is complete. It is called on a thread that may block, once for all connections, and waited
    /// for at most 60 seconds; the URL it returns must lead to the same version. Credentials and headers do not follow
    /// to another origin.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let request = haul::Request::new("https://example.org/disk.img?sig=old")?
    ///     .renewed_by(|| Ok("https://example.org/disk.img?sig=new".to_owned()));
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn renewed_by(self, renewal: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        let renewal = Arc::new(renewal);
        // A call that takes too long cannot be ended, and no second one begins before it has ended by itself.
        let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
        self.renewed_by_asking(Arc::default(), move || {
            let (renewal, one_at_a_time) = (renewal.clone(), one_at_a_time.clone());
            async move {
                let turn = one_at_a_time.lock_owned().await;
                let asked = crate::threads::offload(move || {
                    let said = renewal();
                    drop(turn);
                    said
                });
                asked.await.unwrap_or_else(|error| Err(error.to_string()))
            }
        })
    }

    /// Returns true if the URL holds a password, or a query with a signature or a token.
    #[must_use]
    pub fn has_secret_url(&self) -> bool {
        self.credentials.is_some() || self.address.has_secret()
    }

    /// As [`Self::renewed_by`], with a renewal that need not block; dropping the returned future ends it. It is called
    /// when it has its `turn`, so of the requests that share one, one is renewed at a time.
    #[must_use]
    pub fn renewed_by_asking<F>(
        mut self,
        turn: Arc<tokio::sync::Mutex<()>>,
        renewal: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        let look = Arc::new(move || -> Fresh { Box::pin(renewal()) });
        self.renewal = Some(Renewal { turn, look });
        self
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

/// Refuses a signature that cannot be verified as the bytes come.
pub(super) fn refuse_legacy(signature: &MinisignSignature) -> Result<(), Error> {
    if !signature.is_legacy() {
        return Ok(());
    }
    let cause = format!(
        "{}: a signature of the legacy form is over all bytes of a file at once, and is taken for lists only",
        signature.document()
    );
    Err(Error::new(Kind::Checksum, cause).with_remedy(Remedy::SignHashed))
}

/// Error for two different digests of one file.
pub(super) fn contradictory(one: &Digest, other: &Digest) -> Error {
    Error::usage(format!("two different digests of one file are given: {one} and {other}"))
        .with_remedy(Remedy::OneDigest)
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
