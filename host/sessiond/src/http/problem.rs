//! What clients get when they do not get what they asked for: a stable code, and a sentence to act
//! on. The one place where errors become statuses; causes go to the log.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sessiond_core::error::Error;
use sessiond_core::hook::FailureKind;
use sessiond_core::hook::chain::ChainError;
use sessiond_core::json::quote;
use sessiond_core::key::KeyError;
use sessiond_core::state::StateError;
use sessiond_core::store::StoreError;
use sessiond_core::view::json::ObjectText;

/// An answer that says no (RFC 9457).
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// Further members: name and JSON text.
    members: Vec<(&'static str, String)>,
    /// For the log, not for the client.
    cause: Option<String>,
    /// When to try again, in seconds, if that is later than soon.
    retry_after: Option<u64>,
}

/// What a problem says, for those who say it in another way.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

/// The cause of a problem, on its way to the log.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            members: Vec::new(),
            cause: None,
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The sentence for the client.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    fn with(mut self, name: &'static str, json: String) -> Self {
        self.members.push((name, json));
        self
    }

    fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            chain.push_str(&format!(": {error}"));
            cause = error.source();
        }
        self.cause = Some(chain);
        self
    }

    /// Says when a plugin is asked again that is not asked for a while.
    fn retrying(mut self, kind: &FailureKind) -> Self {
        if let FailureKind::Open { retry_after } = kind {
            self.retry_after = Some(retry_after.as_secs_f64().ceil() as u64);
        }
        self
    }

    /// It as JSON.
    pub(crate) fn to_json(&self) -> String {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let object = ObjectText::default()
            .string("title", title)
            .plain("status", self.status.as_u16())
            .string("code", self.code)
            .string("detail", &self.detail);
        let object =
            self.members.iter().fold(object, |object, (name, json)| object.raw(name, json));
        object.end()
    }

    fn retry_later(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = self.to_json();
        let retry = self.retry_later();
        let mut response = (self.status, text).into_response();
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if retry {
            let seconds = HeaderValue::from(self.retry_after.unwrap_or(1).max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        let told = Told { code: self.code, detail: self.detail };
        response.extensions_mut().insert(told);
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let problem = Self::new(status_of(error.code()), error.code(), error.to_string());
        match error {
            Error::Hook(error) => of_hook(problem, &error),
            Error::Store(error) => of_store(problem, &error),
            Error::Journal(error) => problem.caused_by(&error),
            _ => problem,
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Error::from(error).into()
    }
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        Error::from(error).into()
    }
}

fn status_of(code: &str) -> StatusCode {
    match code {
        "session_not_found" | "event_not_found" => StatusCode::NOT_FOUND,
        "session_exists" | "other_generation" | "id_conflict" | "no_summarizer"
        | "branch_not_listed" => StatusCode::CONFLICT,
        "leased" => StatusCode::LOCKED,
        "not_kept" | "no_invocation" | "too_many_tracks" => StatusCode::CONFLICT,
        "other_revision" => StatusCode::PRECONDITION_FAILED,
        "event_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "hook_denied" | "hook_invalid" => StatusCode::UNPROCESSABLE_ENTITY,
        "hook_unavailable" | "plugin_busy" | "plugin_unavailable" | "store_unavailable"
        | "not_replicated" | "stopping" | "summary_queue_full" | "queue_full"
        | "writes_pending" | "journal_full" | "journal_failed" => StatusCode::SERVICE_UNAVAILABLE,
        "plugin_time_out" | "summary_time_out" => StatusCode::GATEWAY_TIMEOUT,
        "store_full" => StatusCode::INSUFFICIENT_STORAGE,
        "plugin_failed" | "store_corrupt" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Who said no, or failed. The chain has logged a failure already, with all its details.
fn of_hook(problem: Problem, error: &ChainError) -> Problem {
    match error {
        ChainError::Rejected { plugin, rejection } => problem
            .saying(format!("the plugin {plugin:?} says: {}", rejection.text))
            .with("plugin", quote(plugin))
            .with("rejection", quote(&rejection.text)),
        ChainError::Failed { plugin, kind, .. } => {
            let what = match kind {
                FailureKind::Busy => "all its instances are in use; try again",
                FailureKind::TimeOut => "it ran past its time limit",
                FailureKind::Open { .. } => {
                    "it has failed again and again, and is not asked for a while; try again later"
                }
                FailureKind::NotLoaded => "it could not be loaded; the daemon's log says why",
                _ => "it failed; the daemon's log has the details",
            };
            problem
                .saying(format!("the plugin {plugin:?} did not answer: {what}"))
                .with("plugin", quote(plugin))
                .with("failure", quote(kind.name()))
                .retrying(kind)
        }
    }
}

fn of_store(problem: Problem, error: &StoreError) -> Problem {
    match error {
        StoreError::OtherGeneration { current } => problem.with("generation", current.to_string()),
        StoreError::OtherRevision { generation, current } => {
            problem.with("generation", generation.to_string()).with("revision", current.to_string())
        }
        StoreError::Leased { holder, until } => {
            problem.with("holder", quote(holder)).with("until", quote(&until.to_string()))
        }
        StoreError::NotKept { oldest } => problem.with("oldest_seq", oldest.to_string()),
        StoreError::IdConflict { id } => problem.with("id", quote(id)),
        StoreError::Unavailable(_) => problem
            .saying("the session store is unavailable: try again, with the same ids")
            .caused_by(error),
        StoreError::NotReplicated { wanted, got } => problem
            .saying(format!(
                "{got} of {wanted} replicas had the write in time: try again, with the same ids"
            ))
            .with("wanted", wanted.to_string())
            .with("got", got.to_string()),
        StoreError::Full(_) => {
            problem.saying("the session store is full: nothing was stored").caused_by(error)
        }
        StoreError::Corrupt(_) => problem.caused_by(error),
        _ => problem,
    }
}
