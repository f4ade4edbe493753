//! A client that knows the service only by its OpenAPI document: schemathesis sends valid and
//! invalid requests and checks every answer against the document.
//!
//! The seed is fixed, so that a run can be repeated. `SCHEMATHESIS_EXAMPLES=500` sends many more
//! requests, `SCHEMATHESIS_SEED` changes them.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of a suite may panic too, and few of the service's helpers are used"
)]

#[path = "service/service.rs"]
mod service;

use std::path::Path;
use std::process::Command;

use promoflow::key::Scope;
use serde_json::{Value, json};

use service::{Service, TestApp, ok, until};

/// Returns an installation with some of everything, and its service.
fn stocked() -> (TestApp, Service) {
    let app = TestApp::ready();
    let service = app.serve_with(&[
        "--events-per-second",
        "1000000",
        "--requests-per-second",
        "1000000",
    ]);
    service.codes(20);
    for address in ["ann@example.com", "bob@example.com"] {
        let event = json!({ "eventTypeKey": "birthday", "keyValue": address,
                            "params": { "EmailAddress": address } });
        ok(service.post_json("/api/v1/event", &event).send().unwrap());
    }
    until(|| {
        let sent = service.at("/api/v1/outbox?state=delivered");
        sent.as_array().unwrap().len() == 2
    });
    (app, service)
}

/// Runs schemathesis with a key over the document at `at`; it must report no issues.
fn run(app: &TestApp, service: &Service, key: &str, at: &str, examples: &str, args: &[&str]) {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools");
    let release = Path::new(env!("CARGO_BIN_EXE_promoflow")).parent().unwrap();
    let program = release.join("../test-tools/bin/schemathesis");
    assert!(program.exists(), "`cargo xtask test` installs schemathesis");
    let asked = |name: &str, usual: &str| std::env::var(name).unwrap_or(usual.to_owned());
    let mut schemathesis = Command::new(program.canonicalize().unwrap());
    schemathesis
        .current_dir(app.path("."))
        .arg("--config-file")
        .arg(tools.join("schemathesis.toml"))
        .args(["--no-color", "run", at, "--url", &service.url])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        .args(["--seed", &asked("SCHEMATHESIS_SEED", "20260601")])
        .args(["--max-examples", &asked("SCHEMATHESIS_EXAMPLES", examples)])
        .args(["--continue-on-failure", "--warnings", "off"])
        .args(args);
    let output = schemathesis.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}\n{printed}{error}");
    assert!(printed.contains("No issues found"), "{printed}");
}

#[test]
fn valid_requests_match_the_document_and_invalid_ones_are_rejected() {
    let (app, service) = stocked();
    // The document allows any text in headers, so this run uses none.
    let mut document = promoflow::api::document();
    for item in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in item.as_object_mut().unwrap().values_mut() {
            if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
                parameters.retain(|one| one["name"] != "Idempotency-Key");
            }
        }
    }
    let file = app.path("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let phases = ["--phases", "examples,coverage,fuzzing"];
    run(
        &app,
        &service,
        &service.key,
        file.to_str().unwrap(),
        "6",
        &phases,
    );
    app.assert_audit();
}

#[test]
fn answers_match_the_document_for_every_scope() {
    let (app, service) = stocked();
    let document = format!("{}/api/openapi.json", service.url);
    std::thread::scope(|scope| {
        for one in Scope::ALL {
            let (app, service, document) = (&app, &service, &document);
            let key = app.key(&one.to_string());
            scope.spawn(move || {
                let (phases, off) = ("fuzzing,stateful", "negative_data_rejection");
                let mut args = vec!["--phases", phases, "--exclude-checks", off];
                // Otherwise a generated request could revoke the key in use.
                args.extend(["--exclude-operation-id", "keys-revoke"]);
                run(app, service, &key, document, "2", &args);
            });
        }
    });
    let keys: Value = service.at("/api/v1/keys");
    assert!(keys.as_array().unwrap().len() > Scope::ALL.len());
    app.assert_audit();
}
