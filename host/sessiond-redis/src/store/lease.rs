//! Leases, and times to live of single sessions.

use sessiond_core::key::SessionKey;
use sessiond_core::store::lease::{Lease, LeaseRequest};
use sessiond_core::store::whole::SessionTtl;
use sessiond_core::store::{Condition, SessionHeader, StoreError};
use sessiond_core::time::Time;
use uuid::Uuid;

use super::RedisStore;
use super::batch::{Common, begin, refusal};
use super::edit::header_of;
use crate::script::{LEASE, TTL};

impl RedisStore {
    pub(super) async fn write_ttl(
        &self,
        key: &SessionKey,
        condition: Condition,
        ttl: SessionTtl,
    ) -> Result<SessionHeader, StoreError> {
        let keys = self.keyspace.session(key);
        let common = Common { condition, ..Common::default() };
        let mut script = begin(&TTL, &keys, &self.terms, &common, &[]);
        match ttl {
            SessionTtl::Default => script.arg("-"),
            SessionTtl::Never => script.arg(0),
            SessionTtl::After(ttl) => script.arg(super::millis(ttl).clamp(1, super::LONGEST_TTL)),
        };
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(header_of(&mut reply)?),
            word => Err(refusal(word, &mut reply)),
        }
    }

    pub(super) async fn take_lease(
        &self,
        key: &SessionKey,
        request: &LeaseRequest,
    ) -> Result<Lease, StoreError> {
        let token = request.token.unwrap_or_else(Uuid::now_v7);
        let millis = super::millis(request.duration).clamp(1, super::LONGEST_TTL);
        let until = self.write_lease(key, request.token, token, millis, &request.holder).await?;
        Ok(Lease { token, holder: request.holder.clone(), until })
    }

    pub(super) async fn end_lease(&self, key: &SessionKey, token: Uuid) -> Result<(), StoreError> {
        match self.write_lease(key, Some(token), token, 0, "").await {
            // Somebody else has one: then this one is over.
            Ok(_) | Err(StoreError::Leased { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn write_lease(
        &self,
        key: &SessionKey,
        held: Option<Uuid>,
        token: Uuid,
        millis: u64,
        holder: &str,
    ) -> Result<Time, StoreError> {
        let keys = self.keyspace.session(key);
        let condition = Condition { lease: held, ..Condition::default() };
        let common = Common { condition, ..Common::default() };
        let mut script = begin(&LEASE, &keys, &self.terms, &common, &[]);
        script.arg(token.simple().to_string()).arg(millis).arg(holder);
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(Time::from_micros(reply.number()?.saturating_mul(1_000))),
            word => Err(refusal(word, &mut reply)),
        }
    }
}
