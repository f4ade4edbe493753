//! The contact directory.

use serde_json::json;

use crate::service::{TestApp, ok, problem};

#[test]
fn contacts_are_created_changed_listed_and_shown() {
    let app = TestApp::new();
    let service = app.serve();
    let rows = json!([
        { "contact": "A-1", "email": "ann@example.com", "firstName": "Ann" },
        { "externalId": "8", "phone": "+380501234567" },
        { "phone": "call me" },
    ]);
    let made = ok(service.post_json("/api/v1/contacts", &rows).send().unwrap());
    assert_eq!(
        (&made["inserted"], &made["rejected"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(made["errors"][0]["field"], "phone");
    let csv = "externalId,languages\n8,uk\n";
    let changed = service
        .post("/api/v1/contacts")
        .header("Content-Type", "text/csv")
        .body(csv);
    assert_eq!(ok(changed.send().unwrap())["updated"], 1);

    let ann = service.at("/api/v1/contacts/ann@example.com");
    assert_eq!(
        (&ann["contact"], &ann["fields"]["firstName"]),
        (&json!("A-1"), &json!("Ann"))
    );
    let page = service.get("/api/v1/contacts?limit=1").send().unwrap();
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(link, "</api/v1/contacts?limit=1&after=A-1>; rel=\"next\"");
    let rest = service.at("/api/v1/contacts?limit=1&after=A-1");
    assert_eq!(rest[0]["languages"], json!(["uk"]));

    let nameless = service.get("/api/v1/contacts/dan").send().unwrap();
    problem(nameless, 404, "not-found");
    let strict = service.post_json("/api/v1/contacts?strict=true", &rows);
    let refused = problem(strict.send().unwrap(), 422, "invalid-content");
    assert_eq!(refused["errors"][0]["field"], "phone");
}

#[test]
fn consent_is_set_per_channel_and_needs_the_scope() {
    let app = TestApp::new();
    let (reader, all) = (app.key("read"), app.key("contacts"));
    let service = app.serve();
    let rows = json!([{ "contact": "A-1", "email": "ann@example.com" }]);
    ok(service.post_json("/api/v1/contacts", &rows).send().unwrap());
    let off = "/api/v1/contacts/A-1/unsubscribe";
    let reply = service.post_json(off, &json!({ "channels": ["email", "sms"] }));
    let consent = &ok(reply.send().unwrap())["consent"];
    assert_eq!(consent, &json!({ "email": false, "sms": false }));
    let on = service.post_json(
        "/api/v1/contacts/A-1/subscribe",
        &json!({ "channels": ["sms"] }),
    );
    assert_eq!(ok(on.send().unwrap())["consent"]["sms"], true);
    let wrong = service.post_json(off, &json!({ "channels": ["fax"] }));
    problem(wrong.send().unwrap(), 400, "invalid-request");
    let none = service.post_json(off, &json!({ "channels": [] }));
    problem(none.send().unwrap(), 400, "invalid-request");

    let looked = service
        .client
        .get(format!("{}/api/v1/contacts", service.url));
    assert_eq!(looked.bearer_auth(&reader).send().unwrap().status(), 200);
    let changed = service.client.post(format!("{}{off}", service.url));
    let changed = changed.bearer_auth(&reader).json(&json!({}));
    problem(changed.send().unwrap(), 403, "insufficient-scope");
    let changed = service.client.post(format!("{}{off}", service.url));
    let changed = ok(changed.bearer_auth(&all).json(&json!({})).send().unwrap());
    assert_eq!(changed["consent"]["telegram"], false);
}
