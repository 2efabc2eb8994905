//! The entries of a write, as the scripts take them.

use std::collections::HashMap;

use sessiond_core::digest::DigestKey;
use sessiond_core::event::{EntryKind, Event};
use sessiond_core::state::{Scope, StateDelta};
use sessiond_core::store::NewEntry;

use super::Terms;
use crate::keyspace::SessionKeys;
use crate::outbox::{changes, encode};
use crate::schema::hex;
use crate::script::{Script, ScriptCall};

/// The items of an append, each id once: a script need not compare them with each other.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// The items that come first with their id.
    pub(super) entries: Vec<&'a NewEntry>,
    /// For each item, which of those it is, and whether it repeats it.
    pub(super) places: Vec<(usize, bool)>,
    /// The id of the first item that contradicts an earlier one. What comes after it does not
    /// count.
    pub(super) clash: Option<&'a str>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(items: &'a [NewEntry]) -> Self {
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
}

/// Begins a call of the scripts that write entries, with the arguments that both have. Conditions
/// and `count` entries follow.
pub(super) fn begin(
    script: &'static Script,
    keys: &SessionKeys,
    terms: &Terms,
    mark: &str,
    count: usize,
) -> ScriptCall {
    let user = &keys.user;
    let mut call = script.call(&[
        &keys.hash,
        &keys.entries,
        &keys.ids,
        &keys.older_ids,
        &user.state,
        &user.by_update,
        &user.by_expiry,
    ]);
    call.arg(&keys.name)
        .arg(terms.event_limit.map(|limit| limit.to_string()).unwrap_or_default())
        .arg(terms.session_ttl)
        .arg(terms.user_state_ttl)
        .arg(terms.open_call_max_age)
        .arg(mark)
        .arg(count);
    call
}

/// Adds an entry that is to be stored.
pub(super) fn put_event(call: &mut ScriptCall, event: &Event, tokens: DigestKey) {
    let facts = event.facts();
    let kind = match event.kind() {
        EntryKind::Event if facts.user_turn => format!("u{}", event.tokens()),
        EntryKind::Event => format!("e{}", event.tokens()),
        EntryKind::State | EntryKind::Summary => "s".to_owned(),
    };
    let names = |ids: &[String]| ids.iter().map(|id| hex(&tokens.token(id))).collect::<String>();
    call.arg(kind)
        .arg(event.envelope())
        .arg(event.body())
        .arg(event.state_delta().unwrap_or_default())
        .arg(names(&facts.results))
        .arg(names(&facts.calls))
        .arg(encode(event.delta()));
    let lists = [(Scope::Session, "s"), (Scope::User, "")]
        .map(|(scope, prefix)| lists(event.delta(), scope, prefix));
    let all: Vec<&Vec<Vec<u8>>> = lists.iter().flatten().collect();
    if all.iter().all(|list| list.is_empty()) {
        call.arg(0);
        return;
    }
    call.arg(all.iter().map(|list| list.len() + 1).sum::<usize>());
    for list in all {
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
        assert_eq!(Batch::new(&[]).places, []);
    }
}
