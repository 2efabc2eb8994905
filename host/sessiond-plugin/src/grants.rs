//! What a plugin may import beyond what all may: denied unless the configuration grants it.
//!
//! A grant is held against the component's imports when it is loaded, in both directions: an import
//! without its grant is refused with the TOML that would allow it, and so is a grant that nothing
//! uses, since a key does what it says or is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sessiond_core::store::plugin::{Allowance, PluginStore};

use crate::budget::{Budget, Ledger};
use crate::contract::PACKAGE;
use crate::model::ChatModel;
use crate::outgoing::HttpGrant;

/// Something that can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// `wasi:config/store`: its own table of the configuration.
    Config,
    /// `wasi:logging/logging`: the daemon's log.
    Logging,
    /// `chat-model`: the models that it may ask.
    Models,
    /// `wasi:http`: the servers that it may send requests to.
    Http,
    /// `wasi:keyvalue`: what it keeps.
    Keyvalue,
}

impl Grant {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Config, Self::Logging, Self::Models, Self::Http, Self::Keyvalue];

    /// The package that it opens, the interfaces of it, and the versions that the host has: one
    /// that ends in a dot stands for all that begin so.
    const fn opens(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            Self::Config => ("wasi:config", &["store"], "0.2.0-rc.1"),
            Self::Logging => ("wasi:logging", &["logging"], "0.1.0-draft"),
            Self::Models => (PACKAGE, &["chat-model"], "0.1."),
            Self::Http => ("wasi:http", &["types", "outgoing-handler"], "0.2."),
            Self::Keyvalue => ("wasi:keyvalue", &["store"], "0.2.0-draft"),
        }
    }

    /// The grant that an import needs, if it needs one.
    pub fn of(import: &str) -> Option<Self> {
        let (path, _) = import.split_once('@').unwrap_or((import, ""));
        let (package, interface) = path.split_once('/')?;
        Self::ALL.into_iter().find(|grant| {
            let (name, interfaces, _) = grant.opens();
            name == package && interfaces.contains(&interface)
        })
    }

    /// The grants that a component's imports need.
    pub fn needed(imports: &[String]) -> Vec<Self> {
        let mut needed: Vec<_> = imports.iter().filter_map(|import| Self::of(import)).collect();
        needed.sort();
        needed.dedup();
        needed
    }

    /// What is wrong with the version of an import, if anything.
    pub(crate) fn version_problem(self, import: &str) -> Option<String> {
        let (package, _, known) = self.opens();
        let (_, version) = import.split_once('@').unwrap_or((import, ""));
        let fits = version == known || (known.ends_with('.') && version.starts_with(known));
        (!fits).then(|| {
            let known = if known.ends_with('.') { format!("{known}x") } else { known.to_owned() };
            format!(
                "it imports {import}, and the host has {package}@{known}: build it against \
                 `sessiond plugin wit`"
            )
        })
    }

    /// The key of the configuration that grants it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Logging => "grants.logging",
            Self::Models => "grants.models",
            Self::Http => "grants.http",
            Self::Keyvalue => "grants.keyvalue",
        }
    }

    /// The TOML that grants it, to be changed where it has names in capitals.
    pub fn toml(self, plugin: &str) -> String {
        match self {
            Self::Config => format!("a table [plugins.{plugin}.config]"),
            Self::Logging => format!("[plugins.{plugin}.grants] logging = true"),
            Self::Models => {
                format!("[plugins.{plugin}.grants] models = [\"MODEL\"] and a table [models.MODEL]")
            }
            Self::Http => format!("[plugins.{plugin}.grants] http = [\"https://HOST\"]"),
            Self::Keyvalue => {
                format!("[plugins.{plugin}.grants] keyvalue = {{ quota = \"1MiB\", keys = 1000 }}")
            }
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// What one plugin is granted. Clones share what is behind it.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Its own settings.
    pub config: Option<Settings>,
    /// Whether it may log through `wasi:logging`.
    pub logging: bool,
    /// The models that it may ask.
    pub models: Option<ModelGrant>,
    /// Where it may send requests.
    pub http: Option<HttpGrant>,
    /// What it may keep.
    pub keyvalue: Option<KeyvalueGrant>,
    /// Whether nobody has decided yet: see [`Grants::undecided`].
    pub undecided: bool,
}

impl Grants {
    /// For the tools of authors, which know no configuration: whatever a component imports is there,
    /// and nothing is behind it.
    pub fn undecided() -> Self {
        Self { undecided: true, ..Self::default() }
    }

    /// Whether something is granted.
    pub fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::Config => self.config.is_some(),
            Grant::Logging => self.logging,
            Grant::Models => self.models.is_some(),
            Grant::Http => self.http.is_some(),
            Grant::Keyvalue => self.keyvalue.is_some(),
        }
    }

    /// Which imports have no grant and which grants no import, each with the fix.
    pub(crate) fn problems(&self, imports: &[String], plugin: &str) -> Vec<String> {
        if self.undecided {
            return Vec::new();
        }
        let needed = Grant::needed(imports);
        let missing = imports.iter().filter_map(|import| {
            let grant = Grant::of(import).filter(|grant| !self.has(*grant))?;
            let toml = grant.toml(plugin);
            Some(format!("it imports {import}, which is not granted: to allow it, add {toml}"))
        });
        let unused = Grant::ALL.into_iter().filter(|it| self.has(*it) && !needed.contains(it));
        let unused = unused.map(|grant| {
            let (package, ..) = grant.opens();
            format!(
                "plugins.{plugin}.{grant} is set, and the component does not import {package}: \
                 remove it"
            )
        });
        missing.chain(unused).collect()
    }
}

