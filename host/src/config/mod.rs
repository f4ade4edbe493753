//! The configuration file, `promoflow.toml`: how letters leave the host.
//!
//! Every key is documented in `docs/configuration.md`. What is unknown or wrong is an error with its
//! line and column; nothing is guessed.

mod channel;
mod file;
mod secret;
mod smtp;

use std::path::Path;

use anyhow::Context;

pub use channel::{ChannelConfig, MaildirConfig, Transport};
pub use secret::Secret;
pub use smtp::{Security, SmtpConfig};

use file::Source;

/// A configuration file.
#[derive(Debug, Default)]
pub struct Config {
    /// The channels. A letter goes through the first that takes its kind.
    pub channels: Vec<ChannelConfig>,
}

impl Config {
    /// Reads a configuration; `name` stands in errors.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Config> {
        let mut file = Source { name, text }.table()?;
        file.refuse_unknown(&["channel"])?;
        let channels = file.take_tables("channel")?.into_iter();
        Ok(Config {
            channels: channels
                .map(ChannelConfig::read)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Reads a configuration file.
    pub fn read(path: &Path) -> anyhow::Result<Config> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        Config::parse(&name, &text)
    }
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
        let Transport::Smtp(smtp) = &config.channels[0].transport else {
            panic!("{config:?}")
        };
        assert_eq!((smtp.port(), smtp.security), (587, Security::Starttls));
    }

    #[test]
    fn faults_are_told_with_their_place_and_what_is_expected() {
        let section = told("[[chanel]]\ntype = \"smtp\"\n");
        assert_eq!(
            section,
            "p.toml:1:3: unknown key `chanel`; did you mean `channel`?"
        );
        let smtp = "[[channel]]\ntype = \"smtp\"\nhost = \"mail.example.com\"\nfrom = \"a@b\"\n";
        let unknown = told(&format!("{smtp}prot = 1\n"));
        assert!(
            unknown.starts_with("p.toml:5:1: ") && unknown.contains("expected one of"),
            "{unknown}"
        );
        let port = told(&format!("{smtp}port = \"25\"\n"));
        assert!(port.starts_with("p.toml:5:8: "), "{port}");
        let missing = told("[[channel]]\ntype = \"smtp\"\nfrom = \"a@b\"\n");
        assert!(
            missing.starts_with("p.toml:1:1: ") && missing.contains("host"),
            "{missing}"
        );
        let kind = told("[[channel]]\ntype = \"smpt\"\n");
        assert_eq!(
            kind,
            "p.toml:2:8: unknown type `smpt`; did you mean `smtp`?"
        );
        let kind = told("[[channel]]\ntype = \"pigeon\"\n");
        assert!(kind.contains("expected one of smtp, "), "{kind}");
        let unclosed = told("[[channel]]\ntype = \"smtp\nhost = 1\n");
        assert!(unclosed.starts_with("p.toml:2:"), "{unclosed}");
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
        assert!(
            plain.starts_with("p.toml:6:12: a secret is named"),
            "{plain}"
        );
    }
}
