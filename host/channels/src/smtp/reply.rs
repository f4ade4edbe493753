//! Replies of a mail server (RFC 5321, 4.2), and the enhanced statuses in them (RFC 3463).

use std::fmt;
use std::io::{self, BufRead};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Its code, 200 to 599.
    pub(super) code: u16,
    /// The text of each line.
    pub(super) lines: Vec<String>,
}

/// An enhanced status, such as `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) class: u16,
    pub(super) subject: u16,
    pub(super) detail: u16,
}

impl Reply {
    /// Reads a whole reply; `None` if it is not a valid one. The reader must limit its length and
    /// duration.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Reply>> {
        let mut reply = Reply {
            code: 0,
            lines: Vec::new(),
        };
        loop {
            let mut line = Vec::new();
            from.read_until(b'\n', &mut line)?;
            let Some((code, is_last, text)) = parse(&line) else {
                return Ok(None);
            };
            if reply.lines.is_empty() {
                reply.code = code;
            } else if reply.code != code {
                return Ok(None);
            }
            reply.lines.push(text);
            if is_last {
                return Ok(Some(reply));
            }
        }
    }

    /// Returns true for success and intermediate replies.
    pub(super) fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Returns true for a permanent rejection.
    pub(super) fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Returns the enhanced status at the start of the text, if there is one.
    pub(super) fn status(&self) -> Option<Status> {
        Status::read(self.lines.first()?)
    }
}

/// Splits a line into its code, a flag for the last line of the reply, and its text.
fn parse(line: &[u8]) -> Option<(u16, bool, String)> {
    // A line without an end was cut off.
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if !(200..600).contains(&code) {
        return None;
    }
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    Some((code, is_last, String::from_utf8_lossy(text).into_owned()))
}

impl Status {
    /// Parses the enhanced status at the start of a line's text.
    pub(super) fn read(text: &str) -> Option<Status> {
        let mut parts = text.split_ascii_whitespace().next()?.split('.');
        let mut number = || {
            let part = parts.next()?;
            // `parse` would also accept a sign.
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            part.parse().ok().filter(|number| digits && *number < 1000)
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        parts.next().is_none().then_some(Status {
            class,
            subject,
            detail,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Option<Reply> {
        Reply::read(&mut &text[..]).unwrap()
    }

    #[test]
    fn reads_replies_to_the_last_line_and_rejects_anything_else() {
        let reply = read(b"250-a.example\r\n250-SIZE 1\r\n250 8BITMIME\r\n220 later\r\n").unwrap();
        assert_eq!(
            (reply.code, reply.lines),
            (
                250,
                ["a.example", "SIZE 1", "8BITMIME"]
                    .map(str::to_owned)
                    .to_vec()
            )
        );
        assert_eq!(read(b"250\n").unwrap().lines, [""]);
        assert_eq!(read(b"250 \xff\r\n").unwrap().lines, ["\u{fffd}"]);
        for odd in [
            &b""[..],
            b"250 ok",
            b"55O no\r\n",
            b"25\r\n",
            b"650 no\r\n",
            b"150 no\r\n",
            b"+50 no\r\n",
            b"250_no\r\n",
            b"250-a\r\n550 b\r\n",
            b"250-a\r\n",
            b"HTTP/1.1 400\r\n",
        ] {
            assert_eq!(read(odd), None, "{odd:?}");
        }
    }
}
