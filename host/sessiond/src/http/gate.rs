//! Who gets in: what each route needs, held against the token that a request shows.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sessiond_core::key::UserKey;
use sessiond_core::store::StoreError;

use super::ask::split_path;
use super::guard;
use super::method::{methods_of, name_of};
use super::problem::Problem;
use crate::access::{Access, Refusal, Scope, Target, Token};

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: anybody may.
    Nothing,
    /// Any token.
    Token,
    /// A token with these scopes, for the app or the user of the path.
    Scopes(&'static [Scope]),
    /// A token with the scope `admin`. Without tokens, nobody may: there is a socket for that.
    Admin,
}

pub(super) const READ: Need = Need::Scopes(&[Scope::Read]);
pub(super) const APPEND: Need = Need::Scopes(&[Scope::Append]);
pub(super) const BOTH: Need = Need::Scopes(&[Scope::Read, Scope::Append]);

/// Who asks, if everybody needs a token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(Option<Arc<Token>>);

impl Caller {
    /// The name of the token.
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|token| token.name.as_str())
    }

    /// Makes sure that it may do something to a user beside the one of the path.
    pub(crate) fn check(&self, user: &UserKey, scope: Scope) -> Result<(), Problem> {
        let Some(token) = &self.0 else { return Ok(()) };
        let checked = token.check(Target::User(user.app(), user.user()), &[scope]);
        checked.map_err(|refusal| refused(token, refusal))
    }

    /// Whether its token still counts, with the grants that it had.
    pub(crate) fn is_good(&self, access: &Access) -> bool {
        self.0.as_ref().is_none_or(|token| access.still_has(token))
    }
}

/// Lets requests in, or not.
pub(super) async fn admit(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let need = need_of(&request);
    if !access.is_guarded() {
        if need == Need::Admin {
            let detail = "without tokens this is on the unix socket of server.admin_socket only";
            return Problem::new(StatusCode::FORBIDDEN, "admin_needs_token", detail)
                .into_response();
        }
        return guard::local_only(request, next).await;
    }
    match caller(&access, need, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn caller(access: &Access, need: Need, request: &Request) -> Result<Caller, Problem> {
    if need == Need::Nothing {
        return Ok(Caller::default());
    }
    let token = Arc::new(token_of(access, request.headers())?);
    let scopes: &[Scope] = match need {
        Need::Nothing | Need::Token => &[],
        Need::Scopes(scopes) => scopes,
        Need::Admin => &[Scope::Admin],
    };
    // A path that cannot be read is no way to anything: the handler says what is wrong with it.
    let (names, _) = split_path(request.uri().path()).unwrap_or_default();
    let mut names = names.iter().map(String::as_str);
    let target = match (need, names.next(), names.next(), names.next()) {
        (Need::Scopes(_), Some(app), Some("users"), Some(user)) => Target::User(app, user),
        (Need::Scopes(_), Some(app), ..) => Target::App(app),
        _ => Target::Daemon,
    };
    match token.check(target, scopes) {
        Ok(()) => Ok(Caller(Some(token))),
        Err(refusal) => Err(refused(&token, refusal)),
    }
}

/// Whose session it is not, is told that there is none.
fn refused(token: &Token, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Foreign => sessiond_core::error::Error::from(StoreError::NotFound).into(),
        Refusal::Scope(scope) => {
            let (name, scope) = (&token.name, scope.name());
            let detail = format!("the token {name:?} does not have the scope {scope:?} here");
            Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail)
        }
    }
}

fn token_of(access: &Access, headers: &HeaderMap) -> Result<Token, Problem> {
    let refuse = |code, detail| Problem::new(StatusCode::UNAUTHORIZED, code, detail);
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, text)) = shown else {
        return Err(refuse("token_missing", "send a token: `Authorization: Bearer TOKEN`"));
    };
    let found = access.find(text.trim());
    found.ok_or_else(|| refuse("token_unknown", "the token is not known: it may be an old one"))
}

/// What the table says of a request. What is not in it needs a token, to be told that it is nothing.
fn need_of(request: &Request) -> Need {
    let (asked, methods) = (name_of(request.method()), methods_of(request));
    match methods.iter().find(|(name, _)| *name == asked) {
        Some((_, need)) => *need,
        // Who needs no token for the path needs none to be told what it takes.
        None if methods.iter().any(|(_, need)| *need == Need::Nothing) => Need::Nothing,
        None => Need::Token,
    }
}
