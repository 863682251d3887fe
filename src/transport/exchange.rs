//! One request and its response, with redirects followed by hand.

use super::connect::{Dialing, lacks_descriptors};
use super::connection::Connection;
use super::failure::Party;
use super::forwarded::Forwarded;
use super::hop::{Hop, OwnProxy};
use super::multiplex::{self, Multiplexed, Multiplexes, Shared};
use super::part::Part;
use super::peer::Peer;
use super::pin::Pinning;
use super::pool::{Coming, Pool};
use super::prompt::{Prompt, Prompted, Prompts};
use super::proxy::Proxies;
use super::request_head::{Document, Login, Proof, RequestFields, Secrets};
use super::route::{Route, Way};
use super::socket::{Line, RECORDS, Socket, Stream};
use super::strikes::{Strikes, Turn};
use super::trace::{self, Step};
use super::{Failure, IdentityFiles, Interface, Settings, date, tls, tunnel};
use crate::error::{Error, Kind, Remedy};
use crate::plan::response_head::{asked_to_wait, is_rate_limited};
use crate::plan::{Address, AddressError, bare_host};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Makes requests; shared by all files of a run.
pub(crate) struct Exchange {
    settings: Settings,
    pool: Arc<Pool>,
    strikes: Strikes,
    proxies: Proxies,
    pinning: Pinning,
    tls: Connector,
    /// For servers that may see the client certificate.
    own_tls: Connector,
    /// For hosts whose certificates are not verified.
    loose_tls: Connector,
    /// Offers HTTP/2 too.
    many_tls: Connector,
    multiplexes: Multiplexes,
    /// Servers that have requested Digest authentication. They are not sent a plain password again.
    prompted: Prompted,
    /// Keeps sessions with a proxy apart from those with servers.
    proxy_tls: Connector,
}

/// Created when TLS is first needed; a failure is kept in words.
type Connector = OnceLock<Result<TlsConnector, Unready>>;

/// Reason why TLS cannot be set up, and a remedy.
struct Unready {
    cause: String,
    remedy: Option<Remedy>,
}

impl Unready {
    fn to_error(&self) -> Error {
        let error = Error::new(Kind::Tls, self.cause.clone());
        match &self.remedy {
            Some(remedy) => error.with_remedy(remedy.clone()),
            None => error,
        }
    }
}

/// Context shared by the requests to one source of a file.
#[derive(Clone)]
pub(crate) struct Requester {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) route: Arc<Route>,
    pub(crate) secrets: Arc<Secrets>,
    /// Notified of each server that a new connection has reached, before anything is sent on it.
    pub(crate) reached: Arc<watch::Sender<Option<Address>>>,
    /// True while many small files come from far away: then requests share an HTTP/2 connection, if the server has it.
    pub(crate) many: Arc<AtomicBool>,
    /// The part of the resource that counts as all of it.
    pub(crate) part: Option<Part>,
    /// Proxy of its own; `None` for that of all requests.
    pub(crate) proxy: Option<OwnProxy>,
    /// Notified of each pause that a redirect asks for, as it begins.
    pub(crate) paused: Arc<watch::Sender<Option<Pause>>>,
}

/// A pause before a redirect is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) status: u16,
    pub(crate) wait: Duration,
}

/// A response whose body has not been touched.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// URL of this response.
    pub(crate) address: Address,
    pub(crate) version: Version,
    /// Version of TLS that it came over.
    pub(crate) tls: Option<&'static str>,
    /// Redirects that led to it, in order.
    pub(crate) redirects: Vec<Redirect>,
    /// Head of the first of them that has links.
    pub(crate) redirect_head: Option<Box<RedirectHead>>,
    pub(crate) body: Body,
}

/// A redirect that was followed.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) status: u16,
    pub(crate) to: Address,
}

/// Statements of a redirect about the file that it leads to: its links, and its digests.
pub(crate) struct RedirectHead {
    /// URL that redirected.
    pub(crate) address: Address,
    pub(crate) headers: HeaderMap,
}

impl RedirectHead {
    /// `None` for a redirect without links.
    fn read(address: &Address, all: &HeaderMap) -> Option<Box<Self>> {
        if !all.contains_key(header::LINK) {
            return None;
        }
        let mut headers = HeaderMap::new();
        for field in ["link", "digest", "repr-digest"] {
            for value in all.get_all(field) {
                headers.append(field, value.clone());
            }
        }
        Some(Box::new(Self { address: address.clone(), headers }))
    }
}

/// Body of a response, and the connection it comes on.
pub(crate) struct Body {
    connection: Connection,
    incoming: Incoming,
    peer: Peer,
    exchange: Arc<Exchange>,
    /// Number of bytes received so far.
    taken: usize,
    /// True if requests of its kind share a connection, if they can.
    many: bool,
}

/// Bytes of a body after which an address counts as serving. Fewer may come over a path that drops full packets.
const SERVES: usize = 64 << 10;

