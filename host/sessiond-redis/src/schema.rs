//! What all daemons on one Redis must agree on: the layout of the keys, and the key of the digests.

use std::sync::{PoisonError, RwLock};

use redis::aio::MultiplexedConnection;
use sessiond_core::digest::DigestKey;

use crate::error::Error;

/// The layout that this version writes, and the only one that it knows.
const LAYOUT: u32 = 2;

/// What the schema key holds, as this process knows it.
#[derive(Debug)]
pub(crate) struct Schema {
    key: String,
    /// A random one, until the first connection finds that of an earlier daemon.
    digest_key: RwLock<DigestKey>,
}

impl Schema {
    pub(crate) fn new(key: String) -> Self {
        Self { key, digest_key: RwLock::new(DigestKey::random()) }
    }

    pub(crate) fn digest_key(&self) -> DigestKey {
        *self.digest_key.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the schema key, and writes it if it is not there: the first time, and after the server
    /// has lost its data. Then all daemons take the digest key of the one that comes first.
    pub(crate) async fn ensure(&self, connection: &mut MultiplexedConnection) -> Result<(), Error> {
        let mut known = self.read(connection).await?;
        if matches!(known, (None, _) | (_, None)) {
            redis::pipe()
                .cmd("HSETNX")
                .arg(&self.key)
                .arg("version")
                .arg(LAYOUT)
                .cmd("HSETNX")
                .arg(&self.key)
                .arg("digest_key")
                .arg(hex(self.digest_key().bytes()))
                .exec_async(connection)
                .await?;
            known = self.read(connection).await?;
        }
        let (version, digest_key) = known;
        let found = version.unwrap_or_default();
        if found != LAYOUT.to_string() {
            return Err(Error::Layout { found, known: LAYOUT });
        }
        let bytes = digest_key.as_deref().and_then(unhex);
        let there = DigestKey::from_bytes(bytes.ok_or(Error::Unreadable("the key of digests"))?);
        *self.digest_key.write().unwrap_or_else(PoisonError::into_inner) = there;
        Ok(())
    }

    async fn read(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(Option<String>, Option<String>), Error> {
        let mut command = redis::cmd("HMGET");
        let command = command.arg(&self.key).arg("version").arg("digest_key");
        Ok(command.query_async(connection).await?)
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_as_text() {
        let key = DigestKey::random();
        assert_eq!(unhex(&hex(key.bytes())), Some(*key.bytes()));
        for bad in ["", "0", "+0000000000000000000000000000000", "zz000000000000000000000000000000"]
        {
            assert_eq!(unhex(bad), None);
        }
    }
}
