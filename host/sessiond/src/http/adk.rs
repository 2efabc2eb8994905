//! `/apps/...`: the routes of ADK's own server, for its clients, and one to append by.
//!
//! They answer with ADK's members and no others, since its clients refuse what they do not know.
//! What else there is to say goes into headers.

mod event;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sessiond_core::dialect::Dialect;
use sessiond_core::error::Error;
use sessiond_core::event::Received;
use sessiond_core::hook::Purpose;
use sessiond_core::json::{Kind, Value};
use sessiond_core::key::{SessionKey, UserKey};
use sessiond_core::read::ReadOptions;
use sessiond_core::service::{IfExists, ItemFate};
use sessiond_core::state::{StateDelta, StateMap};
use sessiond_core::store::{Condition, PageToken, SessionHeader, SessionPage, StoreError};
use sessiond_core::time::Time;
use sessiond_core::view::SessionView;
use sessiond_core::view::json::{ObjectText, array_text, state_json};
use uuid::Uuid;

use self::event::{event_json, seconds};
use super::Api;
use super::ask::Ask;
use super::problem::{Problem, Told};
use super::reply::{json, tagged};
use super::sessions::{page_token, state_delta};

/// How many sessions a list has, if it does not say, and how many it may have.
const DEFAULT_SESSIONS: usize = 1_000;
/// How many pages are read for one.
const MAX_PAGES: usize = 16;
/// Sessions of ADK's evaluations, which its server does not list.
const HIDDEN: [&str; 2] = ["adk-eval-session-", "___eval___session___"];

/// Says in ADK's way what has gone wrong, on the way out.
pub(super) async fn plain_errors(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let adk = !path.starts_with("/v1/") && path.contains("/apps/");
    let response = next.run(request).await;
    let told = response.extensions().get::<Told>().filter(|_| adk).cloned();
    let Some(Told { code, detail }) = told else { return response };
    let detail = if code == "session_not_found" { "Session not found".to_owned() } else { detail };
    let text = ObjectText::default().string("detail", &detail).end();
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, text.into())
}

/// `{"sessionId"?, "state"?, "events"?}`
pub(super) async fn create(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let user = ask.user()?;
    let (mut id, mut state, mut events) = (None, StateDelta::default(), Vec::new());
    if let Some(body) = ask.optional_json()? {
        let fields = body.fields()?;
        id = fields.text("sessionId")?.or(fields.text("session_id")?);
        if let Some(values) = fields.object("state")? {
            state = state_delta(values)?;
        }
        let given = fields.array("events")?.into_iter().flat_map(|events| events.items());
        events = given.map(received).collect();
        fields.finish()?;
    }
    let id = id.filter(|id| !id.trim().is_empty());
    create_as(&api, ask, user, id, state, events).await
}

/// The body is the state itself.
pub(super) async fn create_named(
    State(api): State<Api>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let key = ask.session()?;
    let state = match ask.optional_json()? {
        Some(body) if body.root().kind() == Kind::Object => state_delta(body.root())?,
        Some(body) if !body.root().is_null() => {
            return Err(Problem::bad_request("wrong_type", "the state must be an object"));
        }
        _ => StateDelta::default(),
    };
    let id = Some(key.session().to_owned());
    create_as(&api, ask, key.user_key().clone(), id, state, Vec::new()).await
}

async fn create_as(
    api: &Api,
    mut ask: Ask,
    user: UserKey,
    id: Option<String>,
    state: StateDelta,
    events: Vec<Received>,
) -> Result<Response, Problem> {
    ask.no_params()?;
    let named = id.clone().unwrap_or_default();
    let call = ask.call(Purpose::Create);
    let created = api.service.create(&call, &user, id, state, IfExists::Refuse).await;
    let created = created.map_err(|error| match error {
        Error::Exists => Problem::from(error).saying(format!("Session already exists: {named}")),
        error => error.into(),
    })?;
    if !events.is_empty() {
        let condition =
            Condition { generation: Some(created.header.generation), ..Condition::default() };
        let call = ask.call(Purpose::Append);
        if let Err(error) = api.service.append(&call, &created.key, condition, events).await {
            // A session without the events that it was to begin with is none.
            api.service.delete(&created.key).await?;
            return Err(error.into());
        }
    }
    show(api, &ask, &created.key, ReadOptions::new(Purpose::Session, max_events(api))).await
}

/// `?numRecentEvents=&afterTimestamp=`
pub(super) async fn read(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let limit = ask.params.number("numRecentEvents")?;
    let mut options = ReadOptions::new(Purpose::Session, limit.unwrap_or(max_events(&api)));
    let time = |text: &str| Time::from_seconds(text.parse().ok()?);
    options.after_time = ask.params.parsed("afterTimestamp", "seconds since 1970", time)?;
    ask.no_params()?;
    show(&api, &ask, &key, options).await
}

