//! The exporter: sends spans to a collector, in OTLP over HTTP, as JSON.
//!
//! What it holds is bounded, in number and in time. A collector that is slow or away costs spans,
//! which are counted, and never a request.

use std::time::Duration;

use anyhow::Context as _;
use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::trace::{Span, Value};
use crate::config::TracesConfig;
use crate::outbound::{Connector, json_request};

/// How many spans may wait.
pub(super) const WAITING: usize = 4_096;
/// The most spans of one request to the collector.
const BATCH: usize = 512;
/// How long spans are gathered.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the collector may take.
const TIME: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The exporter at work. It ends when it is flushed.
#[derive(Debug)]
pub struct Traces {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Traces {
    /// Starts it. Must be called inside a tokio runtime.
    pub(super) fn start(
        config: &TracesConfig,
        spans: mpsc::Receiver<Span>,
    ) -> anyhow::Result<Self> {
        let exporter = Exporter::new(config)?;
        let stop = CancellationToken::new();
        let task = TaskTracker::new().spawn(exporter.run(spans, stop.clone()));
        Ok(Self { task, stop })
    }

    /// Sends what has ended, within some time, and ends.
    pub async fn flush(self, time: Duration) {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        if tokio::time::timeout(time, self.task).await.is_err() {
            tracing::warn!("the last traces could not be sent in time");
            abort.abort();
        }
    }
}

pub(super) fn count_dropped(spans: usize) {
    metrics::counter!("sessiond_trace_spans_dropped_total").increment(spans as u64);
}

struct Exporter {
    endpoint: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    service: String,
    connector: Connector,
    /// Whether the last batch went through: each change is told once.
    reachable: bool,
}

impl Exporter {
    fn new(config: &TracesConfig) -> anyhow::Result<Self> {
        let header = |(name, value): &(String, crate::config::Secret)| {
            let told = || format!("telemetry.traces.headers.{name}: this is no header of HTTP");
            let mut value = HeaderValue::try_from(value.reveal()).with_context(told)?;
            value.set_sensitive(true);
            Ok((HeaderName::try_from(name).with_context(told)?, value))
        };
        Ok(Self {
            endpoint: config.endpoint.clone(),
            headers: config.headers.iter().map(header).collect::<anyhow::Result<_>>()?,
            service: config.service_name.clone(),
            connector: Connector::new()?,
            reachable: true,
        })
    }

    async fn run(mut self, mut spans: mpsc::Receiver<Span>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let stopping = stop.is_cancelled();
            tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {}
                () = tokio::time::sleep(PAUSE), if !stopping && spans.len() < BATCH => {}
                () = std::future::ready(()) , if stopping || spans.len() >= BATCH => {}
            }
            while batch.len() < BATCH
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                if stopping {
                    return;
                }
                continue;
            }
            let sent = tokio::time::timeout(TIME, self.send(&batch)).await;
            self.note(sent.context("no answer in time").flatten(), batch.len());
            batch.clear();
        }
    }

    fn note(&mut self, sent: anyhow::Result<()>, spans: usize) {
        match sent {
            Ok(()) => {
                metrics::counter!("sessiond_trace_spans_sent_total").increment(spans as u64);
                self.reachable = true;
            }
            Err(error) => {
                count_dropped(spans);
                if std::mem::replace(&mut self.reachable, false) {
                    tracing::warn!(error = %format_args!("{error:#}"),
                        "traces cannot be sent (telemetry.traces.endpoint); they are dropped until it works");
                }
            }
        }
    }

    async fn send(&self, spans: &[Span]) -> anyhow::Result<()> {
        let headers = self.headers.iter().map(|(name, value)| (name.clone(), value));
        let body = document(&self.service, spans).to_string();
        let request = json_request(&self.endpoint, headers, body)?;
        let answer = self.connector.post(&self.endpoint, request, MAX_ANSWER).await;
        // It says nothing that a client could act on, so it matters not whether it is whole.
        let status = answer.map_err(anyhow::Error::from_boxed)?.status;
        anyhow::ensure!(status.is_success(), "the collector answers {status}");
        Ok(())
    }
}

/// An `ExportTraceServiceRequest`, in the JSON of OTLP.
fn document(service: &str, spans: &[Span]) -> Json {
    let resource = [
        ("service.name", Value::Text(service.to_owned())),
        ("service.version", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    let scope = json!({"name": "sessiond", "version": env!("CARGO_PKG_VERSION")});
    let spans: Vec<Json> = spans.iter().map(span_json).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes(&resource)},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
}

fn span_json(span: &Span) -> Json {
    // Of a request that a client has sent, of one that goes out, of what stays inside.
    let kind = match span.name {
        "request" => 2,
        "store call" => 3,
        _ => 1,
    };
    let mut object = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.begin.to_string(),
        "endTimeUnixNano": span.end.to_string(),
        "attributes": attributes(&span.attributes),
        "status": {"code": if failed(span) { 2 } else { 0 }},
    });
    if let Some(fields) = object.as_object_mut().filter(|_| span.parent != 0) {
        fields.insert("parentSpanId".to_owned(), format!("{:016x}", span.parent).into());
    }
    object
}

fn failed(span: &Span) -> bool {
    span.attributes.iter().any(|(name, value)| match (*name, value) {
        ("http.response.status_code", Value::Number(status)) => *status >= 500,
        ("outcome", Value::Text(outcome)) if span.name == "plugin call" => {
            !matches!(outcome.as_str(), "ok" | "rejected")
        }
        _ => false,
    })
}

fn attributes(list: &[(&'static str, Value)]) -> Vec<Json> {
    let value = |value: &Value| match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Truth(truth) => json!({"boolValue": truth}),
    };
    list.iter().map(|(name, it)| json!({"key": name, "value": value(it)})).collect()
}
