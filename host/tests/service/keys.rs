//! API keys and scopes.

use serde_json::json;

use crate::service::{TestApp, ok, problem, until};

#[test]
fn only_health_is_available_without_a_key() {
    let app = TestApp::ready();
    let mut service = app.serve();
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/docs/", 200)] {
        let answer = service
            .client
            .get(format!("{}{path}", service.url))
            .send()
            .unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    let bare = service
        .client
        .get(format!("{}/api/v1/runs", service.url))
        .send()
        .unwrap();
    assert!(
        bare.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Basic")
    );
    problem(bare, 401, "unauthenticated");
    // A key that differs in its last character.
    let key = service.key.clone();
    let last = if key.ends_with('A') { "B" } else { "A" };
    service.key = format!("{}{last}", &key[..key.len() - 1]);
    problem(
        service.get("/api/v1/runs").send().unwrap(),
        401,
        "unauthenticated",
    );
    service.key = key;
    // The only key was revoked.
    app.succeed(&["key", "revoke", &service.key]);
    until(|| service.get("/api/v1/runs").send().unwrap().status() == 401);
    let reply = problem(
        service.get("/api/v1/runs").send().unwrap(),
        401,
        "unauthenticated",
    );
    assert!(
        reply["detail"]
            .as_str()
            .unwrap()
            .contains("promoflow key create")
    );
}

#[test]
fn a_scope_allows_what_it_names() {
    let app = TestApp::ready();
    let mut service = app.serve();
    let event = json!({ "eventTypeKey": "e", "keyValue": "ann" });
    let codes = json!([{ "code": "A1" }]);
    for (scope, reads, uploads, sends, pauses, keys) in [
        ("read", 200, 403, 403, 403, 403),
        ("codes", 403, 200, 403, 403, 403),
        ("events", 403, 403, 200, 403, 403),
        ("workflows", 200, 403, 403, 200, 403),
        ("admin", 200, 200, 200, 200, 200),
    ] {
        service.key = app.key(scope);
        until(|| service.get("/api/v1/runs").send().unwrap().status() != 401);
        let status = |request: reqwest::blocking::RequestBuilder| request.send().unwrap().status();
        assert_eq!(status(service.get("/api/v1/runs")), reads, "{scope}");
        assert_eq!(
            status(service.post_json("/api/v1/promocodes", &codes)),
            uploads,
            "{scope}"
        );
        assert_eq!(
            status(service.post_json("/api/v1/event", &event)),
            sends,
            "{scope}"
        );
        let pause = service.post("/api/v1/workflows/birthday/pause");
        assert_eq!(status(pause), pauses, "{scope}");
        assert_eq!(status(service.get("/api/v1/keys")), keys, "{scope}");
    }
    service.key = app.key("read");
    until(|| service.get("/api/v1/runs").send().unwrap().status() != 401);
    let reply = problem(
        service.get("/api/v1/keys").send().unwrap(),
        403,
        "insufficient-scope",
    );
    assert!(reply["detail"].as_str().unwrap().contains("`admin`"));
}

#[test]
fn a_key_is_shown_once_and_revoked_immediately() {
    let app = TestApp::with_file();
    let service = app.serve();
    let asked = json!({ "scopes": ["events", "read"] });
    let made = service.post_json("/api/v1/keys", &asked).send().unwrap();
    assert_eq!(made.status(), 201);
    let made = ok(made);
    let secret = made["secret"].as_str().unwrap();
    let get = |key: &str| {
        let request = service.client.get(format!("{}/api/v1/runs", service.url));
        request.bearer_auth(key).send().unwrap().status()
    };
    assert_eq!(get(secret), 200);
    let listed = service.at("/api/v1/keys").to_string();
    assert!(!listed.contains(secret) && listed.contains(made["key"].as_str().unwrap()));
    let url = format!(
        "{}/api/v1/keys/{}",
        service.url,
        made["key"].as_str().unwrap()
    );
    let revoked = service
        .client
        .delete(url)
        .bearer_auth(&service.key)
        .send()
        .unwrap();
    assert_eq!(revoked.status(), 204);
    assert_eq!(get(secret), 401);
    // The database contains no secret.
    let database = std::fs::read(app.path("promoflow.db")).unwrap();
    let log = std::fs::read(app.path("promoflow.db-wal")).unwrap();
    for bytes in [database, log] {
        let tail = secret.rsplit('_').next().unwrap().as_bytes();
        assert!(!bytes.windows(tail.len()).any(|window| window == tail));
    }
    let invalid = json!({ "scopes": ["everything"] });
    problem(
        service.post_json("/api/v1/keys", &invalid).send().unwrap(),
        400,
        "invalid-request",
    );
}
