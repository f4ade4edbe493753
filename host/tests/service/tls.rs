//! TLS.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificate::make;
use crate::service::{Service, TestApp, client, until};

/// Returns a client connection that trusts only this certificate and offers these protocols. The
/// handshake happens on first use.
pub(crate) fn secure(
    url: &str,
    trusted: &Path,
    offered: &[&str],
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusted).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let address = url.strip_prefix("https://").unwrap();
    StreamOwned::new(connection, TcpStream::connect(address).unwrap())
}

/// Returns the protocol that a client and the service negotiate, if any.
fn spoken(service: &Service, trusted: &Path, offered: &[&str]) -> Option<Vec<u8>> {
    let mut stream = secure(&service.url, trusted, offered);
    let connection = &mut stream.conn;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream.sock).ok()?;
    }
    connection.alpn_protocol().map(<[u8]>::to_vec)
}

#[test]
fn with_a_certificate_the_service_speaks_tls() {
    let app = TestApp::new();
    let (certificate, key) = (app.path("cert.pem"), app.path("key.pem"));
    make(&certificate, &key);
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let mut service = app.serve_with(&["--tls-certificate", certificate, "--tls-key", key]);
    assert!(service.url.starts_with("https://"));
    service.client = client(Some(certificate.as_ref()));
    assert_eq!(service.get("/api/v1/runs").send().unwrap().status(), 200);
    // A client that does not trust the certificate cannot connect.
    let strict = client(None).get(format!("{}/healthz", service.url)).send();
    assert!(strict.is_err());
    let plain = format!("{}/healthz", service.url.replace("https", "http"));
    assert!(client(None).get(plain).send().is_err());

    let mut wrong = app.command(&["serve", "--listen", "127.0.0.1:0"]);
    wrong.args(["--tls-certificate", key, "--tls-key", key]);
    let wrong = wrong.output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("cannot use the certificate"));
}

#[test]
fn a_renewed_certificate_is_used_at_once_and_an_invalid_one_ignored() {
    let app = TestApp::new();
    let (certificate, key) = (app.path("cert.pem"), app.path("key.pem"));
    make(&certificate, &key);
    let args = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let service = app.serve_with(&["--tls-certificate", args[0], "--tls-key", args[1]]);
    let answers = |trusted: &Path| {
        let asked = client(Some(trusted)).get(format!("{}/healthz", service.url));
        asked.send().is_ok_and(|answer| answer.status() == 200)
    };
    let first = app.path("first.pem");
    std::fs::copy(&certificate, &first).unwrap();
    assert!(answers(&first));
    // Whatever a client offers, also with the renewed certificate.
    let speaks_http_1 = |trusted: &Path| {
        let spoken = |offered: &[&str]| spoken(&service, trusted, offered);
        assert_eq!(
            spoken(&["h2", "http/1.1"]).as_deref(),
            Some(&b"http/1.1"[..])
        );
        assert_eq!(spoken(&["h2"]), None);
    };
    speaks_http_1(&first);
    make(&certificate, &key);
    let second = app.path("second.pem");
    std::fs::copy(&certificate, &second).unwrap();
    until(|| answers(&second));
    assert!(!answers(&first));
    speaks_http_1(&second);
    std::fs::write(&key, "half of a key").unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(answers(&second));
}
