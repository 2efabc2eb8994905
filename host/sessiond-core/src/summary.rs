//! Summaries: what they cover, and when one is due.

use serde::{Deserialize, Serialize};

use crate::event::{Event, StoredEvent};
use crate::time::Time;

/// The longest text of a summary, in bytes.
pub const MAX_SUMMARY: usize = 64 * 1024;
/// The most topics of a summary.
pub const MAX_TOPICS: usize = 32;
/// The longest topic, in bytes.
pub const MAX_TOPIC: usize = 256;

/// A summary of a session's events up to a boundary. Events are never deleted by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The branch that it covers; empty for the whole session.
    pub filter_key: String,
    /// The text.
    pub text: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// The sequence of the first event that it covers.
    pub first_sequence: u64,
    /// The sequence of the last event that it covers: the boundary.
    pub last_sequence: u64,
    /// The first and the last sequence of events that were trimmed before any summary saw them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<(u64, u64)>,
    /// When it was written.
    pub updated_at: Time,
}

/// What a session's history has gathered since the boundary of its summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events.
    pub events: u64,
    /// Estimated tokens in them.
    pub tokens: u64,
    /// User's turns that begin in them.
    pub turns: u64,
}

impl Backlog {
    /// The rest, without what some events had added.
    #[must_use]
    pub fn without(self, less: Self) -> Self {
        Self {
            events: self.events.saturating_sub(less.events),
            tokens: self.tokens.saturating_sub(less.tokens),
            turns: self.turns.saturating_sub(less.turns),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            events: self.events + more.events,
            tokens: self.tokens + more.tokens,
            turns: self.turns + more.turns,
        }
    }

    /// What these events add to a backlog.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a StoredEvent>) -> Self {
        events.into_iter().fold(Self::default(), |sum, stored| sum.with(&stored.event))
    }

    /// What there is with one more event.
    #[must_use]
    pub fn with(self, event: &Event) -> Self {
        Self {
            events: self.events + 1,
            tokens: self.tokens + u64::from(event.tokens()),
            turns: self.turns + u64::from(event.facts().user_turn),
        }
    }
}

/// When a summary is due: more than so many events or tokens since the boundary, and at least so
/// many turns (R74: summing up shorter talks costs more than it saves).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Due above this many events.
    pub min_events: u64,
    /// Due above this many estimated tokens.
    pub min_tokens: u64,
    /// Never due below this many turns.
    pub min_turns: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { min_events: 20, min_tokens: 4_000, min_turns: 4 }
    }
}

impl Thresholds {
    /// Whether a summary is due.
    pub fn passed(&self, backlog: Backlog) -> bool {
        let grown = backlog.events > self.min_events || backlog.tokens > self.min_tokens;
        grown && backlog.turns >= self.min_turns
    }
}

/// Whether two filter keys are of one line of the tree: the same, or one above the other.
pub fn in_line(one: &str, other: &str) -> bool {
    is_below(one, other) || is_below(other, one)
}

/// Whether a filter key is that of a branch, or below it.
pub fn is_below(key: &str, branch: &str) -> bool {
    key == branch || key.strip_prefix(branch).is_some_and(|rest| rest.starts_with('/'))
}

/// A summary as a summarizer makes it. The host adds what it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// The text. Empty: there is nothing to store.
    pub text: String,
    /// What it is about.
    pub topics: Vec<String>,
    /// The last event covered, if not all that the job offered.
    pub last_sequence: Option<u64>,
}

/// What a summarizer is asked to do, beside the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryJob {
    /// The branch to sum up; empty for the whole session.
    pub filter_key: String,
    /// Asked for in spite of the thresholds.
    pub forced: bool,
    /// The summary so far.
    pub previous: Option<Summary>,
    /// The first event offered.
    pub first_sequence: u64,
    /// The last event offered.
    pub last_sequence: u64,
    /// What the events offered amount to.
    pub backlog: Backlog,
    /// Events that were trimmed before any summary saw them.
    pub unseen: Option<(u64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_above_events_or_tokens_and_not_below_turns() {
        let due =
            |events, tokens, turns| Thresholds::default().passed(Backlog { events, tokens, turns });
        assert!(due(21, 0, 4));
        assert!(due(5, 4_001, 4));
        assert!(!due(20, 4_000, 9));
        assert!(!due(1_000, 100_000, 3));
    }
}
