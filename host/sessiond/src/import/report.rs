//! What an import has come to, for people.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value, json};

/// How many findings of a kind are kept for the end. Beyond that they are counted only, and have been
/// told as they came.
const KEPT: usize = 10_000;

/// What was read, written and left, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Keys or lines that were looked at.
    pub(crate) looked_at: u64,
    pub(crate) sessions_read: u64,
    pub(crate) events_read: u64,
    pub(crate) states_read: u64,
    pub(crate) sessions_written: u64,
    pub(crate) events_written: u64,
    pub(crate) states_written: u64,
    pub(crate) sessions_equal: u64,
    pub(crate) states_equal: u64,
    /// How much could not be imported.
    pub(crate) lost: u64,
    /// How much is not quite as it was.
    pub(crate) changed: u64,
    lost_lines: Vec<String>,
    changed_lines: Vec<String>,
    /// Findings that nobody has been told of yet.
    fresh: Vec<String>,
    /// Hashes of all findings.
    seen: HashSet<u64>,
}

impl Report {
    /// Notes what cannot be imported. A finding that comes again is the same one.
    pub(crate) fn lose(&mut self, at: &str, reason: impl std::fmt::Display) {
        let line = shown(&format!("{at}: {reason}"));
        if self.seen.insert(hash(&line)) {
            self.lost += 1;
            self.fresh.push(format!("could not be imported: {line}"));
            if self.lost_lines.len() < KEPT {
                self.lost_lines.push(line);
            }
        }
    }

    /// Notes what comes along, but not quite as it was.
    pub(crate) fn change(&mut self, at: &str, reason: impl std::fmt::Display) {
        let line = shown(&format!("{at}: {reason}"));
        if self.seen.insert(hash(&line)) {
            self.changed += 1;
            if self.changed_lines.len() < KEPT {
                self.changed_lines.push(line);
            }
        }
    }

    /// What has been found since the last time.
    pub(crate) fn take_fresh(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fresh)
    }

    /// One line of how far it is.
    pub(crate) fn progress(&self) -> String {
        let Self { sessions_read, sessions_written, sessions_equal, lost, .. } = self;
        format!(
            "{sessions_read} sessions read, {sessions_written} written, {sessions_equal} there \
             already, {lost} findings"
        )
    }

    /// All of it, for the end.
    pub(crate) fn text(&self, from: &str, dry_run: bool) -> String {
        let written = if dry_run { "to write" } else { "written" };
        let mut text = format!(
            "import from {from}{}\n\
             looked at {} keys or lines\n\
             read      {} sessions with {} entries, {} states of users and apps\n\
             {written:<9} {} sessions with {} entries, {} states\n\
             skipped   {} sessions and {} states that were there already\n",
            if dry_run { ", a dry run: nothing was written" } else { "" },
            self.looked_at,
            self.sessions_read,
            self.events_read,
            self.states_read,
            self.sessions_written,
            self.events_written,
            self.states_written,
            self.sessions_equal,
            self.states_equal,
        );
        let lists = [
            ("not quite as it was", self.changed, &self.changed_lines),
            ("could not be imported", self.lost, &self.lost_lines),
        ];
        for (what, count, lines) in lists {
            text.push_str(&format!("{what}: {count}\n"));
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
            let more = count.saturating_sub(lines.len() as u64);
            if more > 0 {
                text.push_str(&format!("  and {more} more, which were told as they came\n"));
            }
        }
        text
    }

    /// All of it, for another process.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "looked_at": self.looked_at,
            "sessions_read": self.sessions_read,
            "events_read": self.events_read,
            "states_read": self.states_read,
            "sessions_written": self.sessions_written,
            "events_written": self.events_written,
            "states_written": self.states_written,
            "sessions_equal": self.sessions_equal,
            "states_equal": self.states_equal,
            "lost": self.lost,
            "changed": self.changed,
            "lost_lines": self.lost_lines,
            "changed_lines": self.changed_lines,
        })
    }

    /// The inverse of [`Report::to_json`]; what is missing is nothing.
    pub(crate) fn from_json(value: &Value) -> Self {
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
        let lines = |name: &str| -> Vec<String> {
            let lines = value.get(name).and_then(Value::as_array).into_iter().flatten();
            lines.filter_map(|line| line.as_str().map(str::to_owned)).collect()
        };
        Self {
            looked_at: number("looked_at"),
            sessions_read: number("sessions_read"),
            events_read: number("events_read"),
            states_read: number("states_read"),
            sessions_written: number("sessions_written"),
            events_written: number("events_written"),
            states_written: number("states_written"),
            sessions_equal: number("sessions_equal"),
            states_equal: number("states_equal"),
            lost: number("lost"),
            changed: number("changed"),
            lost_lines: lines("lost_lines"),
            changed_lines: lines("changed_lines"),
            fresh: Vec::new(),
            seen: lines("lost_lines")
                .iter()
                .chain(&lines("changed_lines"))
                .map(|it| hash(it))
                .collect(),
        }
    }
}

fn hash(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// Text of somebody else's, for a terminal: no control characters, and not endless.
fn shown(text: &str) -> String {
    let shown: String = text
        .chars()
        .take(1_000)
        .flat_map(|it| if it.is_control() { it.escape_default().collect() } else { vec![it] })
        .collect();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_a_restart_and_counts_a_finding_once() {
        let mut report = Report { looked_at: 7, ..Report::default() };
        report.lose("key\x1b[2J", "broken");
        report.lose("key\x1b[2J", "broken");
        report.change("other", "a bit");
        assert_eq!((report.lost, report.changed), (1, 1));
        assert_eq!(report.take_fresh().len(), 1);
        assert_eq!(Report::from_json(&report.to_json()), report);
        report.lose("key\x1b[2J", "broken");
        assert_eq!(report.lost, 1);
        let text = report.text("there", false);
        assert!(text.contains("could not be imported: 1\n  key\\u{1b}[2J: broken\n"), "{text}");
    }
}
