//! TLS: configurations for connections to servers, with or without the client certificate, and to proxies.

use super::failure::is_self_signed;
use super::pin::Pinning;
use crate::error::{Error, Kind, Remedy, plain};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// PEM files with a client certificate, its chain after it, and its key.
#[derive(Clone, Debug)]
pub(crate) struct IdentityFiles {
    pub(crate) certificate: PathBuf,
    /// `None` if the key is in the same file.
    pub(crate) key: Option<PathBuf>,
}

impl IdentityFiles {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let certificate = pem_file(CERTIFICATE, &self.certificate)?;
        let key = match &self.key {
            Some(path) => private_key(KEY, path, &pem_file(KEY, path)?)?,
            None => private_key(CERTIFICATE, &self.certificate, &certificate)?,
        };
        Ok((certificates(CERTIFICATE, &self.certificate, &certificate)?, key))
    }
}

/// HTTP/2 in the handshake (RFC 9113 §3.2).
pub(super) const HTTP_2: &[u8] = b"h2";

/// Creates the configuration: the platform's roots and those of `ca_file`, or, with `insecure`, no verification; and
/// the client certificate for servers that ask for one. Sessions are resumed only within one configuration, and only those of the same
/// name: their servers have passed the same verification, pins included.
pub(super) fn configuration(
    ca_file: Option<&Path>,
    insecure: bool,
    identity: Option<&IdentityFiles>,
    pinning: Pinning,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let mut judge: Arc<dyn ServerCertVerifier> = match insecure {
        true => Arc::new(AcceptAnyone(provider)),
        false => trusting(ca_file, provider)?,
    };
    if !pinning.is_empty() {
        judge = Arc::new(Pinned { judge, pinning });
    }
    let builder = builder.dangerous().with_custom_certificate_verifier(judge);
    let mut configuration = match identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (certificates, key) = files.read()?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| unreadable(CERTIFICATE, &files.certificate, &error.to_string()))?
        }
    };
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Configuration for a server that is none of a download's.
///
/// # Errors
/// `Tls`; `Usage` for a file that holds no certificates.
#[cfg(feature = "fleet")]
pub(crate) fn client_configuration(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    configuration(ca_file, false, None, Pinning::new(&[], &[]))
}

/// Verifier by the platform's roots and those of `ca_file`.
fn trusting(
    ca_file: Option<&Path>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let extra = match ca_file {
        Some(path) => certificates(AUTHORITIES, path, &pem_file(AUTHORITIES, path)?)?,
        None => Vec::new(),
    };
    let judge = Verifier::new_with_extra_roots(extra.clone(), provider);
    let judge =
        judge.map_err(|error| if extra.is_empty() { nobody_trusted(&error) } else { unusable(&error) })?;
    Ok(Arc::new(Trusting { judge, given: extra }))
}

fn unusable(error: &rustls::Error) -> Error {
    Error::new(Kind::Tls, format!("TLS cannot be set up: {error}"))
}

/// Error for a platform without root certificates, such as a container without that package.
fn nobody_trusted(error: &rustls::Error) -> Error {
    if !matches!(error, rustls::Error::General(_)) {
        return unusable(error);
    }
    Error::new(Kind::Tls, "this machine has no certificates of authorities that servers could be trusted by")
        .with_remedy(Remedy::InstallAuthorities)
}

/// Files of PEM that a caller names.
const CERTIFICATE: &str = "the client certificate";
const KEY: &str = "the private key";
const AUTHORITIES: &str = "the trusted certificates";

fn unreadable(which: &str, path: &Path, why: &str) -> Error {
    let named = path.to_string_lossy();
    // curl takes a password behind a colon, which must not be shown.
    let shown = match named.split_once(':') {
        Some((file, _)) if path.symlink_metadata().is_err() => file,
        _ => &*named,
    };
    Error::usage(format!("{which} {shown}: {why}"))
}

/// Maximum size of a PEM file in bytes; a larger one holds something else.
const LARGEST_PEM: u64 = 16 << 20;

