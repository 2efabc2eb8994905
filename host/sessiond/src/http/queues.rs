//! `/v1/admin/queues`: what waits in this daemon, for the operator.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sessiond_core::view::json::{ObjectText, array_text};
use sessiond_core::workers::lanes::{DeadLetter, LaneReport, Lanes};

use super::Api;
use super::reply::json;

/// `GET /v1/admin/queues`: the lanes, and the appends that were refused after they had been queued,
/// with their events.
pub(super) async fn show(State(api): State<Api>) -> Response {
    let lanes = api.service.lanes();
    let reports = lanes.map(|lanes| lanes.reports()).unwrap_or_default();
    let text = ObjectText::default()
        .raw("lanes", &array_text(reports.iter().map(lane_json)))
        .raw("dead_letters", &dead_letters_json(lanes.map(AsRef::as_ref)))
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
