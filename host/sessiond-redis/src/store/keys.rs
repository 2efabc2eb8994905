//! Going through all sessions. For operators only: it takes as long as there are keys.

use sessiond_core::key::SessionKey;
use sessiond_core::store::KeyFilter;

use super::RedisStore;
use crate::error::Error;

/// How many keys Redis looks at for one reply.
const STEP: usize = 500;

impl RedisStore {
    pub(super) async fn scan_keys(
        &self,
        filter: &KeyFilter,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), Error> {
        let pattern = self.keyspace.hash_pattern(filter.app.as_deref(), filter.user.as_deref());
        let from: u64 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let mut command = redis::cmd("SCAN");
        command.arg(from).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
        let (next, names): (u64, Vec<Vec<u8>>) = self.client.call().command(&command).await?;
        let names = names.iter().filter_map(|name| str::from_utf8(name).ok());
        let keys = names.filter_map(|name| self.keyspace.session_of(name));
        let keys = keys.filter(|key| filter.admits(key)).collect();
        Ok((keys, (next > 0).then(|| next.to_string())))
    }
}
