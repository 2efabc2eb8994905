//! Times to live: refreshed as configured, and what becomes of those whose time is over. That every
//! key of a session has the same is checked in `oracle` (R23).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sessiond_core::key::UserKey;
use sessiond_core::store::{SessionStore, StoreRules, TtlRefresh};
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;

use super::{append, create, key, living, read, said, set};

const MINUTE: Duration = Duration::from_secs(60);

/// The time left of every key, in milliseconds. -1: it has no end.
async fn left(server: &RedisServer) -> BTreeMap<String, i64> {
    server.keys_under("").await.times().await
}

fn is_of(key: &str, session: &str) -> bool {
    ["h", "e", "i", "j"].iter().any(|kind| key.ends_with(&format!("}}:{kind}:{session}")))
}

/// R24 and R21: a read refreshes all keys of the session if it is to, else none; and it changes
/// nothing else.
#[tokio::test]
async fn reads_refresh_if_they_are_to() {
    let server = RedisServer::start().await;
    for (refresh, wanted) in
        [(TtlRefresh::Read, 59_000..=60_000), (TtlRefresh::Write, 9_000..=10_000)]
    {
        let _: () = server.ask("FLUSHALL").await;
        let rules = StoreRules { ttl_refresh: refresh, event_limit: Some(2), ..living(MINUTE) };
        let store = server.store(rules).await;
        create(&store, &key("s")).await;
        for at in 0..5 {
            append(&store, &key("s"), said(&format!("{at}"), "x")).await.unwrap();
        }
        let before = store.seen(&key("s"), &[]).await.unwrap().0;
        let names: Vec<String> =
            server.keys().await.into_iter().filter(|it| is_of(it, "s")).collect();
        assert_eq!(names.len(), 4);
        for name in &names {
            let _: i64 = server.ask(&format!("PEXPIRE {name} 10000")).await;
        }
        let snapshot = read(&store, &key("s")).await;
        let after = left(&server).await;
        assert!(names.iter().all(|name| wanted.contains(&after[name])), "{refresh:?}: {after:?}");
        let shown = snapshot.header.expires_at.unwrap().millis();
        let in_redis: i64 = server.ask(&format!("PTTL {}", names[0])).await;
        let now: (i64, i64) = server.ask("TIME").await;
        let actual = now.0 * 1_000 + now.1 / 1_000 + in_redis;
        assert!((shown - actual).abs() < 1_000, "{shown} {actual}");
        let unchanged = |header: &sessiond_core::store::SessionHeader| {
            (header.revision, header.updated_at, header.generation)
        };
        assert_eq!(unchanged(&snapshot.header), unchanged(&before));
    }
}

