//! Accounts for every append that was acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::journal::{Journal, writer_of};

/// A session, as it is stored in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub session: usize,
    /// Its generation.
    pub generation: u64,
    /// The first sequence that the limit has left. Those before it were trimmed.
    pub first: u64,
    /// Sequences that edits removed.
    pub removed: BTreeSet<u64>,
    /// Sequences and ids of its events, as they are read.
    pub events: Vec<(u64, String)>,
    /// Its state: for each writer the number of its last event.
    pub state: BTreeMap<usize, u64>,
}

/// What is wrong. All zero: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Acknowledged, and not there.
    pub lost: u64,
    /// Stored again after it had been stored.
    pub double: u64,
    /// Stored under another sequence than was acknowledged.
    pub moved: u64,
    /// Out of the order in which its writer wrote.
    pub disordered: u64,
    /// Sequences between the first and the last without an event.
    pub holes: u64,
    /// Never sent.
    pub strange: u64,
    /// Changes of state that do not go with the events.
    pub stale: u64,
    /// Acknowledged in an earlier life of the session, before it was wiped. No fault by itself.
    pub wiped: u64,
}

impl Findings {
    /// Whether anything is wrong besides losses.
    pub fn is_consistent(&self) -> bool {
        *self == Self { lost: self.lost, wiped: self.wiped, ..Self::default() }
    }
}

/// Compares what was acknowledged with what is stored.
pub fn check(journal: &Journal, stored: &[Stored]) -> Findings {
    let mut findings = Findings::default();
    let mut places: HashMap<(usize, &str), u64> = HashMap::new();
    for session in stored {
        for (sequence, id) in &session.events {
            if places.insert((session.session, id), *sequence).is_some() {
                findings.double += 1;
            }
        }
        check_session(session, &mut findings);
    }
    for told in &journal.acknowledged {
        let session = stored.iter().find(|session| session.session == told.session);
        match session {
            Some(session) if session.generation != told.generation => findings.wiped += 1,
            Some(session) if told.sequence < session.first => {}
            Some(session) if session.removed.contains(&told.sequence) => {}
            _ => match places.get(&(told.session, told.id().as_str())) {
                None => findings.lost += 1,
                Some(sequence) if *sequence != told.sequence => findings.moved += 1,
                Some(_) => {}
            },
        }
    }
    findings
}

/// What can be said of a session by itself.
fn check_session(session: &Stored, findings: &mut Findings) {
    let mut next = session.first.max(1);
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    for (sequence, id) in &session.events {
        let missing = (next..*sequence).filter(|at| !session.removed.contains(at)).count();
        findings.holes += missing as u64;
        findings.disordered += u64::from(*sequence < next);
        next = next.max(*sequence + 1);
        let Some((writer, number)) = writer_of(id) else {
            findings.strange += 1;
            continue;
        };
        let before = last.entry(writer).or_default();
        findings.disordered += u64::from(number < *before);
        *before = number.max(*before);
    }
    let stale = last.iter().filter(|(writer, number)| session.state.get(writer) != Some(number));
    findings.stale += stale.count() as u64;
}

#[cfg(test)]
mod tests;
