//! Leases: one writer at a time, for as long as a run of an agent takes.

use std::time::Duration;

use uuid::Uuid;

use crate::time::Time;

/// The longest holder's name, in bytes.
pub const MAX_HOLDER: usize = 256;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The lease to go on with; None for a new one.
    pub token: Option<Uuid>,
    /// Who asks, for those who find the session leased.
    pub holder: String,
    /// How long it lasts, if it is not asked for again.
    pub duration: Duration,
}

/// While it lasts, only writes that show its token are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What to show.
    pub token: Uuid,
    /// Who has it.
    pub holder: String,
    /// When it ends.
    pub until: Time,
}

impl Lease {
    /// Whether a write that shows this token, or none, must wait.
    pub fn bars(&self, token: Option<Uuid>, now: Time) -> bool {
        self.until > now && token != Some(self.token)
    }
}
