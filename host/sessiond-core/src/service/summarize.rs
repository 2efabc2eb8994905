//! Summaries: asked for by a client, or due after an append.

use super::SessionService;
use crate::error::Error;
use crate::hook::{CallContext, Purpose};
use crate::key::{MAX_NAME, SessionKey};
use crate::store::SessionHeader;
use crate::workers::summary::{JobOutcome, JobRequest};

impl SessionService {
    /// Queues a job if the thresholds are passed. The append does not wait for it, and if the queue
    /// is full, the next append tries again.
    pub(super) fn summarize_if_due(
        &self,
        call: &CallContext,
        key: &SessionKey,
        header: &SessionHeader,
    ) {
        let Some(pool) = &self.summaries else { return };
        if self.thresholds.passed(header.backlog()) {
            pool.offer(JobRequest {
                key: key.clone(),
                generation: header.generation,
                filter_key: String::new(),
                forced: false,
                call: call.with_purpose(Purpose::Summary),
            });
        }
    }

    /// Asks for a summary now. Unless it is forced, the summarizer may decline. With `wait` the
    /// outcome is returned, else the job is queued.
    ///
    /// # Errors
    /// [`Error`], with [`Error::NoSummarizer`] and [`Error::SummaryQueueFull`] among others.
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
        self.settled(key).await?;
        let generation = self.store.seen(key, &[]).await?.0.generation;
        let call = call.with_purpose(Purpose::Summary);
        let request = JobRequest { key: key.clone(), generation, filter_key, forced, call };
        if wait {
            pool.run(request).await.map(Some)
        } else {
            pool.queue(request)?;
            Ok(None)
        }
    }
}
