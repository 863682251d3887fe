//! HTTP over TCP and over a unix socket: routes, limits, and the upgrade to WebSocket.

use super::answer::{self, Fault, Incoming};
use super::caller::Caller;
use super::methods::{LARGEST_ANSWER, UNAUTHORIZED, needs_no_secret};
use super::places::Places;
use super::service::Service;
use super::{metrics, socket};
use crate::sys::unix_socket;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming as Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Largest body of a request, in bytes.
const LARGEST: usize = 16 << 20;
/// Connections at once. Beyond that the oldest client that has shown no secret is let go, and one more is closed at once if there is none.
const CONNECTIONS: usize = 512;
/// Time for a client to send its request head.
const HEAD: Duration = Duration::from_secs(30);
/// Time for a client to send the rest of a request.
const BODY: Duration = Duration::from_secs(60);
/// Pause after a connection could not be accepted, as when no file may be opened any more.
const BREATH: Duration = Duration::from_millis(100);
/// The page, complete in itself.
const PAGE: &str = include_str!("page.html");

/// Permissions of the page: to run the one script in it, and to speak to its own server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash_of = |tag: &str| {
        let begun = PAGE.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest);
        let text = begun.split_once(&format!("</{tag}>")).map_or("", |(text, _)| text);
        STANDARD.encode(Sha256::digest(text))
    };
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash_of("style"),
        hash_of("script")
    )
});

/// Sockets that the daemon listens on.
pub(crate) struct Listeners {
    pub(crate) tcp: Option<TcpListener>,
    /// Clients of it need no secret: its permissions are enough.
    pub(crate) unix: Option<unix_socket::Listener>,
}

/// Serves clients until the daemon is asked to end. What is under way is given up then.
pub(crate) async fn serve(service: Arc<Service>, listeners: Listeners) {
    let Listeners { tcp, unix } = listeners;
    // The owner gets in however many others are there.
    let (places, own_places) = (Places::new(CONNECTIONS), Places::new(CONNECTIONS));
    let mut serving = JoinSet::new();
    loop {
        tokio::select! {
            stream = accepted(tcp.as_ref(), TcpListener::accept) => {
                if let Some((stream, peer)) = stream {
                    let _ = stream.set_nodelay(true);
                    let caller = Caller::new(false, peer.ip().to_canonical().is_loopback());
                    admit(&service, &places, stream, caller, &mut serving);
                }
            }
            stream = accepted(unix.as_ref(), unix_socket::Listener::accept) => {
                if let Some((stream, _)) = stream {
                    admit(&service, &own_places, stream, Caller::new(true, true), &mut serving);
                }
            }
            Some(_) = serving.join_next() => {}
            () = service.stopped() => break,
        }
    }
    // A response to the call that ended it is on its way.
    let _ = tokio::time::timeout(BREATH, async { while serving.join_next().await.is_some() {} }).await;
}

/// Accepts on a listener, if there is one; otherwise waits for ever. Pauses after a failure.
async fn accepted<L, S, A>(
    listener: Option<&L>,
    accept: impl AsyncFnOnce(&L) -> std::io::Result<(S, A)>,
) -> Option<(S, A)> {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    match accept(listener).await {
        Ok(accepted) => Some(accepted),
        Err(_) => {
            tokio::time::sleep(BREATH).await;
            None
        }
    }
}

