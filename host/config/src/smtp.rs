//! `type = "smtp"`: the connection to a mail server.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;
use super::url::is_local;

/// The longest name of a server, in characters (RFC 1035).
const MAX_NAME_CHARS: usize = 255;

/// The connection to a mail server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmtpConfig {
    /// The server's host name.
    pub host: String,
    /// The port (default: 587 with STARTTLS, 465 with TLS, 25 without either).
    pub port: Option<u16>,
    /// The encryption of the connection (default: STARTTLS).
    #[serde(default)]
    pub security: Security,
    /// The sender of messages that name none.
    pub from: String,
    /// The user name of the login.
    pub username: Option<String>,
    /// The password of the login.
    pub password: Option<Secret>,
    /// The name of this host in EHLO (default: the machine's name).
    pub ehlo_name: Option<String>,
    /// A PEM file of certificates that are trusted in addition to those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Maximum number of open connections, and of concurrent attempts.
    #[serde(default = "connections")]
    pub connections: u32,
    /// Seconds that the server may take for a reply.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
}

fn connections() -> u32 {
    4
}

fn timeout_seconds() -> u64 {
    30
}

/// The encryption of a connection to a mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Unencrypted: for servers on this machine.
    None,
    /// Starts unencrypted and switches to TLS; fails if the server does not offer it.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
}

impl SmtpConfig {
    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::None => 25,
            Security::Starttls => 587,
            Security::Tls => 465,
        })
    }

    /// Checks the values beyond their types.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.username.is_some() != self.password.is_some() {
            return Err("`username` and `password` must be set together");
        }
        if self.password.is_some() && self.security == Security::None && !is_local(&self.host) {
            return Err(
                "a password needs an encrypted connection; set `security` to starttls or tls",
            );
        }
        if !(1..=64).contains(&self.connections) {
            return Err("`connections` must be 1 to 64");
        }
        if !(1..=600).contains(&self.timeout_seconds) {
            return Err("`timeout-seconds` must be 1 to 600");
        }
        let invalid = |text: &String| text.is_empty() || text.chars().any(char::is_control);
        if invalid(&self.host) || self.host.contains(char::is_whitespace) {
            return Err("`host` must be the name of a server such as mail.example.com");
        }
        if self.username.as_ref().is_some_and(invalid) {
            return Err("`username` must not be empty or contain control characters");
        }
        if self
            .ehlo_name
            .as_ref()
            .is_some_and(|name| !is_smtp_name(name))
        {
            return Err(
                "`ehlo-name` must be a domain such as shop.example.com, or an address in brackets such \
                 as [192.0.2.1]",
            );
        }
        if !promoflow_model::message::looks_like_mailbox(&self.from) {
            return Err("`from` must be a mailbox such as Shop <shop@example.com>");
        }
        Ok(())
    }
}

/// Returns true if the text is valid after EHLO: a domain, or an address in brackets (RFC 5321,
/// 4.1.3). A line break in it would inject another command.
pub fn is_smtp_name(text: &str) -> bool {
    let (inner, further) = match text.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        None => (text, ".-_"),
        Some(Some(address)) => (address, ".-:"),
        Some(None) => return false,
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || further.contains(c);
    (1..=MAX_NAME_CHARS).contains(&inner.len()) && inner.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_smtp_name;

    #[test]
    fn ehlo_name_is_a_domain_or_a_bracketed_address() {
        for good in [
            "shop.example.com",
            "host_1",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
        ] {
            assert!(is_smtp_name(good), "{good}");
        }
        let long = "a".repeat(256);
        for invalid in [
            "",
            "[]",
            "[::1",
            "a b",
            "a\r\nRCPT",
            "a\0",
            "пошта.укр",
            &long,
        ] {
            assert!(!is_smtp_name(invalid), "{invalid:?}");
        }
    }
}
