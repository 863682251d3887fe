//! Tunnels through a proxy, which does not see their content: `CONNECT` (RFC 9110 §9.3.6) and SOCKS 5 (RFC 1928).
//!
//! Credentials for the proxy and data for the server never mix: a `CONNECT` carries nothing of the user's but the
//! target host, and a server never sees `Proxy-Authorization`.

use super::Failure;
use super::connect::Dialing;
use super::hop::{Hop, Speaks};
use super::socket::{Line, Socket, Stream};
use crate::error::{Error, Kind, Remedy};
use crate::formats::challenges::Challenges;
use crate::plan::{Origin, bare_host};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use tokio_socks::Error as SocksError;
use tokio_socks::tcp::Socks5Stream;

/// Has the proxy connect `line` to the server.
///
/// # Errors
/// `Fatal` for a refusal that retrying cannot change.
pub(super) async fn through(
    hop: &Hop,
    line: Line,
    to: &Origin,
    dialer: &Dialing<'_>,
) -> Result<Line, Failure> {
    match hop.speaks {
        Speaks::Http | Speaks::Https => connect(hop, line, to).await,
        Speaks::Socks { lookup: false } => socks(hop, line, to, bare_host(&to.host)).await,
        Speaks::Socks { lookup: true } => socks(hop, line, to, &looked_up(to, dialer).await?).await,
    }
}