impl Body {
    /// The next bytes; `None` after the last. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self.connection.during(self.incoming.frame()).await {
                // Over HTTP/2 a stream may be reset without an error, which is no end of a body (RFC 9113 §8.1).
                None if self.connection.is_shared() && !self.incoming.is_end_stream() => {
                    self.broke();
                    return Err(Failure::Broken("the response was reset before its end".into()));
                }
                None => return Ok(None),
                Some(Err(error)) => {
                    self.broke();
                    if self.taken < SERVES {
                        self.exchange.strikes.failed(self.connection.at);
                    }
                    return Err(Failure::from_hyper(&error));
                }
                // Trailers change nothing (RFC 9112 §7.1.2).
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        self.took(data.len());
                        return Ok(Some(data));
                    }
                    _ => {}
                },
            }
        }
    }

    /// Counts a failure of a connection that others use too.
    fn broke(&self) {
        if let Some(shared) = self.connection.shared() {
            self.exchange.multiplexes.ended(&self.peer, shared, false);
        }
    }

    fn took(&mut self, bytes: usize) {
        let before = self.taken;
        self.taken = before.saturating_add(bytes);
        if before < SERVES && self.taken >= SERVES {
            self.exchange.strikes.served(self.connection.at);
        }
    }

    /// Called if it is abandoned for its silence: if little had come, another address gets its turn.
    pub(crate) fn distrust(&self) {
        self.broke();
        if self.taken < SERVES {
            self.exchange.pool.forget(self.connection.at);
            self.exchange.strikes.failed(self.connection.at);
        }
    }

    /// Returns the connection to the pool, as the body was read to its end. Otherwise dropping this closes it.
    pub(crate) fn recycle(self) {
        self.exchange.strikes.served(self.connection.at);
        match self.connection.shared() {
            Some(shared) => self.exchange.multiplexes.ended(&self.peer, shared, true),
            // An idle connection would be of no use to requests that share one.
            None if self.many && self.exchange.multiplexes.serve(&self.peer) => {}
            None => self.exchange.pool.put(self.peer, self.connection),
        }
    }

    /// Reads to the end of a body of a few bytes, so that the next request has its connection.
    pub(crate) async fn finish(mut self) {
        let reading = async {
            let mut left = LARGEST_REFUSAL;
            while let Ok(Some(bytes)) = self.next().await {
                match left.checked_sub(bytes.len()) {
                    Some(less) => left = less,
                    None => return false,
                }
            }
            true
        };
        if matches!(tokio::time::timeout(LONGEST_REFUSAL, reading).await, Ok(true)) {
            self.recycle();
        }
    }

    /// Returns the connection for another request, if the body of a refusal ends soon.
    async fn drained(mut self) -> Option<Connection> {
        let draining = async {
            let mut left = LARGEST_REFUSAL;
            while let Some(bytes) = self.next().await.ok()? {
                left = left.checked_sub(bytes.len())?;
            }
            Some(())
        };
        tokio::time::timeout(LONGEST_REFUSAL, draining).await.ok()??;
        self.connection.is_reusable().await.then_some(self.connection)
    }
}

/// Number of addresses that may fail one request, one after the other, before it fails. A silent one counts more.
const LOST: u32 = 8;
const LOST_TO_SILENCE: u32 = 3;

/// A failed connection, or a failed request on one.
struct Failed {
    failure: Failure,
    /// Address that had been connected to.
    at: Option<SocketAddr>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, at: None }
    }
}

/// Limits of a refusal's body, in bytes and time, beyond which a new connection costs less than reading on.
const LARGEST_REFUSAL: usize = 64 << 10;
const LONGEST_REFUSAL: Duration = Duration::from_secs(2);

