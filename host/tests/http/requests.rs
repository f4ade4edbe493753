//! Requests made from messages.

use std::process::Command;

use promoflow::channel::DeliveryOutcome;
use serde_json::json;

use crate::server::{Server, deliver};
use crate::test_app::TestApp;

const NASTY: &str = "\"},\"admin\":true,{\"a\":\"\\\r\nX-Evil: 1 ціна & co=1%00 $address #if(1)";

#[test]
fn values_are_escaped_in_json_forms_and_urls() {
    let mut server = Server::start();
    let json_channel = server.channel(
        r#"
        [[channel]]
        type = "http"
        takes = ["telegram"]
        url = "{url}/v1/$address/send?text=$text&from=shop"
        [channel.json]
        to = ["$address"]
        body = { text = "Hi! $text", image = "$html", parts = { title = "$subject" } }
        price = 1.5
        silent = true
        off = "$unsubscribe"
        empty = ""
        "#,
    );
    assert_eq!(
        deliver(&json_channel, 1, "a/b?c#d", NASTY),
        DeliveryOutcome::Delivered
    );
    let request = server.request();
    assert_eq!(
        request.json(),
        json!({
            "to": ["a/b?c#d"],
            "body": { "text": format!("Hi! {NASTY}") },
            "price": 1.5,
            "silent": true,
            "off": "https://shop.example/u/1.x",
            "empty": "",
        })
    );
    // In the configuration's order.
    assert!(request.body().starts_with("{\"to\":"), "{}", request.body());
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-evil"), None);
    let (path, query) = request.path().split_once('?').unwrap();
    assert_eq!(path, "/v1/a%2Fb%3Fc%23d/send");
    let escaped = "%22%7D%2C%22admin%22%3Atrue%2C%7B%22a%22%3A%22%5C%0D%0AX-Evil%3A%201%20\
                   %D1%86%D1%96%D0%BD%D0%B0%20%26%20co%3D1%2500%20%24address%20%23if%281%29";
    assert_eq!(query, format!("text={escaped}&from=shop"));

    let form_channel = server.channel(
        r#"
        [[channel]]
        type = "http"
        takes = ["telegram"]
        url = "{url}/form"
        username = "shop:$channel"
        password = { file = "PASSWORD" }
        form = { To = "$address", Body = "$text", Media = ["$html", "a&b"], Empty = "" }
        "#
        .replace("PASSWORD", &secret("p w\n"))
        .as_str(),
    );
    assert_eq!(
        deliver(&form_channel, 2, "+380 50", NASTY),
        DeliveryOutcome::Delivered
    );
    let request = server.request();
    let fields: Vec<(String, String)> = serde_json::from_value(parsed(request.body())).unwrap();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        fields,
        [
            field("To", "+380 50"),
            field("Body", NASTY),
            field("Media", "a&b"),
            field("Empty", ""),
        ]
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    // shop:telegram:p w
    assert_eq!(
        request.header("authorization"),
        Some("Basic c2hvcDp0ZWxlZ3JhbTpwIHc=")
    );
}

