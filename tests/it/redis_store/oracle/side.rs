//! One store, and its answers in words that are the same for every store.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sessiond_core::key::{SessionKey, UserKey};
use sessiond_core::state::Scope;
use sessiond_core::store::whole::Whole;
use sessiond_core::store::{
    Appended, Edited, Fate, KeyFilter, SessionHeader, SessionStore, Snapshot, StoreError,
};
use sessiond_core::time::Time;

/// One store. Its generations and times become numbers, in the order in which they appear.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) store: Box<dyn SessionStore>,
    generations: Vec<u64>,
    times: Vec<Time>,
}

impl Side {
    pub(super) fn new(store: impl SessionStore + 'static) -> Self {
        Self { store: Box::new(store), generations: Vec::new(), times: Vec::new() }
    }

    /// The number of a generation.
    fn generation(&mut self, generation: u64) -> usize {
        place(&mut self.generations, generation)
    }

    /// The generation of a number, if it has appeared.
    pub(super) fn generation_of(&self, number: usize) -> Option<u64> {
        self.generations.get(number).copied()
    }

    pub(super) fn header(&mut self, header: &SessionHeader) -> String {
        let SessionHeader { revision, last_sequence, first_sequence, .. } = *header;
        assert!(header.generation < 1 << 53);
        let created = place(&mut self.times, header.created_at);
        let updated = place(&mut self.times, header.updated_at);
        format!(
            "g{} r{revision} {first_sequence}..{last_sequence} c{created} u{updated} e{} t{:?} {:?} {:?}",
            self.generation(header.generation),
            header.expires_at.is_some(),
            header.last_user_turn,
            header.totals,
            header.summarized,
        )
    }

    pub(super) fn error(&mut self, error: &StoreError) -> String {
        match error {
            StoreError::NotFound => "not found".to_owned(),
            StoreError::OtherGeneration { current } => {
                format!("generation g{}", self.generation(*current))
            }
            StoreError::OtherRevision { generation, current } => {
                format!("revision g{} r{current}", self.generation(*generation))
            }
            StoreError::IdConflict { id } => format!("conflict {id}"),
            StoreError::NotKept { oldest } => format!("kept from {oldest}"),
            StoreError::NoInvocation { id } => format!("no invocation {id}"),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn edited(&mut self, answer: &Result<Edited, StoreError>) -> String {
        match answer {
            Ok(edited) => {
                let popped = edited.popped.iter().map(|entry| entry.sequence);
                let popped: Vec<u64> = popped.collect();
                format!("{} -{} {popped:?}", self.header(&edited.header), edited.removed)
            }
            Err(error) => self.error(error),
        }
    }

    /// All that is stored of a session, what its entries replaced included.
    pub(super) fn whole(&mut self, whole: &Option<Whole>) -> String {
        let Some(whole) = whole else { return "none".to_owned() };
        let places = whole.places.iter().map(|place| {
            let body = place.event.as_ref().map(|event| event.body().to_owned());
            let undo = place
                .undo
                .iter()
                .map(|(key, value)| (key.clone(), value.as_ref().map(|value| value.to_json())));
            let undo: BTreeMap<_, _> = undo.collect();
            format!("\n  {} {body:?} {undo:?}", place.sequence)
        });
        let places: String = places.collect();
        let tracks = whole.tracks.iter().map(|(name, events)| {
            let events = events.iter().map(|event| format!("{} {}", event.sequence, event.body));
            format!("{name} {:?}", events.collect::<Vec<_>>())
        });
        let tracks: Vec<String> = tracks.collect();
        format!("{} {} {:?} {tracks:?}{places}", whole.last_sequence, whole.floor, whole.origin)
    }

    pub(super) fn appended(&mut self, answer: &Result<Appended, StoreError>) -> String {
        match answer {
            Ok(appended) => {
                let fates = appended.outcomes.iter().map(|outcome| match &outcome.fate {
                    Fate::Stored(sequence) => format!("{sequence}{}", mark(outcome.duplicate)),
                    Fate::Dropped(by) => format!("-{by}{}", mark(outcome.duplicate)),
                });
                let fates: Vec<String> = fates.collect();
                let header = self.header(&appended.header);
                format!("{header} {fates:?} given up {}", appended.given_up)
            }
            Err(error) => self.error(error),
        }
    }

    pub(super) fn snapshot(&mut self, snapshot: &Option<Snapshot>) -> String {
        let Some(snapshot) = snapshot else { return "none".to_owned() };
        let entries = snapshot.entries.iter().map(|entry| {
            let event = &entry.event;
            let (body, delta) = (event.body(), event.state_delta());
            format!("\n  {} {:?} {body} {delta:?}", entry.sequence, event.envelope())
        });
        let entries: String = entries.collect();
        let state = snapshot.state.merged();
        let state: Vec<String> =
            state.iter().map(|(key, value)| format!("{key}={}", value.to_json())).collect();
        let header = self.header(&snapshot.header);
        format!("{header}\n  {state:?}\n  {:?}{entries}", snapshot.summaries)
    }

    /// All pages of a user's sessions.
    pub(super) async fn pages(&mut self, user: &UserKey, size: usize) -> String {
        let (mut shown, mut after) = (String::new(), None);
        loop {
            let page = self.store.list(user, size, after).await.unwrap();
            for (name, header) in &page.sessions {
                shown.push_str(&format!("{name} {}\n", self.header(header)));
            }
            shown.push_str("page\n");
            after = page.next;
            if after.is_none() {
                return shown;
            }
        }
    }

    /// All keys that a walk over the store returns.
    pub(super) async fn walk(&self, filter: &KeyFilter) -> BTreeSet<SessionKey> {
        let (mut all, mut cursor) = (BTreeSet::new(), None);
        loop {
            let (keys, next) = self.store.keys(filter, cursor).await.unwrap();
            all.extend(keys);
            if next.is_none() {
                return all;
            }
            cursor = next;
        }
    }
}

/// R8, R40: the state of a session is what all its changes come to, as long as all are kept.
pub(super) fn check_fold(snapshot: &Snapshot) -> Result<(), String> {
    let edited = snapshot.header.edits > 0 || snapshot.origin.is_some();
    if snapshot.header.first_sequence > 1 || edited {
        return Ok(());
    }
    let mut folded = BTreeMap::new();
    for entry in &snapshot.entries {
        let beside = entry.event.state_delta().map(parsed);
        let body = parsed(entry.event.body());
        let removed = body["state_removed"].as_array().into_iter().flatten();
        removed.filter_map(Value::as_str).for_each(|key| drop(folded.remove(key)));
        let set = beside.as_ref().or(body.get("state_delta")).and_then(Value::as_object);
        let set = set.into_iter().flatten();
        folded.extend(set.map(|(key, value)| (key.clone(), value.clone())));
    }
    folded.retain(|key, _| Scope::of_key(key).0 == Scope::Session);
    let state = snapshot.state.session.iter();
    let state = state.map(|(key, value)| (key.clone(), parsed(&value.to_json()))).collect();
    if folded == state { Ok(()) } else { Err(format!("the state is {state:?}, not {folded:?}")) }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn place<T: PartialEq>(known: &mut Vec<T>, value: T) -> usize {
    known.iter().position(|it| *it == value).unwrap_or_else(|| {
        known.push(value);
        known.len() - 1
    })
}

fn mark(duplicate: bool) -> &'static str {
    if duplicate { "=" } else { "" }
}
