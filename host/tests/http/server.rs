//! The provider, and channels and messages for it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use promoflow::channel::{Channel, DeliveryOutcome, Http, OutboundMessage};
use promoflow::clock::SystemClock;
use promoflow::config::{Config, Transport};
use promoflow::message::{ChannelKind, RenderedMessage};
use serde_json::Value;

pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(&[])
    }

    /// Starts a server with a certificate and its key.
    pub(crate) fn with(tls: &[&Path]) -> Server {
        let release = Path::new(env!("CARGO_BIN_EXE_promoflow")).parent().unwrap();
        let python = release.join("../test-tools/bin/python");
        assert!(
            python.exists(),
            "`cargo xtask test` installs the server of this test"
        );
        let mut child = Command::new(python)
            .arg(root().join("tests/tools/http_provider.py"))
            .args(tls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        stdout.read_line(&mut port).unwrap();
        let port = port.trim().parse().unwrap();
        Server {
            child,
            stdout,
            port,
        }
    }

    /// Returns the next request that the server received.
    pub(crate) fn request(&mut self) -> Request {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        Request(serde_json::from_str(&line).unwrap())
    }

    /// Returns a channel with the configuration, in which `{url}` is this server.
    pub(crate) fn channel(&self, config: &str) -> Http {
        let here = format!("http://127.0.0.1:{}", self.port);
        let config = Config::parse("p.toml", &config.replace("{url}", &here)).unwrap();
        let Transport::Http(http) = &config.channels[0].transport else {
            panic!("{config:?}")
        };
        Http::new(http, Arc::new(SystemClock)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

pub(crate) struct Request(pub(crate) Value);

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.0["path"].as_str().unwrap()
    }

    pub(crate) fn body(&self) -> &str {
        self.0["body"].as_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap()
    }

    /// Returns the value of a header that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.0["headers"].as_array().unwrap().iter();
        let mut named = all.filter(|header| header[0] == name);
        let value = named.next().map(|header| header[1].as_str().unwrap());
        assert!(named.next().is_none(), "{name} occurs twice: {}", self.0);
        value
    }
}

/// Delivers a message with a text and a promo code.
pub(crate) fn deliver(channel: &Http, number: u32, address: &str, text: &str) -> DeliveryOutcome {
    let content = RenderedMessage {
        text: Some(text.to_owned()),
        ..RenderedMessage::default()
    };
    let id = format!("delivery-{number}");
    channel.deliver(&OutboundMessage {
        unsubscribe: Some("https://shop.example/u/1.x"),
        id: &id,
        installation: "0123456789abcdef",
        kind: ChannelKind::Telegram,
        address,
        content: &content,
    })
}
