//! A connection to a mail server: greeting, encryption, login, and one email after another (RFC
//! 5321, 3207 and 4954).

use std::io::{BufReader, Write};
use std::time::{Duration, Instant};

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
/// Number of emails after which a connection is replaced: servers limit it, and new connections
/// spread over the servers behind one name.
const MAX_EMAILS: u32 = 500;
/// Age at which a connection is replaced.
const MAX_AGE: Duration = Duration::from_secs(600);
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
    pipelining: bool,
}

/// A connection that is ready to send email.
pub(super) struct Connection {
    stream: BufReader<Stream>,
    extensions: Extensions,
    /// Time limit of each exchange.
    timeout: Duration,
    /// True while requests and replies are in step.
    in_sync: bool,
    opened: Instant,
    /// Number of emails that were begun on this connection.
    emails: u32,
    /// True once the server has replied to a command of the current email.
    has_replied: bool,
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
            opened: Instant::now(),
            emails: 0,
            has_replied: false,
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
        self.emails += 1;
        self.has_replied = false;
        self.begin_email(envelope, mail.is_ascii())?;
        // A premature reply must not be taken for the one to the end of the email.
        self.expect_no_input()?;
        let seconds = mail.len() as u64 / MIN_BYTES_PER_SECOND;
        let time = self.timeout.saturating_add(Duration::from_secs(seconds));
        self.write(&dot_stuffed(mail), time)?;
        self.stream.get_mut().begin(self.timeout);
        match self.read_positive()?.code {
            200..300 => Ok(()),
            _ => Err(Error::InvalidReply),
        }
    }

    /// Sends the commands before the email itself, in one round trip if the server supports
    /// pipelining (RFC 2920).
    ///
    /// Not with BDAT (RFC 3030), which would save another round trip: a connection that was closed
    /// while idle could then have accepted the email, and the attempt would be ambiguous.
    fn begin_email(&mut self, envelope: &Envelope, is_ascii: bool) -> Result<(), Error> {
        let mut commands = vec![self.mail_command(envelope, is_ascii)?];
        commands.extend(envelope.to().iter().map(rcpt_command));
        commands.push("DATA".to_owned());
        if self.extensions.pipelining {
            self.write_lines(&commands)?;
        }
        let mut code = 0;
        for command in &commands {
            if self.extensions.pipelining {
                self.stream.get_mut().begin(self.timeout);
                code = self.read_positive()?.code;
            } else {
                code = self.command(command)?.code;
            }
            self.has_replied = true;
        }
        match code {
            354 => Ok(()),
            _ => Err(Error::InvalidReply),
        }
    }

    /// Returns true if `error`, from [`send`](Connection::send), only shows that the server had
    /// closed a connection that was kept open: it replied to no command of the email, or with the
    /// announcement that it closes (RFC 5321, 3.8). The email itself was not sent.
    pub(super) fn was_closed(&self, error: &Error) -> bool {
        let is_reused = self.emails > 1;
        let is_closed = match error {
            Error::Rejected(reply) => reply.code == 421,
            Error::Unsupported(_) => false,
            _ => true,
        };
        is_reused && is_closed && !self.has_replied
    }

    /// Returns true if the connection must not be kept for another email.
    pub(super) fn is_worn(&self) -> bool {
        self.emails >= MAX_EMAILS || self.opened.elapsed() >= MAX_AGE
    }

    /// Starts an email; `is_ascii` states whether its content will be ASCII.
    pub(super) fn mail_from(&mut self, envelope: &Envelope, is_ascii: bool) -> Result<(), Error> {
        let command = self.mail_command(envelope, is_ascii)?;
        self.command(&command).map(drop)
    }

    fn mail_command(&self, envelope: &Envelope, is_ascii: bool) -> Result<String, Error> {
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
        Ok(command)
    }

    /// Adds a recipient.
    pub(super) fn rcpt_to(&mut self, address: &Address) -> Result<(), Error> {
        self.command(&rcpt_command(address)).map(drop)
    }

    /// Sends a command and reads a positive reply.
    fn command(&mut self, line: &str) -> Result<Reply, Error> {
        self.write_lines(&[line])?;
        self.read_positive()
    }

    /// Sends commands at once.
    fn write_lines(&mut self, lines: &[impl AsRef<str>]) -> Result<(), Error> {
        let mut bytes = String::new();
        for line in lines {
            let line = line.as_ref();
            if line.contains(|c: char| c.is_ascii_control()) {
                return Err(Error::Unsupported("a line break in a command"));
            }
            bytes.push_str(line);
            bytes.push_str("\r\n");
        }
        self.expect_no_input()?;
        self.write(bytes.as_bytes(), self.timeout)
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

fn rcpt_command(address: &Address) -> String {
    format!("RCPT TO:<{address}>")
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
            "PIPELINING" => found.pipelining = true,
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
        let all = [
            "x",
            "starttls",
            "8bitMIME",
            "SMTPUTF8",
            "Pipelining",
            "AUTH login Plain",
        ];
        let all = offered(&all);
        assert!(all.starttls && all.eight_bit && all.utf8 && all.auth_plain && all.auth_login);
        assert!(all.pipelining);
        assert_eq!(offered(&["STARTTLS"]), Extensions::default());
        assert_eq!(offered(&["x", "AUTHOR PLAIN", ""]), Extensions::default());
    }
}
