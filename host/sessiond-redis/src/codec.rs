//! How what core knows is written in Redis, and read back.

use std::time::Duration;

use redis::{FromRedisValue, Value};
use sessiond_core::digest::Digest;
use sessiond_core::event::{Event, StoredEvent};
use sessiond_core::state::{StateMap, StateValue};
use sessiond_core::store::edit::{Place, Undo};
use sessiond_core::store::lease::Lease;
use sessiond_core::store::whole::{Origin, SessionTtl, TrackEvent};
use sessiond_core::store::{Fate, Seen, SessionHeader};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;

use crate::error::Error;
use crate::keyspace::unescape_track;
use crate::outbox::Outbox;
use crate::packed::{self, Packed};
use crate::script::Reply;

/// A hash, as `HGETALL` returns it.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// How long a key lives, as of a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    /// The moment, in milliseconds since 1970.
    pub(crate) now: i64,
    /// The time left in milliseconds. Below zero: it has no end.
    pub(crate) left: i64,
}

/// The fields of a session's hash from which its header is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderFields {
    pub(crate) generation: String,
    /// Seventeen of them: `numbers.lua` says which.
    pub(crate) numbers: Vec<u8>,
}

impl HeaderFields {
    /// The next values of a reply, in the order of the members.
    pub(crate) fn take(reply: &mut Reply) -> Result<Self, Error> {
        Ok(Self { generation: reply.text()?, numbers: reply.bytes()? })
    }

    /// The sequence of the first of the list of entries.
    pub(crate) fn base(&self) -> Result<u64, Error> {
        let [_, _, _, base, ..] = self.parsed()?;
        Ok(base)
    }

    fn parsed(&self) -> Result<[u64; 17], Error> {
        doubles_of(&self.numbers).ok_or(Error::Unreadable("the header of a session"))
    }

    /// The header, as of a moment.
    pub(crate) fn header(&self, lifetime: Lifetime) -> Result<SessionHeader, Error> {
        const WHAT: Error = Error::Unreadable("the header of a session");
        let time = |micros| i64::try_from(micros).map(Time::from_micros).map_err(|_| WHAT);
        let numbers = self.parsed()?;
        let [revision, last, first, _, updated, expires, turn, events, tokens, turns, ..] = numbers;
        let [.., edits, floor, created, summarized_events, summarized_tokens, summarized_turns] =
            numbers;
        Ok(SessionHeader {
            generation: self.generation.parse().map_err(|_| WHAT)?,
            revision,
            last_sequence: last,
            first_sequence: first,
            created_at: time(created)?,
            updated_at: time(updated)?,
            expires_at: lifetime.end(i64::try_from(expires).map_err(|_| WHAT)?),
            last_user_turn: (turn > 0).then_some(turn),
            totals: Backlog { events, tokens, turns },
            summarized: Backlog {
                events: summarized_events,
                tokens: summarized_tokens,
                turns: summarized_turns,
            },
            edits,
            floor,
        })
    }
}

impl Lifetime {
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

/// Exactly so many doubles that are whole numbers.
fn doubles_of<const COUNT: usize>(bytes: &[u8]) -> Option<[u64; COUNT]> {
    let (doubles, rest) = bytes.as_chunks::<8>();
    let numbers: Vec<u64> =
        doubles.iter().map(|double| f64::from_le_bytes(*double) as u64).collect();
    if rest.is_empty() { numbers.try_into().ok() } else { None }
}

/// Numbers as scripts take them apart. All are below 2^53.
pub(crate) fn doubles(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| (*number as f64).to_le_bytes()).collect()
}

/// A backlog as it stands among the numbers.
pub(crate) const fn backlog(backlog: Backlog) -> [u64; 3] {
    [backlog.events, backlog.tokens, backlog.turns]
}

/// All that a session's hash holds.
#[derive(Debug, Default)]
pub(crate) struct SessionFields {
    pub(crate) header: HeaderFields,
    pub(crate) state: StateMap,
    pub(crate) summaries: Vec<Summary>,
    /// Open calls, as `write.lua` keeps them.
    pub(crate) open_calls: String,
    /// What few sessions have: `session.lua` says what.
    rare: Option<String>,
    holder: String,
    pub(crate) origin: Option<Origin>,
    /// For each track, as in keys, the sequences of its last event and of its first.
    pub(crate) tracks: Vec<(String, u64, u64)>,
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
                (b'#', b"n") => session.header.numbers = value,
                (b'#', b"r") => session.rare = Some(text(value)?),
                (b'#', b"o") => session.open_calls = text(value)?,
                (b'#', b"h") => session.holder = text(value)?,
                (b'#', b"f") => session.origin = Some(origin(&text(value)?)?),
                (b'k', name) => {
                    let (last, first) = track_ends(&text(value)?)?;
                    session.tracks.push((text(name.to_vec())?, last, first));
                }
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