impl Exchange {
    /// # Errors
    /// `Usage` for an invalid proxy.
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let proxies = Proxies::new(&settings.proxy, &settings.no_proxy, &settings.hosts)?;
        let pinning = Pinning::new(&settings.pins, &settings.hosts);
        let (tls, own_tls, proxy_tls) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Ok(Self {
            settings,
            pool: Arc::default(),
            strikes: Strikes::default(),
            prompted: Prompted::default(),
            proxies,
            pinning,
            tls,
            own_tls,
            proxy_tls,
            loose_tls: OnceLock::new(),
            many_tls: OnceLock::new(),
            multiplexes: Multiplexes::default(),
        })
    }

    /// Address family of the host that connects sooner than the one the resolver prefers, if that was seen: true for IPv6.
    pub(crate) fn family(&self, host: &str) -> Option<bool> {
        self.strikes.family(host)
    }

    /// Connects to this family of the host first, as an earlier run found.
    pub(crate) fn prefer_family(&self, host: &str, v6: bool) {
        self.strikes.prefer(host, v6);
    }

    /// Checks as much as possible before any file is touched: the certificate files are readable, and the interface
    /// exists.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Settings { ca_file, insecure, identity, dialer, .. } = &self.settings;
        if ca_file.is_some() || identity.is_some() {
            let made =
                tls::configuration(ca_file.as_deref(), *insecure, identity.as_ref(), self.pinning.clone())?;
            let connector = if identity.is_some() { &self.own_tls } else { &self.tls };
            connector.get_or_init(|| Ok(TlsConnector::from(Arc::new(made))));
        }
        dialer.interface.as_ref().map_or(Ok(()), Interface::check)
    }

    /// Peer for `address`, with the decision if it may see the client certificate.
    fn peer(&self, address: &Address, secrets: &Secrets, proxy: Option<&OwnProxy>) -> Peer {
        let knows_us = self.settings.identity.is_some() && secrets.may_name_us_to(address);
        Peer { origin: address.origin(), knows_us, proxy: proxy.cloned() }
    }

    /// Sends one request on one connection, and waits for the response headers. If an address fails after the connect,
    /// addresses that have not failed yet are tried in its place at once.
    async fn ask(
        self: &Arc<Self>,
        address: &Address,
        (secrets, proxy): (&Secrets, Option<&OwnProxy>),
        fields: RequestFields<'_>,
        many: bool,
        reached: impl Fn(),
    ) -> Result<Response, Failure> {
        let peer = self.peer(address, secrets, proxy);
        let login = secrets.login_for(address);
        // A challenge belongs to a connection of its own.
        let many = many
            && !(login.is_some() && self.prompted.has(&peer.origin))
            && !self.is_loose(&peer.origin.host);
        let mut pooled = match many {
            true => self.multiplexed(address, &peer).await,
            false => None,
        };
        if pooled.is_none() {
            pooled = self.pool.take(&peer).await;
        }
        let mut asked = Prompts::default();
        let (mut turn, mut lost, mut first) = (Turn::Any, 0, None);
        loop {
            let is_pooled = pooled.is_some();
            let made = match pooled.take() {
                Some(connection) => Ok(connection),
                // Boxed, since it is large and most requests need no new connection.
                None => Box::pin(self.connect(address, &peer, &reached, turn)).await,
            };
            let failed = match made {
                Ok(mut connection) => {
                    let (at, shared) = (Some(connection.at), connection.shared().cloned());
                    asked.hand_to(&mut connection.prompt);
                    let proof = login
                        .map_or(Proof::AsGiven, |login| self.proof(&mut connection, login, address, fields));
                    let was_new = connection.prompt.as_ref().is_some_and(Prompt::was_new);
                    let answered =
                        self.ask_on(connection, address, &peer, secrets, &proof, (fields, many)).await;
                    let is_shared = shared.is_some();
                    if let (Some(shared), Err(failure)) = (shared, &answered)
                        && !matches!(failure, Failure::Fatal(_))
                    {
                        self.multiplexes.ended(&peer, &shared, false);
                    }
                    match answered {
                        Ok(reply)
                            if login.is_some() && asked.again(reply.status, &reply.headers, was_new) =>
                        {
                            self.prompted.add(peer.origin.clone());
                            pooled = reply.body.drained().await;
                            continue;
                        }
                        // The server closed the connection as the request left (RFC 9112 §9.3.1): nothing was answered,
                        // so repeating it on a fresh connection is not a retry.
                        Err(Failure::Broken(_)) if is_pooled => continue,
                        // A response that makes no sense over HTTP/2 may make some over HTTP/1.1.
                        Err(Failure::Nonsense(_)) if is_shared => continue,
                        Err(failure) => Failed { failure: failure.at(at), at },
                        Ok(reply) => return Ok(reply),
                    }
                }
                Err(failed) => failed,
            };
            lost += if matches!(failed.failure, Failure::Silent(_)) { LOST_TO_SILENCE } else { 1 };
            let others = self.failed(&failed) && lost <= LOST;
            let failure = first.take().unwrap_or(failed.failure);
            if !others {
                return Err(failure);
            }
            first = Some(failure);
            turn = Turn::Untried;
        }
    }

    /// Closes connections that are idle, to free their descriptors.
    fn make_room(&self) {
        self.pool.clear();
        self.multiplexes.close_idle();
    }

    /// A part of the peer's HTTP/2 connection, which is opened if there is none; `None` if the server has no HTTP/2, or if a
    /// proxy or a client certificate stands between. A failure is left to the connection that is made in its place.
    async fn multiplexed(&self, address: &Address, peer: &Peer) -> Option<Connection> {
        if !self.may_multiplex(address, peer) {
            return None;
        }
        let mut place = self.multiplexes.place(peer).await?;
        let failures = match &*place {
            Shared::Open(shared) if shared.is_open() => return Some(Connection::on(shared.clone())),
            Shared::Later { at, .. } if Instant::now() < *at => return None,
            Shared::Later { failures, .. } => *failures,
            Shared::Open(_) | Shared::Unknown => 0,
            Shared::Never => return None,
        };
        // The server may allow no more connections than are idle.
        self.pool.close_idle(peer);
        // Boxed for its size, as above.
        let opening = Box::pin(self.open_multiplexed(peer));
        let opened = tokio::time::timeout(multiplex::LONGEST_OPENING, opening).await;
        self.multiplexes.opened(peer, matches!(opened, Ok(Ok(Some(_)))));
        match opened {
            Ok(Ok(Some(shared))) => {
                let shared = Arc::new(shared);
                *place = Shared::Open(shared.clone());
                Some(Connection::on(shared))
            }
            Ok(Ok(None)) => {
                *place = Shared::Never;
                None
            }
            Ok(Err(_)) | Err(_) => {
                let pause = multiplex::PAUSE * 2_u32.saturating_pow(failures.min(10));
                *place = Shared::Later { at: Instant::now() + pause, failures: failures + 1 };
                None
            }
        }
    }

    /// Returns true if nothing stands in the way of an HTTP/2 connection on this side: neither a proxy nor a client certificate.
    fn may_multiplex(&self, address: &Address, peer: &Peer) -> bool {
        let is_direct = || self.proxies.hop_to(peer).is_ok_and(|hop| hop.is_none());
        address.is_https() && !peer.knows_us && is_direct()
    }

    async fn open_multiplexed(&self, peer: &Peer) -> Result<Option<Multiplexed>, Failure> {
        let origin = &peer.origin;
        let make_room = || self.make_room();
        let (dialer, strikes) = (&self.settings.dialer, &self.strikes);
        let dialing = Dialing { dialer, strikes, turn: Turn::Any, make_room: &make_room };
        let stream = dialing.connect(&origin.host, origin.port).await?;
        let at = stream.peer_addr().map_err(|error| Failure::connecting(&origin.host, &error))?;
        let line = BufReader::with_capacity(RECORDS, Line::Tcp(stream));
        let stream = self.shake(&Party::Server(&origin.host), self.many_connector()?, line).await?;
        if stream.get_ref().1.alpn_protocol() != Some(tls::HTTP_2) {
            return Ok(None);
        }
        let stream = Stream::Tls(Box::new(stream));
        self.tell(|| Step::Connected {
            origin: origin.to_string(),
            address: at,
            proxy: None,
            protocol: "HTTP/2".to_owned(),
        });
        let socket = Socket::new(stream).yielding(dialer.yielder.as_ref());
        Multiplexed::open(socket, at).await.map(Some)
    }

    /// Records the failure of a connection. Returns true if it is the first of its address, so that others may do
    /// better.
    fn failed(&self, failed: &Failed) -> bool {
        let Some(at) = failed.at.filter(|_| !matches!(failed.failure, Failure::Fatal(_))) else {
            return false;
        };
        if matches!(failed.failure, Failure::Silent(_)) {
            // Idle connections to the address share its path.
            self.pool.forget(at);
        }
        self.strikes.failed(at)
    }

    /// Credentials for a request on this connection.
    fn proof(
        &self,
        connection: &mut Connection,
        login: &Login,
        address: &Address,
        fields: RequestFields<'_>,
    ) -> Proof {
        match &mut connection.prompt {
            Some(prompt) => {
                let answer = prompt.answer(login, fields.method, &address.request_target());
                answer.map_or(Proof::Withheld, Proof::Response)
            }
            None if self.prompted.has(&address.origin()) => Proof::Withheld,
            None => Proof::AsGiven,
        }
    }

    async fn ask_on(
        self: &Arc<Self>,
        mut connection: Connection,
        address: &Address,
        peer: &Peer,
        secrets: &Secrets,
        proof: &Proof,
        (fields, many): (RequestFields<'_>, bool),
    ) -> Result<Response, Failure> {
        let forwarded = connection.forwarded.as_ref();
        let request = secrets.request(address, forwarded, proof, fields);
        let mut request = request.map_err(Failure::Fatal)?;
        if connection.is_shared() {
            with_whole_target(&mut request, address)?;
        }
        self.tell(|| trace::asked(address, &request));
        let sending = connection.send(address.host(), request);
        let limit = self.settings.first_byte_timeout;
        let answered = tokio::time::timeout(limit, sending).await;
        let answered = answered.map_err(|_| {
            Failure::Silent(
                format!("{} did not answer within {} s", address.host(), limit.as_secs_f32()).into(),
            )
        })?;
        let answered = answered.map_err(|failure| match failure {
            // Most TLS servers simply close the connection on a plain request.
            Failure::Broken(cause)
                if !address.is_https() && peer.origin.port != 80 && connection.is_unanswered() =>
            {
                Failure::Broken(
                    format!("{cause}, without a word; does the server want https:// on this port?").into(),
                )
            }
            other => other,
        });
        let (parts, incoming) = answered?.into_parts();
        self.tell(|| trace::answered(address, parts.version, parts.status, &parts.headers));
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            address: address.clone(),
            version: parts.version,
            tls: connection.tls,
            redirects: Vec::new(),
            redirect_head: None,
            body: Body { connection, incoming, peer: peer.clone(), exchange: self.clone(), taken: 0, many },
        })
    }

    fn warm(
        self: &Arc<Self>,
        peer: &Peer,
        address: &Address,
        count: usize,
    ) -> Vec<impl Future<Output = ()> + use<>> {
        let one = |coming: Coming| {
            let (exchange, address, peer) = (self.clone(), address.clone(), peer.clone());
            async move {
                // A request that finds none opens its own, and reports the failure then.
                match exchange.connect(&address, &peer, || {}, Turn::Any).await {
                    Ok(connection) => coming.arrive(connection),
                    Err(failed) => {
                        exchange.failed(&failed);
                    }
                }
            }
        };
        self.pool.expect(peer, count).into_iter().map(one).collect()
    }

    /// Connects to the server of `address`, directly or through its proxy. `reached` is called once the server itself
    /// is connected directly, before any handshake.
    async fn connect(
        &self,
        address: &Address,
        peer: &Peer,
        reached: impl Fn(),
        turn: Turn,
    ) -> Result<Connection, Failed> {
        #[cfg(test)]
        if let Some(wire) = &self.settings.dialer.wire {
            reached();
            let at = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
            let socket = Socket::new(Stream::Plain(Line::Memory(wire.open())));
            let opened = Connection::open(socket, None, at, self.settings.read_size).await;
            return opened.map_err(|failure| Failed { failure, at: Some(at) });
        }
        let origin = &peer.origin;
        if !address.is_https() && !self.pinning.of(bare_host(&origin.host)).is_empty() {
            return Err(Failure::Fatal(keyless(&origin.host)).into());
        }
        let make_room = || self.make_room();
        let dialing =
            Dialing { dialer: &self.settings.dialer, strikes: &self.strikes, turn, make_room: &make_room };
        let hop = self.proxies.hop_to(peer).map_err(Failure::Fatal)?;
        let stream = match hop {
            None => dialing.connect(&origin.host, origin.port).await?,
            Some(hop) => hop.connect(&dialing).await?,
        };
        let at = stream.peer_addr().map_err(|error| Failure::connecting(&origin.host, &error))?;
        let speaking = async {
            let line = match hop {
                None => {
                    reached();
                    Line::Tcp(stream)
                }
                Some(hop) => self.reach(hop, stream).await?,
            };
            let forwarding = hop.filter(|hop| hop.forwards(address));
            let line = match hop {
                Some(hop) if forwarding.is_none() => {
                    let tunnel = tunnel::through(hop, line, origin, &dialing);
                    self.in_time(&Party::Proxy(hop.host()), "connect on", tunnel).await?
                }
                _ => line,
            };
            let stream = if address.is_https() {
                let line = BufReader::with_capacity(RECORDS, line);
                let (connector, identity) = match peer.knows_us {
                    _ if self.is_loose(&origin.host) => (&self.loose_tls, None),
                    true => (&self.own_tls, self.settings.identity.as_ref()),
                    false => (&self.tls, None),
                };
                Stream::Tls(Box::new(
                    self.handshake(&Party::Server(&origin.host), connector, identity, line).await?,
                ))
            } else {
                Stream::Plain(line)
            };
            self.tell(|| Step::Connected {
                origin: origin.to_string(),
                address: at,
                proxy: hop.map(|hop| hop.host().to_owned()),
                protocol: spoken(&stream),
            });
            let forwarded = forwarding
                .map(|hop| Forwarded { proxy: hop.host().to_owned(), authorization: hop.authorization() });
            let socket = Socket::new(stream).yielding(self.settings.dialer.yielder.as_ref());
            Connection::open(socket, forwarded, at, self.settings.read_size).await
        };
        speaking.await.map_err(|failure| Failed { failure, at: Some(at) })
    }

    /// Returns true if any certificate of the host is accepted, though not of every host.
    fn is_loose(&self, host: &str) -> bool {
        self.settings.hosts.iter().any(|settings| settings.insecure && settings.applies_to(host))
    }

    /// Reports a step, if there is a trace.
    fn tell(&self, step: impl FnOnce() -> Step) {
        if let Some(trace) = &self.settings.trace {
            trace.tell(step());
        }
    }

    /// Line to a proxy, over TLS if it is an https proxy.
    async fn reach(&self, hop: &Hop, stream: TcpStream) -> Result<Line, Failure> {
        if !hop.is_https() {
            return Ok(Line::Tcp(stream));
        }
        Ok(Line::Tls(Box::new(
            self.handshake(&Party::Proxy(hop.host()), &self.proxy_tls, None, stream).await?,
        )))
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        party: &Party<'_>,
        connector: &Connector,
        identity: Option<&IdentityFiles>,
        stream: S,
    ) -> Result<TlsStream<S>, Failure> {
        let connector = self.connector(connector, identity)?;
        self.shake(party, connector, stream).await
    }

    /// The connector that offers HTTP/2 too. It trusts what the other one does, whose files are read once.
    fn many_connector(&self) -> Result<&TlsConnector, Failure> {
        let plain = self.connector(&self.tls, None)?;
        let made = self.many_tls.get_or_init(|| {
            let mut configuration = plain.config().as_ref().clone();
            configuration.alpn_protocols.insert(0, tls::HTTP_2.to_vec());
            Ok(TlsConnector::from(Arc::new(configuration)))
        });
        made.as_ref().map_err(|unready| Failure::Fatal(unready.to_error()))
    }

    fn connector<'a>(
        &self,
        connector: &'a Connector,
        identity: Option<&IdentityFiles>,
    ) -> Result<&'a TlsConnector, Failure> {
        let made = connector.get_or_init(|| {
            let insecure = self.settings.insecure || std::ptr::eq(connector, &raw const self.loose_tls);
            let is_of_proxy = std::ptr::eq(connector, &raw const self.proxy_tls);
            let pinning = || if is_of_proxy { Pinning::default() } else { self.pinning.clone() };
            let ca_file = self.settings.ca_file.as_deref();
            let configured = || tls::configuration(ca_file, insecure, identity, pinning());
            let mut made = configured();
            if made.is_err() && lacks_descriptors() {
                self.pool.clear();
                made = configured();
            }
            made.map(|configuration| TlsConnector::from(Arc::new(configuration)))
                .map_err(|error| Unready { cause: error.to_string(), remedy: error.remedy().cloned() })
        });
        made.as_ref().map_err(|unready| Failure::Fatal(unready.to_error()))
    }

    async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        party: &Party<'_>,
        connector: &TlsConnector,
        stream: S,
    ) -> Result<TlsStream<S>, Failure> {
        let (Party::Server(host) | Party::Proxy(host)) = party;
        let bare = bare_host(host).to_owned();
        let name = rustls::pki_types::ServerName::try_from(bare).map_err(|_| {
            Failure::Fatal(Error::new(Kind::Tls, format!("{host} is no name a certificate can have")))
        })?;
        let shaking = async {
            connector.connect(name, stream).await.map_err(|error| Failure::handshake(party, &error))
        };
        self.in_time(party, "finish the TLS handshake (if it speaks TLS at all)", shaking).await
    }

    /// Bounds a step of a peer during connection setup by the connect timeout.
    async fn in_time<T>(
        &self,
        party: &Party<'_>,
        what: &str,
        doing: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = self.settings.dialer.timeout;
        tokio::time::timeout(limit, doing).await.unwrap_or_else(|_| {
            Err(Failure::Broken(format!("{party} did not {what} within {} s", limit.as_secs_f32()).into()))
        })
    }
}

