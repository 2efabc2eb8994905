//! Two stores side by side, and what a test knows of both.

use std::collections::{BTreeMap, BTreeSet};

use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{
    Appended, Fate, KeyFilter, Prefer, Range, SessionHeader, SessionStore, Snapshot, StoreError,
};
use sessiond_core::time::Time;
use sessiond_redis::RedisStore;

use super::super::random::Random;

/// Both stores, and the names in use.
#[derive(Debug)]
pub(super) struct World {
    pub(super) stores: [Side; 2],
    pub(super) random: Random,
    /// Ids that were used, with the digest of each.
    pub(super) ids: Vec<(String, u8)>,
    pub(super) next_id: u64,
}

/// One store. Its generations and times become numbers, in the order in which they appear.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) store: Box<dyn SessionStore>,
    generations: Vec<u64>,
    times: Vec<Time>,
}

impl Side {
    fn new(store: impl SessionStore + 'static) -> Self {
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
            other => panic!("{other:?}"),
        }
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
            format!("\n  {} {} {body} {delta:?}", entry.sequence, event.envelope())
        });
        let entries: String = entries.collect();
        let state = snapshot.state.merged();
        let state: Vec<String> =
            state.iter().map(|(key, value)| format!("{key}={}", value.to_json())).collect();
        let header = self.header(&snapshot.header);
        format!("{header}\n  {state:?}\n  {:?}{entries}", snapshot.summaries)
    }
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

impl World {
    pub(super) fn new(embedded: EmbeddedStore, redis: RedisStore, random: Random) -> Self {
        let stores = [Side::new(embedded), Side::new(redis)];
        Self { stores, random, ids: Vec::new(), next_id: 0 }
    }

    pub(super) fn users() -> Vec<UserKey> {
        [("a", "u"), ("a", "v"), ("a:u", "{v}")]
            .map(|(app, user)| UserKey::new(app, user).unwrap())
            .to_vec()
    }

    fn sessions() -> impl Iterator<Item = SessionKey> {
        let users = Self::users().into_iter();
        users.flat_map(|user| ["s", "t"].map(|session| user.session(session).unwrap()))
    }

    pub(super) fn any_session(&mut self) -> SessionKey {
        let sessions: Vec<_> = Self::sessions().collect();
        // Mostly one, so that much happens to it.
        if self.random.percent(60) {
            sessions[0].clone()
        } else {
            self.random.pick(&sessions).clone()
        }
    }

    /// Reads all that is there, of both stores.
    pub(super) async fn compare(&mut self) -> Result<(), String> {
        let everything = Range {
            after: 0,
            before: None,
            limit: 10_000,
            prefer: Prefer::Newest,
            with_state: true,
        };
        let mut answers = Vec::new();
        for side in &mut self.stores {
            let mut answer = BTreeMap::new();
            for key in Self::sessions() {
                let snapshot = side.store.read(&key, everything).await.unwrap();
                answer.insert(format!("{key:?}"), side.snapshot(&snapshot));
            }
            for user in Self::users() {
                let page = side.store.list(&user, 100, None).await.unwrap();
                assert!(page.next.is_none());
                let listed: Vec<String> = page
                    .sessions
                    .iter()
                    .map(|(name, header)| format!("{name} {}", side.header(header)))
                    .collect();
                answer.insert(format!("{user:?} list"), format!("{listed:?}"));
                let state = side.store.user_state(&user).await.unwrap();
                answer.insert(format!("{user:?} state"), format!("{state:?}"));
            }
            for app in ["a", "a:u"] {
                let state = side.store.app_state(&AppKey::new(app).unwrap()).await.unwrap();
                answer.insert(format!("{app} state"), format!("{state:?}"));
            }
            answers.push(answer);
        }
        same(&answers[0], &answers[1])
    }

    /// All keys that a walk over the store returns.
    pub(super) async fn walk(store: &dyn SessionStore, filter: &KeyFilter) -> BTreeSet<SessionKey> {
        let (mut all, mut cursor) = (BTreeSet::new(), None);
        loop {
            let (keys, next) = store.keys(filter, cursor).await.unwrap();
            all.extend(keys);
            if next.is_none() {
                return all;
            }
            cursor = next;
        }
    }
}

/// What differs.
pub(super) fn same<K: Ord + std::fmt::Debug>(
    one: &BTreeMap<K, String>,
    other: &BTreeMap<K, String>,
) -> Result<(), String> {
    let differs = one.iter().find(|(key, value)| other.get(*key) != Some(value));
    match differs {
        Some((key, value)) => {
            let redis = other.get(key).map(String::as_str).unwrap_or("nothing");
            Err(format!("{key:?}\nembedded: {value}\nredis:    {redis}"))
        }
        None => Ok(()),
    }
}
