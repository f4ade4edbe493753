//! The configuration file, `promoflow.toml`: how letters leave the host.
//!
//! Every key is documented in `docs/configuration.md`. What is unknown or wrong is an error with its
//! line and column; nothing is guessed.

mod secret;

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

pub use secret::Secret;

/// A configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The channels. A letter goes through the first that takes its kind.
    #[serde(default, rename = "channel")]
    pub channels: Vec<ChannelConfig>,
}

/// A channel of a configuration file.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChannelConfig {
    /// Email through a mail server.
    Smtp(SmtpConfig),
    /// Files that mail programs open, of letters of every kind.
    Maildir {
        /// The folder.
        folder: std::path::PathBuf,
    },
}

/// How to reach a mail server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmtpConfig {
    /// The server's name.
    pub host: String,
    /// Its port; without it, 587 with STARTTLS, 465 with TLS, 25 without either.
    pub port: Option<u16>,
    /// Whether the conversation is encrypted; STARTTLS unless this says otherwise.
    #[serde(default)]
    pub security: Security,
    /// Whom letters are from whose message names nobody.
    pub from: String,
    /// Who logs in.
    pub username: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// The name that the host gives itself; without it, the machine's.
    pub hello: Option<String>,
    /// Connections that are open at one time.
    #[serde(default = "connections")]
    pub connections: u32,
    /// How long the server may take for an answer.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
}

fn connections() -> u32 {
    4
}

fn timeout_seconds() -> u64 {
    30
}

impl SmtpConfig {
    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::None => 25,
            Security::Starttls => 587,
            Security::Tls => 465,
        })
    }
}

/// Whether a conversation with a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// It is not: for servers on this machine.
    None,
    /// It begins in the clear and goes on encrypted, or not at all.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
}

impl Config {
    /// Reads a configuration; `name` stands in errors.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Config> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| place(text, span.start));
            let at = at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
            anyhow::anyhow!("{name}{at}: {}", error.message())
        })?;
        for channel in &config.channels {
            channel.check().with_context(|| name.to_owned())?;
        }
        Ok(config)
    }

    /// Reads a configuration file.
    pub fn read(path: &Path) -> anyhow::Result<Config> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        Config::parse(&name, &text)
    }
}

impl ChannelConfig {
    fn check(&self) -> anyhow::Result<()> {
        let ChannelConfig::Smtp(smtp) = self else {
            return Ok(());
        };
        let login = (smtp.username.is_some(), smtp.password.is_some());
        anyhow::ensure!(
            login.0 == login.1,
            "the channel for {}: `username` and `password` go together",
            smtp.host
        );
        anyhow::ensure!(
            smtp.password.is_none() || smtp.security != Security::None || is_here(&smtp.host),
            "the channel for {}: a password is not sent in the clear; expected `security` starttls or \
             tls",
            smtp.host
        );
        anyhow::ensure!(
            (1..=64).contains(&smtp.connections),
            "the channel for {}: `connections` must be 1 to 64",
            smtp.host
        );
        anyhow::ensure!(
            (1..=600).contains(&smtp.timeout_seconds),
            "the channel for {}: `timeout-seconds` must be 1 to 600",
            smtp.host
        );
        anyhow::ensure!(
            crate::message::looks_like_mailbox(&smtp.from),
            "the channel for {}: `from` must be a mailbox such as Shop <shop@example.com>",
            smtp.host
        );
        Ok(())
    }
}

/// Whether a server is on this machine.
fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// Line and column of a byte, counted from 1.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn told(text: &str) -> String {
        format!("{:#}", Config::parse("p.toml", text).unwrap_err())
    }

    #[test]
    fn the_documented_configuration_is_taken() {
        let guide = include_str!("../../../docs/configuration.md");
        let (_, rest) = guide.split_once("```toml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let config = Config::parse("promoflow.toml", example).unwrap();
        assert_eq!(config.channels.len(), 2);
        let ChannelConfig::Smtp(smtp) = &config.channels[0] else {
            panic!("{config:?}")
        };
        assert_eq!((smtp.port(), smtp.security), (587, Security::Starttls));
    }

    #[test]
    fn faults_are_told_with_their_place_and_what_is_expected() {
        let unknown =
            told("[[channel]]\ntype = \"smtp\"\nhost = \"h\"\nfrom = \"a@b\"\nprot = 1\n");
        assert!(
            unknown.contains("prot") && unknown.contains("expected"),
            "{unknown}"
        );
        let kind = told("[[channel]]\ntype = \"pigeon\"\n");
        assert!(kind.contains("pigeon") && kind.contains("smtp"), "{kind}");
        let unclosed = told("[[channel]]\ntype = \"smtp\nhost = 1\n");
        assert!(unclosed.starts_with("p.toml:2:"), "{unclosed}");
        let smtp = "[[channel]]\ntype = \"smtp\"\nhost = \"mail.example.com\"\nfrom = \"a@b\"\n";
        let clear = told(&format!(
            "{smtp}security = \"none\"\nusername = \"u\"\npassword = {{ env = \"P\" }}\n"
        ));
        assert!(clear.contains("in the clear"), "{clear}");
        let half = told(&format!("{smtp}username = \"u\"\n"));
        assert!(half.contains("go together"), "{half}");
        let sender = told(&smtp.replace("a@b", "Shop"));
        assert!(sender.contains("mailbox"), "{sender}");
        let plain = told(&format!("{smtp}username = \"u\"\npassword = \"letmein\"\n"));
        assert!(!plain.contains("letmein"), "{plain}");
    }
}
