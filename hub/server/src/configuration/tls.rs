//! The hub's own certificate: read from PEM, replaced in a running listener.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// The certificate file.
    #[error("certificateFile holds no usable PEM certificate: {reason}")]
    Certificate {
        /// The parser's word for it.
        reason: String,
    },
    /// The key file. Its content is in no text.
    #[error("privateKeyFile holds no usable PEM key")]
    Key,
    /// The two do not belong together.
    #[error("certificateFile and privateKeyFile do not belong together: {reason}")]
    Mismatch {
        /// The TLS library's word for it.
        reason: String,
    },
}

/// A chain and its key, checked to belong together.
#[derive(Clone)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// Reads a chain, leaf first, and its key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsFilesError> {
        let refused = |reason: String| TlsFilesError::Certificate { reason };
        let chain =
            CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(|error| refused(error.to_string()))?;
        if chain.is_empty() {
            return Err(refused("no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFilesError::Key)?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| TlsFilesError::Mismatch { reason: error.to_string() })?;
        Ok(Self(Arc::new(key)))
    }

    /// Is this the same chain? Tells a reload from a touch.
    pub fn same_chain(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

/// Hands out the newest certificate to each handshake. Open connections keep theirs.
pub(crate) struct Reloadable(ArcSwap<CertifiedKey>);

impl Reloadable {
    /// Starts with `certificate`.
    pub(crate) fn new(certificate: Certificate) -> Arc<Self> {
        Arc::new(Self(ArcSwap::new(certificate.0)))
    }

    /// Uses `certificate` from the next handshake on.
    pub(crate) fn replace(&self, certificate: Certificate) {
        self.0.store(certificate.0);
    }

    /// The configuration of a listener: TLS 1.2 (the Python SDK speaks nothing newer) and 1.3, no client certificates yet.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Reloadable {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Reloadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloadable(certificate)")
    }
}
