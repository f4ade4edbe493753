//! TLS: the certificate, and the one that follows it.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use axum_server::tls_rustls::RustlsConfig;

use super::Tls;

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(1);

/// The certificate with its key.
pub(super) async fn certificate(tls: &Tls) -> Result<RustlsConfig> {
    // An embedding program may have chosen its own provider before.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    RustlsConfig::from_pem_file(&tls.certificate, &tls.key)
        .await
        .with_context(|| {
            format!(
                "cannot use the certificate {} with the key {}",
                tls.certificate.display(),
                tls.key.display()
            )
        })
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
        let read = config.reload_from_pem_file(&tls.certificate, &tls.key);
        match read.await {
            Ok(()) => {
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
