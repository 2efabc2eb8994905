//! Claims: one summary job at a time for a session and filter key, among all daemons on a store.

use std::time::Duration;

use uuid::Uuid;

use crate::time::Time;

/// What is asked for: to begin, or to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The session's generation. A job is of no other.
    pub generation: u64,
    /// The branch that the job sums up; empty for the whole session.
    pub filter_key: String,
    /// Who asks. With the token of the claim that is there it lasts longer. A summary that shows it
    /// is not stored once somebody else has the claim.
    pub token: Uuid,
    /// How long it lasts, if it is not asked for again.
    pub duration: Duration,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It is the asker's.
    Yes,
    /// Somebody else has it.
    Held,
}

/// A claim that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) token: Uuid,
    pub(crate) until: Time,
}
