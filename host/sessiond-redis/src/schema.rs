//! What all daemons on one Redis must agree on: the layout of the keys, and the key of the digests.

use std::sync::{PoisonError, RwLock};

use redis::{Cmd, RedisError, Value};
use sessiond_core::digest::DigestKey;

use crate::error::Error;

/// The layout that this version writes, and the only one that it knows.
const LAYOUT: u32 = 4;

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

    /// Takes note of the answer to [`Self::question`] or [`Self::proposal`]. False: the key is not
    /// there, so the proposal must be made. All daemons take the digest key of the one that comes
    /// first.
    pub(crate) fn learn(&self, answers: Vec<Value>) -> Result<bool, Error> {
        let Value::Array(mut answers) = Value::Array(answers).extract_error()? else {
            return Err(Error::Unreadable("the schema"));
        };
        let last = answers.pop().unwrap_or(Value::Nil);
        let (version, digest_key): (Option<String>, Option<String>) =
            redis::from_redis_value(last).map_err(RedisError::from)?;
        let (Some(found), Some(digest_key)) = (version, digest_key) else { return Ok(false) };
        if found != LAYOUT.to_string() {
            return Err(Error::Layout { found, known: LAYOUT });
        }
        let bytes = unhex(&digest_key).ok_or(Error::Unreadable("the key of digests"))?;
        let there = DigestKey::from_bytes(bytes);
        *self.digest_key.write().unwrap_or_else(PoisonError::into_inner) = there;
        Ok(true)
    }

    /// The name of the key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Asks for the key.
    pub(crate) fn question(&self) -> Cmd {
        let mut read = redis::cmd("HMGET");
        read.arg(&self.key).arg("version").arg("digest_key");
        read
    }

    /// Writes the key unless it is there, the first time and after the server has lost its data, and
    /// asks for it.
    pub(crate) fn proposal(&self) -> Vec<Cmd> {
        let write = |field: &str, value: String| {
            let mut write = redis::cmd("HSETNX");
            write.arg(&self.key).arg(field).arg(value);
            write
        };
        let digest_key = hex(self.digest_key().bytes());
        let version = write("version", LAYOUT.to_string());
        vec![version, write("digest_key", digest_key), self.question()]
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