    /// How long the session lives.
    pub(crate) fn ttl(&self) -> SessionTtl {
        let own = self.rare.as_deref().and_then(|rare| rare.split(' ').next());
        match own.and_then(|own| own.parse().ok()) {
            None => SessionTtl::Default,
            Some(0) => SessionTtl::Never,
            Some(millis) => SessionTtl::After(Duration::from_millis(millis)),
        }
    }

    /// The lease on it, if there is one.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let mut parts = self.rare.as_deref()?.split(' ').skip(1);
        let millis: i64 = parts.next()?.parse().ok()?;
        let until = Time::from_micros(millis.saturating_mul(1_000));
        let token = parts.next()?.parse().ok()?;
        Some(Lease { token, holder: self.holder.clone(), until })
    }

    /// The names of its tracks, in order. Some may be over.
    pub(crate) fn track_names(&self) -> Vec<String> {
        let listed = self.rare.as_deref().unwrap_or_default().split(' ').skip(3);
        let mut names: Vec<String> = listed.filter_map(unescape_track).collect();
        names.sort();
        names
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
    let fate = fate_of(fate).ok_or(WHAT)?;
    Ok(Seen { digest: Digest::from_bytes(*digest), fate })
}

/// What became of an entry: `s` and its sequence in 6 bytes, or `-` and the name of the plugin that
/// dropped it.
pub(crate) fn fate_of(bytes: &[u8]) -> Option<Fate> {
    match bytes.split_first()? {
        (b's', sequence) => sequence.try_into().ok().map(|it| Fate::Stored(sequence_of(it))),
        (b'-', plugin) => str::from_utf8(plugin).ok().map(|it| Fate::Dropped(it.to_owned())),
        _ => None,
    }
}

/// The inverse of [`fate_of`].
pub(crate) fn fate_bytes(fate: &Fate) -> Vec<u8> {
    match fate {
        Fate::Stored(sequence) => [b"s".as_slice(), &sequence_bytes(*sequence)].concat(),
        Fate::Dropped(by) => format!("-{by}").into_bytes(),
    }
}

/// A sequence as entries and ids have it. All are below 2^48.
const fn sequence_of([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// The inverse of [`sequence_of`].
const fn sequence_bytes(sequence: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = sequence.to_le_bytes();
    [a, b, c, d, e, f]
}

/// Reads a part of the list of entries.
pub(crate) fn places(reply: Vec<Vec<u8>>) -> Result<Vec<Place>, Error> {
    reply.iter().map(|entry| place(entry).ok_or(WHAT_ENTRY)?).collect()
}

const WHAT_ENTRY: Error = Error::Unreadable("an entry");

/// Reads an entry: sequence in 6 bytes, length of what it has replaced in 4, lengths of the envelope,
/// of the body, and of what is [`Packed`] ([`put_length`]); then the envelope, the body with changes of
/// state beside it, packed, and what it has replaced. Without an envelope, it was taken out.
fn place(entry: &[u8]) -> Option<Result<Place, Error>> {
    let (sequence, entry) = entry.split_first_chunk::<6>()?;
    let (undo, entry) = entry.split_first_chunk::<4>()?;
    let (envelope, entry) = take_length(entry)?;
    let (body, entry) = take_length(entry)?;
    let (unpacked, rest) = take_length(entry)?;
    let sequence = sequence_of(*sequence);
    let undo = usize::try_from(u32::from_le_bytes(*undo)).ok()?;
    let (text, undo) = rest.split_at_checked(rest.len().checked_sub(undo)?)?;
    let (envelope, packed) = text.split_at_checked(envelope)?;
    let mut text = String::from_utf8(packed::unpack(packed, unpacked)?.into_owned()).ok()?;
    if !text.is_char_boundary(body) {
        return None;
    }
    let delta = text.split_off(body);
    let undo = read_undo(undo)?;
    if envelope.is_empty() {
        return Some(Ok(Place { sequence, event: None, undo }));
    }
    let delta = (!delta.is_empty()).then_some(delta);
    Some(match StoredEvent::from_parts(sequence, envelope, text, delta) {
        Ok(stored) => Ok(Place { sequence, event: Some(stored.event), undo }),
        Err(error) => Err(error.into()),
    })
}

/// Writes a length, 7 bits a byte, the lowest first; the highest bit is set in all bytes but the last.
fn put_length(to: &mut Vec<u8>, mut length: usize) {
    while length > 127 {
        to.push(length as u8 | 128);
        length >>= 7;
    }
    to.push(length as u8);
}

/// A length of up to 35 bits, and what comes after it.
fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (mut length, mut rest) = (0_u64, bytes);
    for shift in [0, 7, 14, 21, 28] {
        let (byte, after) = rest.split_first()?;
        length |= u64::from(byte & 127) << shift;
        rest = after;
        if *byte < 128 {
            return Some((usize::try_from(length).ok()?, rest));
        }
    }
    None
}

/// Reads what `write.lua` notes of the state that an entry has replaced.
fn read_undo(mut bytes: &[u8]) -> Option<Undo> {
    let mut undo = Undo::new();
    while !bytes.is_empty() {
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        let (lengths, rest) = bytes.split_at_checked(colon)?;
        let (key, value) = str::from_utf8(lengths).ok()?.split_once(' ')?;
        let (key, rest) = rest.get(1..)?.split_at_checked(key.parse().ok()?)?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        let (value, rest) = match value {
            "-1" => (None, rest),
            length => {
                let (value, rest) = rest.split_at_checked(length.parse().ok()?)?;
                (Some(StateValue::from_stored(value)?), rest)
            }
        };
        undo.push((key, value));
        bytes = rest;
    }
    Some(undo)
}

fn undo_text(undo: &Undo) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in undo {
        let stored = value.as_ref().map(StateValue::to_stored);
        let length = stored.as_ref().map_or("-1".to_owned(), |stored| stored.len().to_string());
        text.extend_from_slice(format!("{} {length}:{key}", key.len()).as_bytes());
        text.extend_from_slice(&stored.unwrap_or_default());
    }
    text
}