/// Serves a connection if there is a place for it; otherwise it is closed.
fn admit<S>(
    service: &Arc<Service>,
    places: &Arc<Places>,
    stream: S,
    caller: Caller,
    serving: &mut JoinSet<()>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let caller = Arc::new(caller);
    let Some(place) = places.take(&caller) else {
        return;
    };
    let service = service.clone();
    let sockets = Arc::new(tokio::sync::Mutex::new(JoinSet::new()));
    serving.spawn(Box::pin(async move {
        let upgraded = sockets.clone();
        let answering = service_fn(move |request| {
            let (service, sockets, caller) = (service.clone(), upgraded.clone(), caller.clone());
            async move { Ok::<_, Infallible>(route(service, request, caller, &sockets).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), answering)
            .with_upgrades();
        let serving = async {
            // A client that breaks off is no event.
            let _ = connection.await;
            while sockets.lock().await.join_next().await.is_some() {}
        };
        tokio::select! {
            () = serving => {}
            () = place.lost() => {}
        }
    }));
}

type HttpResponse = Response<Full<Bytes>>;

async fn route(
    service: Arc<Service>,
    request: Request<Body>,
    caller: Arc<Caller>,
    sockets: &tokio::sync::Mutex<JoinSet<()>>,
) -> HttpResponse {
    let text = |name: HeaderName| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let (host, origin) = (text(header::HOST), text(header::ORIGIN));
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return plain(StatusCode::BAD_REQUEST, "text/plain", "more than one Host\n");
    }
    if !caller.trusted && !service.access.admits(host.as_deref(), origin.as_deref()) {
        let why = "this host name or origin is not admitted; the daemon can be told to admit it\n";
        return plain(StatusCode::FORBIDDEN, "text/plain", why);
    }
    let allowed =
        origin.as_deref().and_then(|origin| service.access.allowed_origin(origin)).map(str::to_owned);
    let mut answer = match (request.method(), request.uri().path()) {
        (&Method::GET, "/jsonrpc") if is_upgrade(request.headers()) => {
            upgrade(&service, request, caller, sockets).await
        }
        (&Method::OPTIONS, "/jsonrpc") => plain(StatusCode::OK, "text/plain", ""),
        (&Method::POST, "/jsonrpc" | "/rpc") => post(&service, request, &caller).await,
        (&Method::GET, "/jsonrpc") => {
            let incoming = answer::parse_query(request.uri().query().unwrap_or_default());
            respond(&service, incoming, &caller).await
        }
        (&Method::GET, "/") => page(),
        (&Method::GET, "/healthz") => plain(StatusCode::OK, "text/plain", "ok\n"),
        (&Method::GET, "/metrics") => {
            let counters = &service.counters;
            let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            let (done, failed, fetched) =
                (count(&counters.done), count(&counters.failed), count(&counters.fetched));
            let text = metrics::text(&service.queue.totals().await, done, failed, fetched);
            plain(StatusCode::OK, "text/plain; version=0.0.4", &text)
        }
        _ => plain(StatusCode::NOT_FOUND, "text/plain", "there is /, /jsonrpc, /metrics and /healthz\n"),
    };
    if let Some(origin) = allowed.and_then(|origin| HeaderValue::from_str(&origin).ok()) {
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    answer
}

fn plain(status: StatusCode, kind: &'static str, text: &str) -> HttpResponse {
    let mut answer = Response::new(Full::from(Bytes::copy_from_slice(text.as_bytes())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn page() -> HttpResponse {
    let mut answer = plain(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// Returns false for what a form of a page can send.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    !matches!(&kind[..], "application/x-www-form-urlencoded" | "multipart/form-data")
        || !headers.contains_key(header::ORIGIN)
}

async fn post(service: &Arc<Service>, request: Request<Body>, caller: &Caller) -> HttpResponse {
    if !is_json(request.headers()) {
        return plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "text/plain",
            "a call is sent as application/json\n",
        );
    }
    // Bodies are read within a bound of all together.
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let weight = u32::try_from(stated.unwrap_or(LARGEST).clamp(1, LARGEST)).unwrap_or(u32::MAX);
    let Ok(Ok(_room)) = tokio::time::timeout(BODY, service.bodies.acquire_many(weight)).await else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "too many large requests at once\n");
    };
    let largest = usize::try_from(weight).unwrap_or(LARGEST);
    let reading = Limited::new(request.into_body(), largest).collect();
    let body = match tokio::time::timeout(BODY, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "text/plain",
                "the body is too large, or broke off\n",
            );
        }
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "text/plain", "the body did not come in time\n"),
    };
    respond(service, answer::parse(&body), caller).await
}

