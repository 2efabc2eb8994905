//! The plugins of a configuration: loaded, tried, and put into their lists.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use sessiond_core::store::plugin::PluginStore;
use sessiond_plugin::adapter::Hooks;
use sessiond_plugin::engine::{EngineConfig, PluginEngine};
use sessiond_plugin::error::PluginError;
use sessiond_plugin::grants::Grants;
use sessiond_plugin::loader::{PluginFile, PluginLoader};
use sessiond_plugin::plugin::{Interface, Plugin, PluginSettings};
use sessiond_plugin::slot::PluginSlot;
use tokio::task::{JoinError, JoinHandle};

use crate::compiler::compiler;
use crate::config::{Config, ConfigError, Located, PluginConfig, Problem};
use crate::outbound::OwnAddresses;
use crate::ports::Ports;
use crate::reload::{Reloadable, Reloader};

/// Threads on which guests run: as many as there are cores, since guests only compute.
fn guest_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The plugins, by what they are for.
#[derive(Debug, Default)]
pub struct LoadedPlugins {
    /// All of them, in the order of the configuration.
    pub all: Vec<Arc<PluginSlot>>,
    /// On what goes in, in order.
    pub append: Vec<Hooks>,
    /// On what comes out, in order.
    pub get: Vec<Hooks>,
    /// Who sums up.
    pub summarizer: Option<Hooks>,
    /// Who reloads them, if there are any.
    pub reloader: Option<Arc<Reloader>>,
    /// What runs them, if there are any.
    pub engine: Option<Arc<PluginEngine>>,
}

/// Loads every plugin, tries each of its hooks that a list names, and fills the lists. `own` is where
/// the daemon listens, `keyvalue` where plugins keep what they may.
///
/// # Errors
/// When a plugin cannot be used as the configuration says.
pub(crate) async fn load_plugins(
    config: &Config,
    path: &Path,
    own: OwnAddresses,
    keyvalue: Arc<dyn PluginStore>,
) -> anyhow::Result<LoadedPlugins> {
    if config.plugins.is_empty() {
        return Ok(LoadedPlugins::default());
    }
    let engine = Arc::new(PluginEngine::new(engine_config(config))?);
    let compiler = compiler(&config.plugin_cache)?;
    let loader = Arc::new(PluginLoader::new(engine.clone())?.with_compiler(compiler));
    let ports = Ports::open(config, own, keyvalue)?;
    // All at once; compiles take turns.
    let begin = |plugin: &PluginConfig| {
        let settings = settings(plugin, config, plugin.grants.to_grants(&ports));
        (settings.clone(), load(&loader, plugin, settings))
    };
    let loading: Vec<_> = config.plugins.iter().map(begin).collect();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (plugin, (settings, loading)) in config.plugins.iter().zip(loading) {
        match (loaded(loading.await), plugin.on_load_error) {
            (Err(message), None) => problems.push(Problem::at(&plugin.name, message)),
            (loaded, _) => found.push((plugin, settings, loaded)),
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::new(path, problems).into());
    }
    let (mut all, mut reloadable) = (Vec::new(), Vec::new());
    for (plugin, settings, loaded) in found {
        let uses = Uses::of(config, &plugin.name.value);
        let loaded = match loaded {
            Ok(loaded) => uses.try_out(&loaded, plugin).await.map(|tried| (loaded, tried)),
            Err(message) => Err(message),
        };
        let (slot, error) = place(plugin, loaded)
            .map_err(|message| ConfigError::at(path, &plugin.name, message))?;
        let slot = Arc::new(slot);
        reloadable.push(Reloadable::new(plugin.clone(), uses, settings, slot.clone(), error));
        all.push(slot);
    }
    let find = |name: &Located<String>| {
        let found = all.iter().find(|plugin| plugin.name() == name.value);
        found.cloned().map(Hooks).with_context(|| format!("no plugin {:?}", name.value))
    };
    let append = config.hooks.append.iter().map(find).collect::<anyhow::Result<_>>()?;
    let get = config.hooks.get.iter().map(find).collect::<anyhow::Result<_>>()?;
    let summarizer = config.summary.plugin.as_ref().map(find).transpose()?;
    let reloader = Reloader::new(loader, reloadable);
    let reloader = Some(Arc::new(reloader));
    Ok(LoadedPlugins { append, get, summarizer, all, reloader, engine: Some(engine) })
}

pub(crate) fn engine_config(config: &Config) -> EngineConfig {
    let limits = config.plugins.iter().map(|plugin| &plugin.limits);
    let wanted = limits.clone().map(|limits| limits.max_instances).sum::<usize>();
    let reserved = config.reserved_instances;
    EngineConfig {
        max_instances: (wanted + reserved).min(config.ceilings.max_instances),
        reserved,
        max_memory: limits.map(|limits| limits.memory).max().unwrap_or(0),
        threads: guest_threads(),
    }
}

