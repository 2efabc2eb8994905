//! `[plugins.NAME.config]` and `[plugins.NAME.grants]`: what a plugin may import beyond what all may.
//! Everything is denied by default.

use hyper::Uri;
use sessiond_core::store::plugin::Allowance;
use sessiond_plugin::budget::Budget;
use sessiond_plugin::grants::{Grants, KeyvalueGrant, ModelGrant};
use sessiond_plugin::outgoing::{Destination, HttpGrant};

use super::reader::{Document, Located, Secret, Section};
use super::{ModelConfig, PluginConfig};
use crate::ports::Ports;

const MAX_COUNT: u64 = 1_000_000_000_000;

/// What a plugin is granted.
#[derive(Debug, Clone, Default)]
pub struct GrantsConfig {
    /// Its own settings. None: it has no such table.
    config: Option<Vec<(String, Secret)>>,
    /// Whether it may log through `wasi:logging`.
    logging: bool,
    /// The models that it may ask, by name. None: none.
    models: Option<Vec<Located<String>>>,
    /// How much it may ask of them.
    budget: Budget,
    /// Where it may send requests.
    http: Vec<Destination>,
    /// Whether a name among them may stand for an address that is not public.
    http_private: bool,
    /// What it may keep, for each app.
    keyvalue: Option<Allowance>,
}

impl GrantsConfig {
    /// Whether it may send requests anywhere.
    pub(crate) fn sends_http(&self) -> bool {
        !self.http.is_empty()
    }

    /// As the plugin gets it, with the models that the configuration has.
    pub(crate) fn to_grants(&self, ports: &Ports) -> Grants {
        let settings = self.config.as_ref().map(|settings| {
            let settings = settings.iter();
            settings.map(|(key, value)| (key.clone(), value.reveal().to_owned())).collect()
        });
        let granted = self.models.as_ref().map(|names| {
            let named = names.iter().filter_map(|name| ports.models.get_key_value(&name.value));
            let named = named.map(|(name, model)| (name.clone(), model.clone()));
            ModelGrant::new(named.collect(), self.budget)
        });
        let http = Some(&self.http).filter(|http| !http.is_empty()).map(|destinations| {
            HttpGrant::new(destinations.iter().cloned(), self.http_private, ports.http.clone())
        });
        let keyvalue = self.keyvalue;
        let keyvalue =
            keyvalue.map(|allowance| KeyvalueGrant { store: ports.keyvalue.clone(), allowance });
        let logging = self.logging;
        Grants { config: settings, logging, models: granted, http, keyvalue, undecided: false }
    }
}

/// Reads both tables of a plugin.
pub(super) fn read(plugin: &Section<'_>) -> GrantsConfig {
    let config = read_config(plugin.section("config"));
    let section = plugin.section("grants");
    let logging = section.flag("logging", false);
    let models = section.names("models");
    let models = Some(models).filter(|names| !names.is_empty());
    let budget = read_budget(section.section("model_budget"));
    if section.has("model_budget") && models.is_none() {
        section.problem("model_budget", "this is for a plugin with models = [\"MODEL\"]");
    }
    let http = read_http(&section);
    let http_private = section.flag("http_private", false);
    if http_private && http.is_empty() {
        section.problem("http_private", "this is for a plugin with http = [\"http://HOST\"]");
    }
    let keyvalue = read_keyvalue(section.section("keyvalue"));
    section.finish();
    GrantsConfig { config, logging, models, budget, http, http_private, keyvalue }
}

/// The table is the grant.
fn read_keyvalue(section: Section<'_>) -> Option<Allowance> {
    let allowance = Allowance {
        quota: section.size("quota", "1MiB", 1 << 30) as u64,
        keys: section.count("keys", 1_000, 100_000),
        ttl: section.duration_or_none("ttl"),
    };
    let there = section.is_there();
    section.finish();
    there.then_some(allowance)
}

/// Where requests may go: a scheme, a host and maybe a port each.
fn read_http(section: &Section<'_>) -> Vec<Destination> {
    const FORM: &str = "write a scheme, a host and maybe a port, like \"https://api.example.com\"";
    let mut destinations = Vec::new();
    for listed in section.names("http") {
        let url: Option<Uri> = listed.value.parse().ok();
        let bare = url.filter(|url| url.path() == "/" && url.query().is_none());
        match bare.as_ref().and_then(Destination::of).filter(|it| !it.host.contains('*')) {
            Some(destination) => destinations.push(destination),
            None => section.document().problem(&listed, format!("{:?}: {FORM}", listed.value)),
        }
    }
    destinations
}

fn read_budget(section: Section<'_>) -> Budget {
    let defaults = Budget::default();
    let budget = Budget {
        calls: section.count("calls", defaults.calls, MAX_COUNT),
        tokens: section.count("tokens", defaults.tokens, MAX_COUNT),
        per: section.duration("per", defaults.per),
    };
    section.finish();
    budget
}

/// The keys are the plugin's own, so none is unknown.
fn read_config(section: Section<'_>) -> Option<Vec<(String, Secret)>> {
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    let mut settings = Vec::new();
    for key in section.keys() {
        if key.is_empty() || !key.chars().all(plain) {
            section.problem(&key, "name it with letters, digits, _ and -");
        }
        settings.extend(section.text(&key).map(|value| (key, value)));
    }
    let there = section.is_there();
    section.finish();
    there.then_some(settings)
}

/// Every model that is granted is there, and every model that is there is granted to somebody.
pub(super) fn check_models(
    document: &Document<'_>,
    plugins: &[PluginConfig],
    models: &[ModelConfig],
) {
    let granted: Vec<_> =
        plugins.iter().flat_map(|plugin| plugin.grants.models.iter().flatten()).collect();
    for name in &granted {
        if !models.iter().any(|model| model.name.value == name.value) {
            let message = format!("there is no model {:?}: add a table [models.{0}]", name.value);
            document.problem(name, message);
        }
    }
    for model in models {
        if !granted.iter().any(|name| name.value == model.name.value) {
            let message = "no plugin may ask this model: add it to plugins.NAME.grants.models, or \
                           remove the table";
            document.problem(&model.name, message);
        }
    }
}
