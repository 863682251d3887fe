//! Failures of a request below HTTP.

use super::pin::Unpinned;
use crate::error::{Cause, Error, Failure, Kind, Remedy, plain};
use rustls::{AlertDescription, CertificateError};
use std::error::Error as _;
use std::{fmt, io};

/// Maximum number of header fields of a response, whose size is bounded besides; gateways that tell much send hundreds.
pub(super) const HEADERS: usize = 1000;

impl Failure {
    /// Failure of a server, or of the proxy that makes the requests to it.
    pub(super) fn from_party(party: &Party<'_>, error: &hyper::Error) -> Self {
        match party {
            Party::Proxy(host) => Self::from_proxy(host, error),
            Party::Server(_) if speaks_tls(error) => Self::Fatal(spoke_tls(party)),
            Party::Server(_) => Self::from_hyper(error),
        }
    }

    /// Classifies an error of hyper; the source chain tells a broken connection from a malformed message.
    pub(crate) fn from_hyper(error: &hyper::Error) -> Self {
        if has_too_large_head(error) {
            // The same request gets the same response.
            let cause = format!("the response has more than {HEADERS} header fields, or too large ones");
            return Self::Fatal(Error::new(Kind::Http, cause));
        }
        if error.is_parse() {
            return Self::Nonsense("the server sent something that is not HTTP".into());
        }
        if error.is_incomplete_message() {
            return Self::Broken("the connection was closed before the answer was complete".into());
        }
        match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(source) => Self::wants_identity(source).unwrap_or_else(|| Self::from_io(source)),
            None => Self::Broken("the connection was lost".into()),
        }
    }

    fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Nonsense("invalid HTTP framing in the response".into())
            }
            io::ErrorKind::FileTooLarge => Self::Nonsense("the response headers are too large".into()),
            io::ErrorKind::ConnectionReset => Self::Broken(Cause::of(error, "the connection was reset")),
            io::ErrorKind::UnexpectedEof => Self::Broken("the connection was closed too early".into()),
            _ => Self::Broken(Cause::of(error, format!("the connection was lost: {}", plain(error)))),
        }
    }

    /// Recognises an alert about the client certificate. In TLS 1.3 a server checks it after the handshake, so the
    /// alert comes in place of a response.
    fn wants_identity(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::AlertReceived(alert) = inner else {
            return None;
        };
        is_about_identity(*alert).then(|| Self::Fatal(unidentified("the server", inner)))
    }

    /// Failure to connect to `host`.
    pub(crate) fn connecting(host: &str, error: &io::Error) -> Self {
        Self::Broken(Cause::of(error, format!("cannot connect to {host}: {}", plain(error))))
    }

    /// Failure of a proxy, which is not that of the server behind it.
    pub(super) fn from_proxy(host: &str, error: &hyper::Error) -> Self {
        if speaks_tls(error) {
            return Self::Fatal(spoke_tls(&Party::Proxy(host)));
        }
        if has_too_large_head(error) {
            let cause =
                format!("the response of the proxy {host} has too many header fields, or too large ones");
            return Self::Fatal(Error::new(Kind::Http, cause));
        }
        match Self::from_hyper(error) {
            Self::Nonsense(_) if error.is_parse() => Self::Fatal(
                Error::new(Kind::Http, format!("the proxy {host} answers with something that is not HTTP"))
                    .with_remedy(Remedy::SocksProxy),
            ),
            Self::Broken(cause) => Self::Broken(cause.behind(&format!("the proxy {host}"))),
            Self::Nonsense(cause) => Self::Nonsense(cause.behind(&format!("the proxy {host}"))),
            other => other,
        }
    }

    /// Failed TLS handshake: a bad certificate will not get better, a broken connection may.
    pub(super) fn handshake(party: &Party<'_>, error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(inner) => Self::Fatal(shaking(party, inner)),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Broken(format!("{party} hung up during the TLS handshake").into())
            }
            None => Self::Broken(format!("the TLS handshake with {party} broke: {}", plain(error)).into()),
        }
    }
}

/// Returns true for a head of too many fields or bytes. hyper has a method for that only where it is a server too; a test notices if the
/// text changes.
fn has_too_large_head(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string() == "message head is too large"
}

/// The peer of a connection, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party<'a> {
    Server(&'a str),
    Proxy(&'a str),
}

impl fmt::Display for Party<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(host) => f.write_str(host),
            Self::Proxy(host) => write!(f, "the proxy {host}"),
        }
    }
}

/// Marks a read that found TLS in place of response headers.
#[derive(Debug)]
pub(super) struct SpeaksTls;

impl fmt::Display for SpeaksTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other end speaks TLS")
    }
}

