//! The entries of a write, as the scripts take them.

use std::collections::HashMap;

use sessiond_core::digest::{Digest, DigestKey};
use sessiond_core::event::{EntryKind, Event};
use sessiond_core::state::{Scope, StateDelta};
use sessiond_core::store::{Condition, Fate, NewEntry, NewTrackEvent, Outcome, StoreError};
use sessiond_core::time::Time;

use super::Terms;
use crate::codec::entry_text;
use crate::error::Error;
use crate::keyspace::SessionKeys;
use crate::outbox::{changes, encode};
use crate::schema::hex;
use crate::script::{Reply, Script, ScriptCall};

/// What has an id, and a digest that tells whether a repeated id is for the same.
pub(super) trait Identified {
    fn id(&self) -> &str;
    fn digest(&self) -> Digest;
}

impl Identified for NewEntry {
    fn id(&self) -> &str {
        self.id()
    }

    fn digest(&self) -> Digest {
        self.digest()
    }
}

impl Identified for NewTrackEvent {
    fn id(&self) -> &str {
        &self.id
    }

    fn digest(&self) -> Digest {
        self.digest
    }
}

/// The items of an append, each id once: a script need not compare them with each other.
#[derive(Debug)]
pub(super) struct Batch<'a, T = NewEntry> {
    /// The items that come first with their id.
    pub(super) entries: Vec<&'a T>,
    /// For each item, which of those it is, and whether it repeats it.
    pub(super) places: Vec<(usize, bool)>,
    /// The id of the first item that contradicts an earlier one. What comes after it does not
    /// count.
    pub(super) clash: Option<&'a str>,
}

impl<'a, T: Identified> Batch<'a, T> {
    pub(super) fn new(items: &'a [T]) -> Self {
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(items.len());
        let mut batch = Self { entries: Vec::new(), places: Vec::new(), clash: None };
        for item in items {
            let earlier = first.get(item.id()).copied();
            let place = earlier.unwrap_or(batch.entries.len());
            match batch.entries.get(place) {
                Some(same) if same.digest() != item.digest() => {
                    batch.clash = Some(item.id());
                    break;
                }
                Some(_) => {}
                None => {
                    first.insert(item.id(), place);
                    batch.entries.push(item);
                }
            }
            batch.places.push((place, earlier.is_some()));
        }
        batch
    }

    /// What a script says that found an entry to contradict an earlier one. Its number follows.
    pub(super) fn conflict(&self, reply: &mut Reply) -> Result<StoreError, Error> {
        let at = usize::try_from(reply.number()?).unwrap_or_default();
        let entry = self.entries.get(at.wrapping_sub(1)).map(|entry| entry.id());
        let id = entry.or(self.clash).ok_or_else(|| reply.unreadable())?;
        Ok(StoreError::IdConflict { id: id.to_owned() })
    }

    /// For each item what became of it, and whether that was earlier, of the fates of the entries.
    pub(super) fn spread(
        &self,
        fates: &[(Fate, bool)],
        unreadable: impl Fn() -> Error,
    ) -> Result<Vec<Outcome>, Error> {
        let outcomes = self.places.iter().map(|&(place, repeats)| {
            let (fate, earlier) = fates.get(place).ok_or_else(&unreadable)?;
            Ok(Outcome { fate: fate.clone(), duplicate: *earlier || repeats })
        });
        outcomes.collect()
    }
}

/// The arguments that all scripts that write a session have.
#[derive(Debug, Default)]
pub(super) struct Common<'a> {
    pub(super) mark: &'a str,
    pub(super) count: usize,
    pub(super) condition: Condition,
    pub(super) clash: bool,
    /// Whether more follows at the end.
    pub(super) more: bool,
}

/// Begins a call of a script that writes a session. What differs follows.
pub(super) fn begin(
    script: &'static Script,
    keys: &SessionKeys,
    terms: &Terms,
    common: &Common<'_>,
    more_keys: &[&str],
) -> ScriptCall {
    let user = &keys.user;
    let mut all: Vec<&str> = vec![
        &keys.hash,
        &keys.entries,
        &keys.ids,
        &keys.older_ids,
        &user.state,
        &user.by_update,
        &user.by_expiry,
    ];
    all.extend(more_keys);
    let mut call = script.call(&all);
    let text = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
    let condition = &common.condition;
    call.arg(&keys.name)
        .arg(text(terms.event_limit))
        .arg(terms.session_ttl)
        .arg(terms.user_state_ttl)
        .arg(terms.open_call_max_age)
        .arg(common.mark)
        .arg(common.count)
        .arg(text(condition.generation))
        .arg(text(condition.revision))
        .arg(match (common.clash, common.more) {
            (true, _) => "1",
            (false, true) => "2",
            (false, false) => "",
        })
        .arg(condition.lease.map(|token| token.simple().to_string()).unwrap_or_default())
        .arg(text(terms.track_ttl))
        .arg(keys.channel());
    call
}

