//! The client of a provider, and what is said of a conversation that failed.

use std::error::Error as _;

use promoflow_config::HttpConfig;
use promoflow_net::{BodyError, HttpClient, HttpError};

/// A client for one provider.
pub(super) fn make(config: &HttpConfig) -> anyhow::Result<HttpClient> {
    let is_plain = config.sample.scheme() == "http";
    HttpClient::new(config.timeout, config.connections, is_plain)
}

/// What is wrong with a body, said of an answer.
pub(super) fn fault(error: BodyError) -> &'static str {
    match error {
        BodyError::BrokeOff => "broke off",
        BodyError::TooLong => "is too long",
        BodyError::TooSlow => "took too long",
    }
}

/// What the network said. Never the URL, which may hold an address and a secret.
pub(super) fn told(error: &HttpError) -> String {
    let error = match error {
        HttpError::TimedOut => return "the provider did not answer in time".to_owned(),
        HttpError::Failed(error) if error.is_connect() => error,
        HttpError::Failed(_) => {
            return "the conversation with the provider broke off".to_owned();
        }
    };
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|cause| cause.source()) {
        cause = Some(deeper);
    }
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    format!("no connection to the provider{cause}")
}
