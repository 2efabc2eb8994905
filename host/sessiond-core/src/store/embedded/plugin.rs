//! What plugins keep, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{EmbeddedStore, deadline, is_over};
use crate::store::StoreError;
use crate::store::plugin::{Allowance, Bucket, Kept, KeyPage, PluginStore};
use crate::time::Time;

/// How many keys make a page.
const PAGE: usize = 100;

/// The values of a bucket.
#[derive(Debug, Default)]
pub(super) struct Values {
    by_key: BTreeMap<String, Value>,
}

#[derive(Debug)]
struct Value {
    bytes: Vec<u8>,
    expires_at: Option<Time>,
}

impl Values {
    /// Forgets what is over, and returns whether nothing is left.
    pub(super) fn forget(&mut self, now: Time) -> bool {
        self.by_key.retain(|_, value| !is_over(value.expires_at, now));
        self.by_key.is_empty()
    }

    fn live(&self, key: &str, now: Time) -> Option<&Value> {
        self.by_key.get(key).filter(|value| !is_over(value.expires_at, now))
    }

    fn set(&mut self, key: &str, bytes: &[u8], allowance: &Allowance, now: Time) -> Kept {
        self.forget(now);
        let others = || self.by_key.iter().filter(|(other, _)| *other != key);
        let held: usize = others().map(|(key, value)| key.len() + value.bytes.len()).sum();
        let (held, count) = (held + key.len() + bytes.len(), others().count() + 1);
        if held as u64 > allowance.quota || count as u64 > allowance.keys {
            return Kept::Over;
        }
        let value = Value { bytes: bytes.to_vec(), expires_at: deadline(allowance.ttl, now) };
        self.by_key.insert(key.to_owned(), value);
        Kept::Set
    }

    fn page(&self, cursor: u64, now: Time) -> KeyPage {
        let from = usize::try_from(cursor).unwrap_or(usize::MAX);
        let page = self.by_key.iter().skip(from).take(PAGE);
        let live = page.filter(|(_, value)| !is_over(value.expires_at, now));
        let keys = live.map(|(key, _)| key.clone()).collect();
        let end = from.saturating_add(PAGE);
        KeyPage { keys, next: (end < self.by_key.len()).then_some(end as u64) }
    }
}

#[async_trait]
impl PluginStore for EmbeddedStore {
    async fn value(&self, bucket: &Bucket, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (world, now) = self.world();
        let values = world.plugins.get(bucket);
        Ok(values.and_then(|values| values.live(key, now)).map(|value| value.bytes.clone()))
    }

    async fn set_value(
        &self,
        bucket: &Bucket,
        key: &str,
        value: &[u8],
        allowance: &Allowance,
    ) -> Result<Kept, StoreError> {
        let (mut world, now) = self.world();
        Ok(world.plugins.entry(bucket.clone()).or_default().set(key, value, allowance, now))
    }

    async fn delete_value(&self, bucket: &Bucket, key: &str) -> Result<(), StoreError> {
        let (mut world, _) = self.world();
        if let Some(values) = world.plugins.get_mut(bucket) {
            values.by_key.remove(key);
        }
        Ok(())
    }

    async fn has_value(&self, bucket: &Bucket, key: &str) -> Result<bool, StoreError> {
        let (world, now) = self.world();
        Ok(world.plugins.get(bucket).is_some_and(|values| values.live(key, now).is_some()))
    }

    async fn value_keys(&self, bucket: &Bucket, cursor: u64) -> Result<KeyPage, StoreError> {
        let (world, now) = self.world();
        Ok(world.plugins.get(bucket).map(|values| values.page(cursor, now)).unwrap_or_default())
    }

    async fn purge_plugin(&self, plugin: &str) -> Result<u64, StoreError> {
        let (mut world, _) = self.world();
        let before = world.plugins.len();
        world.plugins.retain(|bucket, _| bucket.plugin != plugin);
        Ok((before - world.plugins.len()) as u64)
    }
}
