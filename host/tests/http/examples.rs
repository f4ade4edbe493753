//! The ready-made configurations, with a provider that insists on the documented format.

use serde_json::json;

use crate::server::Server;
use crate::test_app::{Environment, TestApp};

fn environment(values: &[(&'static str, &str)]) -> Environment {
    let values = values.iter();
    values
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

#[test]
fn telegram() {
    let mut server = Server::start();
    let secrets = [("TELEGRAM_TOKEN", "123456:ABC-DEF")];
    let app = TestApp::ready(&server, "telegram.toml", "telegram", environment(&secrets));
    assert_eq!(app.send("42")["state"], "delivered");
    let request = server.request();
    assert_eq!(request.path(), "/bot123456%3AABC-DEF/sendMessage");
    let expected = json!({ "chat_id": "42", "text": "Код: S-1 & more" });
    assert_eq!(request.json(), expected);
    app.message(", image: 'https://a.example/b.png', button: Shop, link: 'https://a.example/'");
    assert_eq!(app.send("42")["state"], "delivered");
    let request = server.request();
    assert_eq!(request.path(), "/bot123456%3AABC-DEF/sendPhoto");
    assert_eq!(
        request.json(),
        json!({
            "chat_id": "42",
            "photo": "https://a.example/b.png",
            "caption": "Код: S-2 & more",
            "reply_markup": { "inline_keyboard": [[{ "text": "Shop", "url": "https://a.example/" }]] },
        })
    );
    let blocked = app.send("blocked");
    assert_eq!(blocked["state"], "failed");
    assert_eq!(blocked["error"], "the provider answered 403");
    let flood = app.send("flood");
    assert_eq!(flood["state"], "pending");
    assert_eq!(flood["error"], "the provider answered 429");

    let mut wrong = TestApp::ready(
        &server,
        "telegram.toml",
        "telegram",
        environment(&[("TELEGRAM_TOKEN", "1:A")]),
    );
    let delivery = wrong.send("42");
    assert_eq!(delivery["state"], "pending", "{delivery}");
    assert_eq!(delivery["error"], "the provider answered 401");
    wrong.environment.clear();
    let output = wrong.run(&["work", "--until-idle"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("TELEGRAM_TOKEN"));
}

#[test]
fn twilio() {
    let mut server = Server::start();
    let secrets = [
        ("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000"),
        ("TWILIO_AUTH_TOKEN", "token"),
        ("TWILIO_SENDER", "+15017122661"),
    ];
    let app = TestApp::ready(&server, "twilio.toml", "sms", environment(&secrets));
    assert_eq!(app.send("+15558675310")["state"], "delivered");
    let request = server.request();
    assert_eq!(
        request.body(),
        "To=%2B15558675310&From=%2B15017122661&Body=%D0%9A%D0%BE%D0%B4%3A+S-1+%26+more"
    );
    let unsubscribed = app.send("+15005550004");
    assert_eq!(unsubscribed["state"], "failed");
    assert_eq!(unsubscribed["error"], "the provider answered 400");
    assert_eq!(app.send("0501234567")["state"], "failed");
}

#[test]
fn turbosms() {
    let mut server = Server::start();
    let secrets = [("TURBOSMS_TOKEN", "turbo")];
    for (kind, other) in [("sms", "viber"), ("viber", "sms")] {
        let app = TestApp::ready(&server, "turbosms.toml", kind, environment(&secrets));
        assert_eq!(app.send("+380501234567")["state"], "delivered");
        let request = server.request();
        let body = request.json();
        assert_eq!(body["recipients"], json!(["380501234567"]));
        let expected = json!({ "sender": "Shop", "text": "Код: S-1 & more" });
        assert_eq!(body[kind], expected);
        assert_eq!(body.get(other), None);
        assert_eq!(
            body["sequence_id"].as_str(),
            request.header("idempotency-key")
        );
        let stopped = app.send("+380500000404");
        assert_eq!(stopped["state"], "failed", "{stopped}");
        let broken = app.send("+380500000000");
        assert_eq!(broken["state"], "pending", "{broken}");
        assert_eq!(
            broken["error"],
            "the provider answered 200, /response_code 999"
        );
        server.request();
        server.request();
    }
}

/// A provider under maintenance shows a page, with a status that its answers also have.
#[test]
fn a_page_instead_of_an_answer_is_no_permanent_failure() {
    let server = Server::start();
    for (example, kind, secret) in [
        ("telegram.toml", "telegram", "TELEGRAM_TOKEN"),
        ("turbosms.toml", "sms", "TURBOSMS_TOKEN"),
        ("turbosms.toml", "viber", "TURBOSMS_TOKEN"),
    ] {
        let app = TestApp::ready(&server, example, kind, environment(&[(secret, "page")]));
        let delivery = app.send("380501234567");
        assert_eq!(delivery["state"], "pending", "{delivery}");
        assert_eq!(
            delivery["error"],
            "the provider answered 200, but the response body is not JSON"
        );
    }
}
