//! `[telemetry]`: what the daemon tells of itself.

use super::reader::Section;

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// How lines of the log are written.
    pub log_format: LogFormat,
    /// Which lines are written, as `tracing` filters have it: a level, or `TARGET=LEVEL,...`.
    pub log_filter: String,
}

pub(super) fn read(section: Section<'_>) -> TelemetryConfig {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log_filter = section.parsed("log_filter", "info", |text| {
        let filter = tracing_subscriber::EnvFilter::try_new(text);
        filter.map_err(|error| format!("write a level like \"info\", or a filter: {error}"))?;
        Ok(text.to_owned())
    });
    let config = TelemetryConfig {
        log_format: section.choice("log_format", &formats, LogFormat::Text, "text"),
        log_filter: log_filter.unwrap_or_default(),
    };
    section.finish();
    config
}
