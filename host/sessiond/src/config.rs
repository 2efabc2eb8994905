//! The configuration: one TOML file, read once, strictly.
//!
//! A key does what it says or is refused. Every error names the file, the line, the key and the fix.

mod adk;
mod cache;
mod grants;
mod limits;
mod models;
mod persist;
mod plugins;
mod reader;
mod redis;
mod server;
mod session;
mod summary;
mod telemetry;
mod tokens;
mod trust;

pub use adk::AdkConfig;
pub use cache::{CacheFolder, PluginCacheConfig};
pub use grants::GrantsConfig;
pub use limits::Ceilings;
pub use models::ModelConfig;
pub use persist::{JournalConfig, PersistConfig};
pub use plugins::{HookLists, PluginConfig};
pub use reader::Located;
pub(crate) use reader::Secret;
pub use redis::StoreConfig;
pub use server::{ServerConfig, TlsConfig};
pub use summary::{QueueKind, SummaryConfig};
pub use telemetry::{LogFormat, TelemetryConfig, TracesConfig};
pub use tokens::read_tokens;

use std::fmt;
use std::path::{Path, PathBuf};

use sessiond_core::store::StoreRules;

use self::reader::Document;

/// All of it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the daemon listens, and what it accepts.
    pub server: ServerConfig,
    /// The routes of ADK's own server.
    pub adk: AdkConfig,
    /// Where sessions are kept.
    pub store: StoreConfig,
    /// The rules that hold for them.
    pub rules: StoreRules,
    /// The largest event, in bytes.
    pub max_event_size: usize,
    /// How appends reach the store.
    pub persist: PersistConfig,
    /// Which plugins are hooks, in order.
    pub hooks: HookLists,
    /// Who sums up, and when.
    pub summary: SummaryConfig,
    /// The plugins.
    pub plugins: Vec<PluginConfig>,
    /// The most that any of them gets.
    pub ceilings: Ceilings,
    /// How many instances are kept for plugins, each for one of them.
    pub reserved_instances: usize,
    /// Where compiled plugins are kept.
    pub plugin_cache: PluginCacheConfig,
    /// The models that plugins may ask.
    pub models: Vec<ModelConfig>,
    /// What the daemon tells of itself.
    pub telemetry: TelemetryConfig,
    /// Every key and what it came to, secrets hidden.
    pub resolved: Vec<(String, String)>,
    /// What is odd about it, but no error.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], with all problems of the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::whole(path, format!("the file cannot be read: {error}"))
        })?;
        Self::parse(path, &text)
    }

    /// What holds without a file: the embedded store, on the loopback interface.
    ///
    /// # Errors
    /// None in practice: the defaults are good, and a test says so.
    pub fn without_file() -> Result<Self, ConfigError> {
        Self::parse(Path::new("defaults"), "")
    }

    /// Reads the text of a file. `path` is for messages, and for paths relative to it.
    ///
    /// # Errors
    /// [`ConfigError`], with all problems of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(path, text)?;
        let mut warnings = Vec::new();
        let config = {
            let root = document.root();
            let server = server::read(root.section("server"), &mut warnings);
            let adk = adk::read(root.section("adk"));
            let (rules, key_prefix, max_event_size) = session::read(root.section("session"));
            let store = redis::read(root.section("redis"), key_prefix, &mut warnings);
            let in_memory = matches!(store, StoreConfig::Embedded);
            let queue = root.section("async_persist");
            let persist = persist::read(root.section("append"), queue, in_memory);
            let hooks = plugins::read_hooks(root.section("hooks"));
            let summary = summary::read(root.section("summary"), &store, &rules);
            let keys = trust::read(root.section("trust"));
            let ceilings = limits::read_ceilings(root.section("plugin_limits"));
            let mut plugins = plugins::read(&root, &keys, &ceilings);
            plugins::check_names(&document, &plugins, &hooks, &summary);
            let reserved_instances =
                limits::share(&document, &ceilings, &mut plugins, &hooks, &summary);
            let plugin_cache = cache::read(root.section("plugin_cache"));
            let models = models::read(&root, &mut warnings);
            grants::check_models(&document, &plugins, &models);
            let telemetry = telemetry::read(root.section("telemetry"));
            root.finish();
            let (resolved, warnings) = Default::default();
            Self {
                server,
                adk,
                store,
                rules,
                max_event_size,
                persist,
                hooks,
                summary,
                plugins,
                ceilings,
                reserved_instances,
                plugin_cache,
                models,
                telemetry,
                resolved,
                warnings,
            }
        };
        warnings.extend(document.lowered());
        Ok(Self { resolved: document.finish()?, warnings, ..config })
    }

    /// The resolved configuration, as TOML.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        for (key, value) in &self.resolved {
            let (in_table, key) = key.rsplit_once('.').unwrap_or(("", key));
            if in_table != table {
                text.push_str(&format!(
                    "{}[{in_table}]\n",
                    if text.is_empty() { "" } else { "\n" }
                ));
                table = in_table;
            }
            let unset = value.strip_prefix('#');
            text.push_str(&match unset {
                Some(note) => format!("# {key}:{note}\n"),
                None => format!("{key} = {value}\n"),
            });
        }
        text
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: Option<usize>,
    /// The key, dotted; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and the fix.
    pub message: String,
}

impl Problem {
    /// A problem with one value.
    pub fn at<T>(at: &Located<T>, message: impl Into<String>) -> Self {
        Self { line: at.line, key: at.key.clone(), message: message.into() }
    }
}

/// All that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Problems of a file.
    pub fn new(path: &Path, problems: Vec<Problem>) -> Self {
        Self { path: path.to_owned(), problems }
    }

    /// A problem with a file as a whole.
    pub fn whole(path: &Path, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(path, vec![Problem { line: None, key: String::new(), message }])
    }

    /// A problem with one value of a file.
    pub fn at<T>(path: &Path, at: &Located<T>, message: impl Into<String>) -> Self {
        Self::new(path, vec![Problem::at(at, message)])
    }
}

impl fmt::Display for ConfigError {
    /// A line a problem: `FILE:LINE: KEY: what is wrong, and the fix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", self.path.display())?;
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            if !problem.key.is_empty() {
                write!(f, ": {}", problem.key)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests;
