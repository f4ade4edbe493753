//! Exports spans by OTLP over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};

use super::TraceError;
use promoflow_config::TraceConfig;
use promoflow_net::HttpClient;

/// The path at which collectors receive traces.
const PATH: &str = "/v1/traces";
/// Maximum time for a request to the collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Creates a processor that exports spans in batches, on a thread of its own.
pub(super) fn processor(config: &TraceConfig) -> Result<BatchSpanProcessor, TraceError> {
    let headers = config.read_headers()?;
    let endpoint = config.endpoint.as_str().trim_end_matches('/');
    let endpoint = match endpoint.ends_with(PATH) {
        true => endpoint.to_owned(),
        false => format!("{endpoint}{PATH}"),
    };
    let is_plain = config.endpoint.scheme() == "http";
    let client = HttpClient::new(TIMEOUT, 1, is_plain)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(ExportClient(client))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_headers(headers)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(TraceError::Exporter)?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .build();
    processor.set_resource(&resource);
    Ok(processor)
}

/// The HTTP client of the exporter.
#[derive(Debug)]
struct ExportClient(HttpClient);

#[async_trait]
impl opentelemetry_http::HttpClient for ExportClient {
    /// Called on the exporter's own thread, so blocking is fine.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match self.0.execute(request.try_into()?) {
            Ok(reply) => {
                if !(200..300).contains(&reply.status) {
                    tracing::warn!("the trace collector returned status {}", reply.status);
                }
                // An incomplete body is useless; the status is enough.
                let body = reply.body.unwrap_or_default();
                Ok(Response::builder().status(reply.status).body(body.into())?)
            }
            Err(error) => {
                tracing::warn!("the trace collector is unreachable: {error}");
                Err(error.into())
            }
        }
    }
}
