//! Traces: what each part of a request took, for a collector that speaks OpenTelemetry's protocol.
//!
//! Spans are those of `tracing`. This layer keeps the ones of this program, joins the trace that a
//! client's `traceparent` names, and hands what has ended to the exporter. It never waits: when the
//! exporter is behind, spans are dropped and counted.

use std::time::SystemTime;

use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// What begins a trace. Other spans without a parent, such as those of the daemon's own chores, are
/// not kept.
const ROOTS: [&str; 2] = ["request", "summary job"];
/// The field of a span that joins it to the trace of the client, whose request it is for.
const TRACEPARENT: &str = "traceparent";

/// Whether a span is one for the collector.
pub(super) fn is_kept(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("sessiond")
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
}

/// A span, as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    /// 0: none.
    pub(super) parent: u64,
    pub(super) name: &'static str,
    pub(super) begin: u128,
    pub(super) end: u128,
    pub(super) attributes: Vec<(&'static str, Value)>,
    sampled: bool,
}

/// Gathers spans.
pub(super) struct TraceLayer {
    ended: mpsc::Sender<Span>,
    /// Traces whose id is below it are kept, of those that no client has decided about.
    bound: u64,
}

impl TraceLayer {
    /// Sends spans there. `ratio` of the traces are kept, from 0 to 1.
    pub(super) fn new(ended: mpsc::Sender<Span>, ratio: f64) -> Self {
        Self { ended, bound: (ratio * u64::MAX as f64) as u64 }
    }

    fn begin(&self, name: &'static str, parent: Option<&Span>, fields: Fields) -> Span {
        let given = fields.traceparent.as_deref().and_then(parse_traceparent);
        let (trace, above, sampled) = match (parent, given) {
            (Some(parent), _) => (parent.trace, parent.id, parent.sampled),
            (None, Some(client)) => (client.trace, client.span, client.sampled),
            (None, None) => {
                let trace = rand::random::<u128>().max(1);
                // The low half, as other samplers have it.
                (trace, 0, ROOTS.contains(&name) && (trace as u64) <= self.bound && self.bound > 0)
            }
        };
        Span {
            trace,
            id: rand::random::<u64>().max(1),
            parent: above,
            name,
            begin: now(),
            end: 0,
            attributes: fields.attributes,
            sampled,
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = span.parent();
        let parent = parent.as_ref().map(tracing_subscriber::registry::SpanRef::extensions);
        let parent = parent.as_ref().and_then(|extensions| extensions.get::<Span>());
        let begun = self.begin(span.name(), parent, fields);
        span.extensions_mut().insert(begun);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(span) = span.extensions_mut().get_mut::<Span>() {
            let mut fields = Fields::default();
            values.record(&mut fields);
            span.attributes.append(&mut fields.attributes);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(mut span) = span.extensions_mut().remove::<Span>() else { return };
        if span.sampled {
            span.end = now();
            if self.ended.try_send(span).is_err() {
                super::export::count_dropped(1);
            }
        }
    }
}

fn now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[derive(Debug, Default)]
struct Fields {
    attributes: Vec<(&'static str, Value)>,
    traceparent: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TRACEPARENT {
            self.traceparent = Some(value.to_owned());
        } else {
            self.attributes.push((field.name(), Value::Text(value.to_owned())));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push((field.name(), Value::Number(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.attributes.push((field.name(), Value::Number(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push((field.name(), Value::Truth(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.attributes.push((field.name(), Value::Text(format!("{value:?}"))));
    }
}

/// The client's part of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Client {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// Whether a `traceparent` can be joined.
pub(crate) fn is_traceparent(text: &str) -> bool {
    parse_traceparent(text).is_some()
}

/// Reads a `traceparent` of W3C's Trace Context. None: it is not one, and counts as not there.
fn parse_traceparent(text: &str) -> Option<Client> {
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let span = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    // Later versions may say more; the first says exactly this.
    let whole = version != 0 || parts.next().is_none();
    let good = version != 0xff && whole && trace != 0 && span != 0;
    good.then_some(Client { trace, span: span as u64, sampled: flags & 1 == 1 })
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let good = text.len() == digits && text.bytes().all(lower);
    good.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_whole_or_not_there() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let client = parse_traceparent(good).unwrap();
        assert_eq!(client.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((client.span, client.sampled), (0xb7ad_6b71_6920_3331, true));
        assert!(!parse_traceparent(&good.replace("-01", "-00")).unwrap().sampled);
        assert!(parse_traceparent(&(good.replacen("00", "cc", 1) + "-more")).is_some());
        for bad in [
            String::new(),
            good.to_uppercase(),
            good.replacen("00", "ff", 1),
            good.to_owned() + "-more",
            good.replace("b7ad6b7169203331", "0000000000000000"),
            good.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            good.replace("0af7", "+af7"),
        ] {
            assert_eq!(parse_traceparent(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_ratio_of_the_traces_is_kept() {
        let kept = |ratio: f64, name: &'static str| {
            let layer = TraceLayer::new(mpsc::channel(1).0, ratio);
            (0..1_000).filter(|_| layer.begin(name, None, Fields::default()).sampled).count()
        };
        assert_eq!((kept(0.0, "request"), kept(1.0, "request"), kept(1.0, "sweep")), (0, 1_000, 0));
        assert!((300..700).contains(&kept(0.5, "request")));
    }
}
