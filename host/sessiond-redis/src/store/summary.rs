//! Storing summaries.

use sessiond_core::key::SessionKey;
use sessiond_core::store::{HistoryVersion, StoreError, SummaryCommit};
use sessiond_core::summary::{Backlog, Summary};

use super::RedisStore;
use super::batch::refusal;
use crate::codec::{backlog, doubles};
use crate::error::Error;
use crate::script::SUMMARY;

impl RedisStore {
    pub(super) async fn store_summary(
        &self,
        key: &SessionKey,
        seen: HistoryVersion,
        summary: &Summary,
        totals: Backlog,
    ) -> Result<SummaryCommit, StoreError> {
        let text = serde_json::to_string(summary).map_err(Error::Summary)?;
        let whole = summary.filter_key.is_empty();
        let mut script = SUMMARY.call(&[&self.keyspace.session(key).hash]);
        script
            .arg(seen.generation)
            .arg(&summary.filter_key)
            .arg(summary.last_sequence)
            .arg(text)
            .arg(if whole { doubles(&backlog(totals)) } else { Vec::new() })
            .arg(seen.edits);
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(SummaryCommit::Stored),
            "late" => Ok(SummaryCommit::Late),
            "edited" => Ok(SummaryCommit::Edited),
            word => Err(refusal(word, &mut reply)),
        }
    }
}
