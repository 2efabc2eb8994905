//! What governs summary jobs.

use std::time::Duration;

use crate::summary::{Thresholds, in_line};

/// How much work there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many jobs run at once, and as many again for clients that wait for theirs.
    pub workers: usize,
    /// How many more may wait.
    pub queue_size: usize,
    /// How long a job may take. What takes longer writes nothing.
    pub job_timeout: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { workers: 3, queue_size: 100, job_timeout: Duration::from_secs(60) }
    }
}

/// What happens to a job that finds the queue full. One that a client asked for is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// The request that caused it does it, and its client waits.
    Inline,
    /// It is left: the next append tries again.
    Drop,
    /// As long as the queue is full, appends to sessions whose summary is due are refused, before
    /// anything is stored.
    Reject,
}

/// When summaries are made, of what, and how much at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRules {
    /// When a summary is due.
    pub thresholds: Thresholds,
    /// One is due as well when nothing was appended for so long, if there are turns enough.
    pub idle: Option<Duration>,
    /// What happens when the queue is full.
    pub on_full: OnFull,
    /// The branches that have summaries of their own. Empty: those that clients ask for.
    pub filter_allowlist: Vec<String>,
    /// Whether the whole session is summed up after one of its branches was.
    pub cascade: bool,
    /// About how many tokens a summarizer gets at once. A longer backlog takes several jobs.
    pub input_tokens: u64,
    /// How long a tool call without an answer holds back the boundary.
    pub open_call_max_age: Duration,
}

impl Default for SummaryRules {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            idle: None,
            on_full: OnFull::Drop,
            filter_allowlist: Vec::new(),
            cascade: true,
            input_tokens: 32_000,
            open_call_max_age: Duration::from_secs(3_600),
        }
    }
}

impl SummaryRules {
    /// Whether a client may have a branch summed up.
    pub fn allows(&self, branch: &str) -> bool {
        self.filter_allowlist.is_empty() || branch.is_empty() || self.lists(branch)
    }

    /// Whether a branch is summed up without being asked for. Keys above and below those of the list
    /// belong to it; `*` is any.
    pub fn lists(&self, branch: &str) -> bool {
        !branch.is_empty()
            && self.filter_allowlist.iter().any(|key| key == "*" || in_line(key, branch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R66: parents and children of a listed key belong to it, siblings do not.
    #[test]
    fn the_allow_list_knows_lines_of_the_tree() {
        let of = |list: &[&str]| SummaryRules {
            filter_allowlist: list.iter().map(ToString::to_string).collect(),
            ..SummaryRules::default()
        };
        let (none, some) = (of(&[]), of(&["a/b"]));
        assert!(none.allows("x") && !none.lists("x"));
        assert!(some.allows("") && !some.allows("x"));
        for key in ["a", "a/b", "a/b/c"] {
            assert!(some.lists(key) && some.allows(key), "{key}");
        }
        for key in ["a/bc", "a/c", "b", ""] {
            assert!(!some.lists(key), "{key}");
        }
        assert!(of(&["*"]).lists("x") && !of(&["*"]).lists(""));
    }
}
