//! `GET /v1/admin/queues`: what waits and runs, and how it ended.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sessiond_core::view::json::ObjectText;
use sessiond_core::workers::summary::SummaryStatus;

use super::Api;
use super::reply::json;

pub(super) async fn list(State(api): State<Api>) -> Response {
    let summaries = match &api.summaries {
        Some(pool) => summaries_json(&pool.status().await),
        None => "null".to_owned(),
    };
    json(StatusCode::OK, ObjectText::default().raw("summaries", &summaries).end())
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
