//! A request, read and checked as far as that goes without knowing what it asks for.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use sessiond_core::hook::{CallContext, Purpose};
use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::store::Condition;
use sessiond_plugin::outgoing::HOP_HEADER;
use uuid::Uuid;

use super::Api;
use super::fields::JsonBody;
use super::gate::Caller;
use super::params::Params;
use super::problem::Problem;
use crate::telemetry::is_traceparent;

/// How long a client may take to send the body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The id of a request, from the client or made here.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// What a client asks.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The path below `/v1/apps`, decoded part by part.
    names: Vec<String>,
    /// What is asked to be done, after an unencoded colon.
    verb: Option<String>,
    /// The query.
    pub(crate) params: Params,
    /// What must hold for a write.
    pub(crate) condition: Condition,
    request_id: Arc<str>,
    /// The last that a client that watches has seen.
    pub(crate) last_event_id: Option<String>,
    /// Who sent it.
    pub(crate) caller: Caller,
    /// Whether a plugin sent it.
    hop: bool,
    /// The trace that the request belongs to, as W3C Trace Context has it.
    traceparent: Option<Arc<str>>,
    body: Option<String>,
}

impl Ask {
    pub(crate) fn call(&self, purpose: Purpose) -> CallContext {
        let call = CallContext::new(purpose, self.request_id.clone());
        let caller = self.caller.name().map(str::to_owned);
        CallContext { hop: self.hop, traceparent: self.traceparent.clone(), caller, ..call }
    }

    fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    pub(crate) fn app(&self) -> Result<AppKey, Problem> {
        Ok(AppKey::new(self.name(0))?)
    }

    pub(crate) fn user(&self) -> Result<UserKey, Problem> {
        Ok(self.app()?.user(self.name(2))?)
    }

    pub(crate) fn session(&self) -> Result<SessionKey, Problem> {
        Ok(self.user()?.session(self.name(4))?)
    }

    /// The verb of the path, which this request takes.
    pub(crate) fn verb(&mut self) -> Option<String> {
        self.verb.take()
    }

    /// Whether the path has this verb, which this request takes then.
    pub(crate) fn has_verb(&mut self, verb: &str) -> bool {
        self.verb.take_if(|it| it == verb).is_some()
    }

    /// The last part of the path.
    pub(crate) fn last_name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&mut self) -> Result<JsonBody, Problem> {
        let missing = || Problem::bad_request("body_missing", "the request needs a JSON body");
        JsonBody::parse(self.body.take().ok_or_else(missing)?)
    }

    /// The body, if there is one.
    pub(crate) fn optional_json(&mut self) -> Result<Option<JsonBody>, Problem> {
        if self.body.is_none() { Ok(None) } else { self.json().map(Some) }
    }

    /// A request that takes no parameters.
    pub(crate) fn no_params(&mut self) -> Result<(), Problem> {
        if let Some(verb) = &self.verb {
            return Err(unknown_verb(verb));
        }
        std::mem::replace(&mut self.params, Params::parse("")?).finish()
    }
}

impl FromRequest<Api> for Ask {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let (names, verb) = split_path(parts.uri.path())?;
        let params = Params::parse(parts.uri.query().unwrap_or_default())?;
        let condition =
            Condition { lease: lease_of(&parts.headers)?, ..condition_of(&parts.headers)? };
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let body = read_body(&parts, body, api.max_body).await?;
        let request_id = request_id.unwrap_or_else(|| "".into());
        let hop = parts.headers.contains_key(HOP_HEADER);
        let traceparent = traceparent_of(&parts.headers);
        let last_event_id = parts.headers.get("last-event-id");
        let last_event_id = last_event_id.map(|id| id.to_str().unwrap_or_default().to_owned());
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_default();
        Ok(Self {
            names,
            verb,
            params,
            condition,
            request_id,
            last_event_id,
            caller,
            hop,
            traceparent,
            body,
        })
    }
}

/// What is not in order is no trace: whoever got it would have to begin a new one.
fn traceparent_of(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    // What later versions may put behind these is not kept.
    (text.len() == 55 && is_traceparent(text)).then(|| text.into())
}

