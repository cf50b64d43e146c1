//! The settings for traces.

use super::{ConfigError, Settings, rows};

/// The destination of traces, and the share of requests that are traced.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// `TRACES_ENDPOINT`: the base URL of an OpenTelemetry collector, which receives the traces
    /// through OTLP over HTTP.
    pub endpoint: String,
    /// `TRACES_SAMPLING`: the share of requests and scheduled runs that are traced, from 0 to 1.
    pub share: f64,
    /// `METRICS_NAMESPACE`: the service's name in traces, which is also the namespace of the
    /// metrics.
    pub service: String,
}

impl TraceConfig {
    pub(super) fn read(settings: &Settings<'_>) -> Result<Option<Self>, ConfigError> {
        let endpoint = settings.collector(rows::TRACES_ENDPOINT)?;
        let share = settings.fraction(rows::TRACES_SAMPLING, 1.0)?.unwrap_or_default();
        let service =
            settings.optional(rows::METRICS_NAMESPACE).unwrap_or_else(|| "farebox".to_owned());
        Ok(endpoint.map(|endpoint| Self { endpoint, share, service }))
    }
}
