//! HTTP as the clients need it: a request on a connection that stays, and its answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take: a service that lives gives one sooner.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection that is made when it is needed.
pub(super) struct Connection {
    address: String,
    key: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub(super) fn new(address: &str, key: &str) -> Connection {
        Connection {
            address: address.to_owned(),
            key: key.to_owned(),
            stream: None,
        }
    }

    /// Sends a body: status and body of the answer, if all of it came.
    pub(super) fn post(
        &mut self,
        path: &str,
        media: &str,
        body: &str,
    ) -> io::Result<(u16, String)> {
        self.send(path, media, body)?;
        self.answer()
    }

    /// Lets go of a connection that the other side has closed, as a service does that is killed.
    pub(super) fn let_go_if_closed(&mut self) {
        let is_open = |stream: &BufReader<TcpStream>| {
            let stream = stream.get_ref();
            stream.set_nonblocking(true)?;
            let found = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            found
        };
        let waits = |found: io::Result<usize>| {
            found.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        self.stream = self.stream.take().filter(|stream| waits(is_open(stream)));
    }

    /// Sends a body, whose answer is still to come.
    pub(super) fn send(&mut self, path: &str, media: &str, body: &str) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                BufReader::new(stream)
            }
        };
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {media}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes())?;
        self.stream = Some(stream);
        Ok(())
    }

    /// The answer to what was sent last. Where it does not come, the next is sent on a connection of
    /// its own.
    pub(super) fn answer(&mut self) -> io::Result<(u16, String)> {
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        let answer = read(&mut stream)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn read(stream: &mut impl BufRead) -> io::Result<(u16, String)> {
    let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| odd("an answer without a status"))?;
    let mut length = None;
    loop {
        let line = line(stream)?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.ok_or_else(|| odd("an answer without a length"))?];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(|_| odd("an answer that is no text"))?;
    Ok((status, body))
}

/// A line of the head; one that is cut off is an error.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.take(64 * 1024).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
