//! `.../sessions/{session}/tracks/{track}`: streams of events beside a session's history.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sessiond_core::hook::Purpose;
use sessiond_core::json::{Kind, Value};
use sessiond_core::service::{TrackItem, TrackReply};
use sessiond_core::view::ViewItem;
use sessiond_core::view::json::{ObjectText, array_text};

use super::Api;
use super::ask::Ask;
use super::fields::Fields;
use super::problem::Problem;
use super::reply::{json, tagged};

/// How many events a page has, if it does not say.
const DEFAULT_PAGE: u32 = 100;

pub(super) async fn append(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let body = ask.json()?;
    let items = items_of(body.root())?;
    let (track, call) = (ask.last_name().to_owned(), ask.call(Purpose::Track));
    ask.no_params()?;
    let (header, items) =
        api.service.append_track(&call, &key, ask.condition, &track, items).await?;
    let text = ObjectText::default()
        .plain("generation", header.generation)
        .raw("items", &array_text(items.iter().map(item_json)))
        .end();
    Ok(tagged(StatusCode::OK, &header, text))
}

fn item_json(item: &TrackReply) -> String {
    let object = ObjectText::default().string("id", &item.id).plain("duplicate", item.duplicate);
    match item.sequence {
        Some(sequence) => object.plain("seq", sequence).end(),
        None => object.plain("dropped", true).end(),
    }
}

/// `{"id"?, "event": {...}}`, or `{"events": [...]}` of such or of bare events.
fn items_of(body: Value<'_>) -> Result<Vec<TrackItem>, Problem> {
    if body.kind() == Kind::Object && body.get("events").is_some() {
        let fields = Fields::of(body, "the body")?;
        let events = fields.array("events")?;
        fields.finish()?;
        return events.into_iter().flat_map(|events| events.items()).map(item_of).collect();
    }
    Ok(vec![item_of(body)?])
}

fn item_of(item: Value<'_>) -> Result<TrackItem, Problem> {
    if item.kind() != Kind::Object {
        return Err(Problem::bad_request("wrong_type", "an event must be an object"));
    }
    if item.get("event").is_none() {
        return Ok(TrackItem { id: None, body: item.raw().to_owned() });
    }
    let fields = Fields::of(item, "the item")?;
    let event = fields.object("event")?;
    let missing = || Problem::bad_request("wrong_type", "\"event\" must be an object");
    let body = event.ok_or_else(missing)?.raw().to_owned();
    let id = fields.text("id")?;
    fields.finish()?;
    Ok(TrackItem { id, body })
}

pub(super) async fn page(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let track = ask.last_name().to_owned();
    let limit = ask.params.page_limit(DEFAULT_PAGE)?;
    let after = ask.params.number("after_seq")?.unwrap_or(0);
    let call = ask.call(Purpose::Track);
    ask.no_params()?;
    let page = api.service.track(&call, &key, &track, after, limit).await?;
    let text = ObjectText::default()
        .raw("events", &array_text(page.view.items().map(event_json)))
        .optional(page.next, |object, next| object.plain("next_after_seq", next))
        .end();
    Ok(json(StatusCode::OK, text))
}

fn event_json(item: &ViewItem) -> String {
    ObjectText::default()
        .optional(item.sequence, |object, sequence| object.plain("seq", sequence))
        .string("time", &item.event.event().time().to_string())
        .raw("event", item.event.body())
        .end()
}

pub(super) async fn delete(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let track = ask.last_name().to_owned();
    ask.no_params()?;
    api.service.delete_track(&key, ask.condition, &track).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