/// What a script answers that did not do it.
pub(super) fn refusal(word: &str, reply: &mut Reply) -> StoreError {
    let number = |reply: &mut Reply| {
        let number = reply.number()?;
        u64::try_from(number).map_err(|_| reply.unreadable())
    };
    let told = match word {
        "missing" => Ok(StoreError::NotFound),
        "generation" => number(reply).map(|current| StoreError::OtherGeneration { current }),
        "revision" => number(reply).and_then(|generation| {
            Ok(StoreError::OtherRevision { generation, current: number(reply)? })
        }),
        "leased" => reply.number().and_then(|until| {
            let until = Time::from_micros(until.saturating_mul(1_000));
            Ok(StoreError::Leased { holder: reply.text()?, until })
        }),
        "full" => number(reply)
            .map(|tracks| StoreError::TooManyTracks(usize::try_from(tracks).unwrap_or(usize::MAX))),
        _ => Err(reply.unreadable()),
    };
    told.unwrap_or_else(StoreError::from)
}

/// Adds an entry that is to be stored, as `write.lua` takes it.
pub(super) fn put_event(call: &mut ScriptCall, event: &Event, tokens: DigestKey) {
    let facts = event.facts();
    let app = encode(event.delta());
    let more = !(facts.results.is_empty() && facts.calls.is_empty() && app.is_empty());
    let mut kind = match event.kind() {
        EntryKind::Event if facts.user_turn => format!("u{}", event.tokens()),
        EntryKind::Event => format!("e{}", event.tokens()),
        EntryKind::State | EntryKind::Summary | EntryKind::Track => "s".to_owned(),
    };
    if more {
        kind.make_ascii_uppercase();
    }
    call.arg(kind).arg(entry_text(event));
    if more {
        let names =
            |ids: &[String]| ids.iter().map(|id| hex(&tokens.token(id))).collect::<String>();
        call.arg(names(&facts.results)).arg(names(&facts.calls)).arg(app);
    }
    let lists = [(Scope::Session, "s"), (Scope::User, "")]
        .map(|(scope, prefix)| lists(event.delta(), scope, prefix));
    let all: Vec<&Vec<Vec<u8>>> = lists.iter().flatten().collect();
    let used = all.iter().rposition(|list| !list.is_empty()).map_or(0, |last| last + 1);
    call.arg(all.iter().take(used).map(|list| list.len() + 1).sum::<usize>());
    for list in all.into_iter().take(used) {
        call.arg(list.len()).arg(list);
    }
}

/// Fields and values to set, and fields to remove. The fields have that prefix.
fn lists(delta: &StateDelta, scope: Scope, prefix: &str) -> [Vec<Vec<u8>>; 2] {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for (key, value) in changes(delta, scope) {
        let field = format!("{prefix}{key}").into_bytes();
        if value.is_empty() {
            removed.push(field);
        } else {
            set.extend([field, value]);
        }
    }
    [set, removed]
}

/// Whether a delta changes the state of the app.
pub(super) fn changes_app(delta: &StateDelta) -> bool {
    delta.of(Scope::App).next().is_some()
}

#[cfg(test)]
mod tests {
    use sessiond_core::digest::Digest;

    use super::*;

    fn item(id: &str, digest: u8) -> NewEntry {
        let digest = Digest::from_bytes([digest; 16]);
        NewEntry::Dropped { id: id.to_owned(), digest, by: "p".to_owned() }
    }

    #[test]
    fn repeats_within_an_append_are_found() {
        let items = [item("a", 1), item("b", 1), item("a", 1), item("b", 2), item("c", 1)];
        let batch = Batch::new(&items);
        assert_eq!(batch.entries.len(), 2);
        assert_eq!(batch.places, [(0, false), (1, false), (0, true)]);
        assert_eq!(batch.clash, Some("b"));
        assert_eq!(Batch::<NewEntry>::new(&[]).places, []);
    }
}