/// Gives a request the form that HTTP/2 wants: the whole URL, and its authority there and not in a field (RFC 9113 §8.3.1).
fn with_whole_target(request: &mut http::Request<Full<Bytes>>, address: &Address) -> Result<(), Failure> {
    let target = format!("https://{}{}", address.authority(), address.request_target());
    let target = target.parse();
    *request.uri_mut() = target
        .map_err(|_| Failure::Fatal(Error::usage(format!("{address} cannot be asked for over HTTP/2"))))?;
    request.headers_mut().remove(header::HOST);
    Ok(())
}

/// Error for a server that has to show a key, and is spoken to without TLS.
fn keyless(host: &str) -> Error {
    let cause = format!("{host} did not prove who it is: its key is pinned, and over http there is none");
    Error::new(Kind::Tls, cause).with_remedy(Remedy::HttpsUrl)
}

/// Protocol of a connection, in words.
fn spoken(stream: &Stream) -> String {
    match stream.tls() {
        Some(tls) => format!("HTTP/1.1 over {tls}"),
        None => "HTTP/1.1".to_owned(),
    }
}

/// Field in which a hub states the digest of the file that its redirect leads to.
const LINKED_DIGEST: &str = "x-linked-etag";

/// Returns true if the status of a redirect target says that the target has expired. A rate limit does not mean that.
fn is_expired(reply: &Response) -> bool {
    matches!(reply.status.as_u16(), 401 | 403 | 404 | 410) && !is_rate_limited(reply.status, &reply.headers)
}

