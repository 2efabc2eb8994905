//! The operator's own routes, on a unix socket that only the daemon's user can open. No hook looks
//! on here.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sessiond_core::store::KeyFilter;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::params::Params;
use super::problem::Problem;
use crate::export;

/// How many pieces of an export wait for a slow reader.
const WAITING: usize = 8;

/// `GET /v1/admin/export?app=&user=&session=`: what is stored, as NDJSON, byte for byte.
pub(super) async fn export(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let mut params = Params::parse(request.uri().query().unwrap_or_default())?;
    let filter = KeyFilter {
        app: params.text("app")?,
        user: params.text("user")?,
        session: params.text("session")?,
    };
    params.finish()?;
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(WAITING);
    let store = api.service.store().clone();
    api.tasks.spawn(async move {
        let lines = |text: String| {
            let sender = sender.clone();
            async move { Ok(sender.send(Ok(text.into())).await?) }
        };
        if let Err(error) = export::raw(store.as_ref(), &filter, lines).await {
            // The status has gone out already: cut the answer off, so that it does not look whole.
            let _ = sender.send(Err(std::io::Error::other(error.to_string()))).await;
        }
    });
    let kind = HeaderValue::from_static("application/x-ndjson");
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}
