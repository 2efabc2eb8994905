//! Changes of an app's state on their way from a session to the app.
//!
//! They live in two slots, so no single step can make them. The append leaves them in the session's
//! outbox; whoever finds them there makes them in the app's state and clears the outbox. Each has
//! the time of its append, and an earlier one never overwrites a later one, so to make it twice
//! does no harm. Before the append, a mark is left in the app's slot: by it the sweep finds what
//! was cut off.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sessiond_core::key::{AppKey, SessionKey};
use sessiond_core::state::{Scope, StateChange, StateDelta, StateMap};
use sessiond_core::time::Time;
use uuid::Uuid;

use crate::codec::{Fields, state_value, text};
use crate::error::Error;
use crate::keyspace::{escape, unescape};

const WHAT: Error = Error::Unreadable("an outbox");

/// The number of an append: unique, and telling when it was made.
const NUMBER: usize = 32;

/// What one append changes of its app's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outbox {
    /// The time of the append, in microseconds since 1970.
    pub(crate) stamp: u64,
    /// The number of the append.
    pub(crate) number: String,
    /// Keys and their new values as stored; empty to remove them.
    pub(crate) changes: Vec<(String, Vec<u8>)>,
}

impl Outbox {
    /// What entries with these deltas leave, appended at that time. None, if it is nothing.
    pub(crate) fn left<'a>(
        time: Time,
        mark: &Mark,
        deltas: impl Iterator<Item = &'a StateDelta>,
    ) -> Option<Self> {
        let owned = |(key, value): (&str, Vec<u8>)| (key.to_owned(), value);
        let all: Vec<_> =
            deltas.flat_map(|delta| changes(delta, Scope::App).into_iter().map(owned)).collect();
        let stamp = u64::try_from(time.micros()).unwrap_or_default();
        (!all.is_empty()).then(|| Self { stamp, number: mark.number.clone(), changes: all })
    }

    /// Reads a field of a session's hash.
    pub(crate) fn read(stamp: &[u8], value: &[u8]) -> Result<Self, Error> {
        let stamp = str::from_utf8(stamp).ok().and_then(|stamp| stamp.parse().ok()).ok_or(WHAT)?;
        let (number, mut rest) = value.split_at_checked(NUMBER).ok_or(WHAT)?;
        let mut changes = Vec::new();
        while !rest.is_empty() {
            let (key, after_key) = take(rest).ok_or(WHAT)?;
            let (value, after_value) = take(after_key).ok_or(WHAT)?;
            changes.push((text(key.to_vec())?, value.to_vec()));
            rest = after_value;
        }
        Ok(Self { stamp, number: text(number.to_vec())?, changes })
    }
}

/// A delta's changes of the app's state, as an outbox holds them.
pub(crate) fn encode(delta: &StateDelta) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut put = |bytes: &[u8]| {
        encoded.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
        encoded.extend_from_slice(bytes);
    };
    for (key, value) in changes(delta, Scope::App) {
        put(key.as_bytes());
        put(&value);
    }
    encoded
}

/// One part of a value, after its length, and what comes after it.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (length, rest) = bytes.split_at_checked(colon)?;
    let length = str::from_utf8(length).ok()?.parse().ok()?;
    rest.split_first()?.1.split_at_checked(length)
}

/// What a delta changes in a scope: of two changes of a key the last counts. An empty value removes
/// the key.
pub(crate) fn changes(delta: &StateDelta, scope: Scope) -> BTreeMap<&str, Vec<u8>> {
    let changes = delta.of(scope).map(|(key, change)| match change {
        StateChange::Set(value) => (key, value.to_stored()),
        StateChange::Remove => (key, Vec::new()),
    });
    changes.collect()
}

/// Names an append whose outbox may be waiting, in the app's set of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The session.
    pub(crate) key: SessionKey,
    /// The number of the append.
    pub(crate) number: String,
}

impl Mark {
    /// A mark for a new append.
    pub(crate) fn new(key: &SessionKey) -> Self {
        Self { key: key.clone(), number: Uuid::now_v7().simple().to_string() }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}:{}:{}", escape(self.key.user()), escape(self.key.session()), self.number)
    }

    pub(crate) fn read(app: &AppKey, text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (user, session) = (unescape(parts.next()?)?, unescape(parts.next()?)?);
        let number = parts.next().filter(|number| number.len() == NUMBER)?.to_owned();
        let key = app.clone().user(user).ok()?.session(session).ok()?;
        parts.next().is_none().then_some(Self { key, number })
    }

    /// How long ago the append was begun, by the clocks of two daemons.
    pub(crate) fn age(&self) -> Duration {
        let began = Uuid::try_parse(&self.number).ok().and_then(|number| number.get_timestamp());
        let (seconds, nanos) = began.map_or((0, 0), |began| began.to_unix());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::new(seconds, nanos))
    }
}

