//! Reading entries page by page.

use redis::Cmd;
use sessiond_core::event::{EntryKind, StoredEvent};
use sessiond_core::store::{Prefer, Range};

/// The most entries that are asked for at once.
const LARGEST_PAGE: usize = 1_000;
/// The fewest that are asked for once the first page was not enough.
const SMALLEST_PAGE: usize = 64;

/// What of the entries is still to be read.
#[derive(Debug)]
pub(super) struct Reading {
    range: Range,
    /// The lowest sequence that counts.
    low: u64,
    /// The highest.
    high: u64,
    /// What was found, in the order of reading.
    found: Vec<StoredEvent>,
    /// Whether a page was read.
    begun: bool,
}

impl Reading {
    pub(super) fn new(range: Range) -> Self {
        let low = range.after.saturating_add(1);
        let high = range.before.map_or(u64::MAX, |before| before.saturating_sub(1));
        Self { range, low, high, found: Vec::new(), begun: false }
    }

    fn missing(&self) -> usize {
        self.range.limit.saturating_sub(self.found.len())
    }

    /// How many to ask for in the next page.
    pub(super) fn page(&self) -> usize {
        let least = if self.begun { SMALLEST_PAGE } else { 0 };
        self.missing().clamp(least, LARGEST_PAGE)
    }

    /// The command for the next page. None: there is nothing to read.
    pub(super) fn command(&self, entries: &str) -> Option<Cmd> {
        if self.missing() == 0 || self.low > self.high {
            return None;
        }
        let (name, from, to) = match self.range.prefer {
            Prefer::Newest => ("XREVRANGE", self.high, self.low),
            Prefer::Oldest => ("XRANGE", self.low, self.high),
        };
        let mut command = redis::cmd(name);
        command.arg(entries).arg(format!("{from}-0")).arg(format!("{to}-0"));
        command.arg("COUNT").arg(self.page());
        Some(command)
    }

    /// Takes a page. Entries below `first` are trimmed, though Redis may still have them.
    pub(super) fn take(&mut self, page: Vec<StoredEvent>, first: u64) {
        let complete = page.len() < self.page();
        self.begun = true;
        self.low = self.low.max(first);
        match (self.range.prefer, page.last()) {
            (Prefer::Newest, Some(last)) if !complete => {
                self.high = last.sequence.saturating_sub(1);
            }
            (Prefer::Oldest, Some(last)) if !complete => {
                self.low = self.low.max(last.sequence.saturating_add(1));
            }
            _ => self.high = 0,
        }
        let with_state = self.range.with_state;
        let wanted = page.into_iter().filter(|entry| {
            entry.sequence >= first && (with_state || entry.event.kind() == EntryKind::Event)
        });
        self.found.extend(wanted.take(self.range.limit.saturating_sub(self.found.len())));
    }

    pub(super) fn finish(mut self) -> Vec<StoredEvent> {
        if self.range.prefer == Prefer::Newest {
            self.found.reverse();
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use redis::Arg;
    use sessiond_core::event::{Event, Received};
    use sessiond_core::state::StateDelta;
    use sessiond_core::time::Time;

    use super::*;

    fn entry(sequence: u64, is_event: bool) -> StoredEvent {
        let event = if is_event {
            let body = r#"{"role":"user","content":"x"}"#.to_owned();
            let received = Received { body, ..Received::default() };
            Event::parse(received, Time::from_nanos(0), 1_000).unwrap()
        } else {
            Event::of_state(StateDelta::default(), Time::from_nanos(0), 1_000).unwrap()
        };
        StoredEvent { sequence, event }
    }

    fn next(reading: &Reading) -> Option<String> {
        let words = reading.command("key")?;
        let words = words.args_iter().map(|word| match word {
            Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        Some(words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn it_goes_on_until_it_has_enough() {
        let range =
            Range { after: 3, before: None, limit: 2, prefer: Prefer::Newest, with_state: false };
        let mut reading = Reading::new(range);
        let all = format!("XREVRANGE key {}-0 4-0 COUNT 2", u64::MAX);
        assert_eq!(next(&reading), Some(all));
        reading.take(vec![entry(90, false), entry(89, true)], 5);
        assert_eq!(next(&reading).as_deref(), Some("XREVRANGE key 88-0 5-0 COUNT 64"));
        reading.take((25..89).rev().map(|at| entry(at, at == 50 || at == 40)).collect(), 5);
        assert_eq!(next(&reading), None);
        let found: Vec<u64> = reading.finish().iter().map(|entry| entry.sequence).collect();
        assert_eq!(found, [50, 89]);
    }

    #[test]
    fn what_is_trimmed_does_not_count() {
        let range =
            Range { after: 0, before: Some(9), limit: 3, prefer: Prefer::Oldest, with_state: true };
        let mut reading = Reading::new(range);
        assert_eq!(next(&reading).as_deref(), Some("XRANGE key 1-0 8-0 COUNT 3"));
        reading.take((1..=3).map(|at| entry(at, true)).collect(), 6);
        assert_eq!(next(&reading).as_deref(), Some("XRANGE key 6-0 8-0 COUNT 64"));
        reading.take((6..=8).map(|at| entry(at, true)).collect(), 6);
        assert_eq!(next(&reading), None);
        let found: Vec<u64> = reading.finish().iter().map(|entry| entry.sequence).collect();
        assert_eq!(found, [6, 7, 8]);
    }

    #[test]
    fn an_empty_range_asks_for_nothing() {
        let range =
            Range { after: 5, before: Some(6), limit: 3, prefer: Prefer::Newest, with_state: true };
        assert_eq!(next(&Reading::new(range)), None);
        assert_eq!(next(&Reading::new(Range { before: None, limit: 0, ..range })), None);
        assert_eq!(next(&Reading::new(Range { before: Some(0), ..range })), None);
    }
}
