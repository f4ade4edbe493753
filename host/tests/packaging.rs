//! The files shipped with the program: the systemd unit and the Dockerfile.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "unreadable files fail the test, and few of the service's helpers are used"
)]

#[path = "service/certificate.rs"]
mod certificate;
#[path = "service/service.rs"]
mod service;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use certificate::make;
use service::{Service, TestApp};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Returns the instructions of a Dockerfile, each on one line.
fn instructions(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => open.push_str(part),
            None => {
                open.push_str(line);
                all.push(std::mem::take(&mut open));
            }
        }
    }
    all.retain(|line| !line.is_empty());
    all
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "target" {
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}

#[test]
fn the_dockerfile_copies_everything_the_build_needs() {
    let dockerfile = read("packaging/Dockerfile");
    let all = instructions(&dockerfile);
    let folder = tempfile::tempdir().unwrap();
    for line in &all {
        let Some(args) = line.strip_prefix("COPY ") else {
            continue;
        };
        let words: Vec<&str> = args.split_whitespace().collect();
        if words[0].starts_with("--from") {
            assert_eq!(words[1], "/src/target/release/promoflow");
            continue;
        }
        let (to, from) = words.split_last().unwrap();
        for from in from {
            let to = match to.ends_with('/') {
                true => folder.path().join(from),
                false => folder.path().join(to),
            };
            copy(&root().join(from), &to);
        }
    }
    // Every package of the workspace is at the path where the others expect it, and the lock file
    // matches; otherwise cargo would reject `--locked`.
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--workspace",
            "--depth",
            "0",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{printed}");
    // Files included at compile time are there as well.
    let mut sources = vec![
        folder.path().join("host"),
        folder.path().join("velocity/src"),
    ];
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            sources.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests are at the end of a file and are not built.
            let code = text.split("#[cfg(test)]").next().unwrap();
            for part in code.split("include_").skip(1) {
                let text = part.strip_prefix("str!(\"");
                let Some(rest) = text.or_else(|| part.strip_prefix("bytes!(\"")) else {
                    continue;
                };
                let name = rest.split('"').next().unwrap();
                let included = path.parent().unwrap().join(name);
                // A test module is a folder of that name or `tests.rs`.
                let of_tests = path.file_name().is_some_and(|name| name == "tests.rs")
                    || path
                        .components()
                        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches");
                assert!(included.exists() || of_tests, "{}: {name}", path.display());
            }
        }
    }
    // The build command is the one of `cargo xtask build`, without what only helps to edit.
    let build = all
        .iter()
        .find(|line| line.contains(" cargo build "))
        .unwrap();
    assert_eq!(
        build,
        "RUN CARGO_INCREMENTAL=0 cargo build --release --locked --workspace --bin promoflow"
    );
    let rust = read("Cargo.toml");
    let version = rust.split("rust-version = \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "{version}"
    );
    assert!(all.iter().any(|line| line == "USER promoflow"));
    // Every environment variable is an option of the service.
    let environment = all.iter().find(|line| line.starts_with("ENV ")).unwrap();
    let variables: HashMap<&str, &str> = environment[4..]
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    let output = Command::new(env!("CARGO_BIN_EXE_promoflow"))
        .args(["--json", "serve", "--check"])
        .current_dir(folder.path())
        .envs(variables)
        .env("PROMOFLOW_DB", folder.path().join("shop.db"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("http://0.0.0.0:8080"), "{output:?}");
}

/// Runs the image's health check with this environment.
fn healthy(environment: &[(&str, &str)]) -> Result<(), String> {
    let all = instructions(&read("packaging/Dockerfile"));
    let check = all.iter().find(|line| line.starts_with("HEALTHCHECK "));
    let (_, command) = check.unwrap().split_once("CMD ").unwrap();
    let words: Vec<String> = serde_json::from_str(command).unwrap();
    assert_eq!(words[0], "/usr/bin/promoflow");
    let asked = Command::new(env!("CARGO_BIN_EXE_promoflow"))
        .args(&words[1..])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    match asked.status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(String::from_utf8(asked.stderr).unwrap()),
        _ => panic!("{asked:?}"),
    }
}

#[test]
fn the_health_check_follows_the_configured_address_and_tls() {
    let app = TestApp::new();
    let db = app.path("shop.db");
    let db = ("PROMOFLOW_DB", db.to_str().unwrap());
    let everywhere = |service: &Service| {
        let (_, port) = service.url.rsplit_once(':').unwrap();
        format!("0.0.0.0:{port}")
    };
    let plain = app.serve();
    let listen = everywhere(&plain);
    healthy(&[db, ("PROMOFLOW_LISTEN", &listen)]).unwrap();

    let (certificate, key) = (app.path("cert.pem"), app.path("key.pem"));
    make(&certificate, &key);
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let tls = app.serve_with(&["--tls-certificate", certificate, "--tls-key", key]);
    // Through a mounted configuration.
    let config = app.path("mounted.toml");
    let serve = format!(
        "[serve]\nlisten = {:?}\ntls-certificate = {certificate:?}\ntls-key = {key:?}\n",
        everywhere(&tls)
    );
    std::fs::write(&config, serve).unwrap();
    let config = ("PROMOFLOW_CONFIG", config.to_str().unwrap());
    healthy(&[db, config]).unwrap();

    let other = healthy(&[db, config, ("PROMOFLOW_LISTEN", &listen)]).unwrap_err();
    assert!(other.contains("no service responds"), "{other}");
    drop(tls);
    healthy(&[db, config]).unwrap_err();
}

#[test]
fn the_systemd_unit_is_valid_and_starts_the_service() {
    let unit = read("packaging/promoflow.service");
    let values = |name: &str| -> Vec<&str> {
        let lines = unit.lines();
        lines
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .collect()
    };
    let [start] = values("ExecStart")[..] else {
        panic!("one ExecStart is expected")
    };
    let program = "/usr/bin/promoflow";
    for line in [start, values("ExecStartPre")[0]] {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some(program));
        let args: Vec<&str> = words.chain(["--help"]).collect();
        let help = Command::new(env!("CARGO_BIN_EXE_promoflow"))
            .args(&args)
            .output();
        assert!(help.unwrap().status.success(), "{line}");
    }
    // Longer than the service's own shutdown may take.
    let stop: u64 = values("TimeoutStopSec")[0].parse().unwrap();
    let drain = promoflow::api::Options::default().drain.as_secs();
    assert!(stop > drain, "{stop} s to stop, {drain} s to drain");
    for name in [
        "NoNewPrivileges",
        "ProtectHome",
        "PrivateTmp",
        "RestrictSUIDSGID",
    ] {
        assert_eq!(values(name), ["yes"], "{name}");
    }
    assert_eq!(values("ProtectSystem"), ["strict"]);
    assert!(
        values("MemoryDenyWriteExecute").is_empty(),
        "the compiler needs writable executable memory"
    );
    assert!(
        values("ProcSubset").is_empty(),
        "process_start_time_seconds is read from /proc/stat"
    );

    // systemd's own check, if systemd is installed.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("promoflow.service");
    let here = unit.replace(program, env!("CARGO_BIN_EXE_promoflow"));
    std::fs::write(&file, here).unwrap();
    let Ok(judged) = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
    else {
        eprintln!("systemd-analyze is missing: the unit was only checked by this test");
        return;
    };
    let printed = String::from_utf8_lossy(&judged.stderr);
    let about_it: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("promoflow.service"))
        .collect();
    assert!(about_it.is_empty() && judged.status.success(), "{printed}");
}
