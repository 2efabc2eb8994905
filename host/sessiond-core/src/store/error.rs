//! Why a store did not do what it was asked.

use std::error::Error;

use crate::time::Time;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such session.
    #[error("the session does not exist")]
    NotFound,
    /// The session was deleted and created again since the caller saw it.
    #[error("the session was created again: its generation is {current} now")]
    OtherGeneration {
        /// The generation that it has.
        current: u64,
    },
    /// The session was written since the caller saw it.
    #[error("the session was written meanwhile: its revision is {current} now")]
    OtherRevision {
        /// The generation that it has.
        generation: u64,
        /// The revision that it has.
        current: u64,
    },
    /// An id was used before for another event.
    #[error("the id {id:?} was used before for another event")]
    IdConflict {
        /// The id.
        id: String,
    },
    /// Somebody else has the lease.
    #[error("the session is leased by {holder:?} until {until}")]
    Leased {
        /// Who.
        holder: String,
        /// When the lease ends.
        until: Time,
    },
    /// The history that is asked for is not kept any more.
    #[error("the history before sequence {oldest} is not kept any more")]
    NotKept {
        /// The lowest sequence that can be gone back to.
        oldest: u64,
    },
    /// No event that is kept is of that invocation.
    #[error("no event that is kept is of the invocation {id:?}")]
    NoInvocation {
        /// Its id.
        id: String,
    },
    /// The session has as many tracks as it may.
    #[error("the session has {0} tracks already")]
    TooManyTracks(usize),
    /// The store cannot be reached, or does not answer in time.
    #[error("the session store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The write was made, and too few replicas had it in time. The same again is answered as
    /// made, once they have it.
    #[error("{got} of {wanted} replicas had the write in time")]
    NotReplicated {
        /// How many replicas must have it.
        wanted: u32,
        /// How many said so.
        got: u32,
    },
    /// The store has no room left.
    #[error("the session store is full")]
    Full(#[source] Box<dyn Error + Send + Sync>),
    /// The store holds what no version of this software has written.
    #[error("the session store holds data that cannot be read")]
    Corrupt(#[source] Box<dyn Error + Send + Sync>),
}