impl Requester {
    /// Requester for another source of the same file.
    ///
    /// # Errors
    /// A usage error if a request for it cannot be made.
    pub(crate) fn beside(&self, address: &Address) -> Result<Self, Error> {
        Ok(Self {
            route: Arc::new(Route::new(address.clone(), None)),
            secrets: self.secrets.beside(address)?,
            reached: Arc::new(watch::channel(None).0),
            ..self.clone()
        })
    }

    /// Opens connections to the server of `address` in advance, until `count` are idle or on their way. They count as
    /// coming at once; dropping a future gives its connection up.
    pub(crate) fn warm(&self, address: &Address, count: usize) -> Vec<impl Future<Output = ()> + use<>> {
        let peer = self.exchange.peer(address, &self.secrets, self.proxy.as_ref());
        self.exchange.warm(&peer, address, count)
    }

    /// Secrets and proxy that the user gave for these requests.
    fn as_given(&self) -> (&Secrets, Option<&OwnProxy>) {
        (&self.secrets, self.proxy.as_ref())
    }

    /// Returns true if requests share an HTTP/2 connection, if there can be one.
    fn shares(&self) -> bool {
        self.many.load(Ordering::Relaxed)
    }

    /// Returns true if the server of `address` offers HTTP/2; `None` if that is not found out.
    pub(crate) async fn offers_http2(&self, address: &Address) -> Option<bool> {
        let peer = self.exchange.peer(address, &self.secrets, self.proxy.as_ref());
        if !self.exchange.may_multiplex(address, &peer) || self.exchange.is_loose(&peer.origin.host) {
            return None;
        }
        let opened = Box::pin(self.exchange.open_multiplexed(&peer)).await;
        opened.ok().map(|opened| opened.is_some())
    }

