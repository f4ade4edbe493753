//! TLS certificate and its renewal.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;

use super::{ServeError, Tls};
use promoflow_config::read_bounded;

/// Maximum size of a certificate or key file, in bytes.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Interval between checks of the files for changes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// ALPN protocol. The timeouts for slow clients apply to HTTP/1.1 only.
const ALPN_PROTOCOL: &[u8] = b"http/1.1";

/// Loads the certificate and its private key.
pub(super) async fn load_certificate(tls: &Tls) -> Result<RustlsConfig, ServeError> {
    // An embedding program may already have installed a provider.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let config = read(tls).await.map_err(|source| ServeError::Certificate {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        source,
    })?;
    Ok(RustlsConfig::from_config(config))
}

async fn read(tls: &Tls) -> io::Result<Arc<ServerConfig>> {
    let files = [tls.certificate.clone(), tls.key.clone()];
    let read = tokio::task::spawn_blocking(move || -> io::Result<[Vec<u8>; 2]> {
        let [certificate, key] = files.map(|file| read_bounded(&file, MAX_PEM_BYTES));
        Ok([certificate?, key?])
    });
    let [certificate, key] = read.await.map_err(io::Error::other)??;
    let read = RustlsConfig::from_pem(certificate, key).await?;
    let mut config = ServerConfig::clone(&read.get_inner());
    config.alpn_protocols = vec![ALPN_PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

/// Modification times and sizes that identify a pair of files.
type FileStamps = [Option<(SystemTime, u64)>; 2];

/// Reloads the files when they change, so that renewing a certificate needs no restart. Keeps the
/// previous pair while the new one is invalid, because it may be only half replaced.
pub(super) async fn reload_on_change(config: RustlsConfig, tls: Tls) {
    let mut loaded = file_stamps(&tls).await;
    let mut reported = loaded;
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let current = file_stamps(&tls).await;
        if current == loaded {
            continue;
        }
        match read(&tls).await {
            Ok(renewed) => {
                config.reload_from_config(renewed);
                tracing::info!("TLS certificate reloaded");
                loaded = current;
            }
            Err(error) if reported != current => {
                tracing::error!(
                    "cannot reload the TLS certificate, keeping the previous one: {error}"
                );
                reported = current;
            }
            Err(_) => {}
        }
    }
}

async fn file_stamps(tls: &Tls) -> FileStamps {
    let files = [tls.certificate.clone(), tls.key.clone()];
    let read = tokio::task::spawn_blocking(move || {
        files.map(|file| {
            let file = std::fs::metadata(file).ok()?;
            Some((file.modified().ok()?, file.len()))
        })
    });
    read.await.unwrap_or_default()
}
