//! `[summary]`: who sums up, and when.

use std::time::Duration;

use sessiond_core::store::StoreRules;
use sessiond_core::summary::Thresholds;
use sessiond_core::workers::summary::{OnFull, PoolLimits, SummaryRules};

use super::reader::{Located, Section};
use super::redis::StoreConfig;

/// Where summary jobs wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// In this daemon's memory.
    Local,
    /// In Redis, for all daemons on it.
    Redis,
}

/// `[summary]`
#[derive(Debug, Clone)]
pub struct SummaryConfig {
    /// The plugin that sums up. None: nobody does.
    pub plugin: Option<Located<String>>,
    /// The workers and their queue.
    pub pool: PoolLimits,
    /// Where jobs wait.
    pub queue: QueueKind,
    /// When summaries are made, and of what.
    pub rules: SummaryRules,
}

pub(super) fn read(section: Section<'_>, store: &StoreConfig, rules: &StoreRules) -> SummaryConfig {
    const MOST: u64 = u64::MAX >> 1;
    let (pool, default) = (PoolLimits::default(), SummaryRules::default());
    let count = |key: &str, default: usize, max: u64| {
        usize::try_from(section.count(key, default as u64, max)).unwrap_or(default)
    };
    let thresholds = default.thresholds;
    let config = SummaryConfig {
        plugin: section.name("plugin"),
        pool: PoolLimits {
            workers: count("workers", pool.workers, 1_000),
            queue_size: count("queue_size", pool.queue_size, 1_000_000),
            job_timeout: section.duration("job_timeout", Duration::from_secs(60)),
        },
        queue: section.choice(
            "queue",
            &[("local", QueueKind::Local), ("redis", QueueKind::Redis)],
            QueueKind::Local,
            "local",
        ),
        rules: SummaryRules {
            on_full: section.choice(
                "on_full",
                &[("inline", OnFull::Inline), ("drop", OnFull::Drop), ("reject", OnFull::Reject)],
                OnFull::Drop,
                "drop",
            ),
            thresholds: Thresholds {
                min_events: section.count("min_events", thresholds.min_events, MOST),
                min_tokens: section.count("min_tokens", thresholds.min_tokens, MOST),
                min_turns: section.count("min_turns", thresholds.min_turns, MOST),
            },
            idle: section.duration_or_none("idle"),
            input_tokens: section.count("input_tokens", default.input_tokens, MOST),
            filter_allowlist: allowlist(&section),
            cascade: section.flag("cascade", default.cascade),
            open_call_max_age: rules.open_call_max_age,
        },
    };
    if config.queue == QueueKind::Redis && matches!(store, StoreConfig::Embedded) {
        let fix = "this needs a [redis] table: write one, or \"local\"";
        section.problem("queue", fix);
    }
    section.finish();
    config
}

/// Names in the form of the tree: without a slash at the end, and not empty.
fn allowlist(section: &Section<'_>) -> Vec<String> {
    let names = section.names("filter_allowlist");
    for name in &names {
        if name.value.is_empty() || name.value.ends_with('/') {
            let fix = "write filter keys like \"a/b\", without a slash at the end, or \"*\"";
            section.document().problem(name, fix);
        }
    }
    names.into_iter().map(|name| name.value).collect()
}
