//! The operator's own routes, on a unix socket that only the daemon's user can open. No hook looks
//! on here.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sessiond_core::service::Screening;
use sessiond_core::store::KeyFilter;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::params::Params;
use super::problem::Problem;
use super::reply::json;
use crate::export;
use crate::import::Importer;
use crate::import::block::Lines;

/// The longest line of an import, in bytes.
const MAX_LINE: usize = 1 << 28;
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

/// `POST /v1/admin/import?bypass_hooks=&dry_run=`: what an export has written, into the store. The
/// answer says what came of it. Each session is put there whole, so a cut connection leaves none half.
pub(super) async fn import(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let mut params = Params::parse(request.uri().query().unwrap_or_default())?;
    let truth = |text: &str| text.parse::<bool>().ok();
    let bypass = params.parsed("bypass_hooks", "true and false", truth)?.unwrap_or(false);
    let dry_run = params.parsed("dry_run", "true and false", truth)?.unwrap_or(false);
    params.finish()?;
    let screening = if bypass { Screening::Bypass } else { Screening::Hooks };
    let mut importer = Importer::new(api.service.clone(), screening, dry_run);
    let mut lines = Lines::default();
    let mut body = request.into_body().into_data_stream();
    let mut rest = Vec::new();
    while let Some(piece) = body.next().await {
        rest.extend_from_slice(&piece.map_err(unreadable)?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            take_line(&mut lines, &mut importer, &line).await?;
        }
        if rest.len() > MAX_LINE {
            return Err(unreadable(format!("a line has more than {MAX_LINE} bytes")));
        }
    }
    if !rest.is_empty() {
        take_line(&mut lines, &mut importer, &rest).await?;
    }
    lines.end(&mut importer).await.map_err(unreadable)?;
    Ok(json(StatusCode::OK, importer.report.to_json().to_string()))
}

async fn take_line(lines: &mut Lines, importer: &mut Importer, line: &[u8]) -> Result<(), Problem> {
    let text = str::from_utf8(line).map_err(unreadable)?;
    lines.line(importer, text.trim_end_matches(['\n', '\r'])).await.map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    Problem::bad_request("bad_import", format!("{error:#}"))
}
