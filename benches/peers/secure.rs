//! TLS in the bare loop: version 1.3, one authority, no resumption, nothing else.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Outcome;

/// Bytes read from a socket at once. rustls on its own reads 4 KiB.
const BUFFER: usize = 128 << 10;

/// Name in the certificate of the bench's server.
const NAME: &str = "localhost";

/// TLS configuration of the loop.
pub(crate) struct Secure(Arc<ClientConfig>);

impl Secure {
    /// Trusts the authorities in this PEM file.
    pub(crate) fn trusting(ca: &Path) -> Outcome<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Encrypts a connection from its first byte on.
    pub(crate) fn over(&self, stream: TcpStream) -> io::Result<StreamOwned<ClientConnection, Wire>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, Wire(BufReader::with_capacity(BUFFER, stream))))
    }
}

/// A socket that is read in large pieces.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
