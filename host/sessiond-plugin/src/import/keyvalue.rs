//! `wasi:keyvalue/store`: what a plugin keeps between calls, for each app by itself.

use std::future::Future;

use sessiond_core::hook::Purpose;
use sessiond_core::key::AppKey;
use sessiond_core::store::StoreError;
use sessiond_core::store::plugin::{Bucket, Kept, MAX_KEY, MAX_VALUE};
use wasmtime::component::Resource;

use crate::bindings::wasi::keyvalue::store::{self, Error, KeyResponse};
use crate::grants::KeyvalueGrant;
use crate::host::Host;
use crate::output::Level;
use crate::rows::{Row, StaleHandle};

/// What a function answers.
type Answer<T> = wasmtime::Result<Result<T, Error>>;
type Handle = Resource<store::Bucket>;

impl Host {
    /// The bucket behind a handle, and where it is kept.
    fn bucket(&self, it: &Handle) -> Result<(Bucket, KeyvalueGrant), StaleHandle> {
        let grant = self.grants.keyvalue.clone().ok_or(StaleHandle)?;
        match self.rows.get(it.rep())? {
            Row::Bucket(bucket) => Ok((bucket.clone(), grant)),
            _ => Err(StaleHandle),
        }
    }

    fn open_bucket(&self, identifier: &str) -> Result<Bucket, Error> {
        if self.call.purpose == Purpose::Trial || self.grants.keyvalue.is_none() {
            return Err(Error::AccessDenied);
        }
        if !matches!(identifier, "" | "default") {
            return Err(Error::NoSuchStore);
        }
        let app = AppKey::new(self.app.clone()).map_err(|_| Error::NoSuchStore)?;
        Ok(Bucket { plugin: self.plugin.to_string(), app })
    }

    /// Waits for the store no longer than the guest may.
    async fn within<T>(
        &mut self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, Error> {
        let time = self.patience();
        match tokio::time::timeout(time, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let line = format!("what the plugin keeps: {error}: {}", cause.unwrap_or_default());
                self.output.log(Level::Warn, &line);
                Err(Error::Other("the store is unavailable".to_owned()))
            }
            Err(_) => Err(Error::Other("the store did not answer in time".to_owned())),
        }
    }
}

fn check_key(key: &str) -> Result<(), Error> {
    if (1..=MAX_KEY).contains(&key.len()) {
        return Ok(());
    }
    Err(Error::Other(format!("a key has 1 to {MAX_KEY} bytes")))
}

impl store::Host for Host {
    fn open(&mut self, identifier: String) -> Answer<Handle> {
        self.may_hold(1)?;
        let opened = self.open_bucket(&identifier);
        Ok(opened.map(|bucket| self.rows.give(Row::Bucket(bucket))))
    }
}

impl store::HostBucket for Host {
    async fn get(&mut self, it: Handle, key: String) -> Answer<Option<Vec<u8>>> {
        let (bucket, grant) = self.bucket(&it)?;
        let value = match check_key(&key) {
            Ok(()) => self.within(grant.store.value(&bucket, &key)).await,
            Err(error) => Err(error),
        };
        Ok(match value {
            Ok(value) => Ok(self.copied(value)?),
            Err(error) => Err(error),
        })
    }

    async fn set(&mut self, it: Handle, key: String, value: Vec<u8>) -> Answer<()> {
        let (bucket, grant) = self.bucket(&it)?;
        if let Err(error) = check_key(&key) {
            return Ok(Err(error));
        }
        if value.len() > MAX_VALUE {
            return Ok(Err(Error::Other(format!("a value has at most {MAX_VALUE} bytes"))));
        }
        let allowance = grant.allowance;
        let set = grant.store.set_value(&bucket, &key, &value, &allowance);
        Ok(match self.within(set).await {
            Ok(Kept::Set) => Ok(()),
            Ok(Kept::Over) => Err(Error::Other(format!(
                "the bucket is full: it may have {} keys and {} bytes (`grants.keyvalue`)",
                allowance.keys, allowance.quota
            ))),
            Err(error) => Err(error),
        })
    }

    async fn delete(&mut self, it: Handle, key: String) -> Answer<()> {
        let (bucket, grant) = self.bucket(&it)?;
        Ok(match check_key(&key) {
            Ok(()) => self.within(grant.store.delete_value(&bucket, &key)).await,
            Err(error) => Err(error),
        })
    }

    async fn exists(&mut self, it: Handle, key: String) -> Answer<bool> {
        let (bucket, grant) = self.bucket(&it)?;
        Ok(match check_key(&key) {
            Ok(()) => self.within(grant.store.has_value(&bucket, &key)).await,
            Err(error) => Err(error),
        })
    }

    async fn list_keys(&mut self, it: Handle, cursor: Option<u64>) -> Answer<KeyResponse> {
        let (bucket, grant) = self.bucket(&it)?;
        let page = self.within(grant.store.value_keys(&bucket, cursor.unwrap_or(0))).await;
        Ok(page.map(|page| KeyResponse { keys: page.keys, cursor: page.next }))
    }

    fn drop(&mut self, it: Handle) -> wasmtime::Result<()> {
        // The handle ends, and nothing that is kept.
        let _ = self.rows.take(it.rep());
        Ok(())
    }
}
