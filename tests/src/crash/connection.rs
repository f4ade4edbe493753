//! Minimal HTTP for the clients: requests on a persistent connection and their answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest time to wait for an answer; a live service answers sooner.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A connection that is opened when it is needed.
pub(super) struct Connection {
    address: String,
    key: String,
    timeout: Duration,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub(super) fn new(address: &str, key: &str) -> Connection {
        Connection {
            address: address.to_owned(),
            key: key.to_owned(),
            timeout: TIMEOUT,
            stream: None,
        }
    }

    /// Changes how long to wait for an answer.
    pub(super) fn with_timeout(self, timeout: Duration) -> Connection {
        Connection { timeout, ..self }
    }

    /// Sends a body and returns status and body of the answer, if it arrives complete.
    pub(super) fn post(
        &mut self,
        path: &str,
        media: &str,
        body: &str,
    ) -> io::Result<(u16, String)> {
        self.send(path, media, body)?;
        self.answer()
    }

    /// Drops a connection that the other side has closed, as a killed service does.
    pub(super) fn drop_if_closed(&mut self) {
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

    /// Sends a body without reading the answer.
    pub(super) fn send(&mut self, path: &str, media: &str, body: &str) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(self.timeout))?;
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

    /// Reads the answer to the last request. If it does not arrive, the next request opens a new
    /// connection.
    pub(super) fn answer(&mut self) -> io::Result<(u16, String)> {
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        let answer = read(&mut stream)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn read(stream: &mut impl BufRead) -> io::Result<(u16, String)> {
    let invalid_data = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| invalid_data("the answer has no status"))?;
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
    let mut body = vec![0; length.ok_or_else(|| invalid_data("the answer has no length"))?];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(|_| invalid_data("the answer is not text"))?;
    Ok((status, body))
}

/// Reads a line of the head; an incomplete line is an error.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.take(64 * 1024).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
