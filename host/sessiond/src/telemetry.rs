//! What the daemon tells of itself: its log, its metrics and its traces.

mod export;
mod trace;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::mpsc;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

pub use self::export::Traces;
use self::trace::TraceLayer;
pub(crate) use self::trace::is_traceparent;
use crate::config::{LogFormat, TelemetryConfig};

/// Bounds of histograms of durations, in seconds.
const SECONDS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Bounds of histograms of calls to plugins, which take microseconds.
const PLUGIN_SECONDS: [f64; 16] = [
    0.000_002, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001,
    0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];

/// Sends the log to the standard error.
pub fn start_log(config: &TelemetryConfig) {
    // Whoever has set a log already keeps it.
    let _ = tracing_subscriber::registry().with(log(config)).try_init();
}

/// Sends the log to the standard error, and traces to the collector, if there is one. Must be called
/// inside a tokio runtime.
///
/// # Errors
/// When the traces cannot be sent as they are configured.
pub fn start(config: &TelemetryConfig) -> anyhow::Result<Option<Traces>> {
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![log(config)];
    let mut traces = None;
    if let Some(config) = &config.traces {
        let (sender, receiver) = mpsc::channel(export::WAITING);
        let layer = TraceLayer::new(sender, config.sample_ratio);
        layers.push(layer.with_filter(filter_fn(trace::is_kept)).boxed());
        traces = Some(Traces::start(config, receiver)?);
    }
    // Whoever has set a log already keeps it.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(traces)
}

/// The log has events only: spans are for traces, and cost nothing without them.
fn log(config: &TelemetryConfig) -> Box<dyn Layer<Registry> + Send + Sync> {
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = filter.and(filter_fn(|metadata| !metadata.is_span()));
    let log = fmt::layer().with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => {
            let log = log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
            log.with_filter(filter).boxed()
        }
        LogFormat::Json => log.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

/// Starts to count.
///
/// # Errors
/// [`BuildError`], when this process counts already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(
            Matcher::Full("sessiond_plugin_call_seconds".to_owned()),
            &PLUGIN_SECONDS,
        )?
        .set_buckets_for_metric(
            Matcher::Full("sessiond_plugin_phase_seconds".to_owned()),
            &PLUGIN_SECONDS,
        )?
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
    describe_counter!(
        "sessiond_plugin_calls_started_total",
        "Calls to plugins that have begun: as many as there are outcomes, and those that go on."
    );
    describe_counter!(
        "sessiond_plugin_calls_total",
        "Calls to plugins that have ended, by interface and outcome."
    );
    describe_histogram!(
        "sessiond_plugin_phase_seconds",
        "Time of the parts of a call: the wait, the start of an instance, the call of the guest."
    );
    describe_gauge!("sessiond_plugin_idle_instances", "Instances that wait for their next call.");
    describe_gauge!(
        "sessiond_plugin_memory_bytes",
        "Memory of the guests of a plugin, as it was after their last calls."
    );
    describe_counter!("sessiond_trace_spans_sent_total", "Spans that the collector has taken.");
    describe_counter!(
        "sessiond_trace_spans_dropped_total",
        "Spans that were dropped: the collector was away, or slow."
    );
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
    describe_gauge!("sessiond_plugin_loaded", "Whether a plugin is loaded: 1, or 0.");
    describe_gauge!(
        "sessiond_plugin_breaker_state",
        "What happens to calls, by plugin and interface: 0 closed, 1 half-open, 2 open."
    );
    describe_counter!(
        "sessiond_plugin_breaker_transitions_total",
        "Changes of breakers, by plugin, interface and the new state."
    );
    describe_counter!(
        "sessiond_plugin_instances_ended_total",
        "Instances of a plugin that are used no more, by reason."
    );
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
    describe_gauge!(
        "sessiond_summary_jobs_waiting",
        "Summary jobs that wait, of all who share the queue."
    );
    describe_gauge!("sessiond_summary_jobs_running", "Summary jobs that this daemon is doing.");
    describe_gauge!(
        "sessiond_summary_oldest_job_seconds",
        "Age of the oldest summary job that could run and waits."
    );
    describe_histogram!("sessiond_summary_job_wait_seconds", "Time that summary jobs have waited.");
    describe_histogram!("sessiond_summary_job_seconds", "Time that summary jobs took.");
    describe_counter!(
        "sessiond_summary_open_calls_passed_total",
        "Tool calls that were summed up without an answer, since nobody gave one in time."
    );
    describe_counter!(
        "sessiond_summary_quiet_not_watched_total",
        "Sessions whose quiet is not waited for, since there are too many."
    );
    describe_counter!(
        "sessiond_summary_unseen_events_total",
        "Events that were trimmed before any summary saw them."
    );
}
