//! Pins of public keys: servers are accepted only with keys that were named before.

use super::host_settings::HostSettings;
use crate::error::Error;
use crate::formats::{escape, redaction};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Beginning of a pin as text, which curl's has too.
const PREFIX: &str = "sha256//";

/// SHA-256 of the public key of a server: of the SubjectPublicKeyInfo of its certificate (RFC 7469 §2.4).
///
/// It is written as curl writes it:
///
/// ```
/// let text = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
/// let pin: haul::PublicKeyPin = text.parse()?;
/// assert_eq!(pin.to_string(), text);
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublicKeyPin([u8; 32]);

impl FromStr for PublicKeyPin {
    type Err = Error;

    /// # Errors
    /// `Usage` for another form.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = text.strip_prefix(PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
        let hash = bytes.and_then(|bytes| bytes.try_into().ok());
        hash.map(Self).ok_or_else(|| {
            let shown = escape::for_terminal(&redaction::named(text)).into_owned();
            Error::usage(format!(
                "{} is no pin, which is written as sha256// and the 44 characters of a SHA-256 in base64",
                escape::clip(&shown, 100)
            ))
        })
    }
}

impl fmt::Display for PublicKeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl PublicKeyPin {
    /// Pin of the key in a certificate; `None` if the certificate cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        Some(Self(Sha256::digest(certificate.subject_public_key_info()).into()))
    }
}

/// Pins of all servers, and those of some hosts in their place.
#[derive(Clone, Debug, Default)]
pub(super) struct Pinning {
    all: Vec<PublicKeyPin>,
    of_hosts: Vec<HostSettings>,
}

impl Pinning {
    pub(super) fn new(all: &[PublicKeyPin], hosts: &[HostSettings]) -> Self {
        let of_hosts = hosts.iter().filter(|host| !host.pins.is_empty()).cloned().collect();
        Self { all: all.to_vec(), of_hosts }
    }

    /// True if no server has any.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of_hosts.is_empty()
    }

    /// Keys that the host may show; any if there are none.
    pub(super) fn of(&self, host: &str) -> &[PublicKeyPin] {
        let own = self.of_hosts.iter().find(|settings| settings.applies_to(host));
        own.map_or(&self.all, |settings| &settings.pins)
    }

    /// Checks the certificate that a server has shown.
    ///
    /// # Errors
    /// The key that it has, and those expected.
    pub(super) fn check(
        &self,
        name: &ServerName<'_>,
        certificate: &CertificateDer<'_>,
    ) -> Result<(), Unpinned> {
        let host = match name {
            ServerName::DnsName(name) => name.as_ref().to_owned(),
            ServerName::IpAddress(address) => IpAddr::from(*address).to_string(),
            // There is no other kind.
            _ => String::new(),
        };
        let expected = self.of(&host);
        let seen = PublicKeyPin::of(certificate);
        if expected.is_empty() || seen.is_some_and(|seen| expected.contains(&seen)) {
            return Ok(());
        }
        Err(Unpinned { seen, expected: expected.to_vec() })
    }
}

/// Objection to a key that is not pinned.
#[derive(Debug)]
pub(super) struct Unpinned {
    /// `None` if the certificate cannot be read.
    seen: Option<PublicKeyPin>,
    expected: Vec<PublicKeyPin>,
}

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FEW: usize = 3;
        match &self.seen {
            Some(seen) => write!(f, "its key is {seen}")?,
            None => f.write_str("its certificate cannot be read")?,
        }
        let expected: Vec<_> = self.expected.iter().take(FEW).map(ToString::to_string).collect();
        let more = if self.expected.len() > FEW { ", …" } else { "" };
        write!(f, ", and pinned is {}{more}", expected.join(", "))
    }
}

impl std::error::Error for Unpinned {}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject as _;

    // openssl x509 -in fixtures/tls/server.pem -pubkey -noout | openssl pkey -pubin -outform der |
    // openssl dgst -sha256 -binary | base64
    const OF_FIXTURE: &str = "sha256//Pw/egbkVcRIVLZuF9ZfEB8KTqJPBIam39lEHNs9wTHk=";
    const OTHER: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn certificate() -> CertificateDer<'static> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls/server.pem");
        CertificateDer::from_pem_file(path).unwrap()
    }

    fn pins(texts: &[&str]) -> Vec<PublicKeyPin> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_pin_is_the_one_that_openssl_computes() {
        assert_eq!(PublicKeyPin::of(&certificate()).unwrap().to_string(), OF_FIXTURE);
        assert_eq!(PublicKeyPin::of(&CertificateDer::from(vec![0x30, 0])), None);
    }

    #[test]
    fn what_is_no_pin_is_answered_with_the_form() {
        for text in ["", "sha256//", "sha256/47DE", &OTHER[8..], &OTHER[..51], "sha1//AAAA", "sha256//AAAA"] {
            let error = text.parse::<PublicKeyPin>().unwrap_err();
            assert!(error.to_string().contains("is no pin, which is written as sha256//"), "{text}: {error}");
        }
    }

    #[test]
    fn pins_of_a_host_count_in_place_of_those_of_all() {
        let mut host = HostSettings::new("*.example");
        host.pins = pins(&[OF_FIXTURE]);
        let pinning = Pinning::new(&pins(&[OTHER]), &[HostSettings::new("a.example"), host]);
        let none = Pinning::new(&[], &[HostSettings::new("a.example")]);
        let certificate = certificate();
        for (name, is_accepted) in [("a.example", true), ("example", false), ("127.0.0.1", false)] {
            let name = ServerName::try_from(name).unwrap();
            assert_eq!(pinning.check(&name, &certificate).is_ok(), is_accepted, "{name:?}");
            assert!(none.check(&name, &certificate).is_ok());
        }
        assert!(none.is_empty() && !pinning.is_empty());
        let name = ServerName::try_from("h").unwrap();
        let told = pinning.check(&name, &certificate).unwrap_err().to_string();
        assert_eq!(told, format!("its key is {OF_FIXTURE}, and pinned is {OTHER}"));
        // Nothing is accepted unread.
        assert!(pinning.check(&name, &CertificateDer::from(vec![0x30, 0])).is_err());
    }
}
