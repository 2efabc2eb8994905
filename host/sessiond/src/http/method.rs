//! What may be done at a path, and the answer to a method that is none of it.

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ask::split_path;
use super::gate::Need;
use super::problem::Problem;
use super::{ROUTES, SESSION, VERBS, no_route};

/// The methods of a request's path, and what each needs. Empty: the table has no such path or verb.
pub(super) fn methods_of(request: &Request) -> Vec<(&'static str, Need)> {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = path.and_then(|path| {
        let exact = ROUTES.iter().find(|route| route.path == path);
        exact.or_else(|| ROUTES.iter().find(|it| it.is_adk() && path.ends_with(it.path)))
    });
    let Some(route) = route else { return Vec::new() };
    // A session shares its route with what is done to it as a whole.
    match split_path(request.uri().path()) {
        Ok((_, Some(verb))) if route.path == SESSION => {
            let verbs = VERBS.iter().filter(|it| it.name == verb);
            verbs.map(|it| (it.method, it.need)).collect()
        }
        _ => route.methods.to_vec(),
    }
}

/// The name of a method in the table. HEAD is answered as GET is.
pub(super) fn name_of(method: &Method) -> String {
    match *method {
        Method::HEAD => "get".to_owned(),
        ref method => method.as_str().to_ascii_lowercase(),
    }
}

/// Lets a request through whose method its path has, or whose path is to be refused as such.
pub(super) async fn known(request: Request, next: Next) -> Response {
    let methods = methods_of(&request);
    let asked = name_of(request.method());
    if methods.is_empty() || methods.iter().any(|(name, _)| *name == asked) {
        return next.run(request).await;
    }
    refusal(&methods)
}

/// The answer to a method that a path has no handler for.
pub(super) async fn refused(request: Request) -> Response {
    match methods_of(&request).as_slice() {
        [] => no_route().await.into_response(),
        methods => refusal(methods),
    }
}

/// Says which methods a path has.
fn refusal(methods: &[(&'static str, Need)]) -> Response {
    let names = methods.iter().map(|(name, _)| match *name {
        "get" => "GET, HEAD".to_owned(),
        name => name.to_ascii_uppercase(),
    });
    let allowed = names.collect::<Vec<_>>().join(", ");
    let detail = format!("the path takes {allowed}: /openapi.json has what they do");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", detail);
    ([(header::ALLOW, allowed)], problem).into_response()
}
