//! `[telemetry]`: what the daemon tells of itself.

use hyper::Uri;

use super::reader::{Secret, Section};

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
    /// Whether what guests write, and where they failed, is logged.
    pub log_guest_output: bool,
    /// Where traces go. None: there are none.
    pub traces: Option<TracesConfig>,
}

/// `[telemetry.traces]`
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The collector's address for traces, of OTLP over HTTP.
    pub endpoint: Uri,
    /// How many of the traces that no client has decided about are kept, from 0 to 1.
    pub sample_ratio: f64,
    /// The name of this service.
    pub service_name: String,
    /// Sent with every request to the collector.
    pub(crate) headers: Vec<(String, Secret)>,
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
        log_guest_output: section.flag("log_guest_output", true),
        traces: read_traces(section.section("traces")),
    };
    section.finish();
    config
}

fn read_traces(section: Section<'_>) -> Option<TracesConfig> {
    const FORM: &str =
        "write the collector's address for traces, like \"http://127.0.0.1:4318/v1/traces\"";
    if !section.is_there() {
        return None;
    }
    let endpoint = section.address("endpoint");
    let sample_ratio = section.ratio("sample_ratio", 1.0);
    let name = |text: &str| Ok(text.to_owned());
    let service_name = section.parsed("service_name", "sessiond", name).unwrap_or_default();
    let table = section.section("headers");
    let mut headers = Vec::new();
    for key in table.keys() {
        headers.extend(table.secret(&key).map(|value| (key, value)));
    }
    table.finish();
    let parsed = endpoint.as_ref().and_then(|url| url.reveal().parse::<Uri>().ok());
    let good = |url: &Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some_and(|it| !it.as_str().contains('@'))
    };
    let parsed = parsed.filter(good);
    if parsed.is_none() {
        section.problem("endpoint", FORM);
    }
    section.finish();
    Some(TracesConfig { endpoint: parsed?, sample_ratio, service_name, headers })
}
