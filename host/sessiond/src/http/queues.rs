//! `/v1/admin/queues`: what waits and runs, and how it ended, for the operator.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sessiond_core::view::json::{ObjectText, array_text};
use sessiond_core::workers::lanes::{DeadLetter, LaneReport, Lanes};
use sessiond_core::workers::summary::SummaryStatus;

use super::Api;
use super::reply::json;

/// `GET /v1/admin/queues`: the lanes, the appends that were refused after they had been queued, with
/// their events, and the summary jobs.
pub(super) async fn show(State(api): State<Api>) -> Response {
    let lanes = api.service.lanes();
    let summaries = match &api.summaries {
        Some(pool) => summaries_json(&pool.status().await),
        None => "null".to_owned(),
    };
    let reports = lanes.map(|lanes| lanes.reports()).unwrap_or_default();
    let text = ObjectText::default()
        .raw("lanes", &array_text(reports.iter().map(lane_json)))
        .raw("dead_letters", &dead_letters_json(lanes.map(AsRef::as_ref)))
        .raw("summaries", &summaries)
        .end();
    json(StatusCode::OK, text)
}

fn lane_json(lane: &LaneReport) -> String {
    ObjectText::default()
        .plain("depth", lane.depth)
        .plain("oldest_ms", lane.oldest.as_millis())
        .plain("written", lane.written)
        .plain("refused", lane.refused)
        .plain("retried", lane.retried)
        .end()
}

fn dead_letters_json(lanes: Option<&Lanes>) -> String {
    let (total, letters) = lanes.map(Lanes::dead_letters).unwrap_or_default();
    ObjectText::default()
        .plain("total", total)
        .raw("latest", &array_text(letters.iter().map(|letter| letter_json(letter))))
        .end()
}

fn letter_json(letter: &DeadLetter) -> String {
    let events = letter.events.iter().map(|event| {
        ObjectText::default().string("id", event.id()).raw("event", event.body()).end()
    });
    ObjectText::default()
        .string("at", &letter.at.to_string())
        .string("app", letter.key.app())
        .string("user", letter.key.user())
        .string("session", letter.key.session())
        .string("request_id", &letter.request_id)
        .string("code", letter.code)
        .string("detail", &letter.detail)
        .raw("events", &array_text(events))
        .end()
}

/// The queue of summary jobs. Its depth is that of all daemons on it; the rest is this daemon's own.
pub(super) fn summaries_json(status: &SummaryStatus) -> String {
    let outcomes = status.outcomes.iter();
    let outcomes = outcomes.fold(ObjectText::default(), |it, (name, count)| it.plain(name, count));
    let object = ObjectText::default()
        .string("queue", status.queue)
        .optional(status.depth, |object, depth| {
            let object = object.plain("waiting", depth.waiting).plain("running", depth.running);
            seconds(object, "oldest_seconds", depth.oldest)
        })
        .plain("running_here", status.running);
    let object = seconds(object, "last_wait_seconds", status.last_wait);
    let object = seconds(object, "longest_wait_seconds", status.longest_wait);
    object.raw("outcomes", &outcomes.end()).end()
}

fn seconds(object: ObjectText, name: &str, time: Option<Duration>) -> ObjectText {
    object.optional(time, |object, time| object.plain(name, time.as_secs_f64()))
}
