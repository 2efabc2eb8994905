//! `[plugin_limits]` and `[plugins.NAME.limits]`: what plugins may use.
//!
//! The operator's ceilings hold for all plugins. A plugin gets what its own table says, or the
//! default, and never more than the ceiling.

use std::time::Duration;

use sessiond_plugin::limits::{CallLimits, Limits};
use sessiond_plugin::plugin::Interface;

use super::reader::{Document, Located, Section};
use super::{HookLists, PluginConfig, SummaryConfig};

/// The most that any key of a count may say.
const MAX_COUNT: u64 = 1_000_000;
/// The most instances of a daemon.
const MAX_INSTANCES: u64 = 1_000;

/// `[plugin_limits]`: the most that any plugin gets.
#[derive(Debug, Clone, Copy)]
pub struct Ceilings {
    /// Memory of an instance, in bytes.
    memory: usize,
    /// Instances at a time, over all plugins and apps.
    pub max_instances: usize,
    /// A call.
    call: CallLimits,
}

pub(super) fn read_ceilings(section: Section<'_>) -> Ceilings {
    let many = |key: &str, default: u64, max: u64| {
        usize::try_from(section.count(key, default, max)).unwrap_or(usize::MAX)
    };
    let max_instances = many("max_instances", 64, MAX_INSTANCES);
    let ceilings = Ceilings {
        memory: section.size("memory", "4GiB", 4 << 30),
        max_instances,
        call: CallLimits {
            time: section.duration("time", Duration::from_secs(300)),
            queue_wait: section.duration("queue_wait", Duration::from_secs(60)),
            concurrency: max_instances,
            output: section.size("output", "64MiB", 1 << 30),
            copied: section.size("copied", "256MiB", 4 << 30),
            log_size: section.size("log_size", "1MiB", 1 << 30),
            log_lines: many("log_lines", 10_000, MAX_COUNT),
            handles: many("handles", 100_000, MAX_COUNT),
        },
    };
    section.finish();
    ceilings
}

pub(super) fn read(section: Section<'_>, most: &Ceilings) -> Limits {
    let defaults = Limits::default();
    let memory = section.size_within("memory", defaults.memory, most.memory);
    let max_instances =
        section.count_within("max_instances", defaults.max_instances, most.max_instances);
    let idle_after = section.duration("idle_after", defaults.idle_after);
    let most = CallLimits { concurrency: max_instances, ..most.call };
    let default = CallLimits { concurrency: max_instances, ..CallLimits::default() };
    let all = read_call(&section, &default, &most);
    let calls = Interface::ALL.map(|interface| {
        let apart = section.section(&interface.name().replace('-', "_"));
        let mut own = all;
        if interface == Interface::Summarizer {
            own.time = defaults.of(interface).time;
        }
        let own = if apart.is_there() {
            read_call(&apart, &own, &most)
        } else if interface == Interface::Summarizer {
            CallLimits { time: apart.duration_within("time", own.time, most.time), ..own }
        } else {
            own
        };
        apart.finish();
        own
    });
    section.finish();
    Limits { memory, max_instances, idle_after, calls }
}

fn read_call(section: &Section<'_>, default: &CallLimits, most: &CallLimits) -> CallLimits {
    CallLimits {
        time: section.duration_within("time", default.time, most.time),
        queue_wait: section.duration_within("queue_wait", default.queue_wait, most.queue_wait),
        concurrency: section.count_within("concurrency", default.concurrency, most.concurrency),
        output: section.size_within("output", default.output, most.output),
        copied: section.size_within("copied", default.copied, most.copied),
        log_size: section.size_within("log_size", default.log_size, most.log_size),
        log_lines: section.count_within("log_lines", default.log_lines, most.log_lines),
        handles: section.count_within("handles", default.handles, most.handles),
    }
}

/// What plugins may have together. Each has an instance for its hooks and one for its summarizer that
/// no other gets, so that none makes another's calls fail; and summaries leave one to the hooks of
/// their own plugin. Returns how many instances are kept for plugins.
pub(super) fn share(
    document: &Document<'_>,
    ceilings: &Ceilings,
    plugins: &mut [PluginConfig],
    hooks: &HookLists,
    summary: &SummaryConfig,
) -> usize {
    let mut reserved = 0;
    for plugin in plugins {
        let named = |it: &Located<String>| it.value == plugin.name.value;
        let hooked = hooks.append.iter().chain(&hooks.get).any(named);
        let sums_up = summary.plugin.as_ref().is_some_and(named);
        reserved += usize::from(hooked) + usize::from(sums_up);
        if !(hooked && sums_up) {
            continue;
        }
        let Limits { max_instances, calls: [.., summarizer], .. } = &mut plugin.limits;
        if *max_instances < 2 {
            let message = "a plugin that is a hook and the summarizer needs limits.max_instances \
                           of 2 or more: summaries leave one instance to the hooks";
            document.problem(&plugin.name, message);
        }
        summarizer.concurrency = summarizer.concurrency.min(max_instances.saturating_sub(1));
    }
    if ceilings.max_instances < reserved {
        let at = Located { value: (), line: None, key: "plugin_limits.max_instances".to_owned() };
        let message = format!(
            "write {reserved} or more: each plugin has an instance for its hooks, and one for its \
             summarizer, that no other gets"
        );
        document.problem(&at, message);
    }
    reserved
}
