//! Failures of a request below HTTP.

use crate::error::{Error, Kind, plain};
use rustls::{AlertDescription, CertificateError};
use std::error::Error as _;
use std::{fmt, io};

/// A failure below HTTP, classified by the reaction to it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Network failure: retrying may help.
    Broken(String),
    /// The resolver says that the name does not exist: retrying helps if the resolver is wrong.
    Nameless(String),
    /// Timeout: retrying may help, but not with the same patience at once.
    Silent(String),
    /// The response is not HTTP, or has invalid framing.
    Nonsense(String),
    /// Retrying cannot help.
    Fatal(Error),
}

impl Trouble {
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
        if error.is_parse() {
            return Self::Nonsense("the server sent something that is not HTTP".to_owned());
        }
        if error.is_incomplete_message() {
            return Self::Broken("the connection was closed before the answer was complete".to_owned());
        }
        match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(source) => Self::wants_identity(source).unwrap_or_else(|| Self::from_io(source)),
            None => Self::Broken("the connection was lost".to_owned()),
        }
    }

    fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Nonsense("the framing of the answer is broken".to_owned())
            }
            io::ErrorKind::FileTooLarge => Self::Nonsense("the head of the answer is too large".to_owned()),
            io::ErrorKind::ConnectionReset => Self::Broken("the connection was reset".to_owned()),
            io::ErrorKind::UnexpectedEof => Self::Broken("the connection was closed too early".to_owned()),
            _ => Self::Broken(format!("the connection was lost: {}", plain(error))),
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
        Self::Broken(format!("cannot connect to {host}: {}", plain(error)))
    }

    /// Failure of a proxy, which is not that of the server behind it.
    pub(super) fn from_proxy(host: &str, error: &hyper::Error) -> Self {
        if speaks_tls(error) {
            return Self::Fatal(spoke_tls(&Party::Proxy(host)));
        }
        match Self::from_hyper(error) {
            Self::Nonsense(_) if error.is_parse() => Self::Fatal(
                Error::new(Kind::Http, format!("the proxy {host} answers with something that is not HTTP"))
                    .with_hint("a proxy that speaks SOCKS 5 is written as socks5h://HOST:PORT"),
            ),
            Self::Broken(cause) => Self::Broken(format!("the proxy {host}: {cause}")),
            Self::Nonsense(cause) => Self::Nonsense(format!("the proxy {host}: {cause}")),
            other => other,
        }
    }

    /// Failed TLS handshake: a bad certificate will not get better, a broken connection may.
    pub(super) fn handshake(party: &Party<'_>, error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(inner) => Self::Fatal(shaking(party, inner)),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Broken(format!("{party} hung up during the TLS handshake"))
            }
            None => Self::Broken(format!("the TLS handshake with {party} broke: {}", plain(error))),
        }
    }
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
    let hint = match party {
        Party::Server(_) => "write https:// in the URL",
        Party::Proxy(_) => "write https:// in the URL of the proxy",
    };
    Error::new(Kind::Tls, format!("{party} speaks TLS on this port, and was spoken to in plain HTTP"))
        .with_hint(hint)
}

/// Error for a TLS handshake that was refused.
fn shaking(party: &Party<'_>, error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    let failure = |what: &str| Error::new(Kind::Tls, format!("{party} {what}"));
    match error {
        Tls::InvalidCertificate(objection) => unproven(party, objection),
        // The first bytes are those of another protocol; a handshake damaged later is reported in the same words.
        Tls::InvalidMessage(_) => failure("does not speak TLS on this port").with_hint(match party {
            Party::Server(_) => "a server that speaks plain HTTP is written with http:// in the URL",
            Party::Proxy(_) => "a proxy that is spoken to in plain HTTP is written with http:// in its URL, even where it serves https URLs",
        }),
        Tls::AlertReceived(alert) if is_about_identity(*alert) => unidentified(&party.to_string(), error),
        Tls::AlertReceived(AlertDescription::ProtocolVersion) | Tls::PeerIncompatible(_) => {
            failure("has no version of TLS and no encryption in common with haul").with_hint(TOO_OLD)
        }
        Tls::AlertReceived(AlertDescription::InsufficientSecurity) => {
            failure("has no encryption in common with haul").with_hint(TOO_OLD)
        }
        // TLS 1.2 uses this alert for a missing client certificate and for a lack of common cipher suites.
        Tls::AlertReceived(AlertDescription::HandshakeFailure) => failure(
            "broke off the TLS handshake: either it has no encryption in common with haul, or it wants to know who asks",
        )
        .with_hint(format!("{TOO_OLD}; a certificate of yours is shown with --cert FILE and --key FILE")),
        Tls::AlertReceived(AlertDescription::UnrecognisedName) => {
            failure("knows no host of this name").with_hint("see that the name in the URL is right")
        }
        Tls::AlertReceived(_) => failure(&format!("broke off the TLS handshake: {error}")),
        _ => failure(&format!("did not prove who it is: {error}")),
    }
}

/// Explanation for a lack of common encryption.
const TOO_OLD: &str = "haul speaks TLS 1.2 and 1.3 with cipher suites of forward secrecy (ECDHE over X25519, P-256 or P-384, with AES-GCM or ChaCha20), and knows RSA, P-256, P-384 and Ed25519 keys in certificates; a server that has only older ones is too old";

/// Error for a rejected certificate.
fn unproven(party: &Party<'_>, objection: &CertificateError) -> Error {
    let failure = |what: &str, hint: &str| {
        Error::new(Kind::Tls, format!("{party} did not prove who it is: {what}")).with_hint(hint)
    };
    let clock = "it is for the server's owner to renew it; if it should be valid, see that the clock of this machine is right";
    match objection {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            failure("its certificate has expired", clock)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            failure("its certificate is not valid yet", clock)
        }
        CertificateError::NotValidForName => {
            failure("its certificate is for another name", "see that the name in the URL is right")
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => failure(
            "its certificate names no host in its subjectAltName, and a common name does not count",
            "it is for the server's owner to make a certificate with the host's name or address in subjectAltName",
        ),
        CertificateError::NotValidForNameContext { presented, .. } => failure(
            &format!("its certificate is for other names ({})", named(presented)),
            "see that the name in the URL is right",
        ),
        CertificateError::UnknownIssuer => failure(
            "its certificate is of no issuer that this machine trusts",
            "if you know the issuer, or the certificate itself, name its certificate with --cacert FILE",
        ),
        CertificateError::Other(other) if is_self_signed(other) => failure(
            "its certificate is self-signed",
            "if you know that it is the server's own, have it in a file and trust that with --cacert FILE",
        ),
        other => failure(
            &rustls::Error::InvalidCertificate(other.clone()).to_string(),
            "--cacert FILE names an issuer to trust",
        ),
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
    Error::new(Kind::Tls, format!("{who} wants to know who asks, and is not content: {error}"))
        .with_hint("--cert FILE and --key FILE show a certificate of yours")
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
