//! Messages sent to an independent provider over HTTP, which misbehaves as providers do.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod answers;
mod examples;
mod requests;
mod retry_after;
mod server;
mod test_app;
mod webhooks;
