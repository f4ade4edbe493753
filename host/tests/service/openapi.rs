//! The document that describes the service, and its page.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use crate::service::Shop;

#[test]
fn the_document_is_as_reviewed() {
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
        "the document differs from {}; look at it, and write it anew with UPDATE_GOLDEN=1",
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
fn every_operation_has_a_name_and_every_reference_leads_somewhere() {
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
            assert!(names.insert(name), "{name} stands twice");
            assert!(operation["summary"].is_string(), "{name}");
        }
    }
    assert!(names.len() > 30, "{}", names.len());
}

#[test]
fn the_page_shows_it_without_any_other_site() {
    let shop = Shop::new();
    let service = shop.serve();
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
    let start = get("/docs/swagger-initializer.js").text().unwrap();
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert!(
        start.contains("/api/openapi.json") && !start.contains("http"),
        "{start}"
    );
}
