//! TLS with servers and proxies, by settings that are read once.

use super::connect::lacks_descriptors;
use super::failure::Party;
use super::hop::Hop;
use super::links::Links;
use super::pin::Pinning;
use super::socket::Line;
use super::{Failure, IdentityFiles, Settings, tls};
use crate::error::{Cause, Error, Kind, Remedy, Trouble};
use crate::plan::bare_host;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

/// Party of a handshake, by the trust that applies to it. Each has sessions of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Server,
    /// A server that may see the client certificate.
    Acquainted,
    /// A host whose certificate is not verified.
    Loose,
    Proxy,
}

/// Connectors of a run.
pub(super) struct Connectors {
    /// Closed where idle if the files of certificates lack descriptors.
    links: Arc<Links>,
    ca_file: Option<PathBuf>,
    insecure: bool,
    identity: Option<IdentityFiles>,
    pinning: Pinning,
    server: Connector,
    acquainted: Connector,
    loose: Connector,
    proxy: Connector,
    /// Offers HTTP/2 too.
    many: Connector,
}

impl Connectors {
    pub(super) fn new(settings: &Settings, links: Arc<Links>) -> Self {
        Self {
            links,
            ca_file: settings.ca_file.clone(),
            insecure: settings.insecure,
            identity: settings.identity.clone(),
            pinning: Pinning::new(&settings.pins, &settings.hosts),
            server: OnceLock::new(),
            acquainted: OnceLock::new(),
            loose: OnceLock::new(),
            proxy: OnceLock::new(),
            many: OnceLock::new(),
        }
    }

    /// Reads the certificate files, if there are any.
    ///
    /// # Errors
    /// Any of reading and parsing them.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.ca_file.is_none() && self.identity.is_none() {
            return Ok(());
        }
        let trust = if self.identity.is_some() { Trust::Acquainted } else { Trust::Server };
        let made = self.configured(trust)?;
        self.place(trust).get_or_init(|| Ok(made));
        Ok(())
    }

    /// Returns true if the host has to show one of some keys.
    pub(super) fn are_pinned(&self, host: &str) -> bool {
        !self.pinning.of(bare_host(host)).is_empty()
    }

    const fn place(&self, trust: Trust) -> &Connector {
        match trust {
            Trust::Server => &self.server,
            Trust::Acquainted => &self.acquainted,
            Trust::Loose => &self.loose,
            Trust::Proxy => &self.proxy,
        }
    }

    fn configured(&self, trust: Trust) -> Result<TlsConnector, Error> {
        let insecure = self.insecure || trust == Trust::Loose;
        let identity = self.identity.as_ref().filter(|_| trust == Trust::Acquainted);
        let pinning = if trust == Trust::Proxy { Pinning::default() } else { self.pinning.clone() };
        let configuration = tls::configuration(self.ca_file.as_deref(), insecure, identity, pinning)?;
        Ok(TlsConnector::from(Arc::new(configuration)))
    }

    /// The connector for a party.
    fn of(&self, trust: Trust) -> Result<&TlsConnector, Failure> {
        let made = self.place(trust).get_or_init(|| {
            let mut made = self.configured(trust);
            if made.is_err() && lacks_descriptors() {
                self.links.make_room();
                made = self.configured(trust);
            }
            made.map_err(|error| Unready { cause: error.to_string(), remedy: error.remedy().cloned() })
        });
        made.as_ref().map_err(|unready| Failure::Fatal(unready.to_error()))
    }

    /// The connector that offers HTTP/2 too. It trusts what that of servers does, whose files are read once.
    fn of_many(&self) -> Result<&TlsConnector, Failure> {
        let plain = self.of(Trust::Server)?;
        let made = self.many.get_or_init(|| {
            let mut configuration = plain.config().as_ref().clone();
            configuration.alpn_protocols.insert(0, tls::HTTP_2.to_vec());
            Ok(TlsConnector::from(Arc::new(configuration)))
        });
        made.as_ref().map_err(|unready| Failure::Fatal(unready.to_error()))
    }

    /// Line to a proxy, over TLS if it is an https proxy.
    pub(super) async fn reach(&self, hop: &Hop, stream: TcpStream, limit: Duration) -> Result<Line, Failure> {
        if !hop.is_https() {
            return Ok(Line::Tcp(stream));
        }
        let party = Party::Proxy(hop.host());
        Ok(Line::Tls(Box::new(self.handshake(&party, self.of(Trust::Proxy)?, stream, limit).await?)))
    }

    /// TLS with a server.
    pub(super) async fn with_server<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        trust: Trust,
        stream: S,
        limit: Duration,
    ) -> Result<TlsStream<S>, Failure> {
        self.handshake(&Party::Server(host), self.of(trust)?, stream, limit).await
    }

    /// TLS with a server, by which it may say that it has HTTP/2.
    pub(super) async fn with_many<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
        limit: Duration,
    ) -> Result<TlsStream<S>, Failure> {
        self.handshake(&Party::Server(host), self.of_many()?, stream, limit).await
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        party: &Party<'_>,
        connector: &TlsConnector,
        stream: S,
        limit: Duration,
    ) -> Result<TlsStream<S>, Failure> {
        let (Party::Server(host) | Party::Proxy(host)) = party;
        let bare = bare_host(host).to_owned();
        let name = rustls::pki_types::ServerName::try_from(bare).map_err(|_| {
            Failure::Fatal(Error::new(Kind::Tls, format!("{host} is no name a certificate can have")))
        })?;
        let shaking = async {
            connector.connect(name, stream).await.map_err(|error| Failure::handshake(party, &error))
        };
        self.in_time(party, "finish the TLS handshake (if it speaks TLS at all)", shaking, limit).await
    }

    /// Bounds a step of a peer during connection setup.
    pub(super) async fn in_time<T>(
        &self,
        party: &Party<'_>,
        what: &str,
        doing: impl Future<Output = Result<T, Failure>>,
        limit: Duration,
    ) -> Result<T, Failure> {
        tokio::time::timeout(limit, doing).await.unwrap_or_else(|_| {
            let cause = Cause::from(format!("{party} did not {what} within {} s", limit.as_secs_f32()));
            Err(Failure::Broken(cause.with_trouble(Trouble::Silent)))
        })
    }
}
