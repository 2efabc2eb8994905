//! The few facts that a store keeps beside a body, so that a read need not parse it again.
//!
//! There is one of these in every entry of every session, so it is short. Its bytes, version 1:
//!
//! | part | bytes |
//! |---|---|
//! | version | 1 |
//! | kind (2 bits, from the lowest), dialect (3), unit of the time (2), user's turn (1) | 1 |
//! | which of the texts and lists below are there, a bit each, from the lowest | number |
//! | time since 1970 in its unit (s, ms, us, ns), as zigzag | number |
//! | estimate of tokens | number |
//! | id | text |
//! | author, role, invocation id, branch, filter key, tag, request id | text each |
//! | ids of the tool calls that it makes, and of those that it answers | count, and texts |
//!
//! A *number* has 7 bits a byte, the lowest first, and the highest bit set in all bytes but the last.
//!
//! A *text* begins with a number: four times its length in bytes, plus its form. Form 0: the bytes
//! follow. Form 1: it stands in the body, and a number says where. Form 2: it is a UUID in its usual
//! form, and 16 bytes follow.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{EntryKind, Event, StoredEvent};
use crate::dialect::{Dialect, Facts};
use crate::state::StateDelta;
use crate::time::Time;

const VERSION: u8 = 1;

const KINDS: [EntryKind; 4] =
    [EntryKind::Event, EntryKind::State, EntryKind::Summary, EntryKind::Track];
const DIALECTS: [Dialect; 5] =
    [Dialect::Trpc, Dialect::Adk, Dialect::Chat, Dialect::OpenAi, Dialect::Sessiond];
/// Nanoseconds in each unit of the time.
const UNITS: [i64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];

const USER_TURN: u8 = 1 << 7;

const INLINE: u64 = 0;
const IN_BODY: u64 = 1;
const UUID: u64 = 2;

/// How far into a body a text is looked for.
const SEARCHED: usize = 16 << 10;