    /// Remedy for a server that cannot be reached in the end.
    pub(crate) fn remedy(&self) -> Option<Remedy> {
        self.exchange.strikes.remedy(self.route.target().host())
    }

    /// Asks for a range with GET and waits for the headers of the final response.
    ///
    /// Cancel-safe in that dropping the future closes the connection it was using, or resets its stream over HTTP/2.
    pub(crate) async fn get(&self, range: Option<&str>, if_range: Option<&str>) -> Result<Response, Failure> {
        let Some(part) = self.part else {
            return self.fetch(RequestFields { range, if_range, ..RequestFields::new(&Method::GET) }).await;
        };
        let moved = part.requested(range);
        let fields = RequestFields { range: Some(&moved), if_range, ..RequestFields::new(&Method::GET) };
        let mut reply = self.fetch(fields).await?;
        part.received(range.is_none(), &mut reply.status, &mut reply.headers)?;
        Ok(reply)
    }

    /// Asks for the headers that a GET would get, without the body. Advice, never the truth (RFC 9110 §9.3.2).
    pub(crate) async fn head(&self) -> Result<Response, Failure> {
        let mut reply = self.fetch(RequestFields::new(&Method::HEAD)).await?;
        if let Some(part) = self.part {
            part.described(&mut reply.headers);
        }
        Ok(reply)
    }