/// What of an entry does not depend on when it is stored.
pub(crate) fn entry_text(event: &Event) -> Vec<u8> {
    let (envelope, body) = (event.envelope(), event.body());
    let delta = event.state_delta().unwrap_or_default();
    let packed = Packed::of(body, delta);
    let mut text = Vec::with_capacity(16 + envelope.len() + packed.bytes.len());
    put_length(&mut text, envelope.len());
    put_length(&mut text, body.len());
    put_length(&mut text, packed.unpacked);
    text.extend_from_slice(&envelope);
    text.extend_from_slice(&packed.bytes);
    text
}

/// An entry as it is stored.
pub(crate) fn place_text(place: &Place) -> Vec<u8> {
    let undo = undo_text(&place.undo);
    let text = place.event.as_ref().map_or(vec![0, 0, 0], entry_text);
    let sequence = sequence_bytes(place.sequence);
    let length = u32::try_from(undo.len()).unwrap_or(u32::MAX).to_le_bytes();
    [sequence.as_slice(), &length, &text, &undo].concat()
}

/// Reads a part of a track: sequence, time in milliseconds, and after a colon the body.
pub(crate) fn track_event(entry: Vec<u8>) -> Result<TrackEvent, Error> {
    const WHAT: Error = Error::Unreadable("an event of a track");
    let entry = text(entry)?;
    let (ends, body) = entry.split_once(':').ok_or(WHAT)?;
    let [sequence, millis] = numbers_of(ends).ok_or(WHAT)?;
    let millis = i64::try_from(millis).map_err(|_| WHAT)?;
    let time = Time::from_micros(millis.saturating_mul(1_000));
    Ok(TrackEvent { sequence, time, body: body.to_owned() })
}

pub(crate) fn track_text(event: &TrackEvent) -> String {
    format!("{} {}:{}", event.sequence, event.time.millis(), event.body)
}

/// The sequences of the last event of a track and of its first.
pub(crate) fn track_ends(text: &str) -> Result<(u64, u64), Error> {
    let [last, first] = numbers_of(text).ok_or(Error::Unreadable("the ends of a track"))?;
    Ok((last, first))
}

/// Where a session was forked from: sequence, length of the user's name, and both names.
fn origin(text: &str) -> Result<Origin, Error> {
    let read = || {
        let (sequence, rest) = text.split_once(' ')?;
        let (length, names) = rest.split_once(':')?;
        let (user, session) = names.split_at_checked(length.parse().ok()?)?;
        let (user, session) = (user.to_owned(), session.to_owned());
        Some(Origin { user, session, sequence: sequence.parse().ok()? })
    };
    read().ok_or(Error::Unreadable("the origin of a session"))
}