async fn respond(service: &Arc<Service>, incoming: Result<Incoming, Fault>, caller: &Caller) -> HttpResponse {
    let (body, status) = match incoming {
        Ok(incoming) => responses(service, incoming, caller).await,
        Err(fault) => (answer::response(&Value::Null, Err(fault.clone())), fault.http_status()),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    plain(status, "application/json-rpc", &body.to_string())
}

/// Carries out what a request asks for; returns the response, and the status of its HTTP response.
pub(super) async fn responses(service: &Arc<Service>, incoming: Incoming, caller: &Caller) -> (Value, u16) {
    match incoming {
        Incoming::One(parsed) => one(service, parsed, caller).await,
        Incoming::Batch(calls) => {
            let mut all = Vec::with_capacity(calls.len());
            let (mut is_refused, mut length) = (false, 0);
            for parsed in calls {
                // One wrong secret is enough to be slowed down for; no other one is compared.
                if let Ok(call) = &parsed
                    && is_refused
                    && !needs_no_secret(&call.method)
                {
                    all.push(answer::response(&call.id, Err(Fault::failed(UNAUTHORIZED))));
                    continue;
                }
                let (response, _) = one(service, parsed, caller).await;
                is_refused |= response["error"]["message"] == UNAUTHORIZED;
                length += response.to_string().len();
                if length > LARGEST_ANSWER {
                    let fault = Fault::failed("The results are too large; make fewer calls at once.");
                    return (answer::response(&Value::Null, Err(fault)), 400);
                }
                all.push(response);
            }
            (all.into(), 200)
        }
    }
}

async fn one(service: &Arc<Service>, parsed: answer::Parsed, caller: &Caller) -> (Value, u16) {
    match parsed {
        Ok(call) => {
            let id = call.id.clone();
            let outcome = service.answer(call, caller).await;
            let status = outcome.as_ref().map_or_else(Fault::http_status, |_| 200);
            (answer::response(&id, outcome), status)
        }
        Err((id, fault)) => (answer::response(&id, Err(fault.clone())), fault.http_status()),
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let is = |name: HeaderName, wanted: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(wanted)))
    };
    is(header::CONNECTION, "upgrade") && is(header::UPGRADE, "websocket")
}

async fn upgrade(
    service: &Arc<Service>,
    mut request: Request<Body>,
    caller: Arc<Caller>,
    sockets: &tokio::sync::Mutex<JoinSet<()>>,
) -> HttpResponse {
    let Some(key) =
        request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| socket::accepted(key.as_bytes()))
    else {
        return plain(StatusCode::BAD_REQUEST, "text/plain", "a WebSocket without a key\n");
    };
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let spoken = offered.and_then(|all| all.split(',').map(str::trim).find(|one| *one == "jsonrpc"));
    let spoken = spoken.map(str::to_owned);
    let upgrading = hyper::upgrade::on(&mut request);
    let service = service.clone();
    sockets.lock().await.spawn(Box::pin(async move {
        if let Ok(stream) = upgrading.await {
            socket::serve(service, TokioIo::new(stream), &caller).await;
        }
    }));
    let mut answer = plain(StatusCode::SWITCHING_PROTOCOLS, "text/plain", "");
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    for (name, value) in [(header::SEC_WEBSOCKET_ACCEPT, Some(key)), (header::SEC_WEBSOCKET_PROTOCOL, spoken)]
    {
        if let Some(value) = value.and_then(|value: String| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_may_run_its_own_script_and_no_other() {
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert_eq!(PAGE.matches("<style").count(), 1);
        assert!(!POLICY.contains("unsafe"), "{}", *POLICY);
        assert!(!POLICY.contains(&STANDARD.encode(Sha256::digest(""))), "a part of the page was not found");
        for inline in [" style=", " onclick=", " onload=", " onsubmit="] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
    }
}
