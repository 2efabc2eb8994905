//! Two stores side by side, the embedded one and Redis, and what must hold of them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::{Strategy, prop_oneof};
use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{Prefer, Range, StoreRules};
use sessiond_redis::RedisStore;
use sessiond_tests::redis_keys::RedisKeys;

use super::side::{Side, check_fold};
use super::step::Step;

const USERS: [(&str, &str); 3] = [("a", "u"), ("a", "v"), ("a:u", "{v}")];
/// Names that nothing else in Redis has in it.
const SESSIONS: [&str; 2] = ["session-s", "session-t"];
const EVERYTHING: Range =
    Range { after: 0, before: None, limit: 10_000, prefer: Prefer::Newest, with_state: true };

#[derive(Debug)]
pub(super) struct World {
    sides: [Side; 2],
    keys: RedisKeys,
}

fn users() -> impl Iterator<Item = UserKey> {
    USERS.into_iter().map(|(app, user)| UserKey::new(app, user).unwrap())
}

fn sessions() -> impl Iterator<Item = SessionKey> {
    users().flat_map(|user| SESSIONS.map(|session| user.session(session).unwrap()))
}

/// A session: mostly the first, so that much happens to it.
pub(super) fn session() -> impl Strategy<Value = SessionKey> {
    prop_oneof![3 => 0_usize..1, 2 => 0_usize..6].prop_map(|at| sessions().nth(at).unwrap())
}

impl World {
    pub(super) fn new(embedded: EmbeddedStore, redis: RedisStore, keys: RedisKeys) -> Self {
        Self { sides: [Side::new(embedded), Side::new(redis)], keys }
    }

    /// Does something to both stores. They must answer the same.
    pub(super) async fn apply(&mut self, step: &Step) -> Result<(), String> {
        let [embedded, redis] = &mut self.sides;
        let answers = [embedded, redis].map(|side| step.on(side));
        let [one, other] = answers;
        same(&BTreeMap::from([("answer", one.await)]), &BTreeMap::from([("answer", other.await)]))
    }

    /// Reads all that is there, of both stores.
    pub(super) async fn compare(&mut self) -> Result<(), String> {
        let mut answers = Vec::new();
        for side in &mut self.sides {
            let mut answer = BTreeMap::new();
            for key in sessions() {
                let snapshot = side.store.read(&key, EVERYTHING).await.unwrap();
                snapshot.iter().try_for_each(check_fold)?;
                answer.insert(format!("{key:?}"), side.snapshot(&snapshot));
                let whole = side.store.whole(&key).await.unwrap();
                answer.insert(format!("{key:?} whole"), side.whole(&whole));
            }
            for user in users() {
                answer.insert(format!("{user:?} list"), side.pages(&user, 100).await);
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

    /// R23: each key of a session has the session's time to live, and the same as the others; what a
    /// user or an app shares has its own; and the lists live as long as any session in them.
    pub(super) async fn check_times(&mut self, rules: &StoreRules) -> Result<(), String> {
        let times = self.keys.times().await;
        let complaint = |what: &str| Err(format!("{what}: {times:?}"));
        for user in USERS {
            let tag = format!("{{{}:{}}}:", escape(user.0), escape(user.1));
            let of_user = || times.iter().filter(|(name, _)| name.contains(&tag));
            let of_session = |session: &'static str| {
                let left = of_user().filter(move |(name, _)| name.ends_with(session));
                left.map(|(_, left)| *left).collect::<Vec<i64>>()
            };
            for left in SESSIONS.map(of_session) {
                let spread = left.iter().max().unwrap_or(&0) - left.iter().min().unwrap_or(&0);
                if spread > 1_000 || !left.iter().all(|left| lives(*left, rules.session_ttl)) {
                    return complaint("a key of a session lives longer or less");
                }
            }
            let longest = SESSIONS.iter().flat_map(|it| of_session(it)).max();
            let list = of_user().find(|(name, _)| name.ends_with(":x"));
            if let (Some(longest), Some((_, list))) = (longest, list)
                && *list != -1
                && *list < longest - 1_000
            {
                return complaint("a list lives less than a session in it");
            }
        }
        for (name, left) in &times {
            let ttl = match name.rsplit_once(':').map(|(_, kind)| kind) {
                Some("u") => rules.user_state_ttl,
                Some("a") => rules.app_state_ttl,
                _ => continue,
            };
            if !lives(*left, ttl) {
                return complaint("shared state lives longer or less");
            }
        }
        Ok(())
    }

    /// R30: when all sessions are deleted, nothing names one.
    pub(super) async fn check_nothing_is_left(&mut self) -> Result<(), String> {
        let [_, redis] = &self.sides;
        for key in sessions() {
            redis.store.delete(&key).await.unwrap();
        }
        redis.store.sweep().await.unwrap();
        match self.keys.naming("session-").await {
            None => Ok(()),
            Some(key) => Err(format!("{key} names a session that was deleted")),
        }
    }
}

fn lives(left: i64, ttl: Option<Duration>) -> bool {
    match ttl {
        Some(ttl) => left > 0 && u128::from(left.unsigned_abs()) <= ttl.as_millis(),
        None => left == -1,
    }
}

/// A name as it stands in keys.
fn escape(name: &str) -> String {
    name.replace(':', "%3A").replace('{', "%7B").replace('}', "%7D")
}

/// What differs.
fn same<K: Ord + std::fmt::Debug>(
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
