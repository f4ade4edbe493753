//! HTTP clients that use as little of the machine as possible: bytes to a socket and back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::fixture::TYPES;

/// The events to send.
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) key: String,
    /// Event type.
    pub(super) event: &'static str,
    /// Prefix of the event ids; unique to this load.
    pub(super) name: String,
    pub(super) connections: usize,
    pub(super) time: Duration,
}

/// The result: events per second, and milliseconds until the answer.
pub(super) struct Measured {
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Load {
    /// Sends events until the time is over. All clients share one thread.
    pub(super) fn run(&self) -> Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let began = Instant::now();
            let mut clients = JoinSet::new();
            for number in 0..self.connections {
                let client = Client {
                    stream: TcpStream::connect(self.address).await?,
                    head: self.head(),
                    event: self.event,
                    name: format!("{}-{number}", self.name),
                    number: number as u64,
                    read: Vec::new(),
                };
                client.stream.set_nodelay(true)?;
                clients.spawn(client.send_until(began + self.time));
            }
            let mut micros: Vec<u32> = Vec::new();
            while let Some(ended) = clients.join_next().await {
                micros.extend(ended??);
            }
            let took = began.elapsed().as_secs_f64();
            ensure!(!micros.is_empty(), "no event got an answer");
            micros.sort_unstable();
            let at = |share: f64| {
                let place = (micros.len() - 1) as f64 * share;
                f64::from(micros[place as usize]) / 1e3
            };
            Ok(Measured {
                rate: micros.len() as f64 / took,
                p50: at(0.50),
                p99: at(0.99),
            })
        })
    }

    fn head(&self) -> String {
        format!(
            "POST /api/v1/event HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: ",
            self.address, self.key
        )
    }
}

struct Client {
    stream: TcpStream,
    head: String,
    event: &'static str,
    name: String,
    number: u64,
    read: Vec<u8>,
}

impl Client {
    async fn send_until(mut self, end: Instant) -> Result<Vec<u32>> {
        let mut micros = Vec::new();
        while Instant::now() < end {
            let began = Instant::now();
            let body = format!(
                r#"{{"id":"{}-{}","eventTypeKey":"{}","keyValue":"ann@example.com","params":[{{"name":"type","value":"type-{}"}},{{"name":"Phone","value":"+380501234567"}}]}}"#,
                self.name,
                self.number,
                self.event,
                self.number % TYPES
            );
            let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
            self.write(request.as_bytes()).await?;
            self.answer().await?;
            micros.push(u32::try_from(began.elapsed().as_micros())?);
            self.number += 1;
        }
        Ok(micros)
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads one answer; any status other than success is an error.
    async fn answer(&mut self) -> Result<()> {
        self.read.clear();
        let mut whole = None;
        while whole.is_none_or(|whole| self.read.len() < whole) {
            self.stream.readable().await?;
            let mut piece = [0; 1024];
            match self.stream.try_read(&mut piece) {
                Ok(0) => bail!("the connection ended before the answer did"),
                Ok(read) => self.read.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            whole = whole.or(length(&self.read)?);
        }
        let status = self.read.get(..12).unwrap_or_default();
        let received = || String::from_utf8_lossy(&self.read).into_owned();
        ensure!(status == b"HTTP/1.1 200", "answered with {}", received());
        Ok(())
    }
}

/// Returns the length of head and body once the head has arrived.
fn length(answer: &[u8]) -> Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&answer[..head])?.to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length
        .context("the answer has no Content-Length")?
        .trim()
        .parse()?;
    Ok(Some(head + 4 + length))
}
