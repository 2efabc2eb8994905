//! `[plugins.NAME.config]` and `[plugins.NAME.grants]`: what a plugin may import beyond what all may.
//! Everything is denied by default.

use sessiond_plugin::grants::Grants;

use super::reader::{Secret, Section};

/// What a plugin is granted.
#[derive(Debug, Clone, Default)]
pub struct GrantsConfig {
    /// Its own settings. None: it has no such table.
    config: Option<Vec<(String, Secret)>>,
    /// Whether it may log through `wasi:logging`.
    logging: bool,
}

impl GrantsConfig {
    /// As the plugin gets it.
    pub fn to_grants(&self) -> Grants {
        let settings = self.config.as_ref().map(|settings| {
            let settings = settings.iter();
            settings.map(|(key, value)| (key.clone(), value.reveal().to_owned())).collect()
        });
        Grants { config: settings, logging: self.logging, undecided: false }
    }
}

/// Reads both tables of a plugin.
pub(super) fn read(plugin: &Section<'_>) -> GrantsConfig {
    let config = read_config(plugin.section("config"));
    let section = plugin.section("grants");
    let grants = GrantsConfig { config, logging: section.flag("logging", false) };
    section.finish();
    grants
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
