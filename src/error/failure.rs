//! Failure of one request or its response, classified by the reaction to it.

use super::{Error, Kind};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A failure of one attempt; whether the transfer fails with it is decided elsewhere.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Network failure: retrying may help.
    Broken(Cause),
    /// Timeout: retrying may help.
    Silent(Cause),
    /// The resolver says that the name does not exist: retrying helps if the resolver is wrong.
    Nameless(Cause),
    /// The response is not HTTP, or has invalid framing.
    Nonsense(Cause),
    /// Retrying cannot help.
    Fatal(Error),
}

impl Failure {
    /// Adds the peer of the connection, unless one is known already.
    pub(crate) fn at(mut self, address: Option<SocketAddr>) -> Self {
        match &mut self {
            Self::Broken(cause) | Self::Silent(cause) | Self::Nameless(cause) | Self::Nonsense(cause) => {
                cause.address = cause.address.or(address);
            }
            Self::Fatal(error) => error.facts.detail.address = error.facts.detail.address.or(address),
        }
        self
    }

    /// Error of a transfer that this failure ends.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Broken(cause) | Self::Silent(cause) | Self::Nameless(cause) => {
                cause.into_error(Kind::Network)
            }
            Self::Nonsense(cause) => cause.into_error(Kind::Http),
            Self::Fatal(error) => error,
        }
    }
}

/// Cause of a failure in words, with the facts behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    text: String,
    errno: Option<i32>,
    address: Option<SocketAddr>,
    trouble: Option<Trouble>,
}

/// Class of a failure of the network, where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The resolver knows no address for the name.
    Nameless,
    /// The time for an answer, or for more bytes, has passed.
    Silent,
    /// The connection was refused.
    Refused,
}

impl Cause {
    /// The same cause, of this class.
    pub(crate) fn with_trouble(self, trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..self }
    }

    /// A cause that the operating system has a code for.
    pub(crate) fn of(error: &io::Error, text: impl Into<String>) -> Self {
        let trouble = match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Trouble::Refused),
            io::ErrorKind::TimedOut => Some(Trouble::Silent),
            _ => None,
        };
        Self { errno: error.raw_os_error(), trouble, ..text.into().into() }
    }

    /// The same cause at a party on the way.
    pub(crate) fn behind(self, party: &str) -> Self {
        Self { text: format!("{party}: {}", self.text), ..self }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_error(self, kind: Kind) -> Error {
        let mut error = Error::new(kind, self.text);
        (error.facts.detail.errno, error.facts.detail.address) = (self.errno, self.address);
        error.facts.detail.trouble = self.trouble;
        error
    }
}

impl<T: Into<String>> From<T> for Cause {
    fn from(text: T) -> Self {
        Self { text: text.into(), errno: None, address: None, trouble: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
