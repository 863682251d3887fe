//! TLS: one configuration for all connections of a run.

use crate::error::{Error, Kind};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::path::Path;
use std::sync::Arc;

/// Makes the configuration: the platform's roots and those of `ca_file`, or, with `insecure`, none at all.
pub(super) fn configuration(ca_file: Option<&Path>, insecure: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = builder.dangerous();
    let mut configuration = if insecure {
        builder.with_custom_certificate_verifier(Arc::new(AcceptAnyone(provider)))
    } else {
        let extra = ca_file.map(roots).transpose()?.unwrap_or_default();
        let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(|error| unusable(&error))?;
        builder.with_custom_certificate_verifier(Arc::new(verifier))
    }
    .with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

fn unusable(error: &rustls::Error) -> Error {
    Error::new(Kind::Tls, format!("TLS cannot be set up: {error}"))
}

/// The certificates of a PEM file.
fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let usage = |why: String| Error::usage(format!("--cacert {}: {why}", path.display()));
    let read = CertificateDer::pem_file_iter(path).map_err(|error| usage(error.to_string()))?;
    let roots: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| usage(error.to_string()))?;
    if roots.is_empty() {
        return Err(usage("it holds no certificate".to_owned()));
    }
    Ok(roots)
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