    /// Asks one URL with HEAD. Follows no redirect, and leaves the route unchanged; the connection may serve the next
    /// request.
    pub(crate) async fn inquire(&self, address: &Address) -> Result<(StatusCode, HeaderMap), Failure> {
        let fields = RequestFields::new(&Method::HEAD);
        let Response { status, mut headers, mut body, .. } =
            self.exchange.ask(address, self.as_given(), fields, self.shares(), || {}).await?;
        if let Some(part) = self.part {
            part.described(&mut headers);
        }
        if let Ok(None) = body.next().await {
            body.recycle();
        }
        Ok((status, headers))
    }

    /// Sends a document with POST and waits for the headers of the response, whatever its status. Follows no redirect. If a
    /// connection breaks, it may be sent twice.
    pub(crate) async fn post(&self, document: &Document<'_>) -> Result<Response, Failure> {
        let fields = RequestFields { document: Some(document), ..RequestFields::new(&Method::POST) };
        self.exchange.ask(&self.route.original(), self.as_given(), fields, false, || {}).await
    }

    async fn fetch(&self, fields: RequestFields<'_>) -> Result<Response, Failure> {
        let (mut went_back, mut renewed) = (false, false);
        loop {
            match self.route.way().await {
                Way::Known { address, redirected } => {
                    let answered = self.follow(address.clone(), fields).await;
                    let expired = match &answered {
                        Ok(reply) => is_expired(reply),
                        Err(failure) => {
                            matches!(failure, Failure::Broken(_) | Failure::Silent(_) | Failure::Nameless(_))
                        }
                    };
                    if redirected && expired {
                        // One request finds the route anew for all; a target that is merely unreachable now is left to
                        // the next attempt.
                        self.route.expired(&address);
                        if answered.is_ok() && !std::mem::replace(&mut went_back, true) {
                            continue;
                        }
                    }
                    let refused = answered.is_ok() && expired && !redirected;
                    if refused && !std::mem::replace(&mut renewed, true) && self.route.renew(&address).await?
                    {
                        continue;
                    }
                    return answered;
                }
                Way::Find(guard) => {
                    let original = self.route.original();
                    let reply = self.follow(original.clone(), fields).await?;
                    let refused = is_expired(&reply);
                    if refused
                        && !std::mem::replace(&mut renewed, true)
                        && self.route.renew(&original).await?
                    {
                        continue;
                    }
                    if reply.status.is_success() || reply.status == StatusCode::RANGE_NOT_SATISFIABLE {
                        self.route.found(&original, &reply.address);
                    }
                    drop(guard);
                    return Ok(reply);
                }
            }
        }
    }