/// A store gave back what it was not given.
#[derive(Debug, thiserror::Error)]
#[error("entry {sequence} has an envelope that cannot be read: {problem}")]
pub struct EnvelopeError {
    /// The entry's sequence.
    pub sequence: u64,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Event {
    /// The facts as a store keeps them beside the body. They can be read with this body only.
    pub fn envelope(&self) -> Vec<u8> {
        let facts = &self.facts;
        let texts = [
            facts.author.as_deref(),
            Some(facts.role.as_str()).filter(|role| !role.is_empty()),
            facts.invocation_id.as_deref(),
            facts.branch.as_deref(),
            facts.filter_key.as_deref(),
            facts.tag.as_deref(),
            facts.request_id.as_deref(),
        ];
        let lists = [&facts.calls, &facts.results];
        let there = texts.iter().map(Option::is_some).chain(lists.map(|list| !list.is_empty()));
        let present = there.enumerate().fold(0, |bits, (at, is)| bits | u64::from(is) << at);
        let nanos = self.time.nanos();
        let (unit, time) = UNITS
            .iter()
            .enumerate()
            .find(|(_, unit)| nanos % **unit == 0)
            .map_or((3, nanos), |(at, unit)| (at, nanos / unit));
        let mut to = Writer { bytes: Vec::with_capacity(32), body: &self.body };
        to.bytes.push(VERSION);
        let turn = if facts.user_turn { USER_TURN } else { 0 };
        to.bytes.push(
            code(&KINDS, self.kind) | code(&DIALECTS, self.dialect) << 2 | (unit as u8) << 5 | turn,
        );
        to.number(present);
        to.number((time << 1 ^ time >> 63) as u64);
        to.number(u64::from(self.tokens));
        to.text(&self.id);
        texts.iter().flatten().for_each(|text| to.text(text));
        for list in lists.into_iter().filter(|list| !list.is_empty()) {
            to.number(list.len() as u64);
            list.iter().for_each(|text| to.text(text));
        }
        to.bytes
    }
}

impl StoredEvent {
    /// An entry as it was stored.
    ///
    /// # Errors
    /// [`EnvelopeError`], when the envelope is not the [`Event::envelope`] of an event of this body.
    pub fn from_parts(
        sequence: u64,
        envelope: &[u8],
        body: String,
        state_delta: Option<String>,
    ) -> Result<Self, EnvelopeError> {
        match read(envelope, body, state_delta) {
            Ok(event) => Ok(Self { sequence, event }),
            Err(problem) => Err(EnvelopeError { sequence, problem }),
        }
    }
}

fn code<T: PartialEq>(table: &[T], value: T) -> u8 {
    table.iter().position(|it| *it == value).unwrap_or_default() as u8
}

fn read(envelope: &[u8], body: String, state_delta: Option<String>) -> Result<Event, &'static str> {
    let mut from = Reader { bytes: envelope, body: &body };
    if from.byte()? != VERSION {
        return Err("its version is not known");
    }
    let head = from.byte()?;
    let kind = *KINDS.get(usize::from(head & 3)).ok_or("its kind is not known")?;
    let dialect = *DIALECTS.get(usize::from(head >> 2 & 7)).ok_or("its dialect is not known")?;
    let unit = *UNITS.get(usize::from(head >> 5 & 3)).unwrap_or(&1);
    let present = from.number()?;
    if present >> 9 != 0 {
        return Err("it has parts that are not known");
    }
    let time = from.number()?;
    let time = (time >> 1) as i64 ^ -((time & 1) as i64);
    let time = time.checked_mul(unit).ok_or("its time is out of range")?;
    let tokens = u32::try_from(from.number()?).map_err(|_| "its tokens are out of range")?;
    let id = from.text()?;
    let mut text = |at: u32| (present >> at & 1 == 1).then(|| from.text()).transpose();
    let (author, role, invocation_id) = (text(0)?, text(1)?.unwrap_or_default(), text(2)?);
    let (branch, filter_key, tag, request_id) = (text(3)?, text(4)?, text(5)?, text(6)?);
    let mut list = |at: u32| if present >> at & 1 == 1 { from.list() } else { Ok(Vec::new()) };
    let (calls, results) = (list(7)?, list(8)?);
    if !from.bytes.is_empty() {
        return Err("more follows");
    }
    let facts = Facts {
        id: None,
        time: None,
        author,
        role,
        invocation_id,
        branch,
        filter_key,
        tag,
        request_id,
        partial: false,
        calls,
        results,
        user_turn: head & USER_TURN != 0,
        in_history: kind == EntryKind::Event,
    };
    let time = Time::from_nanos(time);
    let delta = StateDelta::default();
    Ok(Event { kind, dialect, id, time, facts, tokens, body, state_delta, delta })
}

struct Writer<'a> {
    bytes: Vec<u8>,
    body: &'a str,
}

impl Writer<'_> {
    fn number(&mut self, mut number: u64) {
        while number > 127 {
            self.bytes.push(number as u8 | 128);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Nearly all texts come from the body, where even a long one costs a few bytes.
    fn text(&mut self, text: &str) {
        let head = (text.len() as u64) << 2;
        let searched = self.body.get(..SEARCHED).unwrap_or(self.body);
        let place = if text.len() > 2 { searched.find(text) } else { None };
        if let Some(place) = place {
            self.number(head | IN_BODY);
            self.number(place as u64);
        } else if let Some(uuid) = usual_uuid(text) {
            self.number(head | UUID);
            self.bytes.extend(uuid.as_bytes());
        } else {
            self.number(head | INLINE);
            self.bytes.extend(text.as_bytes());
        }
    }
}

/// A UUID in lower case with hyphens.
fn usual_uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    let mut usual = [0; Hyphenated::LENGTH];
    (uuid.hyphenated().encode_lower(&mut usual) == text).then_some(uuid)
}

const SHORT: &str = "it is cut short";

