//! A connection to a mail server: greeting, encryption, login, and one email after another (RFC
//! 5321, 3207 and 4954).

use std::io::{BufReader, Write};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::address::Envelope;

use super::error::Error;
use super::reply::Reply;
use super::server::{Encryption, Server};
use super::wire::{Stream, Wire};

/// Minimum rate at which a server must accept an email, in bytes per second.
const MIN_BYTES_PER_SECOND: u64 = 4 << 10;
/// Maximum time to send QUIT.
const MAX_QUIT: Duration = Duration::from_secs(1);

/// The SMTP extensions that a server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    starttls: bool,
    eight_bit: bool,
    utf8: bool,
    auth_plain: bool,
    auth_login: bool,
}

/// A connection that is ready to send email.
pub(super) struct Connection {
    stream: BufReader<Stream>,
    extensions: Extensions,
    /// Time limit of each exchange.
    timeout: Duration,
    /// True while requests and replies are in step.
    in_sync: bool,
}

impl Connection {
    /// Connects, encrypts and logs in as configured.
    pub(super) fn open(server: &Server) -> Result<Connection, Error> {
        let timeout = server.timeout;
        let wire =
            Wire::connect(&server.host, server.port, timeout).map_err(Error::ConnectFailed)?;
        let mut stream = Stream::plain(wire);
        if let Encryption::Tls(config, name) = &server.encryption {
            stream.encrypt(config, name, timeout)?;
        }
        let mut connection = Connection {
            stream: BufReader::new(stream),
            extensions: Extensions::default(),
            timeout,
            in_sync: true,
        };
        connection.stream.get_mut().begin(timeout);
        connection.read_positive()?;
        connection.hello(&server.ehlo_name)?;
        if let Encryption::Starttls(config, name) = &server.encryption {
            if !connection.extensions.starttls {
                return Err(Error::Unsupported("STARTTLS"));
            }
            connection.command("STARTTLS")?;
            connection.expect_no_input()?;
            let encrypted = connection.stream.get_mut().encrypt(config, name, timeout);
            connection.in_sync &= encrypted.is_ok();
            encrypted?;
            // Extensions offered before encryption may have been forged.
            connection.hello(&server.ehlo_name)?;
        }
        if let Some((user, password)) = &server.credentials {
            connection.log_in(user, password)?;
        }
        Ok(connection)
    }

    /// Rejects a server that sends more than one reply: later replies could not be matched with
    /// commands, and before encryption they may be injected.
    fn expect_no_input(&mut self) -> Result<(), Error> {
        match self.stream.buffer().is_empty() {
            true => Ok(()),
            false => {
                self.in_sync = false;
                Err(Error::InvalidReply)
            }
        }
    }

    fn hello(&mut self, name: &str) -> Result<(), Error> {
        let reply = self.command(&format!("EHLO {name}"))?;
        self.extensions = extensions(&reply);
        Ok(())
    }

    fn log_in(&mut self, user: &str, password: &str) -> Result<(), Error> {
        if self.extensions.auth_plain {
            let both = STANDARD.encode(format!("\0{user}\0{password}"));
            return self.logged_in(&format!("AUTH PLAIN {both}"));
        }
        if !self.extensions.auth_login {
            return Err(Error::Unsupported("a login by PLAIN or LOGIN"));
        }
        for line in ["AUTH LOGIN", &STANDARD.encode(user)] {
            if self.command(line)?.code != 334 {
                return Err(Error::InvalidReply);
            }
        }
        self.logged_in(&STANDARD.encode(password))
    }

    fn logged_in(&mut self, line: &str) -> Result<(), Error> {
        match self.command(line)?.code {
            235 => Ok(()),
            // The server asks for more.
            _ => Err(Error::InvalidReply),
        }
    }

    /// Sends one email. After an error the connection must not be used again.
    pub(super) fn send(&mut self, envelope: &Envelope, mail: &[u8]) -> Result<(), Error> {
        self.mail_from(envelope, mail.is_ascii())?;
        for address in envelope.to() {
            self.rcpt_to(address)?;
        }
        if self.command("DATA")?.code != 354 {
            return Err(Error::InvalidReply);
        }
        let seconds = mail.len() as u64 / MIN_BYTES_PER_SECOND;
        let time = self.timeout.saturating_add(Duration::from_secs(seconds));
        self.write(&dot_stuffed(mail), time)?;
        self.stream.get_mut().begin(self.timeout);
        match self.read_positive()?.code {
            200..300 => Ok(()),
            _ => Err(Error::InvalidReply),
        }
    }

    /// Starts an email; `is_ascii` states whether its content will be ASCII.
    pub(super) fn mail_from(&mut self, envelope: &Envelope, is_ascii: bool) -> Result<(), Error> {
        let from = envelope.from();
        let mut command = format!("MAIL FROM:<{}>", from.map_or("", AsRef::as_ref));
        let addresses = from.into_iter().chain(envelope.to());
        if addresses.clone().any(|address| !address_is_ascii(address)) {
            if !self.extensions.utf8 {
                return Err(Error::Unsupported("a non-ASCII address (SMTPUTF8)"));
            }
            command.push_str(" SMTPUTF8");
        }
        if !is_ascii {
            if !self.extensions.eight_bit {
                return Err(Error::Unsupported("a non-ASCII message (8BITMIME)"));
            }
            command.push_str(" BODY=8BITMIME");
        }
        self.command(&command).map(drop)
    }