/// An app's state as stored, with the times of its changes.
#[derive(Debug, Default)]
pub(crate) struct AppState {
    values: BTreeMap<String, (u64, Vec<u8>)>,
}

impl AppState {
    /// Reads the hash.
    pub(crate) fn read(fields: Fields) -> Result<Self, Error> {
        const VALUE: Error = Error::Unreadable("a value of an app's state");
        let mut values = BTreeMap::new();
        for (key, value) in fields {
            let space = value.iter().position(|byte| *byte == b' ').ok_or(VALUE)?;
            let (stamp, value) = value.split_at_checked(space).ok_or(VALUE)?;
            let stamp = str::from_utf8(stamp).ok().and_then(|stamp| stamp.parse().ok());
            let value = value.get(1..).unwrap_or_default().to_vec();
            values.insert(text(key)?, (stamp.ok_or(VALUE)?, value));
        }
        Ok(Self { values })
    }

    /// Makes changes that are not in Redis yet, as they will be made there.
    pub(crate) fn overlay(&mut self, outboxes: &[Outbox]) {
        for outbox in outboxes {
            for (key, value) in &outbox.changes {
                let later = self.values.get(key).is_some_and(|(stamp, _)| *stamp > outbox.stamp);
                if !later {
                    self.values.insert(key.clone(), (outbox.stamp, value.clone()));
                }
            }
        }
    }

    /// The state without times and what was removed.
    pub(crate) fn into_map(self) -> Result<StateMap, Error> {
        let there = self.values.into_iter().filter(|(_, (_, value))| !value.is_empty());
        there.map(|(key, (_, value))| Ok((key, state_value(&value)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use sessiond_core::state::StateValue;

    use super::*;

    fn json(text: &str) -> StateValue {
        StateValue::Json(text.to_owned())
    }

    #[test]
    fn an_outbox_is_read_as_written() {
        let delta = StateDelta::set([
            ("app:k:1".to_owned(), json("1")),
            ("app:k".to_owned(), StateValue::Bytes(vec![0, b':', 255])),
            ("own".to_owned(), json("2")),
            ("app:k:1".to_owned(), json("3")),
        ]);
        let number = "0".repeat(NUMBER);
        let removal = encode(&StateDelta::remove("app:z".to_owned()));
        let value = [number.as_bytes(), &encode(&delta), &removal].concat();
        let outbox = Outbox::read(b"17", &value).unwrap();
        let changes = [("k", &b"b\x00:\xff"[..]), ("k:1", b"j3"), ("z", b"")];
        let changes = changes.map(|(key, value)| (key.to_owned(), value.to_vec()));
        assert_eq!(outbox, Outbox { stamp: 17, number, changes: changes.to_vec() });
        assert!(Outbox::read(b"17", b"short").is_err());
        assert!(Outbox::read(b"x", &value).is_err());
    }

    #[test]
    fn a_mark_names_its_session_and_its_age() {
        let key = SessionKey::new("a", "u:1", "%s}").unwrap();
        let mark = Mark::new(&key);
        assert_eq!(Mark::read(key.app_key(), &mark.text()), Some(mark.clone()));
        assert!(mark.age() < Duration::from_secs(60));
        assert_eq!(Mark::read(key.app_key(), "u:s"), None);
        let old = Mark { number: "0".repeat(NUMBER), ..mark };
        assert!(old.age() > Duration::from_secs(60));
    }

    #[test]
    fn a_later_change_wins_over_an_outbox() {
        let stored = [("a", "20 j1"), ("b", "5 j1"), ("c", "20 "), ("d", "5 ")];
        let fields =
            stored.map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let mut state = AppState::read(fields.to_vec()).unwrap();
        let changes = ["a", "b", "c", "d"].map(|key| (key.to_owned(), b"j2".to_vec()));
        state.overlay(&[Outbox { stamp: 10, number: String::new(), changes: changes.to_vec() }]);
        let map = state.into_map().unwrap();
        let map: Vec<_> = map.into_iter().map(|(key, value)| (key, value.to_json())).collect();
        let wanted = [("a", "1"), ("b", "2"), ("d", "2")];
        assert_eq!(map, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