pub(crate) fn origin_text(origin: &Origin) -> String {
    format!("{} {}:{}{}", origin.sequence, origin.user.len(), origin.user, origin.session)
}

#[cfg(test)]
mod tests {
    use sessiond_core::event::Received;

    use super::*;

    #[test]
    fn a_header_is_read_as_written() {
        let fields = HeaderFields {
            generation: "1758000000000001".to_owned(),
            numbers: doubles(&[
                7,
                12,
                3,
                1,
                1_758_000_000_000_009,
                1_758_000_060_000,
                11,
                10,
                200,
                4,
                9,
                1,
                2,
                1_758_000_000_000_001,
                5,
                100,
                2,
            ]),
        };
        let header = fields.header(Lifetime { now: 1_758_000_059_000, left: 999 }).unwrap();
        assert_eq!((header.revision, header.last_sequence, header.first_sequence), (7, 12, 3));
        assert_eq!(header.updated_at.micros(), 1_758_000_000_000_009);
        assert_eq!(header.expires_at.unwrap().millis(), 1_758_000_060_000, "snaps to the write's");
        assert_eq!(header.last_user_turn, Some(11));
        assert_eq!((header.edits, header.floor), (1, 2));
        assert_eq!(header.backlog(), Backlog { events: 5, tokens: 100, turns: 2 });
        let later = fields.header(Lifetime { now: 1_758_000_059_000, left: 5_000 }).unwrap();
        assert_eq!(later.expires_at.unwrap().millis(), 1_758_000_064_000, "a read has moved it");
        let none = fields.header(Lifetime { now: 1_758_000_059_000, left: -1 }).unwrap();
        assert_eq!(none.expires_at, None);
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let fields = HeaderFields { numbers: doubles(&[1, 2, 3]), ..HeaderFields::default() };
        assert!(fields.header(Lifetime { now: 0, left: 0 }).is_err());
        assert!(seen(b"short").is_err());
        assert!(seen(b"0123456789abcdefs1").is_err());
        let whole = place_text(&Place { sequence: 1, event: None, undo: vec![("k".into(), None)] });
        for length in 0..whole.len() {
            assert!(places(vec![whole[..length].to_vec()]).is_err(), "{length}");
        }
        assert!(track_event(b"1:x".to_vec()).is_err());
        assert!(origin("1 9:ab").is_err());
        assert!(SessionFields::read(Vec::new()).unwrap().is_none());
    }

    #[test]
    fn entries_are_read_as_written() {
        let received = Received {
            body: r#"{"role":"user","content":"a:b"}"#.to_owned(),
            state_delta: Some(r#"{"k":1}"#.to_owned()),
            ..Received::default()
        };
        let event = Event::parse(received, Time::from_nanos(5), 1_000).unwrap();
        let values = [None, Some(StateValue::Null), Some(StateValue::Bytes(vec![0, 58, 255]))];
        let undo: Undo = ["", "a:b", "\u{e4}"].map(str::to_owned).into_iter().zip(values).collect();
        let kept = Place { sequence: 7, event: Some(event), undo: undo.clone() };
        let gone = Place { sequence: 8, event: None, undo };
        let read = places(vec![place_text(&kept), place_text(&gone)]).unwrap();
        assert_eq!(read[0].event.as_ref().unwrap().body(), kept.event.as_ref().unwrap().body());
        assert_eq!(read[0].event.as_ref().unwrap().state_delta(), Some(r#"{"k":1}"#));
        assert_eq!(read[0].undo, kept.undo);
        assert_eq!(read[1], gone);
        let told = Origin { user: "u 1".into(), session: ":s".into(), sequence: 4 };
        assert_eq!(origin(&origin_text(&told)).unwrap(), told);
        let event = TrackEvent { sequence: 3, time: Time::from_micros(9_000), body: "{}".into() };
        assert_eq!(track_event(track_text(&event).into_bytes()).unwrap(), event);
    }

    #[test]
    fn ids_tell_what_became_of_them() {
        let kept = [b"0123456789abcdef".as_slice(), &fate_bytes(&Fate::Stored(42))].concat();
        assert_eq!(seen(&kept).unwrap().fate, Fate::Stored(42));
        let dropped = seen(b"0123456789abcdef-filter").unwrap();
        assert_eq!(dropped.fate, Fate::Dropped("filter".to_owned()));
    }
}