    /// Adds a recipient.
    pub(super) fn rcpt_to(&mut self, address: &Address) -> Result<(), Error> {
        self.command(&format!("RCPT TO:<{address}>")).map(drop)
    }

    /// Returns true if the server still responds.
    pub(super) fn is_alive(&mut self) -> bool {
        self.command("NOOP").is_ok()
    }

    /// Sends a command and reads a positive reply.
    fn command(&mut self, line: &str) -> Result<Reply, Error> {
        if line.contains(|c: char| c.is_ascii_control()) {
            return Err(Error::Unsupported("a line break in a command"));
        }
        self.expect_no_input()?;
        self.write(format!("{line}\r\n").as_bytes(), self.timeout)?;
        self.read_positive()
    }

    fn write(&mut self, bytes: &[u8], time: Duration) -> Result<(), Error> {
        let stream = self.stream.get_mut();
        stream.begin(time);
        let written = stream.write_all(bytes).and_then(|()| stream.flush());
        self.in_sync &= written.is_ok();
        Ok(written?)
    }

    /// Reads a reply and fails unless it is positive.
    fn read_positive(&mut self) -> Result<Reply, Error> {
        let reply = self.read_reply()?;
        match reply.is_positive() {
            true => Ok(reply),
            false => Err(Error::Rejected(reply)),
        }
    }

    fn read_reply(&mut self) -> Result<Reply, Error> {
        let reply = match Reply::read(&mut self.stream) {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(Error::InvalidReply),
            Err(error) => Err(error.into()),
        };
        self.in_sync &= reply.is_ok();
        reply
    }
}

/// Sends QUIT without waiting for the reply: everything that matters was confirmed before.
impl Drop for Connection {
    fn drop(&mut self) {
        if self.in_sync {
            let _gone = self.write(b"QUIT\r\n", MAX_QUIT);
        }
        self.stream.get_mut().close();
    }
}

fn address_is_ascii(address: &Address) -> bool {
    let address: &str = address.as_ref();
    address.is_ascii()
}

/// Reads the extensions from a reply to EHLO: one keyword per line after the first.
pub(super) fn extensions(reply: &Reply) -> Extensions {
    let mut found = Extensions::default();
    for line in reply.lines.iter().skip(1) {
        let mut words = line.split_ascii_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        match keyword.as_str() {
            "STARTTLS" => found.starttls = true,
            "8BITMIME" => found.eight_bit = true,
            "SMTPUTF8" => found.utf8 = true,
            "AUTH" => {
                for mechanism in words {
                    found.auth_plain |= mechanism.eq_ignore_ascii_case("PLAIN");
                    found.auth_login |= mechanism.eq_ignore_ascii_case("LOGIN");
                }
            }
            _ => {}
        }
    }
    found
}

/// Escapes an email for DATA and appends the end mark. A leading dot is doubled, because a line
/// with only a dot ends the email (RFC 5321, 4.5.2).
fn dot_stuffed(mail: &[u8]) -> Vec<u8> {
    let mut dot_stuffed = Vec::with_capacity(mail.len() + mail.len() / 64 + 8);
    let mut begins = true;
    let mut before = 0;
    for &byte in mail {
        if begins && byte == b'.' {
            dot_stuffed.push(b'.');
        }
        dot_stuffed.push(byte);
        begins = before == b'\r' && byte == b'\n';
        before = byte;
    }
    if !begins {
        dot_stuffed.extend_from_slice(b"\r\n");
    }
    dot_stuffed.extend_from_slice(b".\r\n");
    dot_stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_leading_dots() {
        for (mail, on_the_wire) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a\r\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"),
            (".a\r\n..b\r\n", "..a\r\n...b\r\n.\r\n"),
            ("a.\r\nb.", "a.\r\nb.\r\n.\r\n"),
        ] {
            let dot_stuffed = String::from_utf8(dot_stuffed(mail.as_bytes())).unwrap();
            assert_eq!(dot_stuffed, on_the_wire, "{mail:?}");
        }
    }

    #[test]
    fn reads_extensions_in_any_case_and_skips_the_host_name() {
        let offered = |lines: &[&str]| {
            extensions(&Reply {
                code: 250,
                lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            })
        };
        let all = offered(&["x", "starttls", "8bitMIME", "SMTPUTF8", "AUTH login Plain"]);
        assert!(all.starttls && all.eight_bit && all.utf8 && all.auth_plain && all.auth_login);
        assert_eq!(offered(&["STARTTLS"]), Extensions::default());
        assert_eq!(offered(&["x", "AUTHOR PLAIN", ""]), Extensions::default());
    }
}
