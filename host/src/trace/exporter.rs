//! Exporting spans by OTLP over HTTP.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};

use crate::config::TraceConfig;

/// Where collectors take traces.
const PATH: &str = "/v1/traces";
/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gathers spans and exports them in batches, on a thread of its own.
pub(super) fn processor(config: &TraceConfig) -> Result<BatchSpanProcessor> {
    let headers = config.read_headers()?;
    let endpoint = config.endpoint.as_str().trim_end_matches('/');
    let endpoint = match endpoint.ends_with(PATH) {
        true => endpoint.to_owned(),
        false => format!("{endpoint}{PATH}"),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_headers(headers)
        .with_timeout(TIMEOUT)
        .build()
        .context("cannot export traces")?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .build();
    processor.set_resource(&resource);
    Ok(processor)
}

/// What sends requests.
#[derive(Debug)]
struct Client(reqwest::blocking::Client);

impl Client {
    fn new() -> Result<Client> {
        // An embedding program may have chosen its own provider before.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::blocking::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make a client for traces")?;
        Ok(Client(client))
    }
}

#[async_trait]
impl HttpClient for Client {
    /// Called on the thread that exports, which does nothing else: it may wait here.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let sent = self
            .0
            .post(parts.uri.to_string())
            .headers(parts.headers)
            .body(body)
            .send()
            .and_then(|answer| {
                let status = answer.status();
                answer.bytes().map(|body| (status, body))
            });
        match sent {
            Ok((status, body)) => {
                if !status.is_success() {
                    tracing::warn!("the collector of traces answered {}", status.as_u16());
                }
                Ok(Response::builder().status(status).body(body)?)
            }
            Err(error) => {
                let error = error.without_url();
                tracing::warn!("the collector of traces is out of reach: {error}");
                Err(error.into())
            }
        }
    }
}
