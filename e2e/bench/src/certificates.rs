//! An authority and a server's certificate, for the lines with TLS.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::Error;

/// The name in the certificate.
pub const SERVER_NAME: &str = "localhost";
/// The server's chain, in the folder given to [`write`].
pub const CHAIN: &str = "tls.crt";
/// Its key, in the same folder.
pub const KEY: &str = "tls.key";

/// Writes a fresh certificate and key, and returns how a client verifies them.
pub fn write(folder: &Path) -> Result<Arc<rustls::ClientConfig>, Error> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![SERVER_NAME.to_owned()])?.signed_by(&key, &authority)?;
    for (name, text) in [(CHAIN, certificate.pem()), (KEY, key.serialize_pem())] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    Ok(edge_mqtt::client_config(authority.pem().as_bytes())?)
}
