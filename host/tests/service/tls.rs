//! TLS.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::service::{Shop, client, until};

/// Makes a certificate for this machine, with its key.
fn make(certificate: &Path, key: &Path) {
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
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .expect("openssl makes the certificate of this test");
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{error}");
}

#[test]
fn with_a_certificate_the_service_speaks_tls() {
    let shop = Shop::new();
    let (certificate, key) = (shop.path("cert.pem"), shop.path("key.pem"));
    make(&certificate, &key);
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

#[test]
fn a_certificate_that_is_renewed_is_used_at_once_and_a_wrong_one_is_not() {
    let shop = Shop::new();
    let (certificate, key) = (shop.path("cert.pem"), shop.path("key.pem"));
    make(&certificate, &key);
    let args = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let service = shop.serve_with(&["--tls-certificate", args[0], "--tls-key", args[1]]);
    let answers = |trusted: &Path| {
        let asked = client(Some(trusted)).get(format!("{}/healthz", service.url));
        asked.send().is_ok_and(|answer| answer.status() == 200)
    };
    let first = shop.path("first.pem");
    std::fs::copy(&certificate, &first).unwrap();
    assert!(answers(&first));
    make(&certificate, &key);
    let second = shop.path("second.pem");
    std::fs::copy(&certificate, &second).unwrap();
    until(|| answers(&second));
    assert!(!answers(&first));
    std::fs::write(&key, "half of a key").unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(answers(&second));
}
