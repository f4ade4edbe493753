//! The OpenAPI document and its page.

use std::collections::HashSet;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::service::{TestApp, problem, until};

#[test]
fn the_document_matches_the_golden_file() {
    let document = promoflow::api::document();
    let mut text = serde_json::to_string_pretty(&document).unwrap();
    text.push('\n');
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&golden, &text).unwrap();
    }
    let reviewed = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        text == reviewed,
        "the document differs from {}; review the change and rewrite the file with UPDATE_GOLDEN=1",
        golden.display()
    );
}

fn references<'d>(value: &'d Value, found: &mut HashSet<&'d str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "$ref" => {
                        found.insert(text);
                    }
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_has_a_name_and_every_reference_resolves() {
    let document = promoflow::api::document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = HashSet::new();
    references(&document, &mut found);
    for reference in found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference}");
    }
    let mut names = HashSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} occurs twice");
            assert!(operation["summary"].is_string(), "{name}");
        }
    }
    assert!(names.len() > 30, "{}", names.len());
}

/// Paths that need no key.
const OPEN: [&str; 4] = [
    "GET /healthz",
    "GET /readyz",
    "GET /u/{token}",
    "POST /u/{token}",
];

/// Scopes for changes, by resource; the first match counts.
const SCOPES: [(&str, &str); 14] = [
    ("alerts", "workflows"),
    ("blocks", "workflows"),
    ("cloudevents", "events"),
    ("contacts", "contacts"),
    // A test run shows available promo codes.
    ("event/test", "workflows"),
    ("event", "events"),
    ("keys", "admin"),
    ("messages", "workflows"),
    ("metrics", "metrics"),
    ("outbox", "workflows"),
    ("promocodes", "codes"),
    ("runs", "workflows"),
    ("uploads", "codes"),
    ("workflows", "workflows"),
];

/// Reads the document, so that new operations are covered too.
#[test]
fn every_operation_requires_a_key_with_its_scope() {
    let app = TestApp::new();
    let mut service = app.serve_with(&["--requests-per-second", "1000000"]);
    let scopes = [
        "codes",
        "events",
        "contacts",
        "workflows",
        "read",
        "metrics",
        "admin",
    ];
    let keys = scopes.map(|scope| (scope, app.key(scope)));
    let keys = keys.into_iter().collect::<Vec<_>>();
    service.key = keys.last().unwrap().1.clone();
    until(|| service.get("/api/v1/runs").send().unwrap().status() == 200);
    let document = promoflow::api::document();
    let mut open = Vec::new();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let named: HashSet<&str> = operation["security"]
                .as_array()
                .expect("an operation without a security entry")
                .iter()
                .filter_map(|line| line.as_object().unwrap().values().next())
                .map(|scopes| scopes[0].as_str().unwrap())
                .collect();
            if named.is_empty() {
                open.push(format!("{method} {path}"));
                continue;
            }
            let resource = path.trim_start_matches("/api/v1/");
            let resource = resource
                .trim_start_matches("/api/v2/")
                .trim_start_matches('/');
            let below = |name: &str| resource == name || resource.starts_with(&format!("{name}/"));
            let scope = SCOPES.iter().find(|(name, _)| below(name));
            let scope = scope
                .unwrap_or_else(|| panic!("no scope known for {path}"))
                .1;
            let mut wanted = HashSet::from([scope, "admin"]);
            if method == Method::GET && scope != "admin" {
                wanted.insert("read");
            }
            assert_eq!(named, wanted, "{method} {path}");
            let place = path.replace(['{', '}'], "");
            let send = |key: Option<&str>| {
                let url = format!("{}{place}", service.url);
                let request = service.client.request(method.clone(), url);
                match key {
                    Some(key) => request.bearer_auth(key),
                    None => request,
                }
                .send()
                .unwrap()
            };
            let bare = send(None);
            let how = bare.headers().get("www-authenticate");
            assert!(how.is_some(), "{method} {path}: {}", bare.status());
            problem(bare, 401, "unauthenticated");
            let unknown = format!("{}x", service.key);
            problem(send(Some(&unknown)), 401, "unauthenticated");
            for (scope, key) in &keys {
                let answer = send(Some(key));
                let printed = format!("{method} {path} with {scope}: {}", answer.status());
                match wanted.contains(scope) {
                    true => assert!(![401, 403].contains(&answer.status().as_u16()), "{printed}"),
                    false => {
                        problem(answer, 403, "insufficient-scope");
                    }
                }
            }
            asked += 1;
        }
    }
    open.sort();
    assert_eq!(open, OPEN);
    assert!(asked > 40, "{asked}");
}

/// Reads the document, so that new operations are covered too.
#[test]
fn every_operation_rejects_unknown_parameters() {
    let app = TestApp::new();
    let service = app.serve_with(&["--requests-per-second", "1000000"]);
    let document = promoflow::api::document();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            if OPEN.contains(&format!("{method} {path}").as_str()) {
                continue;
            }
            let known = operation["parameters"].as_array();
            let known = known.into_iter().flatten().any(|one| one["in"] == "query");
            let place = path.replace(['{', '}'], "");
            let url = format!("{}{place}?bogus=2", service.url);
            let request = service.client.request(method.clone(), url);
            let answer = request.bearer_auth(&service.key).send().unwrap();
            let reply = problem(answer, 400, "invalid-request");
            assert_eq!(reply["field"], "bogus", "{method} {path}");
            let detail = reply["detail"].as_str().unwrap();
            assert_eq!(detail.contains("no parameters"), !known, "{detail}");
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked}");
}

#[test]
fn the_page_needs_no_other_site() {
    let app = TestApp::new();
    let service = app.serve();
    let get = |path: &str| {
        let answer = service
            .client
            .get(format!("{}{path}", service.url))
            .send()
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer
    };
    assert_eq!(
        get("/api/openapi.json").json::<Value>().unwrap(),
        promoflow::api::document()
    );
    let page = get("/docs/");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'"), "{policy}");
    let page = page.text().unwrap();
    for attribute in ["src=\"", "href=\""] {
        for place in page.split(attribute).skip(1) {
            let place = place.split('"').next().unwrap();
            assert!(!place.contains("//"), "{place}");
            get(&format!("/docs/{}", place.trim_start_matches("./")));
        }
    }
    let nothing = format!("{}/docs/nothing", service.url);
    problem(
        service.client.get(nothing).send().unwrap(),
        404,
        "not-found",
    );
    let start = get("/docs/swagger-initializer.js").text().unwrap();
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert!(
        start.contains("/api/openapi.json") && !start.contains("http"),
        "{start}"
    );
}
