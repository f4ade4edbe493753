//! An installation that delivers through a provider.

use std::process::Output;

use serde_json::Value;

use crate::server::{Server, root};

/// An installation that delivers one kind of message through a provider.
pub(crate) struct TestApp {
    app: promoflow_test_support::TestApp,
    kind: &'static str,
    pub(crate) environment: Environment,
}

/// Environment variables.
pub(crate) type Environment = Vec<(&'static str, String)>;

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

impl TestApp {
    /// Creates an installation with a ready-made configuration.
    pub(crate) fn ready(
        server: &Server,
        example: &str,
        kind: &'static str,
        environment: Environment,
    ) -> TestApp {
        let path = root().join("examples/providers").join(example);
        let config = std::fs::read_to_string(path).unwrap();
        // Only its server is replaced.
        let local = format!("http://127.0.0.1:{}", server.port);
        let there = config.split("url = \"").nth(1).unwrap();
        let origin: Vec<&str> = there.splitn(4, '/').take(3).collect();
        TestApp::new(
            &config.replace(&origin.join("/"), &local),
            kind,
            environment,
        )
    }

    /// Creates an installation with the given configuration.
    pub(crate) fn new(config: &str, kind: &'static str, environment: Environment) -> TestApp {
        let app = TestApp {
            app: promoflow_test_support::TestApp::new(env!("CARGO_BIN_EXE_promoflow")),
            kind,
            environment,
        };
        app.file("promoflow.toml", config);
        let mut codes = "code,expirationDate,discount,type\n".to_owned();
        (1..=4).for_each(|n| codes.push_str(&format!("S-{n},2999-12-31,10,birthday\n")));
        app.file("codes.csv", &codes);
        app.file("workflow.yaml", &WORKFLOW.replace("KIND", kind));
        app.succeed(&["codes", "import", "codes.csv"]);
        app.message("");
        app.succeed(&["workflow", "apply", "workflow.yaml"]);
        app
    }

    /// Applies the message with additional keys.
    pub(crate) fn message(&self, more: &str) {
        let kind = self.kind;
        let text = "Код: $!data.get('promocode') & more";
        self.file(
            "message.yaml",
            &format!("{{ message: greeting, channel: {kind}, text: \"{text}\" {more} }}\n"),
        );
        self.succeed(&["message", "apply", "message.yaml"]);
    }

    fn file(&self, name: &str, content: &str) {
        self.app.file(name, content);
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = self.app.command(args);
        command.envs(self.environment.iter().cloned());
        command.output().unwrap()
    }

    fn succeed(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert!(output.status.success(), "{output:?}");
        output
    }

    /// Sends an event for that address and returns its delivery.
    pub(crate) fn send(&self, address: &str) -> Value {
        let address = format!("to={address}");
        let output = self.succeed(&[
            "event", "send", "--type", "birthday", "--key", "ann", "--param", &address,
        ]);
        for (_, secret) in &self.environment {
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains(secret), "{stderr}");
        }
        let listed = self.succeed(&["outbox", "list", "--json"]).stdout;
        let listed = String::from_utf8(listed).unwrap();
        let delivery = serde_json::from_str(listed.lines().last().unwrap());
        delivery.unwrap()
    }
}
