//! `type = "smtp"`: how to reach a mail server.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;
use super::url::is_here;

/// The longest name of a server, in characters (RFC 1035).
const MAX_NAME_CHARS: usize = 255;

/// How to reach a mail server.
#[derive(Clone, Debug, Deserialize)]
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
    /// A file of certificates in PEM that are trusted beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Connections that are open, and letters that are handed over, at one time.
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

impl SmtpConfig {
    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::None => 25,
            Security::Starttls => 587,
            Security::Tls => 465,
        })
    }

    /// What is wrong beyond the form of each value.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.username.is_some() != self.password.is_some() {
            return Err("`username` and `password` go together");
        }
        if self.password.is_some() && self.security == Security::None && !is_here(&self.host) {
            return Err("a password is not sent in the clear; expected `security` starttls or tls");
        }
        if !(1..=64).contains(&self.connections) {
            return Err("`connections` must be 1 to 64");
        }
        if !(1..=600).contains(&self.timeout_seconds) {
            return Err("`timeout-seconds` must be 1 to 600");
        }
        let odd = |text: &String| text.is_empty() || text.chars().any(char::is_control);
        if odd(&self.host) || self.host.contains(char::is_whitespace) {
            return Err("`host` must be the name of a server such as mail.example.com");
        }
        if self.username.as_ref().is_some_and(odd) {
            return Err("`username` must have a character, and no control characters");
        }
        if self.hello.as_ref().is_some_and(|name| !is_smtp_name(name)) {
            return Err(
                "`hello` must be a domain such as shop.example.com, or an address in brackets such \
                 as [192.0.2.1]",
            );
        }
        if !promoflow_model::message::looks_like_mailbox(&self.from) {
            return Err("`from` must be a mailbox such as Shop <shop@example.com>");
        }
        Ok(())
    }
}

/// Whether a text may stand behind EHLO: a domain, or an address in brackets (RFC 5321, 4.1.3). It
/// must not end the line, or it would be a command of its own.
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
    fn a_name_for_ehlo_is_a_domain_or_an_address_and_ends_no_line() {
        for good in [
            "shop.example.com",
            "host_1",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
        ] {
            assert!(is_smtp_name(good), "{good}");
        }
        let long = "a".repeat(256);
        for odd in [
            "",
            "[]",
            "[::1",
            "a b",
            "a\r\nRCPT",
            "a\0",
            "пошта.укр",
            &long,
        ] {
            assert!(!is_smtp_name(odd), "{odd:?}");
        }
    }
}
