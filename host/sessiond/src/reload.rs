//! Plugins whose file has changed, taken into service without a restart.
//!
//! The file is read, checked, compiled and tried as at the start, pin and signature included, and
//! then takes the place of the old one. If anything is wrong with it, the old one serves on. The
//! configuration is not read again.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sessiond_plugin::error::PluginError;
use sessiond_plugin::loader::{PluginFile, PluginLoader};
use sessiond_plugin::plugin::{Plugin, PluginSettings};
use sessiond_plugin::slot::PluginSlot;
use tokio_util::sync::CancellationToken;

use crate::config::PluginConfig;
use crate::plugins::{Uses, chain, loaded, show_loaded};

/// How often a file that is watched is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why a plugin is not reloaded.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// There is none of that name.
    #[error("there is no plugin {0:?}")]
    Unknown(String),
    /// The file is not fit. The text says why, and the fix.
    #[error("{0}; the plugin that was loaded before serves on")]
    Refused(String),
    /// The file is not fit, and none was before.
    #[error("{0}; the plugin stays out of service")]
    Absent(String),
}

/// What came of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The file serves now.
    Replaced,
    /// It is the one that serves already.
    Unchanged,
}

impl Reloaded {
    /// Its name in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replaced => "reloaded",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A plugin, where it came from and what became of its last reload.
#[derive(Debug)]
pub struct Reloadable {
    config: PluginConfig,
    uses: Uses,
    /// How it is run. With its grants go the budgets that it has used up.
    settings: PluginSettings,
    slot: Arc<PluginSlot>,
    /// Why its file was not taken when that was last tried.
    error: Mutex<Option<String>>,
}

impl Reloadable {
    pub(crate) fn new(
        config: PluginConfig,
        uses: Uses,
        settings: PluginSettings,
        slot: Arc<PluginSlot>,
        error: Option<String>,
    ) -> Self {
        Self { config, uses, settings, slot, error: Mutex::new(error) }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        self.slot.name()
    }

    /// The plugin that serves, if one was ever loaded.
    pub fn current(&self) -> Option<Arc<Plugin>> {
        self.slot.current()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.config.path
    }

    /// Why its file was not taken when that was last tried.
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reloads plugins, one at a time.
#[derive(Debug)]
pub struct Reloader {
    loader: Arc<PluginLoader>,
    plugins: Vec<Reloadable>,
    turn: tokio::sync::Mutex<()>,
}

impl Reloader {
    pub(crate) fn new(loader: Arc<PluginLoader>, plugins: Vec<Reloadable>) -> Self {
        Self { loader, plugins, turn: tokio::sync::Mutex::default() }
    }

    /// All plugins, in the order of the configuration.
    pub fn plugins(&self) -> &[Reloadable] {
        &self.plugins
    }

    /// The plugin of a name.
    pub fn find(&self, name: &str) -> Option<&Reloadable> {
        self.plugins.iter().find(|plugin| plugin.slot.name() == name)
    }

    /// Takes a plugin's file into service, if it is another than before.
    ///
    /// # Errors
    /// [`ReloadError::Refused`]: the old one serves on.
    pub async fn reload(&self, plugin: &Reloadable) -> Result<Reloaded, ReloadError> {
        let name = plugin.slot.name();
        let _turn = self.turn.lock().await;
        let result = self.load(plugin).await;
        let outcome = result.as_ref().map_or("refused", |reloaded| reloaded.name());
        metrics::counter!("sessiond_plugin_reloads_total", "plugin" => name.to_owned(), "outcome" => outcome)
            .increment(1);
        let error = result.as_ref().err().cloned();
        *plugin.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        match result {
            Ok(reloaded) => {
                show_loaded(name, true);
                let sha256 = plugin.current().map(|current| current.sha256().to_owned());
                let sha256 = sha256.unwrap_or_default();
                tracing::info!(plugin = name, sha256, outcome, "plugin reload");
                Ok(reloaded)
            }
            Err(error) if plugin.current().is_none() => {
                tracing::error!(plugin = name, error, "plugin not loaded: it stays out of service");
                Err(ReloadError::Absent(error))
            }
            Err(error) => {
                tracing::error!(
                    plugin = name,
                    error,
                    "plugin not reloaded: the one that was loaded before serves on"
                );
                Err(ReloadError::Refused(error))
            }
        }
    }

    /// Reloads all plugins whose file has changed. What is wrong with one holds up no other.
    pub async fn reload_all(&self) {
        for plugin in &self.plugins {
            // It has been logged.
            let _ = self.reload(plugin).await;
        }
    }

    async fn load(&self, plugin: &Reloadable) -> Result<Reloaded, String> {
        let config = &plugin.config;
        let (loader, path, required) =
            (self.loader.clone(), config.path.clone(), config.required.clone());
        let settings = plugin.settings.clone();
        let serves = plugin.current().map(|current| current.sha256().to_owned());
        let load = move || -> Result<Option<Arc<Plugin>>, PluginError> {
            let file = PluginFile::read(&path, &required)?;
            if serves.as_deref() == Some(file.sha256()) {
                return Ok(None);
            }
            loader.load(file, settings).map(Some)
        };
        let Some(new) = loaded(tokio::task::spawn_blocking(load).await)? else {
            return Ok(Reloaded::Unchanged);
        };
        plugin.uses.try_out(&new, config).await?;
        plugin.slot.replace(new).map_err(|error| chain(&error))?;
        Ok(Reloaded::Replaced)
    }

    /// Reloads plugins that are watched when their files have changed and are at rest, until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let watched = self.plugins.iter().filter(|plugin| plugin.config.watch);
        let mut watched: Vec<_> = watched.map(|plugin| (plugin, Rest::default())).collect();
        if watched.is_empty() {
            return;
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
            for (plugin, rest) in &mut watched {
                if rest.look(Stamp::of(&plugin.config.path).await) {
                    let _ = self.reload(plugin).await;
                }
            }
        }
    }
}

/// What tells a file from the one that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    size: u64,
}

impl Stamp {
    async fn of(path: &Path) -> Option<Self> {
        let about = tokio::fs::metadata(path).await.ok()?;
        Some(Self { modified: about.modified().ok()?, size: about.len() })
    }
}

/// Whether a file has changed, and has come to rest since: it may be written in pieces.
#[derive(Debug, Default)]
struct Rest {
    seen: Option<Stamp>,
    taken: Option<Stamp>,
}

impl Rest {
    /// Looks once. True: the file is new, and was the same when it was last looked at. A file that
    /// is gone is no reason to do anything.
    fn look(&mut self, now: Option<Stamp>) -> bool {
        let Some(now) = now else { return false };
        let still = self.seen.replace(now) == Some(now);
        still && self.taken.replace(now) != Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(at: u64) -> Option<Stamp> {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        Some(Stamp { modified, size: at })
    }

    /// P63: a file that is written in pieces is new once, and one that is gone is not new.
    #[test]
    fn a_file_at_rest_is_new_once() {
        let mut rest = Rest::default();
        let looks = [1, 1, 1, 2, 3, 4, 4, 4].map(|at| rest.look(stamp(at)));
        assert_eq!(looks, [false, true, false, false, false, false, true, false]);
        let gone = [None, None, stamp(4), stamp(4)].map(|at| rest.look(at));
        assert_eq!(gone, [false; 4]);
        assert_eq!([5, 5].map(|at| rest.look(stamp(at))), [false, true]);
    }
}
