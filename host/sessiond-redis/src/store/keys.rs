//! Going through all sessions. For operators only: it takes as long as there are keys.

use sessiond_core::key::SessionKey;
use sessiond_core::store::KeyFilter;

use super::RedisStore;
use crate::error::Error;

/// How many keys Redis looks at for one reply.
const STEP: usize = 500;

impl RedisStore {
    /// The cursor is that of the server, and its address: there may be several.
    pub(super) async fn scan_keys(
        &self,
        filter: &KeyFilter,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), Error> {
        let mut nodes = self.client.nodes().into_iter();
        let cursor = cursor.as_deref().and_then(|cursor| cursor.split_once(' '));
        let (from, node): (u64, _) = match cursor {
            None => (0, nodes.next()),
            Some((from, address)) => (
                from.parse().map_err(|_| Error::Changed)?,
                nodes.find(|node| node.address().to_string() == address),
            ),
        };
        let node = node.ok_or(Error::Changed)?;
        let pattern = self.keyspace.hash_pattern(filter.app.as_deref(), filter.user.as_deref());
        let mut command = redis::cmd("SCAN");
        command.arg(from).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
        let (next, names): (u64, Vec<Vec<u8>>) =
            self.client.call().command_at(&node, &command).await?;
        let names = names.iter().filter_map(|name| str::from_utf8(name).ok());
        let keys = names.filter_map(|name| self.keyspace.session_of(name));
        let keys = keys.filter(|key| filter.admits(key)).collect();
        let next = if next > 0 { Some((next, node)) } else { nodes.next().map(|node| (0, node)) };
        Ok((keys, next.map(|(next, node)| format!("{next} {}", node.address()))))
    }
}
