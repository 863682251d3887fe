//! Requests to one source of a file: its redirects are followed by hand, and its route is kept.

use super::exchange::Exchange;
use super::hop::OwnProxy;
use super::part::Part;
use super::request_head::{Document, RequestFields, Secrets};
use super::response::{Redirect, RedirectHead, Response};
use super::route::{Route, Way};
use super::signer::Carrier;
use super::signer::Judgement;
#[cfg(feature = "s3")]
use super::signer::{Pending, ServiceRequest, ServiceResponse};
use super::timeouts::Timeouts;
use super::{Failure, date, trace};
use crate::error::{Error, Kind, Remedy};
use crate::plan::response_head::{asked_to_wait, is_rate_limited};
use crate::plan::{Address, AddressError};
use http::{HeaderMap, Method, StatusCode, header};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

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
    pub(crate) timeouts: Timeouts,
    /// Notified of each pause that a redirect asks for, as it begins.
    pub(crate) paused: Arc<watch::Sender<Option<Pause>>>,
}

/// A pause before a redirect is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) status: u16,
    pub(crate) wait: Duration,
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
        self.exchange.warm(&peer, address, count, self.timeouts.connect)
    }

    /// Secrets, proxy and timeouts of these requests.
    fn as_given(&self) -> (&Secrets, Option<&OwnProxy>, Timeouts) {
        (&self.secrets, self.proxy.as_ref(), self.timeouts)
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
        let opened = Box::pin(self.exchange.open_multiplexed(&peer, self.timeouts)).await;
        opened.ok().map(|opened| opened.is_some())
    }

    /// Remedy for a server that cannot be reached in the end.
    pub(crate) fn remedy(&self) -> Option<Remedy> {
        self.exchange.remedy(self.route.target().host())
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
            self.ask(address, fields, self.shares(), || {}).await?;
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

    /// Returns true if requests to `address` are signed.
    pub(crate) fn signs(&self, address: &Address) -> bool {
        self.secrets.signer_for(address).is_some()
    }

    /// Sends one request. A signed one that is refused is judged by its signer, and may be made once more.
    async fn ask(
        &self,
        address: &Address,
        fields: RequestFields<'_>,
        many: bool,
        reached: impl Fn(),
    ) -> Result<Response, Failure> {
        let Some(signer) = self.secrets.signer_for(address) else {
            return self.exchange.ask(address, self.as_given(), fields, many, reached).await;
        };
        let mut fields = fields;
        let mut again = false;
        loop {
            signer.ready(&self.exchange).await?;
            let mut reply = self.exchange.ask(address, self.as_given(), fields, many, &reached).await?;
            let status = reply.status;
            if status == StatusCode::PRECONDITION_FAILED && fields.if_range.take().is_some() {
                // Another version: the next response shows which.
                reply.body.finish().await;
                continue;
            }
            let refused = status.as_u16() >= 400 || status == StatusCode::MOVED_PERMANENTLY;
            if !refused || status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok(reply);
            }
            let document = reply.body.document().await;
            match signer.judge(status, &reply.headers, &document) {
                Judgement::Again if !std::mem::replace(&mut again, true) => {}
                Judgement::Final(error) => return Err(Failure::Fatal(error)),
                Judgement::Again | Judgement::AsItSays => return Ok(reply),
            }
        }
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
            let mut reply = self.ask(&address, fields, self.shares(), reached).await?;
            if !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                if let Some(digest) = linked {
                    reply.headers.insert(LINKED_DIGEST, digest);
                }
                (reply.redirects, reply.redirect_head) = (redirects, redirect_head);
                return Ok(reply);
            }
            // Fields of a hub about the file that it leads to.
            linked = reply.headers.remove(LINKED_DIGEST).or(linked);
            redirect_head = redirect_head.or_else(|| {
                let head = RedirectHead::read(&address, &reply.headers)?;
                self.route.saw_links(&head);
                Some(head)
            });
            let changes = {
                let mut jar = self.route.jar();
                jar.keep(&address, &reply.headers, date::now());
                jar.changes()
            };
            let next = (self.location(&address, &reply.headers)?, changes);
            if seen.len() > self.exchange.settings().max_redirects {
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
        let most = self.exchange.settings().longest_pause;
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
        if from.is_https() && !next.is_https() && !self.exchange.settings().allow_downgrade {
            let why = format!("a redirect from https to plain http: {next}");
            return Err(match refused_redirect(Kind::Unsafe, &why) {
                Failure::Fatal(error) => Failure::Fatal(error.with_remedy(Remedy::AllowDowngrade)),
                other => other,
            });
        }
        Ok(next)
    }
}

