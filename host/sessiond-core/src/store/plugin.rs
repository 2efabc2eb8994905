//! What plugins keep: a bucket for each plugin and app, with a quota that is part of every write.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::key::AppKey;

/// The longest key, in bytes.
pub const MAX_KEY: usize = 512;
/// The largest value, in bytes.
pub const MAX_VALUE: usize = 1024 * 1024;

/// Whose values they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// The app that it keeps them for.
    pub app: AppKey,
}

/// What a bucket may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes, of keys and values together.
    pub quota: u64,
    /// Keys.
    pub keys: u64,
    /// How long a value lives after it was set. None: for ever.
    pub ttl: Option<Duration>,
}

/// What became of a value that was to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is set.
    Set,
    /// It would have passed the quota or the number of keys. Nothing has changed.
    Over,
}

/// Some keys of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys, in no order.
    pub keys: Vec<String>,
    /// Where the next page begins. None: there is none.
    pub next: Option<u64>,
}

/// Where plugins keep what they want to find again. Keys and values come from guests; the caller has
/// seen to it that they are no longer than [`MAX_KEY`] and [`MAX_VALUE`].
#[async_trait]
pub trait PluginStore: Send + Sync + fmt::Debug {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`], when the store does not answer, here and below.
    async fn value(&self, bucket: &Bucket, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets a value, in one step with the check that the bucket may hold it.
    async fn set_value(
        &self,
        bucket: &Bucket,
        key: &str,
        value: &[u8],
        allowance: &Allowance,
    ) -> Result<Kept, StoreError>;

    /// Removes a key, if it is there.
    async fn delete_value(&self, bucket: &Bucket, key: &str) -> Result<(), StoreError>;

    /// Whether a key is there.
    async fn has_value(&self, bucket: &Bucket, key: &str) -> Result<bool, StoreError>;

    /// A page of keys, from a cursor of the page before; 0 is the beginning.
    async fn value_keys(&self, bucket: &Bucket, cursor: u64) -> Result<KeyPage, StoreError>;

    /// Removes all that a plugin keeps, of every app, and answers how many buckets that were.
    async fn purge_plugin(&self, plugin: &str) -> Result<u64, StoreError>;
}
