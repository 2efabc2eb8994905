//! `sessiond export --raw`

use std::process::ExitCode;

use sessiond_core::store::KeyFilter;
use tokio::io::AsyncWriteExt as _;

use super::socket;
use crate::app::open_stores;
use crate::cli::ExportArgs;
use crate::config::{Config, StoreConfig};
use crate::export::raw;

pub(super) async fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let filter =
        KeyFilter { app: args.app.clone(), user: args.user.clone(), session: args.session.clone() };
    match (&config.store, &config.server.admin_socket) {
        (StoreConfig::Redis(_), _) => {
            let store = open_stores(&config).await?.sessions;
            raw(store.as_ref(), &filter, async |lines: String| write(lines.as_bytes()).await)
                .await?;
        }
        (StoreConfig::Embedded, Some(path)) => socket::export(path, &filter, write).await?,
        (StoreConfig::Embedded, None) => anyhow::bail!(socket::NO_SOCKET),
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(bytes).await?;
    Ok(out.flush().await?)
}
