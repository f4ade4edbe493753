//! Certificates for tests.

use std::path::Path;
use std::process::Command;

/// Creates a certificate for this machine, with its key.
pub(crate) fn make(certificate: &Path, key: &Path) {
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
        .expect("openssl failed to create the certificate");
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{error}");
}
