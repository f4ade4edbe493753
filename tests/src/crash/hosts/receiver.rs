//! The receiver of messages: an HTTP server that records what was handed over, outside the database.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

/// What was handed over to one address.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) code: String,
    /// The identity of the delivery, its `Idempotency-Key`.
    pub(super) identity: String,
    pub(super) first: Instant,
    /// How often it was handed over.
    pub(super) times: u32,
}

/// Everything that was handed over.
#[derive(Default)]
pub(super) struct Deliveries {
    by_address: HashMap<String, Received>,
    /// The address of each code.
    by_code: HashMap<String, String>,
    violations: Vec<String>,
}

/// The receiver. Its threads run until the process ends.
pub(super) struct Receiver {
    pub(super) port: u16,
    deliveries: Arc<Mutex<Deliveries>>,
}

impl Receiver {
    pub(super) fn start() -> Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let deliveries: Arc<Mutex<Deliveries>> = Arc::default();
        let of_listener = Arc::clone(&deliveries);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let deliveries = Arc::clone(&of_listener);
                thread::spawn(move || {
                    // The sender may be killed in the middle of a request.
                    let _ended = serve(stream, &deliveries);
                });
            }
        });
        Ok(Receiver { port, deliveries })
    }

    pub(super) fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        lock(&self.deliveries)
    }
}

impl Deliveries {
    /// Returns what was handed over to an address.
    pub(super) fn to(&self, address: &str) -> Option<&Received> {
        self.by_address.get(address)
    }

    /// Returns the number of addresses.
    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Returns the number of messages that were handed over more than once.
    pub(super) fn repeated(&self) -> usize {
        let all = self.by_address.values();
        all.filter(|received| received.times > 1).count()
    }

    /// Returns codes that were handed over to two contacts, and messages that changed.
    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    fn record(&mut self, identity: &str, address: &str, code: &str) {
        let first = self.by_code.get(code);
        if let Some(first) = first.filter(|first| *first != address) {
            let violation = format!("{code} was handed over to {first} and to {address}");
            self.violations.push(violation);
        }
        self.by_code.insert(code.to_owned(), address.to_owned());
        let received = self
            .by_address
            .entry(address.to_owned())
            .or_insert_with(|| Received {
                code: code.to_owned(),
                identity: identity.to_owned(),
                first: Instant::now(),
                times: 0,
            });
        received.times += 1;
        if received.code != code || received.identity != identity {
            let violation = format!("{address} got {received:?}, and then {code} as {identity}");
            self.violations.push(violation);
        }
    }
}

/// Answers the requests of a connection.
fn serve(stream: TcpStream, deliveries: &Mutex<Deliveries>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut identity, mut length) = (String::new(), 0);
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("idempotency-key") => {
                    value.clone_into(&mut identity);
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().map_err(io::Error::other)?;
                }
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body)?;
        let text = |name: &str| body[name].as_str().unwrap_or_default().trim().to_owned();
        lock(deliveries).record(&identity, &text("to"), &text("code"));
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

fn lock(deliveries: &Mutex<Deliveries>) -> MutexGuard<'_, Deliveries> {
    deliveries.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_in_two_messages_is_a_violation_and_a_repetition_is_not() {
        let mut deliveries = Deliveries::default();
        deliveries.record("1", "ann@example.com", "A");
        deliveries.record("1", "ann@example.com", "A");
        deliveries.record("2", "bob@example.com", "B");
        assert!(deliveries.violations().is_empty());
        assert_eq!((deliveries.len(), deliveries.repeated()), (2, 1));
        deliveries.record("3", "cid@example.com", "A");
        assert_eq!(deliveries.violations().len(), 1);
        deliveries.record("4", "bob@example.com", "B");
        assert_eq!(deliveries.violations().len(), 2);
    }
}
