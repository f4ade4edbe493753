//! Clients for other servers: trusted certificates, and limits on the time and size of replies.
//!
//! No peer is trusted to end its reply. Every exchange has a wall-clock deadline as a whole, not
//! per read, and a maximum size in bytes.

#[cfg(feature = "http")]
mod http;
mod tls;

#[cfg(feature = "http")]
pub use http::{BodyError, HttpClient, HttpError, HttpReply};
pub use tls::client_config;
