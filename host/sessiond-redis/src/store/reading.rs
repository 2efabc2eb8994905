//! Reading entries page by page.
//!
//! Entries lie in a list without holes, so the sequence of its first tells where each is. Redis may
//! take some from its front between two pages: an entry says which it is, so that is found out.

use redis::Cmd;
use sessiond_core::event::{EntryKind, Event, StoredEvent};
use sessiond_core::store::edit::Place;
use sessiond_core::store::{Prefer, Range};

/// The most entries that are asked for at once.
const LARGEST_PAGE: usize = 1_000;
/// The fewest that are asked for once the first page was not enough.
const SMALLEST_PAGE: usize = 64;
/// The most entries of the end that are read along, in the hope that they are all that is asked for.
const GUESS: usize = 64;

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
}

impl Reading {
    pub(super) fn new(range: Range) -> Self {
        let low = range.after.saturating_add(1);
        let high = range.before.map_or(u64::MAX, |before| before.saturating_sub(1));
        Self { range, low, high, found: Vec::new() }
    }

    fn missing(&self) -> usize {
        self.range.limit.saturating_sub(self.found.len())
    }

    /// A command for the end of the list, before anything is known of it. None: it does not help.
    pub(super) fn guess(&self, entries: &str) -> Option<Cmd> {
        let count = match self.range.prefer {
            Prefer::Newest => self.missing().min(LARGEST_PAGE),
            Prefer::Oldest => self.missing().min(GUESS),
        };
        let useful = count > 0 && self.low <= self.high && self.range.before.is_none();
        let from = format!("-{count}");
        useful.then(|| lrange(entries, &from, "-1"))
    }

    /// Takes what the guess has found, and what is known of the session by now.
    pub(super) fn begin(&mut self, tail: Vec<Place>, first: u64, last: u64) {
        self.low = self.low.max(first);
        self.high = self.high.min(last);
        let covered = tail.first().map(|place| place.sequence);
        let Some(covered) = covered.filter(|_| self.low <= self.high) else { return };
        match self.range.prefer {
            Prefer::Newest => {
                self.collect(tail.into_iter().rev());
                self.high = covered.saturating_sub(1);
            }
            Prefer::Oldest if covered <= self.low => {
                self.collect(tail.into_iter());
                self.high = 0;
            }
            Prefer::Oldest => {}
        }
    }

    /// The sequences of the next page. None: there is nothing left to read.
    pub(super) fn page(&self) -> Option<(u64, u64)> {
        if self.missing() == 0 || self.low > self.high {
            return None;
        }
        let count = self.missing().clamp(SMALLEST_PAGE, LARGEST_PAGE) as u64 - 1;
        Some(match self.range.prefer {
            Prefer::Newest => (self.low.max(self.high.saturating_sub(count)), self.high),
            Prefer::Oldest => (self.low, self.high.min(self.low.saturating_add(count))),
        })
    }

    /// The command for a page, when the list begins with the entry of that sequence.
    pub(super) fn command(entries: &str, (from, to): (u64, u64), base: u64) -> Cmd {
        let index = |sequence: u64| sequence.saturating_sub(base).to_string();
        lrange(entries, &index(from), &index(to))
    }

    /// Takes a page. False: it is another, since the list was cut meanwhile. What is shown begins at
    /// `first` now.
    pub(super) fn take(&mut self, (from, to): (u64, u64), page: Vec<Place>, first: u64) -> bool {
        self.low = self.low.max(first);
        if page.first().map(|place| place.sequence) != Some(from) {
            return false;
        }
        match self.range.prefer {
            Prefer::Newest => {
                self.collect(page.into_iter().rev());
                self.high = from.saturating_sub(1);
            }
            Prefer::Oldest => {
                self.collect(page.into_iter());
                self.low = self.low.max(to.saturating_add(1));
            }
        }
        true
    }

    fn collect(&mut self, page: impl Iterator<Item = Place>) {
        let (low, high, with_state) = (self.low, self.high, self.range.with_state);
        let wanted = page.filter(|place| {
            let kind = place.event.as_ref().map(Event::kind);
            (low..=high).contains(&place.sequence)
                && kind.is_some_and(|kind| with_state || kind == EntryKind::Event)
        });
        let stored = wanted.filter_map(|Place { sequence, event, .. }| {
            Some(StoredEvent { sequence, event: event? })
        });
        self.found.extend(stored.take(self.missing()));
    }

