//! The door to a journal: where appends are before they are acknowledged, so that neither a crash of
//! the daemon nor an outage of the store loses one.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

/// Why a journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It holds as much as it may.
    #[error("the journal is full: it holds {0} bytes that are not written to the store yet")]
    Full(u64),
    /// It cannot be written or read.
    #[error("the journal does not work")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// Keeps records for lanes, each in the order of its positions. Positions rise over all lanes, from 1,
/// and are never given again.
///
/// # Errors
/// Every method fails with [`JournalError::Failed`] when the journal cannot be written or read.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug {
    /// Tells it from every other journal, in every run.
    fn id(&self) -> Uuid;

    /// Keeps a record of a session's. Once this has returned it outlives a crash. Returns its
    /// position.
    ///
    /// # Errors
    /// [`JournalError::Full`].
    async fn append(&self, lane: usize, session: u64, record: Vec<u8>)
    -> Result<u64, JournalError>;

    /// Reads the oldest records of a lane after a position, up to so many.
    async fn read(
        &self,
        lane: usize,
        after: u64,
        most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, JournalError>;

    /// Forgets records of a lane. If a crash comes soon, they may still be there afterwards.
    async fn forget(&self, lane: usize, positions: Vec<u64>) -> Result<(), JournalError>;

    /// What an earlier run has left for a lane: sessions and positions, in order.
    async fn left(&self, lane: usize) -> Result<Vec<(u64, u64)>, JournalError>;

    /// Ends it, with all that it has on the disk.
    async fn close(&self);
}
