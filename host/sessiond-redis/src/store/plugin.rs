//! What plugins keep: a hash of values and a sorted set of their ends, for each plugin and app.

use async_trait::async_trait;
use sessiond_core::store::StoreError;
use sessiond_core::store::plugin::{Allowance, Bucket, Kept, KeyPage, PluginStore};

use super::RedisStore;
use crate::error::Error;
use crate::keyspace::PluginKeys;
use crate::script::{
    PLUGIN_DELETE, PLUGIN_GET, PLUGIN_KEYS, PLUGIN_SET, Reply, Script, ScriptCall,
};

/// About how many keys make a page.
const PAGE: usize = 100;
/// How many keys Redis looks at for one reply.
const STEP: usize = 500;

impl RedisStore {
    fn plugin_call(&self, script: &'static Script, bucket: &Bucket, key: &str) -> ScriptCall {
        let PluginKeys { values, ends } = self.keyspace.plugin(&bucket.app, &bucket.plugin);
        let mut call = script.call(&[&values, &ends]);
        call.arg(key);
        call
    }

    async fn look_for(&self, bucket: &Bucket, key: &str, value: bool) -> Result<Reply, Error> {
        let mut call = self.plugin_call(&PLUGIN_GET, bucket, key);
        self.client.call().script(call.arg(u8::from(value))).await
    }

    async fn purge_values(&self, plugin: &str) -> Result<u64, Error> {
        let pattern = self.keyspace.plugin_pattern(plugin);
        let mut purged = 0;
        for node in self.client.nodes() {
            let mut cursor = 0;
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
                let (next, names): (u64, Vec<String>) =
                    self.client.call().command_at(&node, &scan).await?;
                for name in names {
                    let ends = PluginKeys::ends_of(&name);
                    let mut unlink = redis::pipe();
                    unlink.cmd("UNLINK").arg(&name).arg(ends).ignore();
                    self.client.call().lasting(&unlink).await?;
                    purged += 1;
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(purged)
    }
}

#[async_trait]
impl PluginStore for RedisStore {
    async fn value(&self, bucket: &Bucket, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut reply = self.look_for(bucket, key, true).await?;
        match reply.text()?.as_str() {
            "there" => Ok(Some(reply.bytes()?)),
            _ => Ok(None),
        }
    }

    async fn set_value(
        &self,
        bucket: &Bucket,
        key: &str,
        value: &[u8],
        allowance: &Allowance,
    ) -> Result<Kept, StoreError> {
        let ttl = allowance.ttl.map_or(0, |ttl| super::millis(ttl).clamp(1, super::LONGEST_TTL));
        let mut call = self.plugin_call(&PLUGIN_SET, bucket, key);
        call.arg(value).arg(allowance.quota).arg(allowance.keys).arg(ttl);
        let mut reply = self.client.call().script(&call).await?;
        Ok(if reply.text()? == "set" { Kept::Set } else { Kept::Over })
    }

    async fn delete_value(&self, bucket: &Bucket, key: &str) -> Result<(), StoreError> {
        let call = self.plugin_call(&PLUGIN_DELETE, bucket, key);
        self.client.call().script(&call).await?;
        Ok(())
    }

    async fn has_value(&self, bucket: &Bucket, key: &str) -> Result<bool, StoreError> {
        Ok(self.look_for(bucket, key, false).await?.text()? == "there")
    }

    async fn value_keys(&self, bucket: &Bucket, cursor: u64) -> Result<KeyPage, StoreError> {
        let mut call = self.plugin_call(&PLUGIN_KEYS, bucket, &cursor.to_string());
        let mut reply = self.client.call().script(call.arg(PAGE)).await?;
        let next: u64 = reply.text()?.parse().map_err(|_| reply.unreadable())?;
        let mut keys = Vec::new();
        while !reply.is_empty() {
            keys.push(reply.text()?);
        }
        Ok(KeyPage { keys, next: (next > 0).then_some(next) })
    }

    async fn purge_plugin(&self, plugin: &str) -> Result<u64, StoreError> {
        Ok(self.purge_values(plugin).await?)
    }
}
