//! Storing summaries, and who makes them.

use sessiond_core::key::SessionKey;
use sessiond_core::store::claim::{ClaimRequest, Claimed};
use sessiond_core::store::{HistoryVersion, StoreError, SummaryCommit};
use sessiond_core::summary::{Backlog, Summary};

use uuid::Uuid;

use super::RedisStore;
use super::batch::refusal;
use crate::codec::{backlog, doubles};
use crate::error::Error;
use crate::script::{CLAIM, SUMMARY, UNCLAIM};

impl RedisStore {
    pub(super) async fn store_summary(
        &self,
        key: &SessionKey,
        seen: HistoryVersion,
        summary: &Summary,
        totals: Backlog,
        claim: Option<Uuid>,
    ) -> Result<SummaryCommit, StoreError> {
        let text = serde_json::to_string(summary).map_err(Error::Summary)?;
        let whole = summary.filter_key.is_empty();
        let keys = self.keyspace.session(key);
        let mut script = SUMMARY.call(&[&keys.hash]);
        script
            .arg(seen.generation)
            .arg(&summary.filter_key)
            .arg(summary.last_sequence)
            .arg(text)
            .arg(if whole { doubles(&backlog(totals)) } else { Vec::new() })
            .arg(seen.edits)
            .arg(claim.map(|token| token.simple().to_string()).unwrap_or_default())
            .arg(keys.channel());
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(SummaryCommit::Stored),
            "late" => Ok(SummaryCommit::Late),
            "edited" => Ok(SummaryCommit::Edited),
            "lost" => Ok(SummaryCommit::Lost),
            word => Err(refusal(word, &mut reply)),
        }
    }

    pub(super) async fn take_claim(
        &self,
        key: &SessionKey,
        request: &ClaimRequest,
    ) -> Result<Claimed, StoreError> {
        let mut script = CLAIM.call(&[&self.keyspace.session(key).hash]);
        script
            .arg(request.generation)
            .arg(&request.filter_key)
            .arg(request.token.simple().to_string())
            .arg(super::millis(request.duration).clamp(1, super::LONGEST_TTL));
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "yes" => Ok(Claimed::Yes),
            "held" => Ok(Claimed::Held),
            word => Err(refusal(word, &mut reply)),
        }
    }

    pub(super) async fn end_claim(
        &self,
        key: &SessionKey,
        filter_key: &str,
        token: Uuid,
    ) -> Result<(), StoreError> {
        let mut script = UNCLAIM.call(&[&self.keyspace.session(key).hash]);
        script.arg(filter_key).arg(token.simple().to_string());
        self.client.call().script(&script).await?;
        Ok(())
    }
}
