//! What a window of turns showed of a history, and whether a model can take it.

use std::collections::HashMap;

use super::history::Said;

#[derive(Debug)]
pub(super) struct Shown<'a> {
    history: &'a [Said],
    /// The newest of it, which the window was cut from.
    newest: &'a [Said],
    shown: Vec<&'a Said>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(history: &'a [Said], newest: &'a [Said], sequences: &[u64]) -> Self {
        let said = |sequence: &u64| &history[usize::try_from(*sequence).unwrap() - 1];
        Self { history, newest, shown: sequences.iter().map(said).collect() }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.begins_at_a_turn()?;
        self.has_no_half_of_a_pair()?;
        self.is_whole()
    }

    /// The first turn among the newest, or the latest before them.
    fn begins_at_a_turn(&self) -> Result<(), String> {
        let ascending = self.shown.windows(2).all(|pair| pair[0].sequence < pair[1].sequence);
        ensure(ascending, "it is out of order")?;
        ensure(self.shown.len() <= self.newest.len() + 1, "it has more than it may")?;
        let first = self.newest.first().map_or(usize::MAX, |first| first.sequence as usize - 1);
        let before = &self.history[..first.min(self.history.len())];
        let turn = self.newest.iter().find(|said| said.user);
        let turn = turn.or_else(|| before.iter().rev().find(|said| said.user));
        let begins = self.shown.first().map(|said| said.sequence);
        match turn {
            Some(turn) => ensure(begins == Some(turn.sequence), "it begins elsewhere"),
            None => Ok(()),
        }
    }

    /// R55: a result answers the oldest open call of its id. What is open in the end was never
    /// answered in the history either.
    fn has_no_half_of_a_pair(&self) -> Result<(), String> {
        let mut open: HashMap<u8, usize> = HashMap::new();
        for said in &self.shown {
            for id in &said.results {
                let calls = open.entry(*id).or_default();
                ensure(*calls > 0, "there is a result without its call")?;
                *calls -= 1;
            }
            for id in &said.calls {
                *open.entry(*id).or_default() += 1;
            }
        }
        let never = never_answered(self.history);
        let answered = open.iter().any(|(id, calls)| *calls > *never.get(id).unwrap_or(&0));
        ensure(!answered, "there is a call without its result")
    }

    /// What has to do with no call is there, and so is every call that follows with its result.
    fn is_whole(&self) -> Result<(), String> {
        let begin = self.shown.first().map_or(0, |said| said.sequence);
        let has = |said: &Said| self.shown.iter().any(|it| it.sequence == said.sequence);
        let from_turn = || self.newest.iter().filter(|said| said.sequence >= begin);
        let plain =
            from_turn().all(|said| !said.calls.is_empty() || !said.results.is_empty() || has(said));
        ensure(plain, "something is left out that has to do with no call")?;
        let mut calls: HashMap<u8, usize> = HashMap::new();
        let mut orphans = false;
        for said in from_turn() {
            for id in &said.results {
                let open = calls.entry(*id).or_default();
                orphans |= *open == 0;
                *open = open.saturating_sub(1);
            }
            said.calls.iter().for_each(|id| *calls.entry(*id).or_default() += 1);
        }
        ensure(orphans || from_turn().all(has), "a call is left out although nothing is wrong")
    }
}

/// How many calls of each id have no result, in a whole history.
fn never_answered(history: &[Said]) -> HashMap<u8, usize> {
    let mut open: HashMap<u8, usize> = HashMap::new();
    for said in history {
        for id in &said.results {
            let calls = open.entry(*id).or_default();
            *calls = calls.saturating_sub(1);
        }
        said.calls.iter().for_each(|id| *open.entry(*id).or_default() += 1);
    }
    open
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
