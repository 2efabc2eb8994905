//! R31: delete against append against summarize, at once, and again and again: no generation comes
//! twice, what was deleted does not come back, and no key is left.

use std::collections::HashSet;
use std::sync::Arc;

use sessiond_core::digest::Digest;
use sessiond_core::event::{Event, Received};
use sessiond_core::key::SessionKey;
use sessiond_core::store::{
    Condition, HistoryVersion, NewEntry, SessionStore, StoreError, StoreRules, SummaryCommit,
};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;
use sessiond_redis::RedisStore;
use tokio::task::JoinSet;

use crate::redis_server::RedisServer;

/// A name that nothing else in Redis has in it.
const SESSION: &str = "unmistakable";
/// How many rounds run at the same time, each on sessions of a user of its own.
const AT_ONCE: usize = 4;

/// What came of the rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deletions {
    /// How many there were.
    pub rounds: usize,
    /// Appends and summaries that were made before the delete.
    pub written: u64,
    /// Those that came too late, and were refused.
    pub refused: u64,
    /// Rounds that left a key, or a member of a list, that names a deleted session.
    pub orphans: u64,
    /// Sessions that were there after the delete although nobody had created them again.
    pub resurrected: u64,
    /// Generations that came twice.
    pub repeated: u64,
}

/// Runs so many rounds on a server of its own.
///
/// # Panics
/// When the store fails.
pub async fn run(rounds: usize) -> Deletions {
    let server = RedisServer::start().await;
    let rules = StoreRules { event_limit: Some(3), ..StoreRules::default() };
    let store = Arc::new(server.store(rules).await);
    let mut tasks = JoinSet::new();
    for task in 0..AT_ONCE {
        let (store, count) =
            (store.clone(), rounds / AT_ONCE + usize::from(task < rounds % AT_ONCE));
        let mut keys = server.keys_under(format!("sd:{{app:user-{task}}}:")).await;
        tasks.spawn(async move {
            let user = format!("user-{task}");
            let mut found = Found::default();
            for round in 0..count {
                // A session of its own for some rounds, the same again for others.
                let session = format!("{SESSION}-{}", round % 3);
                let key = SessionKey::new("app", &user, &session).expect("a name");
                let created = found.round(&store, &key, round).await;
                let orphan = !created && keys.naming(SESSION).await.is_some();
                store.delete(&key).await.expect("a delete");
                found.counts.orphans += u64::from(orphan || keys.naming(SESSION).await.is_some());
            }
            found
        });
    }
    let mut total = Deletions { rounds, ..Deletions::default() };
    let mut generations = HashSet::new();
    for found in tasks.join_all().await {
        total.written += found.counts.written;
        total.refused += found.counts.refused;
        total.orphans += found.counts.orphans;
        total.resurrected += found.counts.resurrected;
        total.repeated +=
            found.generations.iter().filter(|generation| !generations.insert(**generation)).count()
                as u64;
    }
    total
}

#[derive(Debug, Default)]
struct Found {
    counts: Deletions,
    generations: Vec<u64>,
}

/// What one of those who take part did.
enum Did {
    Wrote,
    WasRefused,
    Created(u64),
    Nothing,
}

impl Found {
    /// All at once on a session. Returns whether somebody created it again.
    async fn round(&mut self, store: &Arc<RedisStore>, key: &SessionKey, round: usize) -> bool {
        let first = store.create(key, &[]).await.expect("a creation").expect("a new session");
        self.generations.push(first.generation);
        let mut parts = JoinSet::new();
        // Each round begins with another of them.
        for part in 0..6 {
            let (store, key) = (store.clone(), key.clone());
            let part = (part + round) % 6;
            let again = round % 2 == 1;
            parts
                .spawn(async move { take_part(part, again, &store, &key, first.generation).await });
        }
        let mut created = false;
        for did in parts.join_all().await {
            match did {
                Did::Wrote => self.counts.written += 1,
                Did::WasRefused => self.counts.refused += 1,
                Did::Created(generation) => {
                    created = true;
                    self.generations.push(generation);
                }
                Did::Nothing => {}
            }
        }
        let there = store.seen(key, &[]).await.is_ok();
        self.counts.resurrected += u64::from(there && !created);
        created
    }
}

async fn take_part(
    part: usize,
    again: bool,
    store: &RedisStore,
    key: &SessionKey,
    generation: u64,
) -> Did {
    match part {
        0 => {
            store.delete(key).await.expect("a delete");
            Did::Nothing
        }
        1 | 2 => {
            let summary = summary(part as u64);
            let seen = HistoryVersion { generation, edits: 0 };
            match store.put_summary(key, seen, &summary, Backlog::default()).await {
                Ok(SummaryCommit::Stored | SummaryCommit::Late) => Did::Wrote,
                other => refused(other.err()),
            }
        }
        3 if again => match store.create(key, &[]).await.expect("a creation") {
            Some(header) => Did::Created(header.generation),
            None => Did::Nothing,
        },
        _ => {
            let condition = Condition { generation: Some(generation), revision: None, lease: None };
            match store.append(key, condition, &[entry(part)]).await {
                Ok(_) => Did::Wrote,
                other => refused(other.err()),
            }
        }
    }
}

fn refused(error: Option<StoreError>) -> Did {
    match error {
        Some(StoreError::NotFound | StoreError::OtherGeneration { .. }) => Did::WasRefused,
        other => panic!("{other:?}"),
    }
}

fn entry(number: usize) -> NewEntry {
    let received = Received {
        body: r#"{"role":"user","content":"hi"}"#.to_owned(),
        id: Some(format!("e{number}")),
        dialect: None,
        state_delta: Some(r#"{"k":1,"user:k":2,"app:k":3}"#.to_owned()),
    };
    let event = Event::parse(received, Time::from_nanos(1), 1 << 20).expect("an event");
    NewEntry::Event { event: Arc::new(event), digest: Digest::from_bytes([7; 16]) }
}

fn summary(last_sequence: u64) -> Summary {
    Summary {
        filter_key: String::new(),
        text: "so far".to_owned(),
        topics: Vec::new(),
        first_sequence: 1,
        last_sequence,
        unseen: None,
        updated_at: Time::from_nanos(1),
    }
}
