//! TLS as a client.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::ClientError;

/// Returns a configuration that trusts the machine's roots and these certificates.
pub fn client_config(further: Vec<CertificateDer<'static>>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    // An unreadable root certificate is skipped; a handshake that needs it fails and says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in further {
        roots.add(certificate).map_err(ClientError::Certificate)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
