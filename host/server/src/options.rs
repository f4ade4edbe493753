//! What a service is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a service listens, and what one client may ask of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens. Port 0 is any that is free.
    pub listen: SocketAddr,
    /// The certificate to speak TLS with; without one it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// What one client may ask for.
    pub limits: Limits,
    /// How long requests that are under way may take to end once the service is told to end.
    pub drain: Duration,
}

/// A certificate and its private key, as PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate, with those between it and its root below it.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What one client may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Events a second and key.
    pub events_per_second: u32,
    /// Other requests a second and key.
    pub requests_per_second: u32,
    /// The largest body, in bytes, of a request that is no upload.
    pub body_bytes: usize,
    /// The largest upload as JSON, in bytes: it is echoed, so it is held in memory.
    pub json_upload_bytes: usize,
    /// The largest upload as CSV, in bytes. It is streamed.
    pub upload_bytes: u64,
    /// Files of uploads at one time; further ones are told to come again.
    pub uploads: usize,
    /// Open connections. Where there are as many, the oldest makes room on which no key was shown, or
    /// nothing happens; where all are at work, further ones wait. No more than leaves the process
    /// 256 files to open.
    pub connections: usize,
    /// Open connections of one address, or of one network of IPv6; half of all unless this says
    /// another number.
    pub connections_per_address: Option<usize>,
    /// How long a client may take for the head of a request, and keep an idle connection.
    pub header_time: Duration,
    /// How long a client may pause while it sends a body, or takes an answer.
    pub body_pause: Duration,
    /// How long an event may take until it is committed.
    pub event_time: Duration,
}

impl Default for Options {
    /// On 127.0.0.1:8080 without TLS, with the default limits and 30 seconds to end.
    fn default() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            limits: Limits::default(),
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    /// 350 events and 200 other requests a second, as Yespo; bodies of 1 MiB, uploads of 16 MiB
    /// as JSON and 2 GiB as CSV, 4 at a time; 1024 connections, half of them of one address; 15 seconds for a head, 30 for a
    /// pause within a body or an answer, 60 for an event.
    fn default() -> Limits {
        Limits {
            events_per_second: 350,
            requests_per_second: 200,
            body_bytes: 1 << 20,
            json_upload_bytes: 16 << 20,
            upload_bytes: 2 << 30,
            uploads: 4,
            connections: 1024,
            connections_per_address: None,
            header_time: Duration::from_secs(15),
            body_pause: Duration::from_secs(30),
            event_time: Duration::from_secs(60),
        }
    }
}
