//! Digests of events as they were received, by which a retry is told from another event of its id.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::dialect::Dialect;
use crate::event::{Event, Received};

/// The key of a deployment's digests. All daemons on one store share it.
///
/// A digest is of the event before hooks, so of what they may have removed: without the key nobody
/// can find out a short secret from its digest by trying.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DigestKey([u8; 16]);

/// A keyed digest of an event, 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 16]);

impl DigestKey {
    /// A new random key.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The key of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key, for the store that keeps it.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The digest of an event as it was received.
    pub fn digest(&self, received: &Received) -> Digest {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        let mut part = |bytes: &[u8]| {
            hasher.write(&(bytes.len() as u64).to_le_bytes());
            hasher.write(bytes);
        };
        part(received.dialect.map_or("", Dialect::name).as_bytes());
        part(received.body.as_bytes());
        part(received.state_delta.as_deref().unwrap_or_default().as_bytes());
        Digest(hasher.finish128().as_bytes())
    }

    /// The digest of an event that the host made, or that came from another store.
    pub fn of_event(&self, event: &Event) -> Digest {
        let body = event.body().to_owned();
        let state_delta = event.state_delta().map(str::to_owned);
        let dialect = Some(event.dialect());
        self.digest(&Received { body, id: None, dialect, state_delta })
    }

    /// A short name for a tool-call id, of 96 bits, which a store can search for in a list.
    pub fn token(&self, call_id: &str) -> [u8; 12] {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(call_id.as_bytes());
        let mut token = [0; 12];
        token.iter_mut().zip(hasher.finish128().as_bytes()).for_each(|(to, from)| *to = from);
        token
    }
}

impl Digest {
    /// The digest of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the digest.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(***)")
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_event_cannot_run_into_each_other() {
        let key = DigestKey::random();
        let received = |body: &str, state: Option<&str>| Received {
            body: body.to_owned(),
            state_delta: state.map(str::to_owned),
            ..Received::default()
        };
        assert_eq!(key.digest(&received("ab", None)), key.digest(&received("ab", None)));
        assert_ne!(key.digest(&received("ab", None)), key.digest(&received("a", Some("b"))));
        assert_ne!(
            key.digest(&received("ab", None)),
            DigestKey::random().digest(&received("ab", None))
        );
    }
}
