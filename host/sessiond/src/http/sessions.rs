//! `/v1/apps/{app}/users/{user}/sessions`: create, list, read, delete.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sessiond_core::error::Error;
use sessiond_core::hook::Purpose;
use sessiond_core::json::{Value, quote};
use sessiond_core::read::{ReadOptions, SummaryMode};
use sessiond_core::service::{Created, IfExists};
use sessiond_core::state::{StateDelta, StateValue, check_key};
use sessiond_core::store::{PageToken, StoreError};
use sessiond_core::time::Time;
use sessiond_core::view::json::{ObjectText, array_text, header_json, sessions_json};
use sessiond_core::window::Window;

use super::Api;
use super::ask::{Ask, unknown_verb};
use super::problem::Problem;
use super::reply::{json, tagged};
use super::watch;

/// How many events a read shows, if it does not say.
const DEFAULT_EVENTS: u32 = 1_000;
/// How many sessions a page has, if it does not say.
const DEFAULT_PAGE: usize = 50;
/// How many it may have.
const MAX_PAGE: usize = 1_000;
/// How many sessions are read at once.
const MAX_BATCH: usize = 100;

pub(super) async fn create(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let user = ask.user()?;
    let forms = [("return", IfExists::Return), ("fail", IfExists::Refuse)];
    let rule = |text: &str| forms.iter().find(|(name, _)| *name == text).map(|(_, it)| *it);
    let if_exists = ask.params.parsed("if_exists", "return, fail", rule)?;
    let mut id = None;
    let mut state = StateDelta::default();
    if let Some(body) = ask.optional_json()? {
        let fields = body.fields()?;
        id = fields.text("id")?;
        if let Some(values) = fields.object("state")? {
            state = state_delta(values)?;
        }
        fields.finish()?;
    }
    let call = ask.call(Purpose::Create);
    ask.no_params()?;
    let if_exists = if_exists.unwrap_or(IfExists::Refuse);
    let created = api.service.create(&call, &user, id, state, if_exists).await?;
    let status = if created.existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok(tagged(status, &created.header, created_json(&created)))
}

/// What the get hooks let be seen; without that, what is known of the session.
pub(super) fn created_json(created: &Created) -> String {
    match &created.view {
        Some(view) => view.to_json(),
        None => header_json(ObjectText::default(), created.key.session(), &created.header).end(),
    }
}

/// The values of a request's state, as changes.
pub(super) fn state_delta(values: Value<'_>) -> Result<StateDelta, Problem> {
    let mut changes = Vec::new();
    for (name, value) in values.entries() {
        let key = name.as_str().unwrap_or_default().into_owned();
        check_key(&key)?;
        changes.push((key, StateValue::from_json(value)));
    }
    Ok(StateDelta::set(changes))
}

pub(super) async fn list(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let user = ask.user()?;
    let size = ask.params.number("page_size")?.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&size) {
        let detail = format!("the parameter \"page_size\" is none of 1 to {MAX_PAGE}");
        return Err(Problem::bad_request("bad_parameter", detail));
    }
    let after = ask.params.parsed("page_token", "the tokens that this daemon gives", page_token)?;
    let include = |text: &str| (text == "state").then_some(());
    let with_state = ask.params.parsed("include", "state", include)?.is_some();
    let call = ask.call(Purpose::State);
    ask.no_params()?;
    let page = api.service.list(&user, size, after).await?;
    let mut states = BTreeMap::new();
    for (name, _) in page.sessions.iter().filter(|_| with_state) {
        let key = user.session(name.clone())?;
        match api.service.session_state(&call, &key).await {
            Ok(view) => drop(states.insert(name.clone(), view.state().merged())),
            // It was deleted meanwhile.
            Err(Error::Store(StoreError::NotFound)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(json(StatusCode::OK, sessions_json(&page, &states)))
}

/// `POST .../sessions:batch_get` `{"ids": [...]}`, with the parameters of a read: each session as a
/// read shows it, and the ids of those that are not there.
pub(super) async fn batch_get(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let user = ask.user()?;
    if ask.verb().as_deref() != Some("batch_get") {
        return Err(unknown_verb("batch_get"));
    }
    let body = ask.json()?;
    let fields = body.fields()?;
    let ids = fields.array("ids")?.into_iter().flat_map(|ids| ids.items());
    let ids: Option<Vec<String>> = ids.map(|id| id.as_text()).collect();
    fields.finish()?;
    let ids = ids.filter(|ids| (1..=MAX_BATCH).contains(&ids.len())).ok_or_else(|| {
        let detail = format!("\"ids\" must be an array of 1 to {MAX_BATCH} strings");
        Problem::bad_request("wrong_type", detail)
    })?;
    let (options, max_bytes) = read_options(&mut ask)?;
    let call = ask.call(Purpose::Session);
    ask.no_params()?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match api.service.get(&call, &user.session(id.clone())?, options.clone()).await {
            Ok(view) => {
                found.push(max_bytes.map_or_else(|| view.to_json(), |max| view.to_json_within(max)))
            }
            Err(Error::Store(StoreError::NotFound)) => missing.push(quote(&id)),
            Err(error) => return Err(error.into()),
        }
    }
    let text = ObjectText::default()
        .raw("sessions", &array_text(found))
        .raw("missing", &array_text(missing))
        .end();
    Ok(json(StatusCode::OK, text))
}

pub(super) fn page_token(text: &str) -> Option<PageToken> {
    let (generation, updated) = text.split_once('-')?;
    Some(PageToken { generation: generation.parse().ok()?, updated: updated.parse().ok()? })
}

pub(super) async fn read(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    if ask.has_verb("watch") {
        return watch::session(api, ask).await;
    }
    let key = ask.session()?;
    let (options, max_bytes) = read_options(&mut ask)?;
    let call = ask.call(Purpose::Session);
    ask.no_params()?;
    let view = api.service.get(&call, &key, options).await?;
    let text = max_bytes.map_or_else(|| view.to_json(), |max| view.to_json_within(max));
    Ok(match view.header() {
        Some(header) => tagged(StatusCode::OK, header, text),
        None => json(StatusCode::OK, text),
    })
}

/// `limit`, `after_seq`, `before_seq`, `after_time`, `window`, `summary` and `max_bytes`. What follows a cursor is exact unless
/// a window is asked for: a cursor that repeats or leaves out events would be none.
fn read_options(ask: &mut Ask) -> Result<(ReadOptions, Option<usize>), Problem> {
    let params = &mut ask.params;
    let limit = params.number("limit")?.unwrap_or(DEFAULT_EVENTS);
    let mut options = ReadOptions::new(Purpose::Session, limit);
    options.after_sequence = params.number("after_seq")?;
    options.before_sequence = params.number("before_seq")?;
    options.after_time =
        params.parsed("after_time", "the times of RFC 3339", Time::parse_nearest)?;
    let by_default = if options.after_sequence.is_some() { Window::Exact } else { Window::Turn };
    options.window = params.parsed("window", "turn, exact", Window::named)?.unwrap_or(by_default);
    let summary = params.parsed("summary", "none, include, replace", SummaryMode::named)?;
    options.summary = summary.unwrap_or(SummaryMode::None);
    Ok((options, params.number("max_bytes")?))
}

pub(super) async fn delete(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    ask.no_params()?;
    api.service.delete(&key).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
