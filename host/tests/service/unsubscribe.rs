//! Unsubscribing with the one-click request that mail programs send.

use serde_json::json;

use crate::service::{Service, TestApp, ok, problem, until};

fn configured() -> (TestApp, Service) {
    let app = TestApp::ready();
    let secret = app.path("secret");
    std::fs::write(&secret, "a secret of more than sixteen bytes\n").unwrap();
    let config = format!(
        "[unsubscribe]\nurl = \"https://shop.example/u/{{token}}\"\nsecret = {{ file = {secret:?} }}\n"
    );
    std::fs::write(app.path("promoflow.toml"), config).unwrap();
    let service = app.serve();
    service.codes(2);
    let event = json!({ "eventTypeKey": "birthday", "keyValue": "ann@example.com",
                        "params": { "EmailAddress": "ann@example.com" } });
    ok(service.post_json("/api/v1/event", &event).send().unwrap());
    until(|| {
        let delivered = service.at("/api/v1/outbox?state=delivered");
        delivered.as_array().unwrap().len() == 1
    });
    (app, service)
}

/// Returns the headers of the only email, one per line.
fn head(app: &TestApp) -> String {
    let mut messages = std::fs::read_dir(app.maildir().join("new")).unwrap();
    let message = std::fs::read_to_string(messages.next().unwrap().unwrap().path()).unwrap();
    let (head, _) = message.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ")
}

fn header(head: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let mut lines = head.lines();
    let found = lines.find_map(|line| line.strip_prefix(&start));
    found
        .unwrap_or_else(|| panic!("no {name} in {head}"))
        .to_owned()
}

#[test]
fn an_email_has_a_one_click_unsubscribe_header() {
    let (app, service) = configured();
    let head = head(&app);
    let list = header(&head, "List-Unsubscribe");
    assert_eq!(
        header(&head, "List-Unsubscribe-Post"),
        "List-Unsubscribe=One-Click"
    );
    let token = list
        .strip_prefix("<https://shop.example/u/")
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap();
    assert!(!list.contains("ann"), "it contains the address: {list}");

    let client = crate::service::client(None);
    let url = |token: &str| format!("{}/u/{token}", service.url);
    // Link scanners follow the address with GET, which changes nothing.
    let page = client.get(url(token)).send().unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().unwrap().contains("method=\"post\""));
    let nobody = service.get("/api/v1/contacts/ann@example.com").send();
    let refuses = |body: &serde_json::Value| body["consent"]["email"] == json!(false);
    let body: serde_json::Value = nobody.unwrap().json().unwrap();
    assert!(!refuses(&body), "{body}");

    for _ in 0..2 {
        let request = client.post(url(token));
        let request = request.body("List-Unsubscribe=One-Click");
        assert_eq!(request.send().unwrap().status(), 200);
        let ann = service.at("/api/v1/contacts/ann@example.com");
        assert!(refuses(&ann), "{ann}");
    }
    app.assert_audit();
}

const PRINTS: &str = "
message: mail
channel: email
subject: A code
text: \"$!data.get('promocode'), no more: %UNSUBSCRIBE%\"
html: '<a href=\"%UNSUBSCRIBE%\">No more</a>'
";

/// Returns the decoded text and HTML of the only email.
fn body(app: &TestApp) -> String {
    let mut messages = std::fs::read_dir(app.maildir().join("new")).unwrap();
    let message = std::fs::read_to_string(messages.next().unwrap().unwrap().path()).unwrap();
    let (_, body) = message.split_once("\r\n\r\n").unwrap();
    body.replace("=\r\n", "").replace("=3D", "=")
}

