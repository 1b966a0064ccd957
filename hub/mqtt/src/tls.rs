//! TLS for clients: verification against given certificates only.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why certificates could not be used as trust anchors.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is not PEM.
    #[error("the CA file is not PEM: {reason}")]
    Pem {
        /// The parser's word for it.
        reason: String,
    },
    /// PEM without a certificate.
    #[error("the CA file holds no certificate")]
    Empty,
    /// rustls refused it.
    #[error("failed to set up TLS")]
    Setup(#[from] rustls::Error),
}

/// A configuration that trusts exactly the certificates of `ca_pem`. There is no other trust store: an edge device's upstream
/// and hub are vouched for by certificates that somebody chose.
pub fn client_config(ca_pem: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.map_err(|error| TlsError::Pem { reason: error.to_string() })?)?;
    }
    if roots.is_empty() {
        return Err(TlsError::Empty);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        assert!(matches!(client_config(b""), Err(TlsError::Empty)));
        assert!(client_config(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").is_err());
    }
}
