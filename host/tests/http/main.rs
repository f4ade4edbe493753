//! Letters to a provider over HTTP that is not ours, which misbehaves as providers do.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod answers;
mod examples;
mod pauses;
mod requests;
mod server;
mod shop;
mod webhooks;