/// The models that a plugin may ask, and how much.
#[derive(Debug, Clone)]
pub struct ModelGrant {
    models: Arc<BTreeMap<String, Arc<dyn ChatModel>>>,
    ledger: Arc<Ledger>,
}

impl ModelGrant {
    /// Models by their names in the configuration.
    pub fn new(models: BTreeMap<String, Arc<dyn ChatModel>>, budget: Budget) -> Self {
        Self { models: Arc::new(models), ledger: Arc::new(Ledger::new(budget)) }
    }

    /// A model that is granted, and what was spent.
    pub(crate) fn get(&self, name: &str) -> Option<(&Arc<dyn ChatModel>, &Arc<Ledger>)> {
        self.models.get(name).map(|model| (model, &self.ledger))
    }
}

/// What a plugin may keep, and where.
#[derive(Debug, Clone)]
pub struct KeyvalueGrant {
    /// Where.
    pub store: Arc<dyn PluginStore>,
    /// How much, for each app.
    pub allowance: Allowance,
}

/// A plugin's own settings. They may be secret, and are never shown.
#[derive(Clone, Default)]
pub struct Settings(Arc<BTreeMap<String, String>>);

impl Settings {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Settings {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(settings: I) -> Self {
        Self(Arc::new(settings.into_iter().collect()))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(imports: &[&str]) -> Vec<String> {
        imports.iter().map(ToString::to_string).collect()
    }

    /// P49, P52: every missing grant is named with the line that would allow it, and every grant
    /// that does nothing.
    #[test]
    fn imports_and_grants_are_held_against_each_other() {
        let imports = owned(&["wasi:config/store@0.2.0-rc.1", "wasi:logging/logging@0.1.0-draft"]);
        let told = Grants::default().problems(&imports, "p").join("\n");
        assert!(told.contains("add a table [plugins.p.config]"), "{told}");
        assert!(told.contains("add [plugins.p.grants] logging = true"), "{told}");
        let granted =
            Grants { config: Some(Settings::default()), logging: true, ..Grants::default() };
        assert_eq!(granted.problems(&imports, "p"), Vec::<String>::new());
        let told = granted.problems(&[], "p").join("\n");
        assert!(told.contains("plugins.p.config is set, and the component"), "{told}");
        assert!(told.contains("plugins.p.grants.logging is set"), "{told}");
        assert_eq!(Grants::undecided().problems(&imports, "p"), Vec::<String>::new());
    }

    #[test]
    fn drafts_are_pinned() {
        let problem = |import| Grant::of(import).and_then(|grant| grant.version_problem(import));
        assert_eq!(problem("wasi:config/store@0.2.0-rc.1"), None);
        assert!(problem("wasi:config/store@0.2.0-draft").is_some());
        assert_eq!(Grant::of("wasi:config/other@0.2.0-rc.1"), None);
        assert_eq!(Grant::of("wasi:keyvalue/atomics@0.2.0-draft"), None);
        assert_eq!(problem("wasi:keyvalue/store@0.2.0-draft"), None);
        assert!(problem("wasi:keyvalue/store@0.2.0-draft2").is_some());
        assert_eq!(problem("wasi:http/types@0.2.9"), None);
        assert!(problem("wasi:http/types@0.3.0").is_some());
    }

    #[test]
    fn settings_are_not_shown() {
        let settings: Settings = [("key".to_owned(), "secret".to_owned())].into_iter().collect();
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
