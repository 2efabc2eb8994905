//! `sessiond export --raw`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sessiond_core::store::KeyFilter;
use tokio::io::AsyncWriteExt as _;

use crate::app::open_store;
use crate::cli::ExportArgs;
use crate::config::{Config, StoreConfig};
use crate::export::raw;

pub(super) async fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let filter =
        KeyFilter { app: args.app.clone(), user: args.user.clone(), session: args.session.clone() };
    match (&config.store, &config.server.admin_socket) {
        (StoreConfig::Redis(_), _) => {
            let store = open_store(&config).await?;
            raw(store.as_ref(), &filter, async |lines: String| write(lines.as_bytes()).await)
                .await?;
        }
        (StoreConfig::Embedded, Some(socket)) => ask_daemon(socket, &filter).await?,
        (StoreConfig::Embedded, None) => anyhow::bail!(
            "the embedded store is in the daemon's memory: set server.admin_socket = \"PATH\", and \
             start the daemon with it"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(bytes).await?;
    Ok(out.flush().await?)
}

async fn ask_daemon(socket: &Path, filter: &KeyFilter) -> anyhow::Result<()> {
    let stream = tokio::net::UnixStream::connect(socket)
        .await
        .with_context(|| format!("no daemon answers on {}: is it running?", socket.display()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let uri = format!("/v1/admin/export?{}", query(filter));
    let request = Request::get(uri).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let copy = async move {
        let mut response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::bail!("the daemon refuses: {}", String::from_utf8_lossy(&body));
        }
        while let Some(frame) = response.body_mut().frame().await {
            if let Some(bytes) = frame?.data_ref() {
                write(bytes).await?;
            }
        }
        Ok(())
    };
    let (copied, _) = tokio::join!(copy, connection);
    copied
}

fn query(filter: &KeyFilter) -> String {
    let pairs = [("app", &filter.app), ("user", &filter.user), ("session", &filter.session)];
    let pairs = pairs.into_iter().filter_map(|(name, value)| {
        let value = utf8_percent_encode(value.as_ref()?, NON_ALPHANUMERIC);
        Some(format!("{name}={value}"))
    });
    pairs.collect::<Vec<_>>().join("&")
}