    async fn follow(&self, mut address: Address, fields: RequestFields<'_>) -> Result<Response, Failure> {
        let mut seen = vec![(address.clone(), self.route.jar().changes())];
        let (mut linked, mut redirect_head, mut redirects) = (None, None, Vec::new());
        loop {
            let set = self.route.jar().pairs(&address, date::now());
            let fields = RequestFields { set: &set, ..fields };
            let reached = || {
                self.reached.send_replace(Some(address.clone()));
            };
            let mut reply =
                self.exchange.ask(&address, self.as_given(), fields, self.shares(), reached).await?;
            if !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                if let Some(digest) = linked {
                    reply.headers.insert(LINKED_DIGEST, digest);
                }
                (reply.redirects, reply.redirect_head) = (redirects, redirect_head);
                return Ok(reply);
            }
            // Fields of a hub about the file that it leads to.
            linked = reply.headers.remove(LINKED_DIGEST).or(linked);
            redirect_head = redirect_head.or_else(|| RedirectHead::read(&address, &reply.headers));
            let changes = {
                let mut jar = self.route.jar();
                jar.keep(&address, &reply.headers, date::now());
                jar.changes()
            };
            let next = (self.location(&address, &reply.headers)?, changes);
            if seen.len() > self.exchange.settings.max_redirects {
                return Err(refused_redirect(Kind::Http, &format!("more than {} redirects", seen.len() - 1)));
            }
            if seen.contains(&next) {
                return Err(refused_redirect(Kind::Http, "the redirects lead round in a circle"));
            }
            self.exchange.tell(|| trace::redirected(reply.status, &address, &next.0));
            self.pause(fields.method, &reply).await?;
            redirects.push(Redirect { status: reply.status.as_u16(), to: next.0.clone() });
            address = next.0.clone();
            seen.push(next);
        }
    }

    /// Waits if a redirect asks for a pause before it is followed (RFC 9110 §10.2.3). The sum of the pauses of a route
    /// is bounded.
    async fn pause(&self, method: &Method, reply: &Response) -> Result<(), Failure> {
        let headers = &reply.headers;
        let asked = headers.contains_key(header::RETRY_AFTER);
        let asked = asked.then(|| asked_to_wait(headers, date::now())).flatten();
        let Some(wait) = asked.filter(|wait| !wait.is_zero()) else {
            return Ok(());
        };
        if *method == Method::HEAD {
            // Advice is not worth a pause, and a GET makes it anyway.
            return Err(Failure::Silent("a redirect asks to wait".into()));
        }
        let most = self.exchange.settings.longest_pause;
        if !self.route.may_pause(wait, most) {
            let why = format!(
                "a redirect asks to wait {} s, and haul waits {} s in all for redirects",
                wait.as_secs(),
                most.as_secs()
            );
            return Err(refused_redirect(Kind::Http, &why));
        }
        self.paused.send_replace(Some(Pause { status: reply.status.as_u16(), wait }));
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn location(&self, from: &Address, headers: &HeaderMap) -> Result<Address, Failure> {
        let location = headers.get(header::LOCATION).map(http::HeaderValue::as_bytes);
        let Some(location) = location.filter(|location| !location.is_empty()) else {
            return Err(refused_redirect(Kind::Http, "a redirect that does not say where to"));
        };
        if location.len() > 16 << 10 {
            return Err(refused_redirect(Kind::Http, "a redirect to a URL of more than 16 KiB"));
        }
        let next = from.join(location).map_err(|error| match error {
            AddressError::Malformed(why) => {
                refused_redirect(Kind::Http, &format!("a redirect to no usable URL: {why}"))
            }
            refused => {
                refused_redirect(Kind::Unsafe, &format!("a redirect that haul does not follow: {refused}"))
            }
        })?;
        if from.is_https() && !next.is_https() && !self.exchange.settings.allow_downgrade {
            let why = format!("a redirect from https to plain http: {next}");
            return Err(match refused_redirect(Kind::Unsafe, &why) {
                Failure::Fatal(error) => Failure::Fatal(error.with_remedy(Remedy::AllowDowngrade)),
                other => other,
            });
        }
        Ok(next)
    }
}

fn refused_redirect(kind: Kind, why: &str) -> Failure {
    Failure::Fatal(Error::new(kind, why))
}