/// `?pageSize=&pageToken=`, which ADK does not have: its clients get as many as there may be.
pub(super) async fn list(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let user = ask.user()?;
    let size = ask.params.number("pageSize")?.unwrap_or(DEFAULT_SESSIONS);
    if !(1..=DEFAULT_SESSIONS).contains(&size) {
        let detail = format!("the parameter \"pageSize\" is none of 1 to {DEFAULT_SESSIONS}");
        return Err(Problem::bad_request("bad_parameter", detail));
    }
    let after = ask.params.parsed("pageToken", "the tokens that this daemon gives", page_token)?;
    let call = ask.call(Purpose::State);
    ask.no_params()?;
    let page = shown_page(&api, &user, size, after).await?;
    let mut sessions = Vec::new();
    for (name, header) in page.sessions.iter().rev() {
        let key = user.session(name.clone())?;
        match api.service.session_state(&call, &key).await {
            Ok(view) => {
                let state = view.state().merged();
                sessions.push(session_json(&key, header, &state, Vec::new()));
            }
            // It was deleted meanwhile.
            Err(Error::Store(StoreError::NotFound)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut response = json(StatusCode::OK, array_text(sessions));
    if let Some(next) = page.next {
        let next = format!("{}-{}", next.generation, next.updated);
        set_header(&mut response, "x-next-page-token", &next);
    }
    Ok(response)
}

/// A page without the sessions that are hidden. Pages of nothing else are passed over, up to
/// [`MAX_PAGES`]: a client takes an empty one for the last.
async fn shown_page(
    api: &Api,
    user: &UserKey,
    size: usize,
    mut after: Option<PageToken>,
) -> Result<SessionPage, Problem> {
    let mut pages = 0;
    loop {
        let mut page = api.service.list(user, size, after).await?;
        page.sessions.retain(|(name, _)| !HIDDEN.iter().any(|prefix| name.starts_with(prefix)));
        pages += 1;
        if !page.sessions.is_empty() || page.next.is_none() || pages == MAX_PAGES {
            return Ok(page);
        }
        after = page.next;
    }
}

/// Answers `null`, whether there was one or not.
pub(super) async fn delete(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    ask.no_params()?;
    api.service.delete(&key).await?;
    Ok(json(StatusCode::OK, "null".to_owned()))
}

/// `{"stateDelta": {...}}`: an event without content, as ADK's server makes it.
pub(super) async fn patch(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let body = ask.json()?;
    let fields = body.fields()?;
    let delta = fields.object("stateDelta")?.or(fields.object("state_delta")?);
    let missing = || Problem::bad_request("wrong_type", "\"stateDelta\" must be an object");
    let delta = delta.ok_or_else(missing)?.raw();
    fields.finish()?;
    let invocation = format!("p-{}", Uuid::now_v7());
    let actions = ObjectText::default().raw("stateDelta", delta).end();
    let event = ObjectText::default()
        .string("invocationId", &invocation)
        .string("author", "user")
        .raw("actions", &actions)
        .end();
    let items = vec![Received { body: event, dialect: Some(Dialect::Adk), ..Received::default() }];
    let (call, condition) = (ask.call(Purpose::State), ask.condition);
    ask.no_params()?;
    api.service.append(&call, &key, condition, items).await?;
    show(&api, &ask, &key, ReadOptions::new(Purpose::Session, max_events(&api))).await
}

/// An event, as ADK writes it. Answers with the event as it is stored, or `null` if it is not.
pub(super) async fn append(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let key = ask.session()?;
    let body = ask.json()?;
    let (call, condition) = (ask.call(Purpose::Append), ask.condition);
    ask.no_params()?;
    let items = vec![received(body.root())];
    let reply = api.service.append(&call, &key, condition, items).await?;
    let stored = reply.items.first().and_then(|item| match item.fate {
        ItemFate::Stored(sequence) => Some(sequence),
        _ => None,
    });
    let mut text = "null".to_owned();
    if let Some(sequence) = stored {
        let mut options = ReadOptions::new(Purpose::Events, 1);
        options.after_sequence = Some(sequence - 1);
        options.before_sequence = Some(sequence + 1);
        let page = api.service.events(&ask.call(Purpose::Events), &key, options).await?;
        text = page.view.items().next().map_or(text, event_json);
    }
    Ok(with_session(tagged(StatusCode::OK, &reply.header, text), &reply.header))
}

fn received(event: Value<'_>) -> Received {
    let body = event.raw().to_owned();
    Received { body, dialect: Some(Dialect::Adk), ..Received::default() }
}

fn max_events(api: &Api) -> u32 {
    api.service.limits().max_events
}

async fn show(
    api: &Api,
    ask: &Ask,
    key: &SessionKey,
    options: ReadOptions,
) -> Result<Response, Problem> {
    let view: SessionView = api.service.get(&ask.call(Purpose::Session), key, options).await?;
    let header = view.header().copied().ok_or(Error::Store(StoreError::NotFound))?;
    let events = view.items().map(event_json).collect();
    let text = session_json(key, &header, &view.state().merged(), events);
    Ok(with_session(tagged(StatusCode::OK, &header, text), &header))
}

fn session_json(
    key: &SessionKey,
    header: &SessionHeader,
    state: &StateMap,
    events: Vec<String>,
) -> String {
    ObjectText::default()
        .string("id", key.session())
        .string("appName", key.app())
        .string("userId", key.user())
        .raw("state", &state_json(state))
        .raw("events", &array_text(events))
        .raw("lastUpdateTime", &seconds(header.updated_at))
        .end()
}

fn with_session(mut response: Response, header: &SessionHeader) -> Response {
    set_header(&mut response, "x-session-seq", &header.last_sequence.to_string());
    if let Some(at) = header.expires_at {
        set_header(&mut response, "x-session-expires", &at.to_string());
    }
    response
}

fn set_header(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
