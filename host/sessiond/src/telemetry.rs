//! What the daemon tells of itself: its log and its metrics.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// Bounds of histograms of durations, in seconds.
const SECONDS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Sends the log to the standard error.
pub fn start_log(config: &TelemetryConfig) {
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Whoever has set a log already keeps it.
    let _ = match config.log_format {
        LogFormat::Text => {
            log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
        }
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// Starts to count.
///
/// # Errors
/// [`BuildError`], when this process counts already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("sessiond_http_requests_total", "Requests, by route and status.");
    describe_histogram!("sessiond_http_request_seconds", "Time to answer a request, by route.");
    describe_counter!("sessiond_sessions_created_total", "Sessions created.");
    describe_counter!("sessiond_events_appended_total", "Entries stored by appends.");
    describe_counter!(
        "sessiond_open_calls_given_up_total",
        "Tool calls without an answer that no longer hold back the trimming."
    );
    describe_counter!("sessiond_plugin_calls_total", "Calls to plugins, by interface and outcome.");
    describe_gauge!("sessiond_plugin_running", "Guests that run at present, by plugin.");
    describe_histogram!(
        "sessiond_plugin_call_seconds",
        "Time of calls to plugins, waiting included."
    );
    describe_counter!(
        "sessiond_plugin_log_dropped_bytes_total",
        "Bytes that plugins logged beyond what a call may."
    );
    describe_counter!(
        "sessiond_plugin_code_total",
        "Components whose code was found in the cache or compiled."
    );
    describe_counter!("sessiond_plugin_reloads_total", "Reloads of plugins, by outcome.");
    describe_gauge!(
        "sessiond_plugin_generations",
        "Files of a plugin that are loaded: more than one while calls go on after a reload."
    );
    describe_gauge!("sessiond_plugin_instances", "Instances of a plugin, at work or idle.");
    describe_counter!(
        "sessiond_plugin_instances_started_total",
        "Instances of a plugin that were started: many a call mean that they retire early."
    );
    describe_histogram!("sessiond_plugin_compile_seconds", "Time to compile a component.");
    describe_counter!("sessiond_model_calls_total", "Models asked by plugins, by outcome.");
    describe_counter!("sessiond_model_tokens_total", "Tokens that models counted, by plugin.");
    describe_histogram!("sessiond_model_call_seconds", "Time of asking a model, by plugin.");
    describe_counter!("sessiond_hook_failures_total", "Hooks that failed, by plugin and kind.");
    describe_counter!("sessiond_summary_jobs_total", "Summary jobs, by outcome.");
    describe_counter!(
        "sessiond_summary_unseen_events_total",
        "Events that were trimmed before any summary saw them."
    );
}
