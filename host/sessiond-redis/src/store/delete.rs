//! Deleting a session.

use sessiond_core::key::SessionKey;

use super::RedisStore;
use super::batch::{Common, begin};
use crate::error::Error;
use crate::script::DELETE;

impl RedisStore {
    pub(super) async fn delete_session(&self, key: &SessionKey) -> Result<(), Error> {
        let keys = self.keyspace.session(key);
        let script = begin(&DELETE, &keys, &self.terms, &Common::default(), &[]);
        self.client.call().script(&script).await.map(drop)
    }
}
