//! HTTP as a client.
//!
//! The blocking client of `reqwest` limits the time of each read and not of the whole reply, so
//! this module drives the asynchronous client under one deadline from the first byte to the last.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout_at};

use super::{ClientError, client_config};

/// Maximum size of a body, in bytes. Replies of providers have a few hundred.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Maximum time for a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time that an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// An HTTP client with bounded exchanges. It does not follow redirects, since another server must
/// see neither the content nor the credentials of a request.
#[derive(Debug)]
pub struct HttpClient {
    client: Client,
    runtime: &'static Runtime,
    timeout: Duration,
}

/// A reply.
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or the reason why it is missing.
    pub body: Result<Vec<u8>, BodyError>,
}

/// The reason why a body is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The connection ended before the body did.
    Incomplete,
    /// Longer than the maximum size.
    TooLong,
    /// Not complete before the deadline.
    TooSlow,
}

/// The reason why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The head of the reply was not complete before the deadline.
    #[error("no reply in time")]
    TimedOut,
    /// The connection failed or broke.
    #[error(transparent)]
    Failed(reqwest::Error),
}

impl HttpError {
    /// Returns true if nothing was sent because no connection could be made.
    pub fn is_connect(&self) -> bool {
        matches!(self, HttpError::Failed(error) if error.is_connect())
    }
}

impl HttpClient {
    /// Creates a client with that timeout per exchange, and up to that many idle connections.
    /// `is_plain`: the server is on this machine and has no TLS; a proxy on another machine cannot
    /// reach it.
    pub fn new(
        timeout: Duration,
        connections: usize,
        is_plain: bool,
    ) -> Result<HttpClient, ClientError> {
        let mut builder = ClientBuilder::new()
            .user_agent(concat!("promoflow/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(timeout.min(CONNECT_TIMEOUT))
            .pool_max_idle_per_host(connections)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tls_backend_preconfigured(client_config(Vec::new())?);
        if is_plain {
            builder = builder.no_proxy();
        }
        Ok(HttpClient {
            client: builder.build().map_err(ClientError::Http)?,
            runtime: runtime()?,
            timeout,
        })
    }

    /// Sends a request and reads the whole reply. Blocks: do not call it on a thread of an event
    /// loop.
    pub fn execute(&self, request: Request) -> Result<HttpReply, HttpError> {
        self.runtime.block_on(async {
            let deadline = Instant::now() + self.timeout;
            let head = timeout_at(deadline, self.client.execute(request)).await;
            let mut response = match head {
                Ok(Ok(response)) => response,
                Ok(Err(error)) if error.is_timeout() => return Err(HttpError::TimedOut),
                Ok(Err(error)) => return Err(HttpError::Failed(error.without_url())),
                Err(_) => return Err(HttpError::TimedOut),
            };
            let body = timeout_at(deadline, read_body(&mut response)).await;
            Ok(HttpReply {
                status: response.status().as_u16(),
                headers: std::mem::take(response.headers_mut()),
                body: body.unwrap_or(Err(BodyError::TooSlow)),
            })
        })
    }
}

/// Reads a body to its end if it is short, so that the connection can be reused.
async fn read_body(response: &mut Response) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|_| BodyError::Incomplete)? {
        if body.len() + part.len() > MAX_BODY_BYTES {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// Returns the runtime of all clients in this process. It lives as long as the process, since an
/// embedding program may drop its installation in a context where a runtime must not be dropped.
fn runtime() -> Result<&'static Runtime, ClientError> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("http-clients")
            .enable_all()
            .build()
    });
    made.as_ref().map_err(ClientError::Thread)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    const TIME: Duration = Duration::from_secs(1);

    /// Starts a server that sends `first`, and then `repeated` forever.
    fn server(first: &'static str, repeated: &'static [u8], pause: u64) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = move |mut stream: TcpStream| {
            let _asked = stream.read(&mut [0; 4096]);
            let mut sent = stream.write_all(first.as_bytes());
            let began = Instant::now();
            while sent.is_ok() && began.elapsed() < Duration::from_secs(30) {
                thread::sleep(Duration::from_millis(pause));
                sent = stream.write_all(repeated);
            }
        };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream));
            }
        });
        port
    }

    fn request(port: u16) -> Result<HttpReply, HttpError> {
        let client = HttpClient::new(TIME, 1, true).unwrap();
        let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        let began = Instant::now();
        let reply = client.execute(Request::new(reqwest::Method::POST, url));
        let took = began.elapsed();
        assert!(took < TIME * 4, "{took:?}");
        reply
    }

    #[test]
    fn endless_replies_end_at_the_deadline_or_the_size_limit() {
        const HEAD: &str = "HTTP/1.1 200 OK\r\n";
        let long = Box::leak(vec![b'x'; 64 * 1024].into_boxed_slice());
        let lines = Box::leak(b"a: b\r\n".repeat(10_000).into_boxed_slice());
        let informed = Box::leak(
            b"HTTP/1.1 102 Processing\r\n\r\n"
                .repeat(99)
                .into_boxed_slice(),
        );
        let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1_000));
        let chunks = Box::leak(chunk.into_bytes().into_boxed_slice());
        thread::scope(|scope| {
            for (first, repeated, pause) in [
                ("", &b""[..], 50),
                (HEAD, b"x", 50),
                (HEAD, b"x: y\r\n", 50),
                (HEAD, long, 0),
                (HEAD, lines, 0),
                ("", informed, 1),
            ] {
                scope.spawn(move || assert!(request(server(first, repeated, pause)).is_err()));
            }
            for (rest, repeated, pause, wrong) in [
                ("\r\n", &long[..], 0, BodyError::TooLong),
                ("\r\n", b"x", 50, BodyError::TooSlow),
                (
                    "Content-Length: 9999999\r\n\r\n",
                    long,
                    0,
                    BodyError::TooLong,
                ),
                ("Content-Length: 9\r\n\r\nx", b"", 50, BodyError::TooSlow),
                (
                    "Transfer-Encoding: chunked\r\n\r\n",
                    chunks,
                    0,
                    BodyError::TooLong,
                ),
                (
                    "Transfer-Encoding: chunked\r\n\r\n1;",
                    b"x",
                    50,
                    BodyError::TooSlow,
                ),
            ] {
                scope.spawn(move || {
                    let first = Box::leak(format!("{HEAD}{rest}").into_boxed_str());
                    let reply = request(server(first, repeated, pause)).ok().unwrap();
                    assert_eq!((reply.status, reply.body), (200, Err(wrong)), "{rest}");
                });
            }
        });
    }

    #[test]
    fn redirects_are_not_followed() {
        let port = server(
            "HTTP/1.1 307 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
            b"",
            50,
        );
        assert_eq!(request(port).ok().unwrap().status, 307);
    }
}
