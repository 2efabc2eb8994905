//! `sessiond plugin purge NAME --config FILE`

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use crate::app::open_stores;
use crate::config::{Config, StoreConfig};

pub(in crate::commands) async fn run(name: &str, path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    if matches!(config.store, StoreConfig::Embedded) {
        bail!("the embedded store keeps nothing longer than the daemon runs: start it again");
    }
    let buckets = open_stores(&config).await?.keyvalue.purge_plugin(name).await?;
    let what = match buckets {
        0 => "kept nothing".to_owned(),
        1 => "kept something for 1 app, which is gone".to_owned(),
        _ => format!("kept something for {buckets} apps, which is gone"),
    };
    crate::commands::print(&format!("The plugin {name:?} {what}.\n"))?;
    Ok(ExitCode::SUCCESS)
}
