//! `[summary]`: who sums up, and when.

use std::time::Duration;

use sessiond_core::summary::Thresholds;
use sessiond_core::workers::summary::PoolLimits;

use super::reader::{Located, Section};

/// `[summary]`
#[derive(Debug, Clone)]
pub struct SummaryConfig {
    /// The plugin that sums up. None: nobody does.
    pub plugin: Option<Located<String>>,
    /// The workers and their queue.
    pub pool: PoolLimits,
    /// When a summary is due.
    pub thresholds: Thresholds,
}

pub(super) fn read(section: Section<'_>) -> SummaryConfig {
    let defaults = (PoolLimits::default(), Thresholds::default());
    let count = |key: &str, default: usize, max: u64| {
        usize::try_from(section.count(key, default as u64, max)).unwrap_or(default)
    };
    let config = SummaryConfig {
        plugin: section.name("plugin"),
        pool: PoolLimits {
            workers: count("workers", defaults.0.workers, 1_000),
            queue_size: count("queue_size", defaults.0.queue_size, 1_000_000),
            job_timeout: section.duration("job_timeout", Duration::from_secs(60)),
        },
        thresholds: Thresholds {
            min_events: section.count("min_events", defaults.1.min_events, u64::MAX >> 1),
            min_tokens: section.count("min_tokens", defaults.1.min_tokens, u64::MAX >> 1),
            min_turns: section.count("min_turns", defaults.1.min_turns, u64::MAX >> 1),
        },
    };
    section.finish();
    config
}
