//! TLS for a client: rustls does the cryptography, this file the waiting around it.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::error::Error;

/// Whom to trust.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots(Option<Arc<RootCertStore>>);

impl Roots {
    /// These certificates, in PEM.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Tls {
            host: "the given root certificates".to_string(),
            source,
        };
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string().into()))?;
            store.add(certificate).map_err(|error| unusable(error.into()))?;
        }
        if store.is_empty() {
            return Err(unusable("there is no certificate in the PEM text".into()));
        }
        Ok(Self(Some(Arc::new(store))))
    }

    fn store(&self) -> Arc<RootCertStore> {
        self.0.clone().unwrap_or_else(|| {
            Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
        })
    }
}

/// The TLS state of one connection.
pub(super) struct Session {
    tls: Box<ClientConnection>,
    /// Bytes that the socket took.
    sent: u64,
    /// Of the bytes to be sent, those that the socket has not taken yet.
    held: usize,
}

impl Session {
    pub(super) fn new(host: &str, roots: &Roots) -> Result<Self, Error> {
        let failed = |source| Error::Tls { host: host.to_string(), source };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.into()))?
            .with_root_certificates(roots.store())
            .with_no_client_auth();
        // RFC 7301: a server that knows both serves HTTP/1.1, in which the handshake is made.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_string()).map_err(|error| failed(error.into()))?;
        let session = ClientConnection::new(Arc::new(config), name);
        Ok(Self { tls: Box::new(session.map_err(|error| failed(error.into()))?), sent: 0, held: 0 })
    }

    /// Goes on with the TLS handshake; true when it is done. `WouldBlock` is not an error here.
    pub(super) fn shake_hands(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let mut written = self.write_out(stream);
        while self.tls.is_handshaking() {
            // Read first: the alert of a server that went away says more than the failed write.
            if !self.read_in(stream)? {
                return written.map(|()| false);
            }
            written = self.write_out(stream);
        }
        written.map(|()| true)
    }

    /// Reads records; false if the socket has none now.
    fn read_in(&mut self, mut stream: &TcpStream) -> io::Result<bool> {
        match self.tls.read_tls(&mut stream) {
            Ok(0) if self.tls.is_handshaking() => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                let processed = self.tls.process_new_packets();
                if let Err(error) = processed {
                    // The alert that tells the server why.
                    let _ = self.write_out(stream);
                    let kind = match error {
                        // The first byte of a record names what it holds; this one is none of
                        // them (RFC 8446 §5.1).
                        rustls::Error::InvalidMessage(_) if self.tls.is_handshaking() => {
                            io::ErrorKind::InvalidInput
                        }
                        _ => io::ErrorKind::InvalidData,
                    };
                    return Err(io::Error::new(kind, error));
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes records, as far as the socket takes them.
    pub(super) fn write_out(&mut self, mut stream: &TcpStream) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut stream) {
                Ok(n) => {
                    self.sent += n as u64;
                    self.held = self.held.saturating_sub(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        // Records are longer than what is in them, and some are of TLS itself.
        if !self.tls.wants_write() {
            self.held = 0;
        }
        Ok(())
    }

    /// Bytes to be sent that the socket has not taken yet, as far as that is known.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    pub(super) fn read(&mut self, stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                // WebSocket has an end of its own; a missing close_notify adds nothing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.read_in(stream)? {
                        return Err(error);
                    }
                    // A key update or such may have to be answered. Should that fail, what came is
                    // read first; the next write fails again.
                    let _ = self.write_out(stream);
                }
                other => return other,
            }
        }
    }

    pub(super) fn write(&mut self, stream: &TcpStream, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = self.tls.writer().write_vectored(parts)?;
        self.held += taken;
        self.write_out(stream)?;
        Ok(taken)
    }

    pub(super) fn end(&mut self, stream: &TcpStream) {
        self.tls.send_close_notify();
        let _ = self.write_out(stream);
    }
}
