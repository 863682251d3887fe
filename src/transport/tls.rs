//! TLS: one configuration for all connections of a run.

use crate::error::{Error, Kind};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// PEM files with a certificate that says who we are, its chain after it, and with its key.
#[derive(Clone, Debug)]
pub(crate) struct IdentityFiles {
    pub(crate) certificate: PathBuf,
    /// The same file if it is not said.
    pub(crate) key: Option<PathBuf>,
}

impl IdentityFiles {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let path = self.key.as_ref().unwrap_or(&self.certificate);
        let key = PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                unreadable("--key", path, "it holds no private key that can be read without a password")
            }
            error => unreadable("--key", path, &error.to_string()),
        })?;
        Ok((certificates("--cert", &self.certificate)?, key))
    }
}

/// Makes the configuration: the platform's roots and those of `ca_file`, or, with `insecure`, none at all; and what we
/// show a server that asks who we are.
pub(super) fn configuration(
    ca_file: Option<&Path>,
    insecure: bool,
    identity: Option<&IdentityFiles>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = builder.dangerous();
    let builder = if insecure {
        builder.with_custom_certificate_verifier(Arc::new(AcceptAnyone(provider)))
    } else {
        let extra = ca_file.map(|path| certificates("--cacert", path)).transpose()?.unwrap_or_default();
        let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(|error| unusable(&error))?;
        builder.with_custom_certificate_verifier(Arc::new(verifier))
    };
    let mut configuration = match identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (certificates, key) = files.read()?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| unreadable("--cert", &files.certificate, &error.to_string()))?
        }
    };
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

fn unusable(error: &rustls::Error) -> Error {
    Error::new(Kind::Tls, format!("TLS cannot be set up: {error}"))
}

fn unreadable(flag: &str, path: &Path, why: &str) -> Error {
    Error::usage(format!("{flag} {}: {why}", path.display()))
}

/// The certificates of a PEM file, which the user named with this flag.
fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |error: pem::Error| unreadable(flag, path, &error.to_string());
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect();
    match read.map_err(wrong)? {
        certificates if certificates.is_empty() => Err(unreadable(flag, path, "it holds no certificate")),
        certificates => Ok(certificates),
    }
}

/// `--insecure`: the traffic is encrypted, but nobody knows to whom.
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
