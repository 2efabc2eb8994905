//! `sessiond plugin`: for authors, and for operators.

pub(super) mod bench;
pub(super) mod check;
pub(super) mod list;
pub(super) mod new;
pub(super) mod precompile;
pub(super) mod purge;
pub(super) mod reload;
pub(super) mod test;
pub(super) mod wit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use sessiond_core::hook::OnError;
use sessiond_plugin::breaker::BreakerRule;
use sessiond_plugin::engine::{EngineConfig, PluginEngine};
use sessiond_plugin::grants::Grants;
use sessiond_plugin::limits::Limits;
use sessiond_plugin::loader::{PluginFile, PluginLoader};
use sessiond_plugin::plugin::{Isolation, Plugin, PluginSettings};
use sessiond_plugin::signature::Requirements;

use crate::compiler::compiler;
use crate::config::{Config, PluginCacheConfig};

/// The largest event after edits, as the daemon has it by default, in bytes.
const MAX_EVENT_SIZE: usize = 1024 * 1024;

/// How to reach the daemon that runs with a configuration.
fn admin_socket(config: &Path) -> anyhow::Result<PathBuf> {
    let socket = Config::load(config)?.server.admin_socket;
    socket.context("set server.admin_socket = \"PATH\", and start the daemon with it")
}

/// Loads a component with the limits that the daemon has by default.
async fn load(path: &Path) -> anyhow::Result<Arc<Plugin>> {
    load_kept(path, Isolation::App, &PluginCacheConfig::default()).await
}

/// The same, with its code in a cache.
async fn load_kept(
    path: &Path,
    isolation: Isolation,
    cache: &PluginCacheConfig,
) -> anyhow::Result<Arc<Plugin>> {
    let limits = Limits::default();
    let file = PluginFile::read(path, &Requirements::default())?;
    let settings = PluginSettings {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into(),
        limits,
        isolation,
        on_error: OnError::Reject,
        breaker: BreakerRule { failures: None, ..BreakerRule::default() },
        max_event_size: MAX_EVENT_SIZE,
        grants: Grants::undecided(),
        log_guest_output: true,
    };
    let engine = PluginEngine::new(EngineConfig::of_one(&limits))?;
    let compiler = compiler(cache)?;
    let loader = PluginLoader::new(Arc::new(engine))?.with_compiler(compiler);
    Ok(tokio::task::spawn_blocking(move || loader.load(file, settings)).await??)
}
