//! What only several hosts show.
#![allow(clippy::unwrap_used, reason = "a test")]