/// Returns a form as Python parses it.
fn parsed(form: &str) -> serde_json::Value {
    let read = "import json, sys, urllib.parse\n\
                print(json.dumps(urllib.parse.parse_qsl(sys.argv[1], keep_blank_values=True)))";
    let output = Command::new("python3")
        .args(["-c", read, form])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the path of a file with a secret.
fn secret(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let (_, path) = file.keep().unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn rejects_values_that_change_the_url_or_add_headers() {
    let mut server = Server::start();
    let channel = server.channel(
        r#"
        [[channel]]
        type = "http"
        takes = ["telegram"]
        url = "{url}/v1/$address/send"
        headers = { X-To = "$address", X-Text = "$text" }
        "#,
    );
    for address in ["..", "."] {
        let refused = deliver(&channel, 1, address, "A-1");
        assert!(
            matches!(refused, DeliveryOutcome::PermanentFailure { .. }),
            "{address}: {refused:?}"
        );
    }
    let header = deliver(&channel, 1, "ann", "A-1\r\nX-Evil: 1");
    let DeliveryOutcome::PermanentFailure { error } = header else {
        panic!("{header:?}")
    };
    assert_eq!(
        error,
        "the values of this message give an invalid header x-text"
    );
    // Nothing of that was sent.
    assert_eq!(deliver(&channel, 2, "...", ""), DeliveryOutcome::Delivered);
    let request = server.request();
    assert_eq!(request.path(), "/v1/.../send");
    assert_eq!(request.header("x-to"), Some("..."));
    assert_eq!(request.header("x-text"), None);
}

#[test]
fn p2_every_attempt_has_the_delivery_s_identity() {
    let mut server = Server::start();
    let config = r#"
        [[channel]]
        type = "http"
        takes = ["telegram"]
        url = "{url}/send/$address"
        json = { reference = "$delivery" }
        "#;
    let first = server.channel(config);
    assert!(matches!(
        deliver(&first, 7, "down", "A"),
        DeliveryOutcome::RetryableFailure { .. }
    ));
    // Also after a restart.
    let second = server.channel(&config.replace("json", "idempotency-header = \"X-Once\"\njson"));
    assert!(matches!(
        deliver(&second, 7, "never", "A"),
        DeliveryOutcome::PermanentFailure { .. }
    ));
    assert_eq!(deliver(&first, 8, "ann", "A"), DeliveryOutcome::Delivered);
    let expected = Some("0123456789abcdef-delivery-7");
    let request = server.request();
    assert_eq!(request.header("idempotency-key"), expected);
    assert_eq!(request.json()["reference"].as_str(), expected);
    let request = server.request();
    assert_eq!(request.header("x-once"), expected);
    assert_eq!(request.header("idempotency-key"), None);
    let request = server.request();
    assert_eq!(
        request.header("idempotency-key"),
        Some("0123456789abcdef-delivery-8")
    );
}

#[test]
fn requests_are_signed_with_every_secret_as_in_standard_webhooks() {
    let mut server = Server::start();
    let config = r#"
        [[channel]]
        type = "http"
        takes = ["telegram"]
        url = "{url}/hook"
        signing-secrets = SECRETS
        json = { text = "$text" }
        "#;
    // 24 and 64 bytes, the shortest and the longest secret.
    let new = secret(&format!("whsec_{}\n", "bm5u".repeat(8)));
    let old = secret(&format!("whsec_{}bw==", "b29v".repeat(21)));
    for (secrets, verified_by) in [
        (vec![&new], json!(["new"])),
        (vec![&new, &old], json!(["new", "old"])),
    ] {
        let secrets = secrets
            .iter()
            .map(|path| format!("{{ file = \"{path}\" }}"));
        let secrets = format!("[{}]", secrets.collect::<Vec<_>>().join(", "));
        let channel = server.channel(&config.replace("SECRETS", &secrets));
        assert_eq!(
            deliver(&channel, 1, "ann", "код A-1"),
            DeliveryOutcome::Delivered
        );
        let request = server.request();
        assert_eq!(request.0["verifiedBy"], verified_by, "{}", request.0);
        assert_eq!(
            request.header("webhook-id"),
            request.header("idempotency-key")
        );
    }
}

#[test]
fn a_provider_is_trusted_only_by_the_configured_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
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
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl failed to create the certificate");
    assert!(made.status.success(), "{made:?}");
    let mut server = Server::with(&[&certificate, &key]);
    let url = format!("https://127.0.0.1:{}/messages", server.port);
    let config = format!(
        "[[channel]]\ntype = \"http\"\ntakes = [\"sms\"]\nurl = \"{url}\"\njson = {{ text = \"$text\" }}\n"
    );
    let mut app = TestApp::new(&config, "sms", Vec::new());
    let delivery = app.send("+380501234567");
    assert_eq!(delivery["state"], "pending");
    let error = delivery["error"].as_str().unwrap();
    assert!(error.contains("certificate"), "{error}");
    let certificate = certificate.to_str().unwrap().to_owned();
    app.environment = vec![("SSL_CERT_FILE", certificate)];
    assert_eq!(app.send("+380501234567")["state"], "delivered");
    assert_eq!(server.request().json()["text"], "Код: S-2 & more");
}
