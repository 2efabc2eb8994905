//! Storing summaries.

use sessiond_core::key::SessionKey;
use sessiond_core::store::{StoreError, SummaryCommit};
use sessiond_core::summary::{Backlog, Summary};

use super::RedisStore;
use crate::codec::backlog_text;
use crate::error::Error;
use crate::script::SUMMARY;

impl RedisStore {
    pub(super) async fn store_summary(
        &self,
        key: &SessionKey,
        generation: u64,
        summary: &Summary,
        totals: Backlog,
    ) -> Result<SummaryCommit, StoreError> {
        let text = serde_json::to_string(summary).map_err(Error::Summary)?;
        let whole = summary.filter_key.is_empty();
        let mut script = SUMMARY.call(&[&self.keyspace.session(key).hash]);
        script
            .arg(generation)
            .arg(&summary.filter_key)
            .arg(summary.last_sequence)
            .arg(text)
            .arg(if whole { backlog_text(totals) } else { String::new() });
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(SummaryCommit::Stored),
            "late" => Ok(SummaryCommit::Late),
            "missing" => Err(StoreError::NotFound),
            "generation" => {
                let current = u64::try_from(reply.number()?).map_err(|_| reply.unreadable())?;
                Err(StoreError::OtherGeneration { current })
            }
            _ => Err(reply.unreadable().into()),
        }
    }
}
