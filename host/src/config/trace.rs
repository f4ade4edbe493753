//! `[trace]`: where traces go.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Secret;
use super::file::Table;

/// Where traces go, and which.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TraceConfig {
    /// The collector, which takes OTLP over HTTP; `/v1/traces` is added where it is missing.
    pub endpoint: String,
    /// Headers for it, such as an API key.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// What this service is called.
    #[serde(default = "service_name")]
    pub service_name: String,
    /// Which part of the events that come without a trace is recorded.
    #[serde(default = "sample")]
    pub sample: f64,
}

fn service_name() -> String {
    "promoflow".to_owned()
}

fn sample() -> f64 {
    1.0
}

impl TraceConfig {
    /// To that collector, with everything else as it comes.
    pub fn to(endpoint: &str) -> anyhow::Result<TraceConfig> {
        let config = TraceConfig {
            endpoint: endpoint.to_owned(),
            headers: BTreeMap::new(),
            service_name: service_name(),
            sample: sample(),
        };
        config.check().map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
        Ok(config)
    }

    /// The same to another collector.
    pub fn with_endpoint(&self, endpoint: &str) -> anyhow::Result<TraceConfig> {
        Ok(TraceConfig {
            endpoint: TraceConfig::to(endpoint)?.endpoint,
            ..self.clone()
        })
    }

    pub(super) fn read(table: Table<'_>) -> anyhow::Result<TraceConfig> {
        let (source, at) = (table.source, table.at.clone());
        let config: TraceConfig = table.into()?;
        config.check().map_err(|wrong| source.fault(at, wrong))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), &'static str> {
        let http = ["http://", "https://"];
        if !http.iter().any(|scheme| self.endpoint.starts_with(scheme)) {
            return Err(
                "`endpoint` must be the address of a collector such as http://127.0.0.1:4318",
            );
        }
        if !(0.0..=1.0).contains(&self.sample) {
            return Err("`sample` must be 0.0 to 1.0");
        }
        Ok(())
    }
}
