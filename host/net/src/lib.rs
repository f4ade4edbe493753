//! Clients for other servers: trusted certificates, and limits on the time and size of replies.
//!
//! No peer is trusted to end its reply. Every exchange has a wall-clock deadline as a whole, not
//! per read, and a maximum size in bytes.
//!
//! | module | contents |
//! | --- | --- |
//! | `tls` | certificates that clients trust |
//! | `http` | HTTP with bounded replies, with the feature `http` |
//! | `error` | the error of a client that cannot be set up |
//!
//! ```
//! // Trusts the machine's roots.
//! assert!(promoflow_net::client_config(Vec::new()).is_ok());
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod error;
#[cfg(feature = "http")]
mod http;
mod tls;

pub use error::ClientError;
#[cfg(feature = "http")]
pub use http::{BodyError, HttpClient, HttpError, HttpReply};
pub use tls::client_config;