    pub(super) fn finish(mut self) -> Vec<StoredEvent> {
        if self.range.prefer == Prefer::Newest {
            self.found.reverse();
        }
        self.found
    }
}

pub(super) fn lrange(key: &str, from: &str, to: &str) -> Cmd {
    let mut command = redis::cmd("LRANGE");
    command.arg(key).arg(from).arg(to);
    command
}

#[cfg(test)]
mod tests {
    use redis::Arg;
    use sessiond_core::event::Received;
    use sessiond_core::state::StateDelta;
    use sessiond_core::time::Time;

    use super::*;

    fn place(sequence: u64, is_event: bool) -> Place {
        let event = if is_event {
            let body = r#"{"role":"user","content":"x"}"#.to_owned();
            let received = Received { body, ..Received::default() };
            Event::parse(received, Time::from_nanos(0), 1_000).unwrap()
        } else {
            Event::of_state(StateDelta::default(), Time::from_nanos(0), 1_000).unwrap()
        };
        Place { sequence, event: Some(event), undo: Vec::new() }
    }

    fn gone(sequence: u64) -> Place {
        Place { sequence, event: None, undo: Vec::new() }
    }

    fn words(command: &Cmd) -> String {
        let words = command.args_iter().map(|word| match word {
            Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn found(reading: Reading) -> Vec<u64> {
        reading.finish().iter().map(|entry| entry.sequence).collect()
    }

    const NEWEST: Range =
        Range { after: 3, before: None, limit: 2, prefer: Prefer::Newest, with_state: false };
    const OLDEST: Range =
        Range { after: 0, before: None, limit: 3, prefer: Prefer::Oldest, with_state: true };

    #[test]
    fn it_goes_on_until_it_has_enough() {
        let mut reading = Reading::new(NEWEST);
        assert_eq!(words(&reading.guess("key").unwrap()), "LRANGE key -2 -1");
        reading.begin(vec![place(89, true), place(90, false)], 5, 90);
        assert_eq!(reading.page(), Some((25, 88)));
        assert_eq!(words(&Reading::command("key", (25, 88), 5)), "LRANGE key 20 83");
        let page = (25..=88).map(|at| place(at, at == 50 || at == 40)).collect();
        assert!(reading.take((25, 88), page, 5));
        assert_eq!(reading.page(), None);
        assert_eq!(found(reading), [50, 89]);
    }

    #[test]
    fn a_guess_that_reaches_far_enough_is_all() {
        let mut reading = Reading::new(Range { after: 7, ..OLDEST });
        reading.begin((7..=9).map(|at| place(at, true)).collect(), 1, 9);
        assert_eq!(reading.page(), None);
        assert_eq!(found(reading), [8, 9]);
        let mut reading = Reading::new(OLDEST);
        reading.begin((7..=9).map(|at| place(at, true)).collect(), 1, 9);
        assert_eq!(reading.page(), Some((1, 9)));
    }

    #[test]
    fn what_is_trimmed_or_taken_out_does_not_count() {
        let mut reading = Reading::new(Range { before: Some(9), ..OLDEST });
        assert!(reading.guess("key").is_none());
        reading.begin(Vec::new(), 6, 20);
        assert_eq!(reading.page(), Some((6, 8)));
        let page = vec![place(6, true), gone(7), place(8, true)];
        assert!(reading.take((6, 8), page, 6));
        assert_eq!(reading.page(), None);
        assert_eq!(found(reading), [6, 8]);
    }

    #[test]
    fn a_list_that_was_cut_meanwhile_is_noticed() {
        let mut reading = Reading::new(Range { before: Some(9), ..OLDEST });
        reading.begin(Vec::new(), 1, 20);
        assert!(!reading.take((1, 8), vec![place(5, true)], 5));
        assert_eq!(reading.page(), Some((5, 8)));
    }

    #[test]
    fn an_empty_range_asks_for_nothing() {
        let mut reading = Reading::new(Range { before: Some(4), ..NEWEST });
        reading.begin(Vec::new(), 1, 20);
        assert_eq!(reading.page(), None);
        assert!(Reading::new(Range { limit: 0, ..NEWEST }).guess("key").is_none());
    }
}