/// Reads a file that the user named. It may be a pipe.
fn pem_file(which: &str, path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    let read = File::open(path).and_then(|file| file.take(LARGEST_PEM + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(which, path, &plain(&error)))?;
    if bytes.len() as u64 > LARGEST_PEM { Err(unreadable(which, path, "it is too large")) } else { Ok(bytes) }
}

fn certificates(which: &str, path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    match CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if certificates.is_empty() => {
            Err(unreadable(which, path, "it holds no certificate"))
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(unreadable(which, path, "what should be certificates is damaged")),
    }
}

fn private_key(which: &str, path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            unreadable(which, path, "it holds no private key that can be read without a password")
                .with_remedy(Remedy::KeyFile)
        }
        _ => unreadable(which, path, "what should be a private key is damaged"),
    })
}

/// Leaves signatures to the verifier in `self.judge`.
macro_rules! signatures_as_judged {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.judge.verify_tls12_signature(message, certificate, signature)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.judge.verify_tls13_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.judge.supported_verify_schemes()
        }
    };
}

/// The platform's verifier, and the certificates that the user named: a server that presents exactly one of these needs
/// no issuer.
#[derive(Debug)]
struct Trusting {
    judge: Verifier,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.judge.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match &judged {
            // The dates are checked first, so they are valid if the issuer is the only objection.
            Err(rustls::Error::InvalidCertificate(objection))
                if is_about_issuer(objection) && self.given.contains(end_entity) =>
            {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => judged,
        }
    }

    signatures_as_judged!();
}

/// Returns true if the objection is to the issuer of a certificate, and to nothing else.
fn is_about_issuer(objection: &CertificateError) -> bool {
    match objection {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(other) => is_self_signed(other),
        _ => false,
    }
}

/// Another verifier, and the keys that are pinned.
#[derive(Debug)]
struct Pinned {
    judge: Arc<dyn ServerCertVerifier>,
    pinning: Pinning,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.judge.verify_server_cert(end_entity, intermediates, name, ocsp, now)?;
        self.pinning
            .check(name, end_entity)
            .map_err(|unpinned| CertificateError::Other(OtherError(Arc::new(unpinned))))?;
        Ok(judged)
    }

    signatures_as_judged!();
}

/// `--insecure`: the traffic is encrypted, but the server is not authenticated.
#[derive(Debug)]
struct AcceptAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::PublicKeyPin;
    use rustls::{ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

    const OTHER: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
    }

    fn server() -> (Arc<ServerConfig>, PublicKeyPin) {
        let certificate = CertificateDer::from_pem_file(fixture("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(fixture("server-key.pem")).unwrap();
        let pin = PublicKeyPin::of(&certificate).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        (Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()), pin)
    }

    fn client(insecure: bool, pin: PublicKeyPin) -> ClientConfig {
        configuration(Some(&fixture("ca.pem")), insecure, None, Pinning::new(&[pin], &[])).unwrap()
    }

    /// Shakes hands in memory; tells whether a session was resumed.
    fn shaken(client: &ClientConfig, server: &Arc<ServerConfig>) -> Result<HandshakeKind, rustls::Error> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(client.clone()), name).unwrap();
        let mut server = ServerConnection::new(server.clone()).unwrap();
        while client.wants_write() || server.wants_write() {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut there).unwrap();
            }
            let mut there = &there[..];
            while !there.is_empty() {
                server.read_tls(&mut there).unwrap();
                server.process_new_packets()?;
            }
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            let mut back = &back[..];
            while !back.is_empty() {
                client.read_tls(&mut back).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(client.handshake_kind().unwrap())
    }

    #[test]
    fn no_session_goes_round_the_pins() {
        let (server, pin) = server();
        for insecure in [false, true] {
            let right = client(insecure, pin);
            assert_eq!(shaken(&right, &server), Ok(HandshakeKind::Full));
            assert_eq!(shaken(&right, &server), Ok(HandshakeKind::Resumed));
            // The sessions of the other configuration are at hand, and none is resumed.
            let mut wrong = client(insecure, OTHER.parse().unwrap());
            wrong.resumption = right.resumption.clone();
            for _ in 0..2 {
                let refused = shaken(&wrong, &server).unwrap_err().to_string();
                assert!(refused.contains("Unpinned"), "{refused}");
            }
        }
    }
}
