//! Browsers that hold a key, and pages of other sites that try to use it.

use reqwest::blocking::RequestBuilder;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::service::{Service, TestApp, problem};

/// Returns the operations that change something, with values in their paths.
fn operations() -> Vec<(Method, String)> {
    let document = promoflow::api::document();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "get")
        {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let mut parts = path.split('/').map(|part| match part.starts_with('{') {
                true => "1",
                false => part,
            });
            let first = parts.next().unwrap().to_owned();
            found.push((
                method,
                parts.fold(first, |all, part| format!("{all}/{part}")),
            ));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Returns a request as a browser sends it after logging in with HTTP Basic.
fn by_browser(service: &Service, method: &Method, path: &str) -> RequestBuilder {
    let url = format!("{}{path}", service.url);
    let request = service.client.request(method.clone(), url);
    request.basic_auth("any", Some(&service.key))
}

#[test]
fn a_page_of_another_site_cannot_change_anything() {
    let app = TestApp::ready();
    let service = app.serve_with(&["--requests-per-second", "100000"]);
    let forms = [
        Some("application/x-www-form-urlencoded"),
        Some("text/plain"),
        Some("multipart/form-data; boundary=b"),
        Some("application/json"),
        None,
    ];
    let other = [
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "cross-site"),
        ],
    ];
    for (method, path) in operations() {
        if path.starts_with("/u/") {
            continue;
        }
        for (headers, form) in other.iter().flat_map(|one| forms.map(|form| (one, form))) {
            for body in ["", "{\"scopes\": [\"admin\"]}"] {
                let mut request = by_browser(&service, &method, &path).body(body);
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                if let Some(form) = form {
                    request = request.header("Content-Type", form);
                }
                problem(request.send().unwrap(), 403, "cross-site");
            }
        }
        // A browser that does not send the page's origin.
        for form in [
            "application/x-www-form-urlencoded",
            "text/plain",
            "TEXT/Plain; a=b",
        ] {
            for body in ["", "a=b"] {
                let request = by_browser(&service, &method, &path).body(body);
                let request = request.header("Content-Type", form);
                problem(request.send().unwrap(), 415, "unsupported-media-type");
            }
        }
        let untyped = by_browser(&service, &method, &path).body("{}");
        problem(untyped.send().unwrap(), 415, "unsupported-media-type");
    }
}

#[test]
fn the_service_s_own_page_and_other_clients_keep_working() {
    let app = TestApp::ready();
    let service = app.serve();
    let pause = "/api/v1/workflows/birthday/pause";
    let own = service.url.clone();
    for headers in [
        vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")],
        vec![("Origin", own.as_str())],
        vec![("Sec-Fetch-Site", "none")],
        // Behind a proxy that changes the host.
        vec![
            ("Origin", "https://shop.example"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
        vec![],
    ] {
        let mut request = by_browser(&service, &Method::POST, pause);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().unwrap().status(), 200);
    }
    // Reads change nothing, and other sites cannot see the answers.
    let request = by_browser(&service, &Method::GET, "/api/v1/runs");
    let answer = request
        .header("Origin", "https://evil.example")
        .header("Sec-Fetch-Site", "cross-site")
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let preflight = by_browser(&service, &Method::OPTIONS, pause)
        .send()
        .unwrap();
    assert!(!preflight.status().is_success());
}

#[test]
fn a_browser_is_not_asked_to_log_in() {
    let app = TestApp::ready();
    let service = app.serve();
    let asked = |headers: &[(&str, &str)]| {
        let url = format!("{}/api/v1/runs", service.url);
        let mut request = service.client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let asked = answer.headers()["www-authenticate"].to_str().unwrap();
        asked.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(asked(&[]), "Basic");
    assert_eq!(asked(&[("Accept", "application/json")]), "Basic");
    let page = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    assert_eq!(asked(&[("Accept", page)]), "Bearer");
    assert_eq!(
        asked(&[("Accept", "*/*"), ("Sec-Fetch-Site", "same-origin")]),
        "Bearer"
    );
}

#[test]
fn pages_load_nothing_from_other_sites_and_cannot_be_framed() {
    let app = TestApp::ready();
    let service = app.serve();
    for path in [
        "/docs/",
        "/docs/swagger-ui.css",
        "/u/unknown",
        "/api/openapi.json",
        "/api/v1/runs",
        "/healthz",
        "/nowhere",
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = by_browser(&service, &method, path).send().unwrap();
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            let policy = header("content-security-policy");
            for part in ["default-src ", "frame-ancestors 'none'", "base-uri 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("http"), "{policy}");
            assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(header("x-frame-options"), "DENY", "{path}");
            assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
            // The document is the same for every client and is revalidated each time.
            let is_document = path == "/api/openapi.json" && method == Method::GET;
            let kept = if is_document { "no-cache" } else { "no-store" };
            assert_eq!(header("cache-control"), kept, "{path}");
        }
    }
}

#[test]
fn rejects_an_empty_list_of_scopes_and_limits_metrics_keys_to_metrics() {
    let app = TestApp::ready();
    let mut service = app.serve();
    let ask = |body: Value| service.post_json("/api/v1/keys", &body).send().unwrap();
    let reply = problem(
        ask(serde_json::json!({ "scopes": [] })),
        400,
        "invalid-request",
    );
    assert_eq!(reply["field"], "scopes");
    problem(
        ask(serde_json::json!({ "scopes": null })),
        400,
        "invalid-request",
    );
    let reply = problem(
        ask(serde_json::json!({ "scopes": ["metrics", "everything"] })),
        400,
        "invalid-request",
    );
    assert!(
        reply["detail"].as_str().unwrap().contains("everything"),
        "{reply}"
    );
    for scopes in ["", ",", "metrics,", "everything"] {
        let mut command = app.command(&["key", "create", "--scopes", scopes]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{scopes:?}");
    }
    service.key = app.key("metrics");
    crate::service::until(|| service.get("/metrics").send().unwrap().status() != 401);
    assert_eq!(service.get("/metrics").send().unwrap().status(), 200);
    let document = promoflow::api::document();
    let paths = document["paths"].as_object().unwrap();
    for (path, _) in paths.iter().filter(|(_, item)| item.get("get").is_some()) {
        let open = ["/metrics", "/healthz", "/readyz"].contains(&path.as_str());
        if open || path.starts_with("/u/") {
            continue;
        }
        let path = path.replace(['{', '}'], "");
        problem(
            service.get(&path).send().unwrap(),
            403,
            "insufficient-scope",
        );
    }
}