async fn connect(hop: &Hop, line: Line, to: &Origin) -> Result<Line, Failure> {
    let authority = format!("{}:{}", to.host, to.port);
    let mut request = Request::connect(authority.as_str()).header(header::HOST, authority.as_str());
    if let Some(authorization) = hop.authorization() {
        request = request.header(header::PROXY_AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<Bytes>::new());
    let request =
        request.map_err(|_| Failure::Fatal(Error::usage(format!("{to} cannot be asked of a proxy"))))?;

    let socket = Socket::new(Stream::Plain(line));
    socket.budget.for_head();
    let of_proxy = |error: hyper::Error| Failure::from_proxy(hop.host(), &error);
    let (mut sender, machine) = http1::Builder::new().handshake(socket).await.map_err(of_proxy)?;
    let mut machine = pin!(machine.without_shutdown());
    let mut ended = None;
    let answered = {
        let mut asking = pin!(sender.send_request(request));
        poll_fn(|cx| {
            if ended.is_none()
                && let Poll::Ready(end) = machine.as_mut().poll(cx)
            {
                ended = Some(end);
            }
            asking.as_mut().poll(cx)
        })
        .await
    };
    let answer = match (answered, &ended) {
        (Ok(answer), _) => answer,
        // If the machine broke before it had taken the request, only it knows the reason.
        (Err(error), Some(Err(fault))) if error.is_canceled() => {
            return Err(Failure::from_proxy(hop.host(), fault));
        }
        (Err(error), _) => return Err(of_proxy(error)),
    };
    if !answer.status().is_success() {
        return Err(refused(hop, to, answer.status(), answer.headers()));
    }
    drop(answer);
    let ended = match ended {
        Some(ended) => ended,
        None => machine.await,
    };
    let parts = ended.map_err(of_proxy)?;
    match parts.io.stream {
        // A server does not speak first, and nothing was sent through this tunnel yet.
        Stream::Plain(line) if parts.read_buf.is_empty() => Ok(line),
        _ => Err(Failure::Nonsense(format!("the proxy {} says more than it was asked", hop.host()).into())),
    }
}

/// Error for a response to `CONNECT` that opens no tunnel.
fn refused(hop: &Hop, to: &Origin, status: StatusCode, headers: &HeaderMap) -> Failure {
    let (proxy, server, code) = (hop.host(), &to.host, status.as_u16());
    Failure::Fatal(match code {
        407 => credentials_wanted(hop, headers),
        401 | 403 => {
            Error::new(Kind::Auth, format!("the proxy {proxy} forbids a connection to {server} ({code})"))
                .with_remedy(Remedy::AskProxy)
        }
        404 | 405 | 501 => {
            Error::new(Kind::Http, format!("the proxy {proxy} makes no tunnels to {server} ({code})"))
                .with_remedy(Remedy::IsItAProxy)
        }
        500.. => {
            let cause = format!("the proxy {proxy} did not connect to {server} ({code})");
            return Failure::Broken(cause.into());
        }
        _ => Error::new(Kind::Http, format!("the proxy {proxy} refuses a connection to {server} ({code})")),
    })
}

/// Error for a 407 from a proxy; names the schemes it accepts if Basic is not among them.
pub(super) fn credentials_wanted(hop: &Hop, headers: &HeaderMap) -> Error {
    let wanted = Challenges::read(headers, &header::PROXY_AUTHENTICATE);
    let proxy = hop.host();
    match wanted.in_words().filter(|_| !wanted.has("Basic")) {
        Some(wanted) => {
            Error::new(Kind::Auth, format!("the proxy {proxy} wants {wanted} authentication (407)"))
                .with_remedy(Remedy::ProxyBasicOnly)
        }
        None if hop.login.is_some() => {
            Error::new(Kind::Auth, format!("the proxy {proxy} wants other credentials (407)"))
                .with_remedy(Remedy::ProxyPassword)
        }
        None => Error::new(Kind::Auth, format!("the proxy {proxy} wants credentials (407)"))
            .with_remedy(Remedy::ProxyPassword),
    }
}

async fn socks(hop: &Hop, line: Line, to: &Origin, host: &str) -> Result<Line, Failure> {
    let target = (host, to.port);
    let connected = match &hop.login {
        None => Socks5Stream::connect_with_socket(line, target).await,
        Some(login) => {
            Socks5Stream::connect_with_password_and_socket(line, target, &login.user, &login.password).await
        }
    };
    match connected {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => Err(socks_refused(hop, to, &error)),
    }
}

/// Error for the refusal of a SOCKS proxy (RFC 1928 §6, RFC 1929 §2).
fn socks_refused(hop: &Hop, to: &Origin, error: &SocksError) -> Failure {
    let (proxy, server) = (hop.host(), &to.host);
    let broken =
        |why: &str| Failure::Broken(format!("the proxy {proxy} did not connect to {server}: {why}").into());
    let denied = |cause: String, remedy| Failure::Fatal(Error::new(Kind::Auth, cause).with_remedy(remedy));
    let strange = |why: &str| Failure::Fatal(Error::new(Kind::Http, format!("the proxy {proxy} {why}")));
    match error {
        SocksError::PasswordAuthFailure(_) => denied(
            format!("the proxy {proxy} does not accept the user name and password"),
            Remedy::SocksPassword,
        ),
        SocksError::NoAcceptableAuthMethods | SocksError::AuthorizationRequired if hop.login.is_none() => {
            denied(format!("the proxy {proxy} wants credentials"), Remedy::SocksPassword)
        }
        SocksError::NoAcceptableAuthMethods | SocksError::UnknownAuthMethod if hop.login.is_some() => {
            denied(format!("the proxy {proxy} takes no user name and password"), Remedy::SocksPasswordOnly)
        }
        SocksError::ConnectionNotAllowedByRuleset => {
            denied(format!("the proxy {proxy} forbids a connection to {server}"), Remedy::AskProxy)
        }
        SocksError::GeneralSocksServerFailure => broken("it failed, and does not say at what"),
        SocksError::NetworkUnreachable => broken("the network cannot be reached from there"),
        SocksError::HostUnreachable => {
            broken("the host cannot be reached from there, or its name is not known")
        }
        SocksError::ConnectionRefused => broken("the server refused the connection"),
        SocksError::TtlExpired => broken("the way there takes too long"),
        SocksError::CommandNotSupported => strange("makes no connections to servers"),
        SocksError::AddressTypeNotSupported => match hop.speaks {
            Speaks::Socks { lookup: false } => Failure::Fatal(
                Error::new(Kind::Http, format!("the proxy {proxy} does not look up names"))
                    .with_remedy(Remedy::SocksLookUp),
            ),
            _ => strange("does not know addresses of this kind"),
        },
        SocksError::InvalidResponseVersion => Failure::Fatal(
            Error::new(Kind::Http, format!("the proxy {proxy} does not speak SOCKS 5"))
                .with_remedy(Remedy::HttpProxy),
        ),
        SocksError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Failure::Broken(format!("the proxy {proxy} hung up; is it one that speaks SOCKS 5?").into())
        }
        SocksError::Io(error) => broken(&crate::error::plain(error)),
        SocksError::InvalidTargetAddress(_) => {
            Failure::Fatal(Error::usage(format!("{server} is too long a name for SOCKS 5")))
        }
        _ => strange("answers what SOCKS 5 does not know"),
    }
}

async fn looked_up(to: &Origin, dialer: &Dialing<'_>) -> Result<String, Failure> {
    let addresses = dialer.addresses(&to.host, to.port).await?;
    // Only one address can be sent, and more proxies reach IPv4 than IPv6.
    let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    let address = address.ok_or_else(|| Failure::Broken(format!("{} has no address", to.host).into()))?;
    Ok(address.ip().to_string())
}
