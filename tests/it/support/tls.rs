//! Certificates made for one test.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use super::haul::Sandbox;

/// A certificate authority that no machine trusts unless told to.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "haul test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes the certificate for `--cacert`, outside the directory of the downloads.
    pub(crate) fn write_to(&self, sandbox: &Sandbox) -> PathBuf {
        let path = sandbox.root().join("ca.pem");
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// A server with a sound certificate for these names and addresses.
    pub(crate) fn config(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.config_with(names, |_| {})
    }

    /// A server that requires a client certificate.
    pub(crate) fn config_for_known_clients(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.config_asking(names, |verifier| verifier)
    }

    /// A server that asks for a client certificate, and also serves clients without one.
    pub(crate) fn config_for_curious_server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.config_asking(names, ClientCertVerifierBuilder::allow_unauthenticated)
    }

    fn config_asking(
        &self,
        names: &[&str],
        how: impl FnOnce(ClientCertVerifierBuilder) -> ClientCertVerifierBuilder,
    ) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = how(builder).build().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = server_params(names).signed_by(&key, &self.issuer).unwrap();
        config_of(certificate.der().clone(), &key, Some(verifier))
    }

    /// Writes the certificate and the key of a client, in one file and in two.
    pub(crate) fn write_client(&self, sandbox: &Sandbox) -> [PathBuf; 3] {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "haul test client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        let both = format!("{certificate}{key}");
        [("both", both), ("cert", certificate), ("key", key)].map(|(name, text)| {
            let path = sandbox.root().join(format!("client-{name}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        })
    }

    /// A server whose certificate is spoiled on purpose.
    pub(crate) fn config_with(
        &self,
        names: &[&str],
        spoil: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ServerConfig> {
        self.config_and_pem_with(names, spoil).0
    }

    /// Returns the configuration and the pin of its key, as curl writes it.
    pub(crate) fn config_and_pin(&self, names: &[&str]) -> (Arc<ServerConfig>, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = server_params(names).signed_by(&key, &self.issuer).unwrap();
        (config_of(certificate.der().clone(), &key, None), pin_of(&key))
    }

    /// Returns the configuration and the PEM text of the certificate.
    pub(crate) fn config_and_pem_with(
        &self,
        names: &[&str],
        spoil: impl FnOnce(&mut CertificateParams),
    ) -> (Arc<ServerConfig>, String) {
        let mut params = server_params(names);
        spoil(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (config_of(certificate.der().clone(), &key, None), certificate.pem())
    }
}

pub(crate) fn self_signed(names: &[&str]) -> Arc<ServerConfig> {
    self_signed_and_pin(names).0
}

/// A self-signed certificate, and the pin of its key.
pub(crate) fn self_signed_and_pin(names: &[&str]) -> (Arc<ServerConfig>, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = server_params(names).self_signed(&key).unwrap();
    (config_of(certificate.der().clone(), &key, None), pin_of(&key))
}

fn pin_of(key: &KeyPair) -> String {
    format!("sha256//{}", STANDARD.encode(Sha256::digest(key.subject_public_key_info())))
}

/// A self-signed certificate, as `openssl req -x509` makes it: one that may sign others. Returned with its PEM text.
pub(crate) fn of_its_own(
    names: &[&str],
    spoil: impl FnOnce(&mut CertificateParams),
) -> (Arc<ServerConfig>, String) {
    let mut params = server_params(names);
    params.extended_key_usages.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    spoil(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (config_of(certificate.der().clone(), &key, None), certificate.pem())
}

pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
}

pub(crate) fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2090, 1, 1);
    params.not_after = date_time_ymd(2091, 1, 1);
}

pub(crate) fn for_clients_only(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

/// Puts the name into the subject only, which clients no longer check.
pub(crate) fn common_name_only(params: &mut CertificateParams) {
    params.subject_alt_names.clear();
    params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
}

fn server_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "haul test server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn config_of(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
