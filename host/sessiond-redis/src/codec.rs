//! How what core knows is written in Redis, and read back.

use redis::{FromRedisValue, Value};
use sessiond_core::digest::Digest;
use sessiond_core::event::StoredEvent;
use sessiond_core::state::{StateMap, StateValue};
use sessiond_core::store::{Fate, Seen, SessionHeader};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;

use crate::error::Error;
use crate::outbox::Outbox;
use crate::script::Reply;

/// A hash, as `HGETALL` returns it.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// How long a key lives, as of a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    /// The moment, in milliseconds since 1970.
    pub(crate) now: i64,
    /// The time left in milliseconds. Below zero: it has no end.
    pub(crate) left: i64,
}

/// The fields of a session's hash from which its header is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderFields {
    pub(crate) generation: String,
    /// Fifteen of them: `write.lua` says which.
    pub(crate) numbers: String,
}

impl HeaderFields {
    /// The next values of a reply, in the order of the members.
    pub(crate) fn take(reply: &mut Reply) -> Result<Self, Error> {
        Ok(Self { generation: reply.text()?, numbers: reply.text()? })
    }

    /// The header, as of a moment.
    pub(crate) fn header(&self, lease: Lease) -> Result<SessionHeader, Error> {
        const WHAT: Error = Error::Unreadable("the header of a session");
        let time = |micros| i64::try_from(micros).map(Time::from_micros).map_err(|_| WHAT);
        let numbers: [u64; 15] = numbers_of(&self.numbers).ok_or(WHAT)?;
        let [revision, last, first, _, updated, expires, turn, events, tokens, turns, ..] = numbers;
        let [.., created, summarized_events, summarized_tokens, summarized_turns] = numbers;
        Ok(SessionHeader {
            generation: self.generation.parse().map_err(|_| WHAT)?,
            revision,
            last_sequence: last,
            first_sequence: first,
            created_at: time(created)?,
            updated_at: time(updated)?,
            expires_at: lease.end(i64::try_from(expires).map_err(|_| WHAT)?),
            last_user_turn: (turn > 0).then_some(turn),
            totals: Backlog { events, tokens, turns },
            summarized: Backlog {
                events: summarized_events,
                tokens: summarized_tokens,
                turns: summarized_turns,
            },
        })
    }
}

impl Lease {
    /// When the key goes. What the last write knew of it is exact, but a read may have moved it.
    fn end(self, written: i64) -> Option<Time> {
        if self.left < 0 {
            return None;
        }
        let end = self.now.saturating_add(self.left);
        let exact = if end.abs_diff(written) <= 2 { written } else { end };
        Some(Time::from_micros(exact.saturating_mul(1_000)))
    }
}

/// The next value of a transaction's reply.
pub(crate) fn next<T: FromRedisValue>(reply: &mut impl Iterator<Item = Value>) -> Result<T, Error> {
    let value = reply.next().ok_or(Error::Unreadable("the reply of a transaction"))?;
    Ok(redis::from_redis_value(value).map_err(redis::RedisError::from)?)
}

/// The milliseconds of a reply to `TIME`.
pub(crate) fn millis(seconds: i64, micros: i64) -> i64 {
    seconds.saturating_mul(1_000).saturating_add(micros / 1_000)
}

/// Exactly so many numbers with a space between.
fn numbers_of<const COUNT: usize>(text: &str) -> Option<[u64; COUNT]> {
    let numbers: Option<Vec<u64>> = text.split(' ').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// A backlog as it stands among the numbers.
pub(crate) fn backlog_text(backlog: Backlog) -> String {
    format!("{} {} {}", backlog.events, backlog.tokens, backlog.turns)
}

/// All that a session's hash holds.
#[derive(Debug, Default)]
pub(crate) struct SessionFields {
    pub(crate) header: HeaderFields,
    pub(crate) state: StateMap,
    pub(crate) summaries: Vec<Summary>,
    /// Changes of the app's state that may not have been made yet, oldest first.
    pub(crate) outboxes: Vec<Outbox>,
}

impl SessionFields {
    /// Reads the hash. None: there is no session.
    pub(crate) fn read(fields: Fields) -> Result<Option<Self>, Error> {
        let mut session = Self::default();
        for (field, value) in fields {
            let Some((kind, name)) = field.split_first() else { continue };
            match (kind, name) {
                (b'#', b"g") => session.header.generation = text(value)?,
                (b'#', b"n") => session.header.numbers = text(value)?,
                (b's', key) => {
                    session.state.insert(text(key.to_vec())?, state_value(&value)?);
                }
                (b'm', _) => {
                    let summary = serde_json::from_slice(&value).map_err(Error::Summary)?;
                    session.summaries.push(summary);
                }
                (b'x', stamp) => session.outboxes.push(Outbox::read(stamp, &value)?),
                _ => {}
            }
        }
        session.summaries.sort_by(|one, other| one.filter_key.cmp(&other.filter_key));
        session.outboxes.sort_by_key(|outbox| outbox.stamp);
        Ok((!session.header.generation.is_empty()).then_some(session))
    }
}

/// Reads a user's state.
pub(crate) fn user_state(fields: Fields) -> Result<StateMap, Error> {
    let values = fields.into_iter().map(|(key, value)| Ok((text(key)?, state_value(&value)?)));
    values.collect()
}

pub(crate) fn state_value(stored: &[u8]) -> Result<StateValue, Error> {
    StateValue::from_stored(stored).ok_or(Error::Unreadable("a value of state"))
}

pub(crate) fn text(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| Error::Unreadable("a text that is not UTF-8"))
}

