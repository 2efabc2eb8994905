//! `.../sessions/{session}/events`: append, and page through.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sessiond_core::dialect::Dialect;
use sessiond_core::event::Received;
use sessiond_core::hook::Purpose;
use sessiond_core::json::{Kind, Value};
use sessiond_core::read::ReadOptions;
use sessiond_core::view::ViewItem;
use sessiond_core::view::json::{ObjectText, append_json, array_text, queued_json};

use super::Api;
use super::ask::Ask;
use super::fields::{Fields, JsonBody};
use super::problem::Problem;
use super::reply::{json, tagged};

/// How many events a page has, if it does not say.
const DEFAULT_PAGE: u32 = 100;

pub(super) async fn append(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let body = ask.json()?;
    let (items, generation) = items_of(body.root())?;
    let mut condition = ask.condition;
    if let (Some(asked), Some(matched)) = (generation, condition.generation)
        && asked != matched
    {
        let detail = "the generation and If-Match name two different sessions";
        return Err(Problem::bad_request("bad_if_match", detail));
    }
    condition.generation = condition.generation.or(generation);
    let call = ask.call(Purpose::Append);
    ask.no_params()?;
    if api.service.lanes().is_some() {
        let reply = api.service.queue(&call, &key, condition, items).await?;
        return Ok(json(StatusCode::ACCEPTED, queued_json(&reply)));
    }
    let reply = api.service.append(&call, &key, condition, items).await?;
    Ok(tagged(StatusCode::OK, &reply.header, append_json(&reply)))
}

/// An item, a bare event, or `{"events": [...]}` of either.
fn items_of(body: Value<'_>) -> Result<(Vec<Received>, Option<u64>), Problem> {
    if body.kind() == Kind::Object && body.get("events").is_some() {
        let fields = Fields::of(body, "the body")?;
        let events = fields.array("events")?;
        let generation = fields.number("generation")?;
        fields.finish()?;
        let items = events.into_iter().flat_map(|events| events.items());
        let items = items.map(|item| item_of(item).map(|(item, _)| item));
        return Ok((items.collect::<Result<_, _>>()?, generation));
    }
    let (item, generation) = item_of(body)?;
    Ok((vec![item], generation))
}

/// One item by itself.
pub(super) fn received_item(text: &str) -> Result<Received, Problem> {
    let body = JsonBody::parse(text.to_owned())?;
    Ok(item_of(body.root())?.0)
}

/// An object with a member `event` is an item; any other is an event.
fn item_of(item: Value<'_>) -> Result<(Received, Option<u64>), Problem> {
    if item.kind() != Kind::Object {
        return Err(Problem::bad_request("wrong_type", "an event must be an object"));
    }
    if item.get("event").is_none() {
        let body = item.raw().to_owned();
        return Ok((Received { body, ..Received::default() }, None));
    }
    let fields = Fields::of(item, "the item")?;
    let event = fields.object("event")?;
    let missing = || Problem::bad_request("wrong_type", "\"event\" must be an object");
    let dialect = match fields.text("dialect")? {
        Some(name) => Some(Dialect::named(&name).ok_or_else(|| {
            let detail = format!("the dialect {name:?} is none of trpc, adk, chat, openai");
            Problem::bad_request("unknown_dialect", detail)
        })?),
        None => None,
    };
    let received = Received {
        body: event.ok_or_else(missing)?.raw().to_owned(),
        id: fields.text("id")?,
        dialect,
        state_delta: fields.object("state_delta")?.map(|delta| delta.raw().to_owned()),
    };
    let generation = fields.number("generation")?;
    fields.finish()?;
    Ok((received, generation))
}

/// `GET .../events/{id}?before=&after=`.
pub(super) async fn around(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let id = ask.last_name().to_owned();
    let before = ask.params.number("before")?.unwrap_or(0);
    let after = ask.params.number("after")?.unwrap_or(0);
    let call = ask.call(Purpose::Events);
    ask.no_params()?;
    let view = api.service.around(&call, &key, &id, before, after).await?;
    let events = array_text(view.items().map(ViewItem::to_json));
    Ok(json(StatusCode::OK, ObjectText::default().raw("events", &events).end()))
}

pub(super) async fn page(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let limit = ask.params.page_limit(DEFAULT_PAGE)?;
    let mut options = ReadOptions::new(Purpose::Events, limit);
    options.after_sequence = ask.params.number("after_seq")?;
    options.before_sequence = ask.params.number("before_seq")?;
    let forward = options.after_sequence.is_some();
    let call = ask.call(Purpose::Events);
    ask.no_params()?;
    let page = api.service.events(&call, &key, options).await?;
    let events = array_text(page.view.items().map(ViewItem::to_json));
    let next = if forward { "next_after_seq" } else { "next_before_seq" };
    let header = page.view.header();
    let text = ObjectText::default()
        .optional(header, |object, header| object.plain("generation", header.generation))
        .raw("events", &events)
        .optional(page.next, |object, sequence| object.plain(next, sequence))
        .end();
    Ok(match header {
        Some(header) => tagged(StatusCode::OK, header, text),
        None => json(StatusCode::OK, text),
    })
}