/// One request of a protocol that is spoken by way of HTTP.
#[cfg(feature = "s3")]
pub(crate) struct Wanted<'a> {
    pub(crate) method: Method,
    pub(crate) address: &'a Address,
    pub(crate) fields: &'a [(http::HeaderName, http::HeaderValue)],
    /// Body, with its media type or none.
    pub(crate) document: Option<Document<'a>>,
}

/// Longest times for services beside the files, such as those that lend keys.
#[cfg(feature = "s3")]
const OF_SERVICES: Timeouts =
    Timeouts { connect: Duration::from_secs(10), first_byte: Duration::from_secs(30) };

#[cfg(feature = "s3")]
impl Requester {
    /// Requester for a service beside the files, which gets no secret; `near` if no proxy stands between.
    ///
    /// # Errors
    /// None but a defect.
    fn beside_all(exchange: Arc<Exchange>, address: &Address, near: bool) -> Result<Self, Error> {
        Ok(Self {
            timeouts: OF_SERVICES,
            exchange,
            route: Arc::new(Route::new(address.clone(), None)),
            secrets: Arc::new(Secrets::none(address, concat!("haul/", env!("CARGO_PKG_VERSION")))?),
            reached: Arc::new(watch::channel(None).0),
            many: Arc::new(AtomicBool::new(false)),
            part: None,
            proxy: near.then_some(OwnProxy(None)),
            paused: Arc::new(watch::channel(None).0),
        })
    }

    /// Makes one request and reads its response, of at most 4 MiB; a signed one that is refused is made once more if its signer says so.
    /// No redirect is followed. Each part of the body has to come within `stall`. Cancel-safe.
    pub(crate) async fn call(&self, wanted: Wanted<'_>, stall: Duration) -> Result<ServiceResponse, Failure> {
        let fields = RequestFields {
            document: wanted.document.as_ref(),
            more: wanted.fields,
            ..RequestFields::new(&wanted.method)
        };
        let signer = self.secrets.signer_for(wanted.address);
        let mut again = false;
        loop {
            if let Some(signer) = signer {
                signer.ready(&self.exchange).await?;
            }
            let reply =
                Box::pin(self.exchange.ask(wanted.address, self.as_given(), fields, false, || {})).await?;
            let Response { status, headers, body, .. } = reply;
            let body = body.whole(4 << 20, stall).await?;
            if let Some(signer) = signer.filter(|_| !again && !status.is_success())
                && matches!(signer.judge(status, &headers, &body), Judgement::Again)
            {
                again = true;
                continue;
            }
            return Ok(ServiceResponse { status, headers, body });
        }
    }
}

/// Time within which each part of the response of a service has to come.
#[cfg(feature = "s3")]
const SERVICE: Duration = Duration::from_secs(30);

impl Carrier for Arc<Exchange> {
    #[cfg(feature = "s3")]
    fn carry<'a>(&'a self, asked: ServiceRequest<'a>) -> Pending<'a, Result<ServiceResponse, Failure>> {
        Box::pin(async move {
            let ServiceRequest { method, address, fields, form, near } = asked;
            let requester = Requester::beside_all(self.clone(), address, near).map_err(Failure::Fatal)?;
            let document =
                form.map(|bytes| Document { media_type: "application/x-www-form-urlencoded", bytes });
            requester.call(Wanted { method, address, fields, document }, SERVICE).await
        })
    }
}

fn refused_redirect(kind: Kind, why: &str) -> Failure {
    Failure::Fatal(Error::new(kind, why))
}
