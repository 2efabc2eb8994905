//! Summaries: asked for by a client, or due after an append.

use super::SessionService;
use crate::error::Error;
use crate::event::StoredEvent;
use crate::hook::{CallContext, Purpose};
use crate::key::{MAX_NAME, SessionKey};
use crate::store::SessionHeader;
use crate::workers::summary::{Cause, JobOutcome, JobRequest};

impl SessionService {
    /// Refuses an append that would have to be summed up, if the rules say so.
    pub(super) async fn admit_summary(&self, key: &SessionKey) -> Result<(), Error> {
        match &self.summaries {
            Some(pool) => pool.admit(key).await,
            None => Ok(()),
        }
    }

    /// Queues what is due after an append. Unless the rules say so, the append does not wait for it.
    pub(super) async fn summarize_if_due(
        &self,
        call: &CallContext,
        key: &SessionKey,
        header: &SessionHeader,
        stored: &[StoredEvent],
    ) {
        if let Some(pool) = &self.summaries {
            pool.appended(call, key, header, stored).await;
        }
    }

    /// Asks for a summary now. Unless it is forced, the summarizer may decline. With `wait` the
    /// outcome is returned, else the job is queued.
    ///
    /// # Errors
    /// [`Error`], with [`Error::NoSummarizer`], [`Error::BranchNotListed`] and [`Error::SummaryQueueFull`] among others.
    pub async fn summarize(
        &self,
        call: &CallContext,
        key: &SessionKey,
        filter_key: String,
        forced: bool,
        wait: bool,
    ) -> Result<Option<JobOutcome>, Error> {
        let pool = self.summaries.as_ref().ok_or(Error::NoSummarizer)?;
        if filter_key.len() > MAX_NAME {
            return Err(Error::FilterKey(filter_key.len()));
        }
        if !pool.allows(&filter_key) {
            return Err(Error::BranchNotListed(filter_key));
        }
        self.settled(key).await?;
        let generation = self.store.seen(key, &[]).await?.0.generation;
        let (call, cause) = (call.with_purpose(Purpose::Summary), Cause::Asked { forced });
        let request = JobRequest { key: key.clone(), generation, filter_key, cause, call };
        if wait { pool.run(request).await.map(Some) } else { pool.queue(request).await }
    }
}
