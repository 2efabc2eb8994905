//! `POST .../sessions/{session}:VERB`: what is done to a session as a whole.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sessiond_core::hook::Purpose;
use sessiond_core::service::{EditReply, Fork};
use sessiond_core::store::SessionHeader;
use sessiond_core::store::edit::{Edit, Keep, To};
use sessiond_core::store::lease::LeaseRequest;
use sessiond_core::store::whole::SessionTtl;
use sessiond_core::view::ViewItem;
use sessiond_core::view::json::{ObjectText, array_text, header_json};
use uuid::Uuid;

use super::ask::{Ask, unknown_verb};
use super::fields::{Fields, JsonBody};
use super::problem::Problem;
use super::reply::{json, tagged};
use super::sessions::created_json;
use super::{Api, VERBS};
use crate::access::Scope;

/// The longest lease.
const MAX_LEASE: Duration = Duration::from_secs(24 * 3_600);

pub(super) async fn run(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let verb = ask.verb();
    let body = ask.optional_json()?.map_or_else(|| JsonBody::parse("{}".to_owned()), Ok)?;
    let fields = body.fields()?;
    match verb.as_deref() {
        Some("pop") => {
            let count = fields.number("count")?.unwrap_or(1);
            edit(&api, ask, fields, Edit::Pop { count }).await
        }
        Some("trim") => {
            let keep = kept(&fields)?;
            edit(&api, ask, fields, Edit::Trim(keep)).await
        }
        Some("clear") => edit(&api, ask, fields, Edit::Clear).await,
        Some("rewind") => {
            let to = point(&fields)?;
            edit(&api, ask, fields, Edit::Rewind(to)).await
        }
        Some("fork") => fork(&api, ask, fields).await,
        Some("lease") => lease(&api, ask, fields).await,
        Some("release") => release(&api, ask, fields).await,
        other => {
            let verb = other.unwrap_or_default();
            let known: Vec<_> =
                VERBS.iter().filter(|it| it.method == "post").map(|it| it.name).collect();
            let known = known.join(", ");
            Err(unknown_verb(verb).saying(format!(
                "the verb {verb:?} is none of {known}: encode a colon in a name as %3A"
            )))
        }
    }
}

/// Exactly one of some members.
fn one<T>(given: [Option<T>; 3], names: &str) -> Result<T, Problem> {
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(it), None) => Ok(it),
        _ => Err(Problem::bad_request("wrong_type", format!("give exactly one of {names}"))),
    }
}

fn kept(fields: &Fields<'_>) -> Result<Keep, Problem> {
    let events = fields.number("keep_last")?.map(Keep::Events);
    let turns = fields.number("last_turns")?.map(Keep::Turns);
    let from = fields.number("before_seq")?.map(Keep::From);
    one([events, turns, from], "keep_last, last_turns and before_seq")
}

fn point(fields: &Fields<'_>) -> Result<To, Problem> {
    let sequence = fields.number("to_seq")?.map(To::Sequence);
    let invocation = fields.text("before_invocation_id")?.map(To::BeforeInvocation);
    one([sequence, invocation, None], "to_seq and before_invocation_id")
}

async fn edit(
    api: &Api,
    mut ask: Ask,
    fields: Fields<'_>,
    edit: Edit,
) -> Result<Response, Problem> {
    fields.finish()?;
    let (key, call) = (ask.session()?, ask.call(Purpose::Edit));
    ask.no_params()?;
    let EditReply { header, removed, popped } =
        api.service.edit(&call, &key, ask.condition, &edit).await?;
    let events = popped.map(|view| array_text(view.items().map(ViewItem::to_json)));
    let text = ObjectText::default()
        .plain("generation", header.generation)
        .plain("revision", header.revision)
        .plain("last_seq", header.last_sequence)
        .plain("removed", removed)
        .optional(events, |object, events| object.raw("events", &events))
        .end();
    Ok(tagged(StatusCode::OK, &header, text))
}

async fn fork(api: &Api, mut ask: Ask, fields: Fields<'_>) -> Result<Response, Problem> {
    let fork =
        Fork { id: fields.text("id")?, user: fields.text("user")?, to: fields.number("to_seq")? };
    fields.finish()?;
    let (key, call) = (ask.session()?, ask.call(Purpose::Fork));
    ask.no_params()?;
    if let Some(user) = &fork.user {
        ask.caller.check(&ask.app()?.user(user.as_str())?, Scope::Append)?;
    }
    let forked = api.service.fork(&call, &key, fork).await?;
    Ok(tagged(StatusCode::CREATED, &forked.header, created_json(&forked)))
}

async fn lease(api: &Api, mut ask: Ask, fields: Fields<'_>) -> Result<Response, Problem> {
    let holder = fields.text("holder")?.unwrap_or_default();
    let duration = duration(&fields, "ttl")?
        .filter(|duration| !duration.is_zero() && *duration <= MAX_LEASE)
        .ok_or_else(|| {
            Problem::bad_request("wrong_type", "\"ttl\" must be a duration up to \"24h\"")
        })?;
    fields.finish()?;
    let key = ask.session()?;
    ask.no_params()?;
    let request = LeaseRequest { token: ask.condition.lease, holder, duration };
    let lease = api.service.lease(&key, &request).await?;
    let text = ObjectText::default()
        .string("lease", &lease.token.to_string())
        .string("holder", &lease.holder)
        .string("expires_at", &lease.until.to_string())
        .end();
    Ok(json(StatusCode::OK, text))
}

async fn release(api: &Api, mut ask: Ask, fields: Fields<'_>) -> Result<Response, Problem> {
    fields.finish()?;
    let key = ask.session()?;
    ask.no_params()?;
    let missing = || Problem::bad_request("bad_lease", "name the lease in Session-Lease");
    let token: Uuid = ask.condition.lease.ok_or_else(missing)?;
    api.service.release(&key, token).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PATCH .../sessions/{session}` `{"ttl": "30m" | "none" | "default"}`.
pub(super) async fn change(State(api): State<Api>, mut ask: Ask) -> Result<Response, Problem> {
    let body = ask.json()?;
    let fields = body.fields()?;
    let text = fields.text("ttl")?;
    let ttl = match text.as_deref() {
        Some("default") => Some(SessionTtl::Default),
        Some("none") => Some(SessionTtl::Never),
        _ => duration(&fields, "ttl")?.filter(|it| !it.is_zero()).map(SessionTtl::After),
    };
    let ttl = ttl.ok_or_else(|| {
        let detail = "\"ttl\" must be a duration like \"30m\", or \"none\", or \"default\"";
        Problem::bad_request("wrong_type", detail)
    })?;
    fields.finish()?;
    let key = ask.session()?;
    ask.no_params()?;
    let header: SessionHeader = api.service.set_ttl(&key, ask.condition, ttl).await?;
    let text = header_json(ObjectText::default(), key.session(), &header).end();
    Ok(tagged(StatusCode::OK, &header, text))
}

fn duration(fields: &Fields<'_>, name: &'static str) -> Result<Option<Duration>, Problem> {
    let text = fields.text(name)?;
    Ok(text.and_then(|text| humantime::parse_duration(&text).ok()))
}
