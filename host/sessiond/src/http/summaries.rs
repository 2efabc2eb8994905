//! `.../sessions/{session}/summaries`: ask for one, and read them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sessiond_core::hook::Purpose;
use sessiond_core::view::json::{ObjectText, array_text, summary_json};
use sessiond_core::workers::summary::JobOutcome;

use super::Api;
use super::ask::Ask;
use super::problem::Problem;
use super::reply::{json, tagged};

pub(super) async fn request(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let (mut filter_key, mut force, mut wait) = (String::new(), false, false);
    if let Some(body) = ask.optional_json()? {
        let fields = body.fields()?;
        filter_key = fields.text("filter_key")?.unwrap_or_default();
        force = fields.flag("force")?;
        wait = fields.flag("wait")?;
        fields.finish()?;
    }
    let call = ask.call(Purpose::Summary);
    ask.no_params()?;
    let outcome = api.service.summarize(&call, &key, filter_key, force, wait).await?;
    Ok(match outcome {
        None => json(StatusCode::ACCEPTED, "{\"outcome\":\"queued\"}".to_owned()),
        Some(outcome) => json(StatusCode::OK, outcome_json(&outcome)),
    })
}

fn outcome_json(outcome: &JobOutcome) -> String {
    let object = ObjectText::default().string("outcome", outcome.name());
    match outcome {
        JobOutcome::Stored { last_sequence, .. } => object.plain("last_seq", last_sequence).end(),
        JobOutcome::DroppedBy(plugin) => object.string("dropped_by", plugin).end(),
        _ => object.end(),
    }
}

pub(super) async fn list(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let (key, call) = (ask.session()?, ask.call(Purpose::Summaries));
    ask.no_params()?;
    let view = api.service.summaries(&call, &key).await?;
    let summaries = array_text(view.summaries().iter().map(summary_json));
    let text = ObjectText::default().raw("summaries", &summaries).end();
    Ok(match view.header() {
        Some(header) => tagged(StatusCode::OK, header, text),
        None => json(StatusCode::OK, text),
    })
}