struct Reader<'a> {
    bytes: &'a [u8],
    body: &'a str,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, &'static str> {
        let (byte, rest) = self.bytes.split_first().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(*byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(SHORT)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 127);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 128 {
                return Ok(number);
            }
        }
        Err("it has a number that is too large")
    }

    fn length(&mut self) -> Result<usize, &'static str> {
        usize::try_from(self.number()?).map_err(|_| SHORT)
    }

    fn text(&mut self) -> Result<String, &'static str> {
        let head = self.number()?;
        let length = usize::try_from(head >> 2).map_err(|_| SHORT)?;
        match head & 3 {
            INLINE => {
                let text = str::from_utf8(self.take(length)?);
                text.map(str::to_owned).map_err(|_| "it has a text that is not UTF-8")
            }
            IN_BODY => {
                let from = self.length()?;
                let place = from.checked_add(length).and_then(|to| self.body.get(from..to));
                place.map(str::to_owned).ok_or("it has a text that is not in the body")
            }
            UUID => {
                let uuid = Uuid::from_slice(self.take(16)?).map_err(|_| SHORT)?;
                Ok(uuid.hyphenated().to_string())
            }
            _ => Err("it has a text of a form that is not known"),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, &'static str> {
        // What is counted is not believed: each text takes a byte at least.
        let count = self.length()?;
        if count > self.bytes.len() {
            return Err(SHORT);
        }
        (0..count).map(|_| self.text()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &str, nanos: i64) -> Event {
        let text = |text: &str| Some(text.to_owned());
        Event {
            kind: EntryKind::Event,
            dialect: Dialect::OpenAi,
            id: "0198c2a4-5b1e-7c3d-8e4f-00000000002a".to_owned(),
            time: Time::from_nanos(nanos),
            facts: Facts {
                author: text(""),
                role: "assistant".to_owned(),
                invocation_id: text("i-\u{e4}-1"),
                branch: text("a.b"),
                filter_key: text("0198C2A4-5b1e-7c3d-8e4f-00000000002a"),
                request_id: text(&"r".repeat(300)),
                calls: vec!["call_1".to_owned(), "c".to_owned()],
                results: vec![String::new()],
                user_turn: true,
                in_history: true,
                ..Facts::default()
            },
            tokens: u32::MAX,
            body: body.to_owned(),
            state_delta: None,
            delta: StateDelta::default(),
        }
    }

    fn read_back(event: &Event) -> Event {
        StoredEvent::from_parts(7, &event.envelope(), event.body.clone(), None).unwrap().event
    }

    #[test]
    fn facts_are_read_as_written() {
        let told = r#"{"i":"i-ä-1","id":"0198c2a4-5b1e-7c3d-8e4f-00000000002a","c":["call_1"]}"#;
        for body in ["{}", told] {
            for nanos in [0, 1, -1, 1_500_000_000, 86_400_000_000_000, i64::MAX, i64::MIN] {
                let event = event(body, nanos);
                assert_eq!(read_back(&event), event);
            }
        }
        for kind in KINDS {
            for dialect in DIALECTS {
                let mut event = Event { kind, dialect, ..event("{}", 5) };
                event.facts = Facts { in_history: kind == EntryKind::Event, ..Facts::default() };
                assert_eq!(read_back(&event), event);
            }
        }
    }

    #[test]
    fn what_stands_in_the_body_is_not_stored_twice() {
        let body = r#"{"id":"0198c2a4-5b1e-7c3d-8e4f-00000000002a"}"#;
        let mut event = event(body, 1_767_225_600_000_000_000);
        event.facts = Facts { in_history: true, ..Facts::default() };
        event.tokens = 9;
        assert_eq!(event.envelope().len(), 12);
        event.body = "{}".to_owned();
        assert_eq!(event.envelope().len(), 27);
    }

    /// No bytes make a reader panic, and none that are cut short are taken for whole.
    #[test]
    fn what_was_not_written_is_refused() {
        let body = r#"{"i":"i-ä-1","c":["call_1"]}"#;
        let whole = event(body, 123).envelope();
        let read = |bytes: &[u8]| StoredEvent::from_parts(7, bytes, body.to_owned(), None);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        assert!(read(&[whole.as_slice(), b"x"].concat()).is_err());
        // Every byte of it, as every other byte: what is read is then written as something.
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                if let Ok(stored) = read(&bytes) {
                    assert_eq!(read(&stored.event.envelope()).unwrap(), stored);
                }
            }
        }
        for _ in 0..20_000 {
            let mut bytes: [u8; 24] = rand::random();
            bytes[0] = VERSION;
            if let Ok(stored) = read(&bytes) {
                assert_eq!(read(&stored.event.envelope()).unwrap(), stored);
            }
        }
        let error = read(&[9]).unwrap_err();
        let told = "entry 7 has an envelope that cannot be read: its version is not known";
        assert_eq!(error.to_string(), told);
    }
}