impl std::error::Error for SpeaksTls {}

fn speaks_tls(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<SpeaksTls>()).is_some()
}

fn spoke_tls(party: &Party<'_>) -> Error {
    let remedy = match party {
        Party::Server(_) => Remedy::HttpsUrl,
        Party::Proxy(_) => Remedy::HttpsProxy,
    };
    Error::new(Kind::Tls, format!("{party} speaks TLS on this port, and was spoken to in plain HTTP"))
        .with_remedy(remedy)
}

/// Error for a TLS handshake that was refused.
fn shaking(party: &Party<'_>, error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    let failure = |what: &str| Error::new(Kind::Tls, format!("{party} {what}"));
    match error {
        Tls::InvalidCertificate(objection) => unproven(party, objection),
        // The first bytes are those of another protocol; a handshake damaged later is reported in the same words.
        Tls::InvalidMessage(_) => failure("does not speak TLS on this port").with_remedy(match party {
            Party::Server(_) => Remedy::HttpUrl,
            Party::Proxy(_) => Remedy::HttpProxyFor,
        }),
        Tls::AlertReceived(alert) if is_about_identity(*alert) => unidentified(&party.to_string(), error),
        Tls::AlertReceived(AlertDescription::ProtocolVersion) | Tls::PeerIncompatible(_) => {
            failure("has no TLS version and no cipher suite in common with haul").with_remedy(Remedy::TooOld)
        }
        Tls::AlertReceived(AlertDescription::InsufficientSecurity) => {
            failure("has no cipher suite in common with haul").with_remedy(Remedy::TooOld)
        }
        // TLS 1.2 uses this alert for a missing client certificate and for a lack of common cipher suites.
        Tls::AlertReceived(AlertDescription::HandshakeFailure) => failure(
            "broke off the TLS handshake: either it has no encryption in common with haul, or it wants a client certificate",
        )
        .with_remedy(Remedy::TooOldOrCertificate),
        Tls::AlertReceived(AlertDescription::UnrecognisedName) => {
            failure("knows no host of this name").with_remedy(Remedy::CheckNameInUrl)
        }
        Tls::AlertReceived(_) => failure(&format!("broke off the TLS handshake: {error}")),
        _ => failure(&format!("did not prove who it is: {error}")),
    }
}

/// Error for a rejected certificate.
fn unproven(party: &Party<'_>, objection: &CertificateError) -> Error {
    let failure = |what: &str, remedy| {
        Error::new(Kind::Tls, format!("{party} did not prove who it is: {what}")).with_remedy(remedy)
    };
    match objection {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            failure("its certificate has expired", Remedy::RenewCertificate)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            failure("its certificate is not valid yet", Remedy::RenewCertificate)
        }
        CertificateError::NotValidForName => {
            failure("its certificate is for another name", Remedy::CheckNameInUrl)
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => failure(
            "its certificate names no host in its subjectAltName, and a common name does not count",
            Remedy::NameInCertificate,
        ),
        CertificateError::NotValidForNameContext { presented, .. } => failure(
            &format!("its certificate is for other names ({})", named(presented)),
            Remedy::CheckNameInUrl,
        ),
        CertificateError::UnknownIssuer => {
            failure("its certificate is of no issuer that this machine trusts", Remedy::TrustIssuer)
        }
        CertificateError::Other(other) if is_self_signed(other) => {
            failure("its certificate is self-signed", Remedy::TrustSelfSigned)
        }
        CertificateError::Other(other) if other.0.is::<Unpinned>() => {
            failure(&other.0.to_string(), Remedy::PinnedKey)
        }
        other => failure(&rustls::Error::InvalidCertificate(other.clone()).to_string(), Remedy::TrustAnother),
    }
}

/// Returns true if a CA certificate is used as that of a server, as self-signed ones often are.
pub(super) fn is_self_signed(objection: &rustls::OtherError) -> bool {
    objection.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// Names in a certificate, as many as can be read at a glance.
fn named(presented: &[String]) -> String {
    const FEW: usize = 4;
    let mut names = presented.iter().take(FEW).map(|name| bare(name)).collect::<Vec<_>>().join(", ");
    if presented.len() > FEW {
        names.push_str(", …");
    }
    names
}

/// Name without its type: webpki writes `DnsName("example.org")` or `IpAddress(192.0.2.7)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn unidentified(who: &str, error: &rustls::Error) -> Error {
    Error::new(Kind::Tls, format!("{who} rejected the client certificate, or wants one: {error}"))
        .with_remedy(Remedy::ClientCertificate)
}

/// Returns true if the alert is about the client certificate (RFC 8446 §6.2), or the lack of one.
fn is_about_identity(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}
