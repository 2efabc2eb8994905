//! Asking a daemon that runs, over its admin socket.

use std::path::Path;
use std::pin::Pin;

use anyhow::Context as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sessiond_core::store::KeyFilter;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::import::report::Report;

/// What to do where there is no way to the daemon.
pub(super) const NO_SOCKET: &str = "the embedded store is in the daemon's memory: set \
    server.admin_socket = \"PATH\", and start the daemon with it";

/// How much of a file is sent at once, in bytes, and how many such pieces wait.
const PIECE: usize = 1 << 16;
const WAITING: usize = 8;

type Body = BoxBody<Bytes, std::io::Error>;

/// Asks for an export. `write` gets what comes.
pub(super) async fn export(
    socket: &Path,
    filter: &KeyFilter,
    write: impl AsyncFn(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let uri = format!("/v1/admin/export?{}", query(filter));
    let request = Request::get(uri).header("host", "localhost");
    let request = request.body(Empty::new().map_err(|none| match none {}).boxed())?;
    ask(socket, request, async |mut response: Response<Incoming>| {
        while let Some(frame) = response.body_mut().frame().await {
            if let Some(bytes) = frame?.data_ref() {
                write(bytes).await?;
            }
        }
        Ok(())
    })
    .await
}

/// Sends a file for import, and returns what has come of it.
pub(super) async fn import(socket: &Path, flags: &str, file: &Path) -> anyhow::Result<Report> {
    let mut reader: Pin<Box<dyn AsyncRead + Send>> = match file == Path::new("-") {
        true => Box::pin(tokio::io::stdin()),
        false => {
            let opened = tokio::fs::File::open(file).await;
            Box::pin(opened.with_context(|| format!("cannot read {}", file.display()))?)
        }
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    let feed = async move {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match reader.read(&mut piece).await {
                Ok(0) => return,
                Ok(read) => {
                    piece.truncate(read);
                    Ok(Frame::data(Bytes::from(piece)))
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if sender.send(read).await.is_err() || failed {
                return;
            }
        }
    };
    let request = Request::post(format!("/v1/admin/import?{flags}")).header("host", "localhost");
    let request = request.header("content-type", "application/x-ndjson");
    let request = request.body(StreamBody::new(ReceiverStream::new(receiver)).boxed())?;
    let asked = ask(socket, request, async |response: Response<Incoming>| {
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Report::from_json(&serde_json::from_slice(&body)?))
    });
    let (report, ()) = tokio::join!(asked, feed);
    report
}

/// The plugins of the daemon, as it tells of them.
pub(super) async fn plugins(socket: &Path) -> anyhow::Result<Value> {
    let request = Request::get("/v1/admin/plugins");
    ask_json(socket, request).await
}

/// Has the daemon reload a plugin.
pub(super) async fn reload_plugin(socket: &Path, name: &str) -> anyhow::Result<Value> {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    ask_json(socket, Request::post(format!("/v1/admin/plugins/{name}:reload"))).await
}

async fn ask_json(socket: &Path, request: hyper::http::request::Builder) -> anyhow::Result<Value> {
    let request = request.header("host", "localhost");
    let request = request.body(Empty::new().map_err(|none| match none {}).boxed())?;
    ask(socket, request, async |response: Response<Incoming>| {
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    })
    .await
}

/// Sends a request, and hands on the answer if it is a good one.
async fn ask<T>(
    socket: &Path,
    request: Request<Body>,
    take: impl AsyncFnOnce(Response<Incoming>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let stream = tokio::net::UnixStream::connect(socket)
        .await
        .with_context(|| format!("no daemon answers on {}: is it running?", socket.display()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let asked = async move {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::bail!("the daemon refuses: {}", String::from_utf8_lossy(&body));
        }
        take(response).await
    };
    let (answer, _) = tokio::join!(asked, connection);
    answer
}

fn query(filter: &KeyFilter) -> String {
    let pairs = [("app", &filter.app), ("user", &filter.user), ("session", &filter.session)];
    let pairs = pairs.into_iter().filter_map(|(name, value)| {
        let value = utf8_percent_encode(value.as_ref()?, NON_ALPHANUMERIC);
        Some(format!("{name}={value}"))
    });
    pairs.collect::<Vec<_>>().join("&")
}
