//! A certificate for the server at the end of the line, and the authority that signed it. Both are made anew each time,
//! because no certificate for a private address is worth keeping.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::Outcome;

/// Name of the authority's certificate in the server's directory.
pub(crate) const AUTHORITY: &str = "ca.pem";

/// Writes the certificate files named by `wan/nginx.conf` into its directory, and the authority's certificate beside
/// them.
pub(crate) fn write(dir: &Path, address: &str) -> Outcome<()> {
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.distinguished_name.push(DnType::CommonName, "haul bench CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    fs::write(dir.join(AUTHORITY), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);

    let mut server = CertificateParams::new(vec![address.to_owned()])?;
    server.distinguished_name.push(DnType::CommonName, "haul bench server");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    fs::write(dir.join("server.pem"), server.signed_by(&key, &issuer)?.pem())?;
    fs::write(dir.join("server-key.pem"), key.serialize_pem())?;
    Ok(())
}
