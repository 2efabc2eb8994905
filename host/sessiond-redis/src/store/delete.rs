//! Deleting a session.

use sessiond_core::key::SessionKey;

use super::RedisStore;
use crate::error::Error;
use crate::script::DELETE;

impl RedisStore {
    pub(super) async fn delete_session(&self, key: &SessionKey) -> Result<(), Error> {
        let keys = self.keyspace.session(key);
        let mut script = DELETE.call(&[
            &keys.hash,
            &keys.entries,
            &keys.ids,
            &keys.older_ids,
            &keys.user.by_update,
            &keys.user.by_expiry,
        ]);
        self.client.call().script(script.arg(&keys.name)).await.map(drop)
    }
}