/// R34: when its time is over, a session, its place in the list and all its keys are gone.
#[tokio::test]
async fn what_is_over_vanishes() {
    let server = RedisServer::start().await;
    let store = server.store(living(Duration::from_millis(300))).await;
    create(&store, &key("s")).await;
    append(&store, &key("s"), set("1", r#"{"k":1}"#)).await.unwrap();
    let user = UserKey::new("app", "user").unwrap();
    assert_eq!(store.list(&user, 10, None).await.unwrap().sessions.len(), 1);
    eventually("the session is over", async || {
        let there = store.read(&key("s"), super::ALL).await.unwrap();
        let listed = store.list(&user, 10, None).await.unwrap().sessions;
        assert!(there.is_some() || listed.is_empty(), "the list has what is over");
        there.is_none().then_some(())
    })
    .await;
    // The list does not name it any more either.
    for list in ["x", "y"] {
        let count: i64 = server.ask(&format!("ZCARD sd:{{app:user}}:{list}")).await;
        assert_eq!(count, 0);
    }
    eventually("its keys are gone", async || {
        let keys = server.keys().await;
        keys.iter().all(|name| !name.ends_with(":s")).then_some(())
    })
    .await;
    assert!(store.create(&key("s"), &[]).await.unwrap().is_some());
    assert!(read(&store, &key("s")).await.entries.is_empty());
}

/// A session that is only read lives on where reads refresh, and stays in the list, though nothing
/// writes to the list.
#[tokio::test]
async fn a_session_that_is_read_stays_listed() {
    let server = RedisServer::start().await;
    let ttl = Duration::from_millis(400);
    let store = server.store(StoreRules { ttl_refresh: TtlRefresh::Read, ..living(ttl) }).await;
    create(&store, &key("s")).await;
    create(&store, &key("unread")).await;
    let user = UserKey::new("app", "user").unwrap();
    let begin = Instant::now();
    while begin.elapsed() < 4 * ttl {
        assert!(store.read(&key("s"), super::ALL).await.unwrap().is_some());
        let listed = store.list(&user, 10, None).await.unwrap().sessions;
        assert!(listed.iter().any(|(name, _)| name == "s"), "after {:?}", begin.elapsed());
        // A creation is what looks for sessions that are over.
        store.create(&key("other"), &[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let names: Vec<String> =
        store.list(&user, 10, None).await.unwrap().sessions.into_iter().map(|it| it.0).collect();
    assert!(!names.contains(&"unread".to_owned()), "{names:?}");
}

/// Sessions of an earlier configuration without an end stay listed among those with one, and a write
/// gives each the time of the present configuration.
#[tokio::test]
async fn configurations_may_follow_each_other() {
    let server = RedisServer::start().await;
    let (endless, ending) =
        (server.store(living(MINUTE)).await, server.store(StoreRules::default()).await);
    let (ending, endless) = (endless, ending);
    create(&endless, &key("old")).await;
    create(&ending, &key("new")).await;
    let list: i64 = server.ask("PTTL sd:{app:user}:x").await;
    assert_eq!(list, -1, "the list holds a session without an end");
    append(&ending, &key("old"), said("1", "x")).await.unwrap();
    let times = left(&server).await;
    let session: Vec<_> = times.iter().filter(|(name, _)| is_of(name, "old")).collect();
    assert!(session.iter().all(|(_, left)| **left > 0), "{times:?}");
    assert!(times["sd:{app:user}:x"] >= 59_000, "now all in it have an end: {times:?}");
    append(&endless, &key("new"), said("1", "x")).await.unwrap();
    let times = left(&server).await;
    let session: Vec<_> = times.iter().filter(|(name, _)| is_of(name, "new")).collect();
    assert!(session.iter().all(|(_, left)| **left == -1), "{times:?}");
    assert_eq!(times["sd:{app:user}:x"], -1);
    let expiring: Vec<String> = server.ask("ZRANGE sd:{app:user}:y 0 -1").await;
    assert_eq!(expiring, ["old"]);
}

/// The time of a user's and an app's state begins anew when they are written or a session of theirs
/// is created, and not otherwise.
#[tokio::test]
async fn shared_state_has_its_own_time() {
    let server = RedisServer::start().await;
    let rules = StoreRules {
        user_state_ttl: Some(MINUTE),
        app_state_ttl: Some(MINUTE),
        ..StoreRules::default()
    };
    let store = server.store(rules).await;
    create(&store, &key("s")).await;
    append(&store, &key("s"), set("1", r#"{"user:a":1,"app:b":2}"#)).await.unwrap();
    let names = ["sd:{app:user}:u", "sd:{app}:a"];
    let age = async || {
        for name in names {
            let _: i64 = server.ask(&format!("PEXPIRE {name} 10000")).await;
        }
    };
    age().await;
    append(&store, &key("s"), said("2", "x")).await.unwrap();
    assert!(store.create(&key("s"), &[]).await.unwrap().is_none());
    let times = left(&server).await;
    assert!(names.iter().all(|name| times[*name] <= 10_000), "{times:?}");
    create(&store, &key("t")).await;
    let times = left(&server).await;
    assert!(names.iter().all(|name| times[*name] > 59_000), "{times:?}");
    age().await;
    append(&store, &key("s"), set("3", r#"{"user:a":2,"app:b":3}"#)).await.unwrap();
    let times = left(&server).await;
    assert!(names.iter().all(|name| times[*name] > 59_000), "{times:?}");
}