/// What is remembered of an id: its digest, and what became of the entry.
pub(crate) fn seen(value: &[u8]) -> Result<Seen, Error> {
    const WHAT: Error = Error::Unreadable("what is remembered of an id");
    let (digest, fate) = value.split_first_chunk().ok_or(WHAT)?;
    let fate = str::from_utf8(fate).ok().and_then(fate_of).ok_or(WHAT)?;
    Ok(Seen { digest: Digest::from_bytes(*digest), fate })
}

/// What became of an entry: its sequence, or `-` and the name of the plugin that dropped it.
pub(crate) fn fate_of(text: &str) -> Option<Fate> {
    match text.strip_prefix('-') {
        Some(plugin) => Some(Fate::Dropped(plugin.to_owned())),
        None => text.parse().ok().map(Fate::Stored),
    }
}

/// Reads the reply of a stream command.
pub(crate) fn entries(reply: Value) -> Result<Vec<StoredEvent>, Error> {
    match reply {
        Value::Nil => Ok(Vec::new()),
        Value::Array(entries) => entries.into_iter().map(entry).collect(),
        _ => Err(Error::Unreadable("a list of entries")),
    }
}

fn entry(value: Value) -> Result<StoredEvent, Error> {
    const WHAT: Error = Error::Unreadable("an entry");
    let Value::Array(parts) = value else { return Err(WHAT) };
    let mut parts = parts.into_iter();
    let (Some(Value::BulkString(id)), Some(Value::Array(fields))) = (parts.next(), parts.next())
    else {
        return Err(WHAT);
    };
    let sequence = str::from_utf8(&id).ok().and_then(|id| id.strip_suffix("-0")?.parse().ok());
    let (mut envelope, mut body, mut delta) = (None, None, None);
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) =
        (fields.next(), fields.next())
    {
        match name.as_slice() {
            b"e" => envelope = Some(text(value)?),
            b"d" => body = Some(text(value)?),
            b"s" => delta = Some(text(value)?),
            _ => {}
        }
    }
    let envelope = envelope.ok_or(WHAT)?;
    Ok(StoredEvent::from_parts(sequence.ok_or(WHAT)?, &envelope, body.ok_or(WHAT)?, delta)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_written() {
        let fields = HeaderFields {
            generation: "1758000000000001".to_owned(),
            numbers: "7 12 3 1 1758000000000009 1758000060000 11 10 200 4 9 \
                      1758000000000001 5 100 2"
                .to_owned(),
        };
        let header = fields.header(Lease { now: 1_758_000_059_000, left: 999 }).unwrap();
        assert_eq!((header.revision, header.last_sequence, header.first_sequence), (7, 12, 3));
        assert_eq!(header.updated_at.micros(), 1_758_000_000_000_009);
        assert_eq!(header.expires_at.unwrap().millis(), 1_758_000_060_000, "snaps to the write's");
        assert_eq!(header.last_user_turn, Some(11));
        assert_eq!(header.backlog(), Backlog { events: 5, tokens: 100, turns: 2 });
        let later = fields.header(Lease { now: 1_758_000_059_000, left: 5_000 }).unwrap();
        assert_eq!(later.expires_at.unwrap().millis(), 1_758_000_064_000, "a read has moved it");
        let none = fields.header(Lease { now: 1_758_000_059_000, left: -1 }).unwrap();
        assert_eq!(none.expires_at, None);
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let fields = HeaderFields { numbers: "1 2 3".to_owned(), ..HeaderFields::default() };
        assert!(fields.header(Lease { now: 0, left: 0 }).is_err());
        assert!(seen(b"short").is_err());
        assert!(seen(b"0123456789abcdefx").is_err());
        assert!(entries(Value::Int(1)).is_err());
        assert!(SessionFields::read(Vec::new()).unwrap().is_none());
    }

    #[test]
    fn ids_tell_what_became_of_them() {
        let kept = seen(b"0123456789abcdef42").unwrap();
        assert_eq!(kept.fate, Fate::Stored(42));
        let dropped = seen(b"0123456789abcdef-filter").unwrap();
        assert_eq!(dropped.fate, Fate::Dropped("filter".to_owned()));
    }
}
