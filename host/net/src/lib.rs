//! Conversations with other servers: what is trusted, how long a reply may take, how long it may be.
//!
//! No peer is believed to end its reply by itself. Every exchange has a deadline on the wall clock
//! for the whole of it, not for each read, and a cap of bytes.

mod http;
mod tls;

pub use http::{BodyError, HttpClient, HttpError, HttpReply};
pub use tls::client_config;
