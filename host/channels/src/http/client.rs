//! The HTTP client of a provider, and the texts of its errors.

use std::error::Error as _;

use promoflow_config::HttpConfig;
use promoflow_net::{BodyError, ClientError, HttpClient, HttpError};

/// Creates the client of a provider.
pub(super) fn new_client(config: &HttpConfig) -> Result<HttpClient, ClientError> {
    let is_plain = config.sample_url.scheme() == "http";
    HttpClient::new(config.timeout, config.connections, is_plain)
}

/// Describes an error of a response body, after "the response body".
pub(super) fn describe_body_error(error: BodyError) -> &'static str {
    match error {
        BodyError::Incomplete => "was cut off",
        BodyError::TooLong => "is too long",
        BodyError::TooSlow => "took too long",
    }
}

/// Describes a network error. Never the URL, which may contain an address or a secret.
pub(super) fn describe_error(error: &HttpError) -> String {
    let error = match error {
        HttpError::TimedOut => return "the provider did not answer in time".to_owned(),
        HttpError::Failed(error) if error.is_connect() => error,
        HttpError::Failed(_) => {
            return "the connection to the provider was lost".to_owned();
        }
    };
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|cause| cause.source()) {
        cause = Some(deeper);
    }
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    format!("cannot connect to the provider{cause}")
}
