//! `[trace]`: the collector that traces are exported to.

use std::collections::HashMap;

use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::error::Result;
use super::http::header_name;
use super::toml_reader::{Source, Table};
use super::url::check_encrypted;
use super::{ConfigError, Secret, SecretError};

/// The export of traces.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// The collector, which accepts OTLP over HTTP; `/v1/traces` is appended if it is missing.
    pub endpoint: Url,
    /// Headers of the export requests, such as an API key.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The name of this service in traces.
    pub service_name: String,
    /// The share of traces to record, 0.0 to 1.0, of events without a trace of their own.
    pub sample: f64,
}

/// The keys that are not tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTrace {
    endpoint: Spanned<String>,
    service_name: Option<String>,
    sample: Option<Spanned<f64>>,
}

impl TraceConfig {
    /// Creates the configuration for that collector, with defaults for everything else.
    pub fn new(endpoint: &str) -> Result<TraceConfig, ConfigError> {
        Ok(TraceConfig {
            endpoint: collector(endpoint).map_err(ConfigError::Collector)?,
            headers: Vec::new(),
            service_name: "promoflow".to_owned(),
            sample: 1.0,
        })
    }

    /// Returns a copy with another collector.
    pub fn with_endpoint(&self, endpoint: &str) -> Result<TraceConfig, ConfigError> {
        Ok(TraceConfig {
            endpoint: TraceConfig::new(endpoint)?.endpoint,
            ..self.clone()
        })
    }

    /// Reads the secrets, and returns the headers with their current values.
    pub fn read_headers(&self) -> Result<HashMap<String, String>, SecretError> {
        let headers = self.headers.iter().map(|(name, secret)| {
            let value = secret
                .read()
                .and_then(|value| match HeaderValue::from_str(&value) {
                    Ok(_) => Ok(value),
                    Err(_) => Err(SecretError::NotHeaderValue(secret.to_string())),
                });
            let value = value.map_err(|source| SecretError::TraceHeader {
                name: name.to_string(),
                source: Box::new(source),
            })?;
            Ok((name.to_string(), value))
        });
        headers.collect()
    }

    pub(super) fn read(mut table: Table<'_>) -> Result<TraceConfig> {
        let source = table.source;
        let headers = headers(source, table.take_table("headers")?)?;
        let plain: RawTrace = table.into()?;
        let defaults = TraceConfig::new(plain.endpoint.get_ref())
            .map_err(|error| source.error_at(plain.endpoint.span(), error))?;
        let sample = match plain.sample {
            None => defaults.sample,
            Some(sample) if (0.0..=1.0).contains(sample.get_ref()) => sample.into_inner(),
            Some(sample) => {
                return Err(source.error_at(sample.span(), "`sample` must be 0.0 to 1.0"));
            }
        };
        Ok(TraceConfig {
            headers,
            service_name: plain.service_name.unwrap_or(defaults.service_name),
            sample,
            ..defaults
        })
    }
}

fn headers(source: Source<'_>, table: Option<Table<'_>>) -> Result<Vec<(HeaderName, Secret)>> {
    let entries = table.map_or_else(Vec::new, Table::into_entries).into_iter();
    let headers = entries.map(|(name, value)| {
        let name = header_name(source, value.span(), &name)?;
        Ok((name, source.read(value)?))
    });
    headers.collect()
}

/// Parses the address of a collector: a server and a path, to which `/v1/traces` can be appended.
fn collector(text: &str) -> Result<Url, String> {
    let expected = "expected the address of a collector such as http://127.0.0.1:4318";
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}; {expected}"))?;
    check_encrypted(&url).map_err(|error| format!("{error}; {expected}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL must not contain a login; put secrets into `headers`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "the address must not contain `?` or `#`; {expected}"
        ));
    }
    Ok(url)
}
