//! `.../state`: the state of a session, a user and an app, read and changed by itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sessiond_core::hook::Purpose;
use sessiond_core::state::{Scope, StateChange, StateDelta, StateMap, check_key};
use sessiond_core::view::json::{ObjectText, append_json, state_json};

use super::Api;
use super::ask::Ask;
use super::problem::Problem;
use super::reply::{json, tagged};
use super::sessions::state_delta;

fn reply(state: &StateMap) -> Response {
    json(StatusCode::OK, ObjectText::default().raw("state", &state_json(state)).end())
}

/// `{"state": {...}}`: keys to set. A value of null is stored; to remove a key, DELETE it.
fn changes(ask: &mut Ask) -> Result<StateDelta, Problem> {
    let body = ask.json()?;
    let fields = body.fields()?;
    let values = fields.object("state")?;
    let missing = || Problem::bad_request("wrong_type", "\"state\" must be an object");
    let delta = state_delta(values.ok_or_else(missing)?)?;
    fields.finish()?;
    Ok(delta)
}

/// The same changes, with the prefix of a scope that the path names.
fn scoped(delta: &StateDelta, scope: Scope) -> StateDelta {
    let changes = delta.changes().filter_map(|(key, change)| match change {
        StateChange::Set(value) => Some((format!("{}{key}", scope.prefix()), value.clone())),
        StateChange::Remove => None,
    });
    StateDelta::set(changes)
}

fn removal(ask: &Ask, scope: Scope) -> Result<StateDelta, Problem> {
    let key = ask.last_name();
    check_key(key)?;
    Ok(StateDelta::remove(format!("{}{key}", scope.prefix())))
}

pub(super) async fn read_session(
    State(api): State<Api>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let (key, call) = (ask.session()?, ask.call(Purpose::State));
    ask.no_params()?;
    let view = api.service.session_state(&call, &key).await?;
    let text = ObjectText::default().raw("state", &state_json(&view.state().merged())).end();
    Ok(match view.header() {
        Some(header) => tagged(StatusCode::OK, header, text),
        None => json(StatusCode::OK, text),
    })
}

pub(super) async fn read_user(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let (key, call) = (ask.user()?, ask.call(Purpose::State));
    ask.no_params()?;
    Ok(reply(&api.service.user_state(&call, &key).await?.state().user))
}

pub(super) async fn read_app(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let (key, call) = (ask.app()?, ask.call(Purpose::State));
    ask.no_params()?;
    Ok(reply(&api.service.app_state(&call, &key).await?.state().app))
}

pub(super) async fn change_session(
    State(api): State<Api>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let delta = changes(&mut ask)?;
    change_of_session(api, ask, delta).await
}

pub(super) async fn remove_session(State(api): State<Api>, ask: Ask) -> Result<Response, Problem> {
    let delta = removal(&ask, Scope::Session)?;
    change_of_session(api, ask, delta).await
}

async fn change_of_session(api: Api, mut ask: Ask, delta: StateDelta) -> Result<Response, Problem> {
    let (key, call) = (ask.session()?, ask.call(Purpose::State));
    ask.no_params()?;
    let changed = api.service.change_session_state(&call, &key, ask.condition, delta).await?;
    Ok(tagged(StatusCode::OK, &changed.header, append_json(&changed)))
}

pub(super) async fn change_user(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let delta = scoped(&changes(&mut ask)?, Scope::User);
    change_of_user(api, ask, delta).await
}

pub(super) async fn remove_user(State(api): State<Api>, ask: Ask) -> Result<Response, Problem> {
    let delta = removal(&ask, Scope::User)?;
    change_of_user(api, ask, delta).await
}

async fn change_of_user(api: Api, mut ask: Ask, delta: StateDelta) -> Result<Response, Problem> {
    let (key, call) = (ask.user()?, ask.call(Purpose::State));
    ask.no_params()?;
    api.service.change_user_state(&call, &key, delta).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn change_app(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let delta = scoped(&changes(&mut ask)?, Scope::App);
    change_of_app(api, ask, delta).await
}

pub(super) async fn remove_app(State(api): State<Api>, ask: Ask) -> Result<Response, Problem> {
    let delta = removal(&ask, Scope::App)?;
    change_of_app(api, ask, delta).await
}

async fn change_of_app(api: Api, mut ask: Ask, delta: StateDelta) -> Result<Response, Problem> {
    let (key, call) = (ask.app()?, ask.call(Purpose::State));
    ask.no_params()?;
    api.service.change_app_state(&call, &key, delta).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
