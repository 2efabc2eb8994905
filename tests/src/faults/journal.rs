//! What writers were told.

use std::collections::BTreeMap;
use std::time::Duration;

/// An append that a daemon acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The number of its session.
    pub session: usize,
    /// The writer.
    pub writer: usize,
    /// Its number among this writer's, from 1.
    pub number: u64,
    /// The generation of the session that it was stored in.
    pub generation: u64,
    /// The sequence that it got.
    pub sequence: u64,
}

impl Acknowledged {
    /// The id of the event.
    pub fn id(&self) -> String {
        id(self.writer, self.number)
    }
}

/// The id of a writer's event.
pub fn id(writer: usize, number: u64) -> String {
    format!("w{writer}-{number}")
}

/// The writer and the number of an event's id.
pub fn writer_of(id: &str) -> Option<(usize, u64)> {
    let (writer, number) = id.strip_prefix('w')?.split_once('-')?;
    Some((writer.parse().ok()?, number.parse().ok()?))
}

/// All that writers were told in a round.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    /// What was acknowledged, in no order.
    pub acknowledged: Vec<Acknowledged>,
    /// How many requests were sent again.
    pub retried: u64,
    /// Appends that were given up: they may be stored or not.
    pub given_up: u64,
    /// The longest time from the first request of an append to its acknowledgement.
    pub worst: Duration,
    /// Answers that no fault explains, and how often each came.
    pub refused: BTreeMap<String, u64>,
}
