//! The configuration file, `promoflow.toml`: how letters leave the host, what of the pool is
//! watched, and how the service runs.
//!
//! Every key is documented in `docs/configuration.md`. What is unknown or wrong is an error with its
//! line and column; nothing is guessed.

mod alert;
mod channel;
mod file;
mod secret;
mod serve;
mod smtp;
mod trace;

use std::path::{Path, PathBuf};

use anyhow::Context;

pub use channel::{ChannelConfig, MaildirConfig, Transport};
pub use secret::Secret;
pub use serve::{LogConfig, LogFormat, LogLevel, ServeConfig};
pub use smtp::{Security, SmtpConfig};
pub use trace::TraceConfig;

use crate::alert::Rules;
use file::Source;

/// A configuration file.
#[derive(Debug, Default)]
pub struct Config {
    /// The channels. A letter goes through the first that takes its kind.
    pub channels: Vec<ChannelConfig>,
    /// What of the pool is watched.
    pub alerts: Rules,
    /// How the service runs.
    pub serve: ServeConfig,
    /// What is told on standard error.
    pub log: LogConfig,
    /// Where traces go.
    pub trace: Option<TraceConfig>,
    /// The database, where nothing else names it.
    pub database: Option<PathBuf>,
    /// Folders of blocks beside the standard ones.
    pub blocks: Vec<PathBuf>,
    /// The folder for compiled blocks.
    pub cache: Option<PathBuf>,
}

/// The keys and sections that there are.
const KEYS: [&str; 8] = [
    "channel", "alert", "serve", "log", "trace", "database", "blocks", "cache",
];

impl Config {
    /// Reads a configuration; `name` stands in errors.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Config> {
        let mut file = Source { name, text }.table()?;
        file.refuse_unknown(&KEYS)?;
        let channels = file.take_tables("channel")?.into_iter();
        let mut alerts = Vec::new();
        for table in file.take_tables("alert")? {
            alerts.push(alert::read(table, &alerts)?);
        }
        Ok(Config {
            channels: channels
                .map(ChannelConfig::read)
                .collect::<Result<_, _>>()?,
            alerts: Rules::new(alerts),
            serve: file.take("serve")?.unwrap_or_default(),
            log: file.take("log")?.unwrap_or_default(),
            trace: match file.take_table("trace")? {
                Some(table) => Some(TraceConfig::read(table)?),
                None => None,
            },
            database: file.take("database")?,
            blocks: file.take("blocks")?.unwrap_or_default(),
            cache: file.take("cache")?,
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
        let examples = guide.split("```toml\n").skip(1);
        let examples: Vec<Config> = examples
            .map(|rest| Config::parse("promoflow.toml", rest.split_once("```").unwrap().0).unwrap())
            .collect();
        let service = examples.last().unwrap();
        assert_eq!(service.serve.drain, Some(30));
        assert_eq!(service.log.format, Some(LogFormat::Json));
        let config = &examples[0];
        assert_eq!(config.channels.len(), 3);
        let Transport::Smtp(smtp) = &config.channels[0].transport else {
            panic!("{config:?}")
        };
        assert_eq!((smtp.port(), smtp.security), (587, Security::Starttls));
    }

    #[test]
    fn the_documented_alerts_are_taken_and_odd_ones_told() {
        let guide = include_str!("../../../docs/alerts.md");
        let (_, rest) = guide.split_once("```toml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let alerts = Config::parse("p.toml", example).unwrap().alerts;
        assert_eq!(alerts.iter().count(), 4);
        let bare = Config::parse("p.toml", "[[alert]]\n").unwrap().alerts;
        let bare = bare.iter().next().unwrap();
        assert_eq!((bare.warning, bare.alarm), (500, 50));
        for (text, wanted) in [
            (
                "warning = 50",
                "`warning` (50) must be greater than `alarm` (50)",
            ),
            (
                "kind = \"expiring\"\nwarning = 0",
                "must be smaller, and not 0,",
            ),
            ("kind = \"dry\"", "unknown variant `dry`"),
            ("discount = 100", "`discount` must be 0 to 99"),
            ("type = \"\"", "`type` must have 1 to"),
            ("within-days = 3", "is for alerts of the kind expiring"),
            ("kind = \"runs-dry\"\nwarning = 400", "must be 0 to 365"),
            (
                "\n[[alert]]\nwarning = 9\nalarm = 3",
                "the same kind, type and discount",
            ),
            ("warnings = 3", "unknown field `warnings`"),
        ] {
            let told = told(&format!("[[alert]]\n{text}\n"));
            assert!(told.contains(wanted), "{text}: {told}");
            assert!(told.starts_with("p.toml:"), "{told}");
        }
    }

    #[test]
    fn the_documented_traces_are_taken_and_odd_ones_told() {
        let guide = include_str!("../../../docs/operation.md");
        let (_, rest) = guide.split_once("```toml\n[trace]").unwrap();
        let example = format!("[trace]{}", rest.split_once("```").unwrap().0);
        let trace = Config::parse("p.toml", &example).unwrap().trace.unwrap();
        assert_eq!(
            (trace.headers.len(), trace.service_name.as_str()),
            (1, "promoflow")
        );
        for (text, wanted) in [
            (
                "endpoint = \"localhost:4318\"",
                "the address of a collector",
            ),
            ("endpoint = \"http://a\"\nsample = 2.0", "`sample` must be"),
            (
                "endpoint = \"http://a\"\nheaders = { k = \"v\" }",
                "a secret is named",
            ),
            ("", "missing field `endpoint`"),
        ] {
            let told = told(&format!("[trace]\n{text}\n"));
            assert!(
                told.contains(wanted) && told.starts_with("p.toml:"),
                "{told}"
            );
        }
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
