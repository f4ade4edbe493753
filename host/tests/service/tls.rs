//! TLS.

use std::process::Command;

use crate::service::{Shop, client};

#[test]
fn with_a_certificate_the_service_speaks_tls() {
    let shop = Shop::new();
    let (certificate, key) = (shop.path("cert.pem"), shop.path("key.pem"));
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '))
        .args([
            "-subj",
            "/CN=promoflow test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl makes the certificate of this test");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let mut service = shop.serve_with(&["--tls-certificate", certificate, "--tls-key", key]);
    assert!(service.url.starts_with("https://"));
    service.client = client(Some(certificate.as_ref()));
    assert_eq!(service.get("/api/v1/runs").send().unwrap().status(), 200);
    // Whoever does not trust the certificate does not talk.
    let strict = client(None).get(format!("{}/healthz", service.url)).send();
    assert!(strict.is_err());
    let plain = format!("{}/healthz", service.url.replace("https", "http"));
    assert!(client(None).get(plain).send().is_err());

    let mut wrong = shop.command(&["serve", "--listen", "127.0.0.1:0"]);
    wrong.args(["--tls-certificate", key, "--tls-key", key]);
    let wrong = wrong.output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("cannot use the certificate"));
}
