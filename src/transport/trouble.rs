//! How a request can come to nothing.

use crate::error::{Error, Kind, plain};
use rustls::AlertDescription;
use std::error::Error as _;
use std::io;

/// A failure below HTTP, sorted by what may be done about it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The network: trying again may help.
    Broken(String),
    /// Nothing came in time: trying again may help, but not for the same patience at once.
    Silent(String),
    /// What came is not HTTP, or its framing makes no sense.
    Nonsense(String),
    /// Trying again cannot help.
    Fatal(Error),
}

impl Trouble {
    /// Sorts a failure of hyper's; the source chain tells a torn connection from a malformed message.
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

    /// In TLS 1.3 a server looks at who asks after the handshake, so what it thinks of it comes in the place of an answer.
    fn wants_identity(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::AlertReceived(alert) = inner else {
            return None;
        };
        is_about_identity(*alert).then(|| Self::Fatal(unidentified("the server", inner)))
    }

    /// A failure to connect to `host`.
    pub(crate) fn connecting(host: &str, error: &io::Error) -> Self {
        Self::Broken(format!("cannot connect to {host}: {}", plain(error)))
    }

    /// A failed TLS handshake: a bad certificate will not get better, a torn connection may.
    pub(crate) fn handshake(host: &str, error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(inner) = inner else {
            return Self::Broken(format!("the TLS handshake with {host} broke: {}", plain(error)));
        };
        let failure = |what: &str| Error::new(Kind::Tls, format!("{host} {what}: {inner}"));
        Self::Fatal(match inner {
            rustls::Error::InvalidCertificate(_) => failure("did not prove who it is")
                .with_hint("if you know the issuer, name its certificate with --cacert FILE"),
            rustls::Error::AlertReceived(alert) if is_about_identity(*alert) => unidentified(host, inner),
            // TLS 1.2 has no other word for a certificate that is missing.
            rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
                failure("broke off the TLS handshake").with_hint(
                    "it may want to know who asks: --cert FILE and --key FILE show a certificate of yours",
                )
            }
            rustls::Error::AlertReceived(_) => failure("broke off the TLS handshake"),
            _ => failure("did not prove who it is"),
        })
    }
}

fn unidentified(who: &str, error: &rustls::Error) -> Error {
    Error::new(Kind::Tls, format!("{who} wants to know who asks, and is not content: {error}"))
        .with_hint("--cert FILE and --key FILE show a certificate of yours")
}

/// What a server says about the certificate of the one who asks (RFC 8446 §6.2), or about the lack of one.
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
