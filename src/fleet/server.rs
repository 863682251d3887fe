//! NATS servers: their addresses, the credentials for them, and the connection.

use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::transport::client_configuration;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// Time for one attempt to connect.
const CONNECTING: Duration = Duration::from_secs(5);
/// Time for the answer to a request.
const ANSWER: Duration = Duration::from_secs(5);
/// Shortest and longest pause between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Servers of one cluster.
#[derive(Clone)]
pub(crate) struct Server {
    /// Addresses without user names and passwords.
    addresses: Vec<ServerAddr>,
    login: Option<Login>,
    /// Content of a file of credentials.
    credentials: Option<String>,
    /// File of PEM with certificates that are trusted besides those of the platform.
    ca_file: Option<PathBuf>,
    /// Time for which connecting is tried again.
    patience: Duration,
}

/// Login that stands in a URL.
#[derive(Clone)]
enum Login {
    Token(String),
    User(String, String),
}

impl fmt::Debug for Server {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.to_string()).finish()
    }
}

impl fmt::Display for Server {
    /// The addresses, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.addresses.iter().map(|address| {
            // The address itself has no brackets around one of IPv6.
            let url = address.clone().into_inner();
            format!("{}://{}:{}", url.scheme(), url.host_str().unwrap_or_default(), address.port())
        });
        f.write_str(&shown.collect::<Vec<_>>().join(","))
    }
}

impl Server {
    /// Parses URLs as the tools of NATS take them: `nats://` or `tls://`, or HOST:PORT, several with commas between them, with a user name
    /// and a password, or with a token.
    ///
    /// # Errors
    /// `Usage`, without the text, which may hold a secret.
    pub(crate) fn parse(urls: &str) -> Result<Self, Error> {
        let mut server = Self {
            addresses: Vec::new(),
            login: None,
            credentials: None,
            ca_file: None,
            patience: Duration::ZERO,
        };
        for (text, number) in urls.split(',').zip(1..) {
            let (address, login) = parsed(text.trim()).map_err(|why| {
                Error::usage(format!(
                    "URL {number} of the NATS server: {why}; it is written as nats://HOST:PORT"
                ))
            })?;
            server.addresses.push(address);
            server.login = server.login.take().or(login);
        }
        Ok(server)
    }

    /// Uses the content of a file of credentials.
    pub(crate) fn credentials(mut self, text: Option<String>) -> Self {
        self.credentials = text;
        self
    }

    /// Trusts the certificates in a file of PEM as well.
    pub(crate) fn ca_file(mut self, path: Option<PathBuf>) -> Self {
        self.ca_file = path;
        self
    }

    /// Tries to connect for this long; once, if it is zero.
    pub(crate) fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Connects. Cancel-safe.
    ///
    /// # Errors
    /// `Network` with the address; `Auth` for wrong credentials; `Tls`; `Usage` for credentials that are none.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        let (clock, mut pause) = (Clock::start(), PAUSES.0);
        loop {
            let error = match self.attempt().await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            let left = self.patience.saturating_sub(clock.now());
            if error.kind() != Kind::Network || left.is_zero() {
                return Err(error);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn attempt(&self) -> Result<Connection, Error> {
        let denied = Denied::default();
        let told = denied.clone();
        let mut options = match &self.credentials {
            // The cause is not shown: it may repeat the text.
            Some(text) => ConnectOptions::with_credentials(text)
                .map_err(|_| Error::usage("the file of NATS credentials holds none"))?,
            None => ConnectOptions::new(),
        };
        options = match &self.login {
            Some(Login::Token(token)) => options.token(token.clone()),
            Some(Login::User(user, password)) => options.user_and_password(user.clone(), password.clone()),
            None => options,
        };
        if self.addresses.iter().any(ServerAddr::tls_required) || self.ca_file.is_some() {
            let mut configuration = client_configuration(self.ca_file.as_deref())?;
            configuration.alpn_protocols.clear();
            options = options.tls_client_config(configuration);
        }
        let options = options
            .name("haul")
            .require_tls(self.addresses.iter().any(ServerAddr::tls_required))
            .connection_timeout(CONNECTING)
            .request_timeout(Some(ANSWER))
            .reconnect_delay_callback(|attempts| {
                (PAUSES.0 * u32::try_from(attempts).unwrap_or(u32::MAX).min(20)).min(PAUSES.1)
            })
            .event_callback(move |event| {
                told.hear(&event);
                std::future::ready(())
            });
        let client = options.connect(&self.addresses[..]).await.map_err(|error| self.refused(&error))?;
        Ok(Connection { client, denied, server: self.to_string(), patience: self.patience })
    }

    fn refused(&self, error: &async_nats::ConnectError) -> Error {
        let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Error::new(Kind::Auth, format!("{self} refuses the credentials"))
            }
            _ if is_of_tls(error) => Error::new(Kind::Tls, format!("{self}: {cause}")),
            ConnectErrorKind::Tls => Error::new(Kind::Tls, format!("{self}: {cause}")),
            ConnectErrorKind::ServerParse => Error::usage(format!("{self} is no address of a NATS server")),
            ConnectErrorKind::TimedOut => Error::new(Kind::Network, format!("{self} does not answer")),
            ConnectErrorKind::Dns | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
                Error::new(Kind::Network, format!("cannot reach {self}: {cause}"))
            }
        }
    }
}