/// The place of a plugin, and why it is empty if it is. An error if that must not be.
fn place(
    plugin: &PluginConfig,
    loaded: Result<(Arc<Plugin>, Vec<Interface>), String>,
) -> Result<(PluginSlot, Option<String>), String> {
    let name = &plugin.name.value;
    let (slot, error) = match (loaded, plugin.on_load_error) {
        (Ok((loaded, tried)), _) => {
            tracing::info!(plugin = name, sha256 = loaded.sha256(), interfaces = ?tried, "plugin loaded");
            (PluginSlot::new(loaded), None)
        }
        (Err(message), Some(absent)) => {
            tracing::error!(plugin = name, error = message, policy = ?absent,
                "plugin not loaded: the daemon starts without it");
            (PluginSlot::empty(name, absent), Some(message))
        }
        (Err(message), None) => return Err(message),
    };
    show_loaded(name, error.is_none());
    Ok((slot, error))
}

/// Shows whether a plugin is there.
pub(crate) fn show_loaded(plugin: &str, loaded: bool) {
    metrics::gauge!("sessiond_plugin_loaded", "plugin" => plugin.to_owned()).set(if loaded {
        1.0
    } else {
        0.0
    });
}

fn settings(plugin: &PluginConfig, config: &Config, grants: Grants) -> PluginSettings {
    PluginSettings {
        name: plugin.name.value.as_str().into(),
        limits: plugin.limits,
        isolation: plugin.isolation,
        on_error: plugin.on_error,
        breaker: plugin.breaker,
        max_event_size: config.max_event_size,
        grants,
        log_guest_output: config.telemetry.log_guest_output,
    }
}

fn load(
    loader: &Arc<PluginLoader>,
    plugin: &PluginConfig,
    settings: PluginSettings,
) -> JoinHandle<Result<Arc<Plugin>, PluginError>> {
    let (loader, path, required) = (loader.clone(), plugin.path.clone(), plugin.required.clone());
    // Reading, and compiling where there is no other process for it, take time.
    tokio::task::spawn_blocking(move || {
        let file = PluginFile::read(&path, &required)?;
        loader.load(file, settings)
    })
}

/// What came of loading, in words where it failed.
pub(crate) fn loaded<T>(loaded: Result<Result<T, PluginError>, JoinError>) -> Result<T, String> {
    match loaded {
        Ok(Ok(loaded)) => Ok(loaded),
        Ok(Err(error)) => Err(chain(&error)),
        Err(panic) => Err(format!("the compiler failed: {panic}")),
    }
}

/// An error and its causes, in one text.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Which lists name a plugin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uses {
    append: bool,
    get: bool,
    summary: bool,
}

impl Uses {
    fn of(config: &Config, name: &str) -> Self {
        let names = |list: &[Located<String>]| list.iter().any(|it| it.value == name);
        Self {
            append: names(&config.hooks.append),
            get: names(&config.hooks.get),
            summary: config.summary.plugin.as_ref().is_some_and(|it| it.value == name),
        }
    }

    fn wants(self, interface: Interface) -> bool {
        match interface {
            Interface::BeforeAppend | Interface::AfterAppend => self.append,
            Interface::BeforeGet | Interface::AfterGet => self.get,
            Interface::Summarizer => self.summary,
        }
    }

    /// Makes sure that a plugin is fit for its lists, and tries all of it that will be called.
    pub(crate) async fn try_out(
        self,
        plugin: &Arc<Plugin>,
        config: &PluginConfig,
    ) -> Result<Vec<Interface>, String> {
        self.check(plugin, config)?;
        let called = self.called(plugin);
        plugin.try_out(&called).await.map_err(|error| chain(&error))?;
        Ok(called)
    }

    /// The interfaces that will be called.
    fn called(self, plugin: &Plugin) -> Vec<Interface> {
        plugin.interfaces().into_iter().filter(|it| self.wants(*it)).collect()
    }

    /// A plugin has what its lists name it for, and lists name it for all that it has.
    fn check(self, plugin: &Plugin, config: &PluginConfig) -> Result<(), String> {
        let (exports, names) = (plugin.interfaces(), Interface::names);
        let lists = [
            (
                self.append,
                "hooks.append",
                [Interface::BeforeAppend, Interface::AfterAppend].as_slice(),
            ),
            (self.get, "hooks.get", &[Interface::BeforeGet, Interface::AfterGet]),
            (self.summary, "summary.plugin", &[Interface::Summarizer]),
        ];
        for (used, list, needs) in lists {
            if used && !needs.iter().any(|it| plugin.exports(*it)) {
                let (needs, exports) = (names(needs), names(&exports));
                return Err(format!(
                    "{list} names this plugin, which exports none of {needs} but {exports}: take it out of the list"
                ));
            }
        }
        let unused: Vec<_> = exports.into_iter().filter(|it| !self.wants(*it)).collect();
        if !unused.is_empty() && !config.allow_unused {
            return Err(format!(
                "the plugin exports {}, and no list names it for that: name it, or write unused_exports = \"allow\"",
                names(&unused)
            ));
        }
        Ok(())
    }
}