/// The parts of a path after `/v1/apps/`. The path is taken apart before it is decoded, so names
/// may hold slashes; a colon in the last part that is not encoded begins a verb. ADK's paths have none.
pub(super) fn split_path(path: &str) -> Result<(Vec<String>, Option<String>), Problem> {
    let ours = path.strip_prefix("/v1/apps/");
    // What comes before is the operator's choice, and has no such part.
    let adk = || path.split_once("/apps/").map(|(_, names)| names);
    let names = ours.or_else(adk).unwrap_or_default();
    let last = names.rsplit('/').next().unwrap_or_default();
    let (names, verb) = match last.rsplit_once(':') {
        Some((_, verb)) if ours.is_some() => {
            let end = names.len() - verb.len() - 1;
            (names.get(..end).unwrap_or_default(), Some(verb.to_owned()))
        }
        _ => (names, None),
    };
    let decode = |name: &str| percent_decode_str(name).decode_utf8().map(|name| name.into_owned());
    let decoded: Result<Vec<String>, _> = names.split('/').map(decode).collect();
    let decoded = decoded
        .map_err(|_| Problem::bad_request("bad_name", "the path is not percent-encoded UTF-8"))?;
    Ok((decoded, verb))
}

pub(crate) fn unknown_verb(verb: &str) -> Problem {
    let detail = format!("the verb {verb:?} is not known here: encode a colon in a name as %3A");
    Problem::new(StatusCode::NOT_FOUND, "unknown_verb", detail)
}

/// `Session-Lease: TOKEN`.
fn lease_of(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let Some(value) = headers.get("session-lease") else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| Uuid::try_parse(text).ok());
    let bad = || Problem::bad_request("bad_lease", "Session-Lease takes the token of a lease");
    token.map(Some).ok_or_else(bad)
}

/// `If-Match: "GENERATION-REVISION"`.
fn condition_of(headers: &HeaderMap) -> Result<Condition, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(Condition::default()) };
    let text = value.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(Condition::default());
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let pair = tag.and_then(|tag| tag.split_once('-'));
    let parsed = pair.and_then(|(generation, revision)| {
        Some(Condition {
            generation: Some(generation.parse().ok()?),
            revision: Some(revision.parse().ok()?),
            lease: None,
        })
    });
    parsed.ok_or_else(|| {
        Problem::bad_request("bad_if_match", "If-Match takes one ETag as this daemon gives them")
    })
}

async fn read_body(parts: &Parts, body: Body, max: usize) -> Result<Option<String>, Problem> {
    let read = axum::body::to_bytes(body, max);
    let bytes = match tokio::time::timeout(BODY_TIME, read).await {
        Err(_) => {
            let detail = format!("the body did not arrive within {BODY_TIME:?}");
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail));
        }
        Ok(Err(error)) if is_too_large(&error) => {
            let detail = format!("the body has more than the {max} bytes of `server.max_body`");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
        }
        Ok(Err(_)) => return Err(Problem::bad_request("body_cut_off", "the body ended too early")),
        Ok(Ok(bytes)) => bytes,
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    if !is_json(&parts.headers) {
        let detail = "the body must be JSON, with the header `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
    }
    let text = String::from_utf8(bytes.into());
    text.map(Some).map_err(|_| Problem::bad_request("malformed_json", "the body is not UTF-8"))
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A form that a foreign page posts has another type, so it never gets as far as the store.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R54, R95: names are any text, and a verb is not one.
    #[test]
    fn paths_are_taken_apart_before_they_are_decoded() {
        let (names, verb) = split_path("/v1/apps/a%2Fb/users/%F0%9F%98%80/sessions/s%3A1").unwrap();
        assert_eq!(names, ["a/b", "users", "😀", "sessions", "s:1"]);
        assert_eq!(verb, None);
        assert_eq!(split_path("/v1/apps/a:b/state").unwrap().0, ["a:b", "state"]);
        let (names, verb) = split_path("/v1/apps/a/users/u/sessions/s%3A:pop").unwrap();
        assert_eq!(names, ["a", "users", "u", "sessions", "s:"]);
        assert_eq!(verb.as_deref(), Some("pop"));
        let (names, verb) = split_path("/adk/apps/a/users/u/sessions/s:1").unwrap();
        assert_eq!((names.last().map(String::as_str), verb), (Some("s:1"), None));
        assert!(split_path("/v1/apps/%ff").is_err());
    }

    #[test]
    fn conditions_are_one_etag() {
        let condition = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, value.parse().unwrap());
            condition_of(&headers)
        };
        let wanted = Condition { generation: Some(7), revision: Some(12), lease: None };
        assert_eq!(condition("\"7-12\"").unwrap(), wanted);
        assert_eq!(condition("*").unwrap(), Condition::default());
        for bad in ["7-12", "\"7\"", "\"a-b\"", "W/\"7-12\"", "\"1-2\", \"3-4\""] {
            assert!(condition(bad).is_err(), "{bad}");
        }
    }
}
