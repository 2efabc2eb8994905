//! `[plugins.NAME]` and `[hooks]`: which components there are, and what they are for.

use std::path::PathBuf;

use sessiond_core::hook::OnError;
use sessiond_plugin::breaker::BreakerRule;
use sessiond_plugin::limits::Limits;
use sessiond_plugin::plugin::Isolation;
use sessiond_plugin::signature::{Requirements, TrustedKeys};
use sessiond_plugin::slot::Absent;

use super::SummaryConfig;
use super::grants::{self, GrantsConfig};
use super::limits::{self, Ceilings};
use super::reader::{Document, Limit, Located, Section};

/// `[hooks]`: plugins by name, in the order of the before-hooks.
#[derive(Debug, Clone)]
pub struct HookLists {
    /// On what goes in.
    pub append: Vec<Located<String>>,
    /// On what comes out.
    pub get: Vec<Located<String>>,
}

/// `[plugins.NAME]`
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// The name, and where the table says which file it is.
    pub name: Located<String>,
    /// The file.
    pub path: PathBuf,
    /// What the file must be.
    pub required: Requirements,
    /// Whom its instances are kept for.
    pub isolation: Isolation,
    /// What happens to a request when it fails.
    pub on_error: OnError,
    /// What happens to requests when it cannot be loaded. None: the daemon does not start.
    pub on_load_error: Option<Absent>,
    /// When it is not called for a while.
    pub breaker: BreakerRule,
    /// Whether it may export interfaces that no list names it for.
    pub allow_unused: bool,
    /// What it may use.
    pub limits: Limits,
    /// Whether it is reloaded when its file changes.
    pub watch: bool,
    /// What it may import beyond what all may.
    pub grants: GrantsConfig,
}

pub(super) fn read_hooks(section: Section<'_>) -> HookLists {
    let lists = HookLists { append: section.names("append"), get: section.names("get") };
    section.finish();
    lists
}

pub(super) fn read(
    root: &Section<'_>,
    keys: &TrustedKeys,
    ceilings: &Ceilings,
) -> Vec<PluginConfig> {
    let sections = root.sections("plugins").into_iter();
    sections.filter_map(|(name, section)| read_one(name, section, keys, ceilings)).collect()
}

fn read_one(
    name: String,
    section: Section<'_>,
    keys: &TrustedKeys,
    ceilings: &Ceilings,
) -> Option<PluginConfig> {
    let path = section.name("path");
    let sha256 = section.text("sha256").map(|pin| pin.reveal().to_owned());
    let well_formed = |pin: &str| pin.len() == 64 && pin.bytes().all(|it| it.is_ascii_hexdigit());
    if let Some(pin) = sha256.as_deref().filter(|pin| !well_formed(pin)) {
        let at = Located {
            value: (),
            line: path.as_ref().and_then(|it| it.line),
            key: format!("plugins.{name}.sha256"),
        };
        section.document().problem(&at, format!("{pin:?} is no sha256: write 64 hex digits"));
    }
    let signature = section.path("signature");
    if signature.is_some() && keys.is_empty() {
        section.problem("signature", "there is no key to check it with: name some in trust.keys");
    }
    let required = Requirements { sha256, keys: keys.clone(), signature };
    let isolations = [("app", Isolation::App), ("call", Isolation::Call)];
    let policies = [("reject", OnError::Reject), ("skip", OnError::Skip)];
    let isolation = section.choice("isolation", &isolations, Isolation::App, "app");
    let on_error = section.choice("on_error", &policies, OnError::Reject, "reject");
    let absences =
        [("refuse", None), ("skip", Some(Absent::Skip)), ("reject", Some(Absent::Reject))];
    let on_load_error = section.choice("on_load_error", &absences, None, "refuse");
    let breaker = read_breaker(section.section("breaker"));
    let unused = [("refuse", false), ("allow", true)];
    let allow_unused = section.choice("unused_exports", &unused, false, "refuse");
    let watch = section.flag("watch", false);
    let limits = limits::read(section.section("limits"), ceilings);
    let grants = grants::read(&section);
    let document = section.document();
    let config = match path {
        Some(path) => {
            let file = document.relative(&path.value);
            let name = Located { value: name, line: path.line, key: path.key };
            Some(PluginConfig {
                name,
                path: file,
                required,
                isolation,
                on_error,
                on_load_error,
                breaker,
                allow_unused,
                limits,
                watch,
                grants,
            })
        }
        None => {
            let at = Located { value: (), line: None, key: format!("plugins.{name}.path") };
            document.problem(&at, "name the file: path = \"PLUGIN.wasm\"");
            None
        }
    };
    section.finish();
    config
}

fn read_breaker(section: Section<'_>) -> BreakerRule {
    let BreakerRule { failures, open_for } = BreakerRule::default();
    let failures = failures.map_or(Limit::None, Limit::At);
    let rule = BreakerRule {
        failures: section.count_or("failures", "never", failures, 1_000_000).into(),
        open_for: section.duration("open_for", open_for),
    };
    section.finish();
    rule
}

/// Every name in a list is a plugin, and every plugin is in a list.
pub(super) fn check_names(
    document: &Document<'_>,
    plugins: &[PluginConfig],
    hooks: &HookLists,
    summary: &SummaryConfig,
) {
    let named: Vec<&Located<String>> =
        hooks.append.iter().chain(&hooks.get).chain(&summary.plugin).collect();
    for name in &named {
        if !plugins.iter().any(|plugin| plugin.name.value == name.value) {
            let message = format!("there is no plugin {:?}: add a table [plugins.{0}]", name.value);
            document.problem(name, message);
        }
    }
    for list in [&hooks.append, &hooks.get] {
        for (at, name) in list.iter().enumerate() {
            if list.iter().take(at).any(|before| before.value == name.value) {
                document.problem(name, format!("{:?} is in the list twice", name.value));
            }
        }
    }
    for plugin in plugins {
        if !named.iter().any(|name| name.value == plugin.name.value) {
            let message = "no list names this plugin: add it to hooks.append, hooks.get or \
                           summary.plugin, or remove the table";
            document.problem(&plugin.name, message);
        }
    }
}
