//! `[append]` and `[async_persist]`: how appends reach the store.

use std::path::PathBuf;
use std::time::Duration;

use sessiond_core::workers::lanes::LaneLimits;

use super::reader::Section;

const JOURNAL_SIZE: &str = "1GiB";

/// `[append]` and `[async_persist]`
#[derive(Debug, Clone)]
pub struct PersistConfig {
    /// Whether appends that meet at a session are written in one step.
    pub group_commit: bool,
    /// The lanes in which appends are queued. None: an append is answered when it is written.
    pub lanes: Option<LaneLimits>,
    /// The journal of the lanes.
    pub journal: Option<JournalConfig>,
}

/// `[async_persist]`: the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// How often it is written to the disk. None: before each acknowledgement.
    pub sync_every: Option<Duration>,
    /// The most bytes that wait in it.
    pub max_size: u64,
}

pub(super) fn read(append: Section<'_>, section: Section<'_>, in_memory: bool) -> PersistConfig {
    let group_commit = append.flag("group_commit", true);
    append.finish();
    let defaults = LaneLimits::default();
    let count = |key: &str, default: usize, max: u64| {
        usize::try_from(section.count(key, default as u64, max)).unwrap_or(default)
    };
    let enabled = section.flag("enabled", false);
    let limits = LaneLimits {
        lanes: count("lanes", defaults.lanes, 1_000),
        queue_size: count("queue_size", defaults.queue_size, 1_000_000),
        queue_wait: section.duration("queue_wait", defaults.queue_wait),
        read_wait: section.duration("read_wait", defaults.read_wait),
        dead_letters: count("dead_letters", defaults.dead_letters, 100_000),
    };
    let folder = section.path("journal");
    let sync_every = section.duration_or("journal_fsync", "always");
    let max_size = section.size("journal_max_size", JOURNAL_SIZE, 1 << 40) as u64;
    if folder.is_some() && !enabled {
        let fix = "nothing is queued, so there is no journal: set `enabled = true`, or remove this";
        section.problem("journal", fix);
    }
    if folder.is_some() && in_memory {
        let fix = "the embedded store keeps nothing over a restart, so a journal is of no use: \
                   configure [redis], or remove this";
        section.problem("journal", fix);
    }
    section.finish();
    let journal = folder.map(|folder| JournalConfig { folder, sync_every, max_size });
    PersistConfig { group_commit, lanes: enabled.then_some(limits), journal }
}
