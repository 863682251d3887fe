//! One request and its response, over a connection of the pool or a new one.

use super::connect::Dialing;
use super::connection::Connection;
use super::connectors::{Connectors, Trust};
use super::failure::Party;
use super::forwarded::Forwarded;
use super::hop::OwnProxy;
use super::links::Links;
use super::multiplex::{self, Multiplexed, Shared};
use super::peer::Peer;
use super::pool::Coming;
use super::prompt::{Prompt, Prompted, Prompts};
use super::proxy::Proxies;
use super::request_head::{Login, Proof, RequestFields, Secrets};
use super::response::{Body, Response};
use super::socket::{Line, RECORDS, Socket, Stream};
use super::strikes::Turn;
use super::timeouts::Timeouts;
use super::trace::{self, Step};
use super::{Failure, Interface, Settings, tls, tunnel};
use crate::error::{Cause, Error, Kind, Remedy, Trouble};
use crate::plan::Address;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http_body_util::Full;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::time::Instant;

/// Makes requests; shared by all files of a run.
pub(crate) struct Exchange {
    settings: Settings,
    links: Arc<Links>,
    connectors: Connectors,
    proxies: Proxies,
    /// Servers that have requested Digest authentication. They are not sent a plain password again.
    prompted: Prompted,
}

/// Number of addresses that may fail one request, one after the other, before it fails. A silent one counts more.
const LOST: u32 = 8;
const LOST_TO_SILENCE: u32 = 3;

/// Bytes a second at which the body of a request is expected to leave at least.
const SLOWEST_UPLOAD: u64 = 32 << 10;

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

