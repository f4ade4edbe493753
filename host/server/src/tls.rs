//! TLS: the certificate, and the one that follows it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;

use super::Tls;
use promoflow_config::read_bounded;

/// The largest certificate or key file.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(1);
/// What is spoken within TLS. The limits of slow clients are those of HTTP/1.1.
const SPOKEN: &[u8] = b"http/1.1";

/// The certificate with its key.
pub(super) async fn certificate(tls: &Tls) -> Result<RustlsConfig> {
    // An embedding program may have chosen its own provider before.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let config = read(tls).await.with_context(|| {
        format!(
            "cannot use the certificate {} with the key {}",
            tls.certificate.display(),
            tls.key.display()
        )
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
    config.alpn_protocols = vec![SPOKEN.to_vec()];
    Ok(Arc::new(config))
}

/// What tells one pair of files from the next.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// Reads the files anew when they change, so that a certificate that is renewed needs no restart.
/// A pair that is wrong leaves the one before: it may be half replaced.
pub(super) async fn renew(config: RustlsConfig, tls: Tls) {
    let mut known = stamp(&tls).await;
    let mut told = known;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = stamp(&tls).await;
        if now == known {
            continue;
        }
        match read(&tls).await {
            Ok(renewed) => {
                config.reload_from_config(renewed);
                tracing::info!("the TLS certificate was read anew");
                known = now;
            }
            Err(error) if told != now => {
                tracing::error!("the TLS certificate before stays; the new one: {error}");
                told = now;
            }
            Err(_) => {}
        }
    }
}

async fn stamp(tls: &Tls) -> Stamp {
    let files = [tls.certificate.clone(), tls.key.clone()];
    let read = tokio::task::spawn_blocking(move || {
        files.map(|file| {
            let file = std::fs::metadata(file).ok()?;
            Some((file.modified().ok()?, file.len()))
        })
    });
    read.await.unwrap_or_default()
}