/// Returns true for a failed handshake, which comes as one of input and output.
fn is_of_tls(error: &async_nats::ConnectError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source
        .and_then(std::io::Error::get_ref)
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

fn parsed(text: &str) -> Result<(ServerAddr, Option<Login>), &'static str> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
    let mut url = Url::parse(&whole).map_err(|_| "that is no URL")?;
    if !matches!(url.scheme(), "nats" | "tls") {
        return Err("its scheme is neither nats nor tls");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("it has a path");
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (token, None) => Some(Login::Token(decoded(token))),
        (user, Some(password)) => Some(Login::User(decoded(user), decoded(password))),
    };
    let bare = url.set_username("").and_then(|()| url.set_password(None));
    bare.map_err(|()| "it has no host")?;
    let address = ServerAddr::from_url(url).map_err(|_| "that is no address")?;
    Ok((address, login))
}

/// Last refusal of the server, if it has refused something: requests are not answered then.
#[derive(Clone, Default)]
struct Denied(Arc<Mutex<Option<String>>>);

impl Denied {
    fn hear(&self, event: &Event) {
        if let Event::ServerError(error) = event {
            let text = error.to_string();
            if text.to_ascii_lowercase().contains("permissions") || text.contains("uthorization") {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
        }
    }

    fn said(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A connection, which is made again whenever it breaks.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(super) client: Client,
    denied: Denied,
    /// Addresses without secrets.
    pub(super) server: String,
    /// Time for which a worker waits for a connection that is broken; for ever if it is zero.
    pub(super) patience: Duration,
}

impl Connection {
    /// Error of a request: `Auth` if the server has said that it is not permitted.
    pub(super) fn failed(&self, doing: &str, error: &(impl fmt::Display + ?Sized)) -> Error {
        let server = &self.server;
        match self.denied.said() {
            Some(said) => Error::new(Kind::Auth, format!("{server}: {doing}: {said}")),
            None => Error::new(Kind::Network, format!("{server}: {doing}: {error}")),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_as_the_tools_of_nats_do() {
        for (text, shown) in [
            ("nats://h", "nats://h:4222"),
            ("h:1234", "nats://h:1234"),
            ("tls://h", "tls://h:4222"),
            ("nats://a:1, nats://b:2", "nats://a:1,nats://b:2"),
            ("nats://user:geheim@h", "nats://h:4222"),
            ("nats://geheim@[::1]:5", "nats://[::1]:5"),
        ] {
            assert_eq!(Server::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_being_shown() {
        for text in
            ["", "http://geheim@h", "nats://", "nats://geheim@h/x", "nats://geheim@h:x", "nats://h?geheim"]
        {
            let error = Server::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
        let shown = format!("{:?}", Server::parse("nats://user:geheim@h").unwrap());
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