impl Exchange {
    /// # Errors
    /// `Usage` for an invalid proxy.
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let proxies = Proxies::new(&settings.proxy, &settings.no_proxy, &settings.hosts)?;
        let links = Arc::<Links>::default();
        Ok(Self {
            connectors: Connectors::new(&settings, links.clone()),
            settings,
            links,
            prompted: Prompted::default(),
            proxies,
        })
    }

    /// Settings of the run.
    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Remedy for a server that cannot be reached in the end.
    pub(super) fn remedy(&self, host: &str) -> Option<Remedy> {
        self.links.strikes.remedy(host)
    }

    /// Address family of the host that connects sooner than the one the resolver prefers, if that was seen: true for IPv6.
    pub(crate) fn family(&self, host: &str) -> Option<bool> {
        self.links.strikes.family(host)
    }

    /// Connects to this family of the host first, as an earlier run found.
    pub(crate) fn prefer_family(&self, host: &str, v6: bool) {
        self.links.strikes.prefer(host, v6);
    }

    /// Checks as much as possible before any file is touched: the certificate files are readable, and the interface
    /// exists.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.connectors.check()?;
        self.settings.dialer.interface.as_ref().map_or(Ok(()), Interface::check)
    }

    /// Peer for `address`, with the decision if it may see the client certificate.
    pub(super) fn peer(&self, address: &Address, secrets: &Secrets, proxy: Option<&OwnProxy>) -> Peer {
        let knows_us = self.settings.identity.is_some() && secrets.may_name_us_to(address);
        Peer { origin: address.origin(), knows_us, proxy: proxy.cloned() }
    }

    /// Sends one request on one connection, and waits for the response headers. If an address fails after the connect,
    /// addresses that have not failed yet are tried in its place at once.
    pub(super) async fn ask(
        self: &Arc<Self>,
        address: &Address,
        (secrets, proxy, timeouts): (&Secrets, Option<&OwnProxy>, Timeouts),
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
            true => self.multiplexed(address, &peer, timeouts).await,
            false => None,
        };
        if pooled.is_none() {
            pooled = self.links.pool.take(&peer).await;
        }
        let mut asked = Prompts::default();
        let (mut turn, mut lost, mut first) = (Turn::Any, 0, None);
        loop {
            let is_pooled = pooled.is_some();
            let made = match pooled.take() {
                Some(connection) => Ok(connection),
                // Boxed, since it is large and most requests need no new connection.
                None => Box::pin(self.connect(address, &peer, &reached, (turn, timeouts.connect))).await,
            };
            let failed = match made {
                Ok(mut connection) => {
                    let (at, shared) = (Some(connection.at), connection.shared().cloned());
                    asked.hand_to(&mut connection.prompt);
                    let proof = login
                        .map_or(Proof::AsGiven, |login| self.proof(&mut connection, login, address, fields));
                    let was_new = connection.prompt.as_ref().is_some_and(Prompt::was_new);
                    let answered = self
                        .ask_on(
                            connection,
                            address,
                            &peer,
                            secrets,
                            &proof,
                            (fields, many, timeouts.first_byte),
                        )
                        .await;
                    let is_shared = shared.is_some();
                    if let (Some(shared), Err(failure)) = (shared, &answered)
                        && !matches!(failure, Failure::Fatal(_))
                    {
                        self.links.multiplexes.ended(&peer, &shared, false);
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

    /// A part of the peer's HTTP/2 connection, which is opened if there is none; `None` if the server has no HTTP/2, or if a
    /// proxy or a client certificate stands between. A failure is left to the connection that is made in its place.
    async fn multiplexed(&self, address: &Address, peer: &Peer, timeouts: Timeouts) -> Option<Connection> {
        if !self.may_multiplex(address, peer) {
            return None;
        }
        let mut place = self.links.multiplexes.place(peer).await?;
        let failures = match &*place {
            Shared::Open(shared) if shared.is_open() => return Some(Connection::on(shared.clone())),
            Shared::Later { at, .. } if Instant::now() < *at => return None,
            Shared::Later { failures, .. } => *failures,
            Shared::Open(_) | Shared::Unknown => 0,
            Shared::Never => return None,
        };
        // The server may allow no more connections than are idle.
        self.links.pool.close_idle(peer);
        // Boxed for its size, as above.
        let opening = Box::pin(self.open_multiplexed(peer, timeouts));
        let opened = tokio::time::timeout(multiplex::LONGEST_OPENING, opening).await;
        self.links.multiplexes.opened(peer, matches!(opened, Ok(Ok(Some(_)))));
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
    pub(super) fn may_multiplex(&self, address: &Address, peer: &Peer) -> bool {
        let is_direct = || self.proxies.hop_to(peer).is_ok_and(|hop| hop.is_none());
        address.is_https() && !peer.knows_us && is_direct()
    }

    pub(super) async fn open_multiplexed(
        &self,
        peer: &Peer,
        timeouts: Timeouts,
    ) -> Result<Option<Multiplexed>, Failure> {
        let origin = &peer.origin;
        let make_room = || self.links.make_room();
        let (dialer, strikes) = (&self.settings.dialer, &self.links.strikes);
        let timeout = timeouts.connect;
        let dialing = Dialing { dialer, strikes, timeout, turn: Turn::Any, make_room: &make_room };
        let stream = dialing.connect(&origin.host, origin.port).await?;
        let at = stream.peer_addr().map_err(|error| Failure::connecting(&origin.host, &error))?;
        let line = BufReader::with_capacity(RECORDS, Line::Tcp(stream));
        let stream = self.connectors.with_many(&origin.host, line, timeout).await?;
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
            self.links.pool.forget(at);
        }
        self.links.strikes.failed(at)
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
        (fields, many, limit): (RequestFields<'_>, bool, Duration),
    ) -> Result<Response, Failure> {
        let forwarded = connection.forwarded.as_ref();
        let agent = self.agent_of(address.host()).map_err(Failure::Fatal)?;
        let fields = RequestFields { agent: agent.as_ref(), ..fields };
        let request = secrets.request(address, forwarded, proof, fields);
        let mut request = request.map_err(Failure::Fatal)?;
        if connection.is_shared() {
            with_whole_target(&mut request, address)?;
        }
        self.tell(|| trace::asked(address, &request));
        let sending = connection.send(address.host(), request);
        // A body takes as long as the line needs for it.
        let sent = fields.document.map_or(0, |document| document.bytes.len() as u64 / SLOWEST_UPLOAD);
        let limit = limit + Duration::from_secs(sent);
        let answered = tokio::time::timeout(limit, sending).await;
        let answered = answered.map_err(|_| {
            let cause = format!("{} did not answer within {} s", address.host(), limit.as_secs_f32());
            Failure::Silent(Cause::from(cause).with_trouble(Trouble::Silent))
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
            body: Body::new(connection, incoming, peer.clone(), self.links.clone(), many),
        })
    }

    /// User agent that the settings have for a host.
    fn agent_of(&self, host: &str) -> Result<Option<HeaderValue>, Error> {
        let own = self.settings.hosts.iter().filter(|settings| settings.applies_to(host));
        let text = own.filter_map(|settings| settings.user_agent.as_deref()).next();
        let agent = text.map(HeaderValue::from_str).transpose();
        agent.map_err(|_| Error::usage("the user agent of a host holds characters that no header may"))
    }

    pub(super) fn warm(
        self: &Arc<Self>,
        peer: &Peer,
        address: &Address,
        count: usize,
        timeout: Duration,
    ) -> Vec<impl Future<Output = ()> + use<>> {
        let one = |coming: Coming| {
            let (exchange, address, peer) = (self.clone(), address.clone(), peer.clone());
            async move {
                // A request that finds none opens its own, and reports the failure then.
                match exchange.connect(&address, &peer, || {}, (Turn::Any, timeout)).await {
                    Ok(connection) => coming.arrive(connection),
                    Err(failed) => {
                        exchange.failed(&failed);
                    }
                }
            }
        };
        self.links.pool.expect(peer, count).into_iter().map(one).collect()
    }

    /// Connects to the server of `address`, directly or through its proxy. `reached` is called once the server itself
    /// is connected directly, before any handshake.
    async fn connect(
        &self,
        address: &Address,
        peer: &Peer,
        reached: impl Fn(),
        (turn, timeout): (Turn, Duration),
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
        if !address.is_https() && self.connectors.are_pinned(&origin.host) {
            return Err(Failure::Fatal(keyless(&origin.host)).into());
        }
        let make_room = || self.links.make_room();
        let dialing = Dialing {
            dialer: &self.settings.dialer,
            strikes: &self.links.strikes,
            timeout,
            turn,
            make_room: &make_room,
        };
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
                Some(hop) => self.connectors.reach(hop, stream, timeout).await?,
            };
            let forwarding = hop.filter(|hop| hop.forwards(address));
            let line = match hop {
                Some(hop) if forwarding.is_none() => {
                    let tunnel = tunnel::through(hop, line, origin, &dialing);
                    self.connectors.in_time(&Party::Proxy(hop.host()), "connect on", tunnel, timeout).await?
                }
                _ => line,
            };
            let stream = if address.is_https() {
                let line = BufReader::with_capacity(RECORDS, line);
                let trust = match peer.knows_us {
                    _ if self.is_loose(&origin.host) => Trust::Loose,
                    true => Trust::Acquainted,
                    false => Trust::Server,
                };
                let secured = self.connectors.with_server(&origin.host, trust, line, timeout);
                Stream::Tls(Box::new(secured.await?))
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
    pub(super) fn is_loose(&self, host: &str) -> bool {
        self.settings.hosts.iter().any(|settings| settings.insecure && settings.applies_to(host))
    }

    /// Reports a step, if there is a trace.
    pub(super) fn tell(&self, step: impl FnOnce() -> Step) {
        if let Some(trace) = &self.settings.trace {
            trace.tell(step());
        }
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