#[test]
fn a_message_can_print_its_unsubscribe_address() {
    let app = TestApp::ready();
    std::fs::write(app.path("prints.yaml"), PRINTS).unwrap();
    let prints = app.path("prints.yaml");
    let apply = ["message", "apply", prints.to_str().unwrap()];
    let stderr = app.command(&apply).output().unwrap().stderr;
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(
        stderr.contains(
            "5:42: warning: the message prints %UNSUBSCRIBE%, but the configuration has no [unsub"
        ),
        "{stderr}"
    );
    // Without the configuration the delivery fails with an error.
    let codes = app.path("codes.csv");
    std::fs::write(&codes, "code,discount,type\nC-1,10,birthday\n").unwrap();
    app.succeed(&["codes", "import", codes.to_str().unwrap()]);
    let event = [
        "event",
        "send",
        "--type",
        "birthday",
        "--key",
        "ann@example.com",
    ];
    let to = ["--param", "EmailAddress=ann@example.com"];
    let would = app.succeed(&[&event[..], &to, &["--test"]].concat());
    let would = serde_json::to_string(&would).unwrap();
    assert!(would.contains("no more: %UNSUBSCRIBE%"), "{would}");
    app.succeed(&[&event[..], &to].concat());
    let held = &app.succeed(&["outbox", "show", "1"])[0];
    assert_eq!(held["state"], "pending");
    // No attempt was made, so its code was released.
    assert_eq!(held["attempts"], 0);
    let error = held["error"].as_str().unwrap();
    assert!(error.contains("has no [unsubscribe]"), "{error}");
    assert!(!app.maildir().exists());

    let secret = app.path("secret");
    std::fs::write(&secret, "a secret of more than sixteen bytes\n").unwrap();
    let config = format!(
        "[unsubscribe]\nurl = \"https://shop.example/?a=1&u={{token}}\"\nsecret = {{ file = {secret:?} }}\n"
    );
    std::fs::write(app.path("promoflow.toml"), config).unwrap();
    let stderr = app.command(&apply).output().unwrap().stderr;
    assert_eq!(String::from_utf8(stderr).unwrap(), "");
    app.succeed(&["outbox", "retry", "1"]);
    app.succeed(&["work", "--until-idle"]);
    let head = head(&app);
    let list = header(&head, "List-Unsubscribe");
    let url = list.trim_matches(['<', '>']);
    let body = body(&app);
    assert!(
        body.contains(&format!("no more: {url}\r\n")),
        "{url} {body}"
    );
    let href = url.replace('&', "&amp;");
    assert!(body.contains(&format!("<a href=\"{href}\">")), "{body}");
    // The outbox does not show the link.
    let shown = &app.succeed(&["outbox", "show", "1"])[0];
    assert_eq!(shown["text"], "C-1, no more: %UNSUBSCRIBE%");
    assert_eq!(shown["state"], "delivered");
    let service = app.serve();
    assert_eq!(service.at("/api/v1/outbox/1")["text"], shown["text"]);
    let token = url.rsplit('=').next().unwrap();
    let unsubscribe = service.client.post(format!("{}/u/{token}", service.url));
    assert_eq!(unsubscribe.send().unwrap().status(), 200);
    let ann = service.at("/api/v1/contacts/ann@example.com");
    assert_eq!(ann["consent"]["email"], json!(false));
}

#[test]
fn app_tokens_can_unsubscribe_too() {
    let (app, service) = configured();
    let yaml = |path: &str, text: &'static str| {
        let request = service
            .post(path)
            .header("Content-Type", "application/yaml");
        ok(request.body(text).send().unwrap())
    };
    yaml(
        "/api/v1/messages",
        "{ message: push, channel: mobile-push, text: \"%UNSUBSCRIBE%\" }",
    );
    yaml(
        "/api/v1/workflows",
        "{ workflow: push, start: { event: push }, steps: [{ id: push, block: send-message, with: \
         { channel: mobile-push, message: push } }] }",
    );
    let event = json!({ "eventTypeKey": "push", "params": { "PushToken": "t-1" } });
    ok(service.post_json("/api/v1/event", &event).send().unwrap());
    let message = || {
        let messages = std::fs::read_dir(app.maildir().join("new")).unwrap();
        let mut messages = messages.map(|message| message.unwrap().path());
        messages.find(|message| message.to_string_lossy().contains("-delivery-2-"))
    };
    until(|| message().is_some());
    let message = std::fs::read_to_string(message().unwrap()).unwrap();
    let (_, url) = message.split_once("\r\n\r\nhttps://shop.example").unwrap();
    let unsubscribe = service
        .client
        .post(format!("{}{}", service.url, url.trim()));
    assert_eq!(unsubscribe.send().unwrap().status(), 200);
    let found = service.at("/api/v1/contacts/t-1");
    assert_eq!(found["consent"]["mobile-push"], json!(false));
    assert_eq!(found["consent"]["email"], json!(null));
}

#[test]
fn foreign_tokens_unsubscribe_no_contact() {
    let (app, service) = configured();
    let client = crate::service::client(None);
    for token in ["1.AAAAAAAAAAAAAAAAAAAAAA", "1.", "1", "x"] {
        let url = format!("{}/u/{token}", service.url);
        problem(client.post(&url).send().unwrap(), 404, "not-found");
        problem(client.get(&url).send().unwrap(), 404, "not-found");
    }
    app.assert_audit();
}
