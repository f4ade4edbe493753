//! The ready configurations, against a provider that insists on the documented shape.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, root};

/// A shop whose letters of one kind go through a ready configuration.
struct Shop {
    folder: TempDir,
    kind: &'static str,
    secrets: Vec<(&'static str, &'static str)>,
}

const WORKFLOW: &str = "
workflow: birthday
start: { event: birthday }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: send
    block: send-message
    with: { channel: KIND, message: greeting, to: $!data.get('to') }
";

impl Shop {
    fn new(
        server: &Server,
        example: &str,
        kind: &'static str,
        secrets: &[(&'static str, &'static str)],
    ) -> Shop {
        let shop = Shop {
            folder: tempfile::tempdir().unwrap(),
            kind,
            secrets: secrets.to_vec(),
        };
        let path = root().join("examples/providers").join(example);
        let config = std::fs::read_to_string(path).unwrap();
        // Its server, and nothing else of it.
        let local = format!("http://127.0.0.1:{}", server.port);
        let there = config.split("url = \"").nth(1).unwrap();
        let origin: Vec<&str> = there.splitn(4, '/').take(3).collect();
        shop.file("promoflow.toml", &config.replace(&origin.join("/"), &local));
        shop.file("codes.csv", "code,expirationDate,discount,type\nS-1,2999-12-31,10,birthday\nS-2,2999-12-31,10,birthday\nS-3,2999-12-31,10,birthday\nS-4,2999-12-31,10,birthday\n");
        shop.file("workflow.yaml", &WORKFLOW.replace("KIND", kind));
        shop.done(&["codes", "import", "codes.csv"]);
        shop.message("");
        shop.done(&["workflow", "apply", "workflow.yaml"]);
        shop
    }

    /// Applies the message, with further keys.
    fn message(&self, more: &str) {
        let kind = self.kind;
        let text = "Код: $!data.get('promocode') & more";
        self.file(
            "message.yaml",
            &format!("{{ message: greeting, channel: {kind}, text: \"{text}\" {more} }}\n"),
        );
        self.done(&["message", "apply", "message.yaml"]);
    }

    fn file(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promoflow"));
        command.args(args).current_dir(self.folder.path());
        command.envs(self.secrets.iter().copied());
        for name in [
            "PROMOFLOW_DB",
            "PROMOFLOW_BLOCKS",
            "PROMOFLOW_CACHE",
            "PROMOFLOW_CONFIG",
        ] {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    fn done(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert!(output.status.success(), "{output:?}");
        output
    }

    /// Sends an event for that address, and returns the delivery that comes of it.
    fn send(&self, address: &str) -> Value {
        let address = format!("to={address}");
        let output = self.done(&[
            "event", "send", "--type", "birthday", "--key", "ann", "--param", &address,
        ]);
        for (_, secret) in &self.secrets {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!told.contains(secret), "{told}");
        }
        let listed = self.done(&["outbox", "list", "--json"]).stdout;
        let listed = String::from_utf8(listed).unwrap();
        let delivery = serde_json::from_str(listed.lines().last().unwrap());
        delivery.unwrap()
    }
}

#[test]
fn telegram() {
    let mut server = Server::start();
    let secrets = [("TELEGRAM_TOKEN", "123456:ABC-DEF")];
    let shop = Shop::new(&server, "telegram.toml", "telegram", &secrets);
    assert_eq!(shop.send("42")["state"], "delivered");
    let request = server.request();
    assert_eq!(request.path(), "/bot123456%3AABC-DEF/sendMessage");
    let expected = json!({ "chat_id": "42", "text": "Код: S-1 & more" });
    assert_eq!(request.json(), expected);
    shop.message(", image: 'https://a.example/b.png', button: Shop, link: 'https://a.example/'");
    assert_eq!(shop.send("42")["state"], "delivered");
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
    let blocked = shop.send("blocked");
    assert_eq!(blocked["state"], "failed");
    assert_eq!(blocked["error"], "the provider answered 403");
    let flood = shop.send("flood");
    assert_eq!(flood["state"], "pending");
    assert_eq!(flood["error"], "the provider answered 429");

    let wrong = Shop::new(
        &server,
        "telegram.toml",
        "telegram",
        &[("TELEGRAM_TOKEN", "1:A")],
    );
    let delivery = wrong.send("42");
    assert_eq!(delivery["state"], "pending", "{delivery}");
    assert_eq!(delivery["error"], "the provider answered 401");
    let none = Shop {
        secrets: Vec::new(),
        ..wrong
    };
    let output = none.run(&["work", "--until-idle"]);
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
    let shop = Shop::new(&server, "twilio.toml", "sms", &secrets);
    assert_eq!(shop.send("+15558675310")["state"], "delivered");
    let request = server.request();
    assert_eq!(
        request.body(),
        "To=%2B15558675310&From=%2B15017122661&Body=%D0%9A%D0%BE%D0%B4%3A+S-1+%26+more"
    );
    let unsubscribed = shop.send("+15005550004");
    assert_eq!(unsubscribed["state"], "failed");
    assert_eq!(unsubscribed["error"], "the provider answered 400");
    assert_eq!(shop.send("0501234567")["state"], "failed");
}

#[test]
fn turbosms() {
    let mut server = Server::start();
    let secrets = [("TURBOSMS_TOKEN", "turbo")];
    for (kind, other) in [("sms", "viber"), ("viber", "sms")] {
        let shop = Shop::new(&server, "turbosms.toml", kind, &secrets);
        assert_eq!(shop.send("+380501234567")["state"], "delivered");
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
        let stopped = shop.send("+380500000404");
        assert_eq!(stopped["state"], "failed", "{stopped}");
        let broken = shop.send("+380500000000");
        assert_eq!(broken["state"], "pending", "{broken}");
        assert_eq!(
            broken["error"],
            "the provider answered 200, /response_code 999"
        );
        server.request();
        server.request();
    }
}
