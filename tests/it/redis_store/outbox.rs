//! Changes of an app's state that were cut off between the session's slot and the app's.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::state::{StateDelta, StateValue};
use sessiond_core::store::{Condition, SessionStore, StoreError, StoreRules};
use sessiond_redis::RedisStore;
use sessiond_tests::redis_server::RedisServer;

use super::{append, create, entry, json, key, read, said, set};

const APP: &str = "sd:{app}:a";
const HASH: &str = "sd:{app:user}:h:s";
const MARKS: &str = "sd:{app}:o";

/// A session whose last append was cut off before its change of the app's state was made: meanwhile
/// the key of that state cannot be written.
async fn cut_off(server: &RedisServer, value: u32) -> RedisStore {
    let store = server.store(StoreRules::default()).await;
    store.create(&key("s"), &[]).await.unwrap();
    let _: () = server.ask(&format!("SET {APP} blocked")).await;
    let event = set(&format!("cut-{value}"), &format!(r#"{{"app:k":{value},"k":{value}}}"#));
    let cut = append(&store, &key("s"), event).await;
    assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
    let _: i64 = server.ask(&format!("DEL {APP}")).await;
    assert!(is_pending(server).await);
    store
}

async fn is_pending(server: &RedisServer) -> bool {
    let fields: Vec<String> = server.ask(&format!("HKEYS {HASH}")).await;
    let outbox = fields.iter().any(|field| field.starts_with('x'));
    assert_eq!(outbox, fields.contains(&"#p".to_owned()));
    let marked: bool = server.ask(&format!("EXISTS {MARKS}")).await;
    assert!(marked || !outbox, "an outbox without a mark");
    outbox
}

async fn app_state(server: &RedisServer) -> Option<String> {
    let store = server.store(StoreRules::default()).await;
    json(store.app_state(key("s").app_key()).await.unwrap().get("k"))
}

async fn is_finished(server: &RedisServer, value: &str) {
    assert!(!is_pending(server).await);
    assert!(!server.keys().await.contains(&MARKS.to_owned()), "the mark is left");
    assert_eq!(app_state(server).await.as_deref(), Some(value));
}

#[tokio::test]
async fn a_read_finishes_it_and_shows_it() {
    let server = RedisServer::start().await;
    let store = cut_off(&server, 1).await;
    let state = read(&store, &key("s")).await.state;
    assert_eq!(json(state.app.get("k")).as_deref(), Some("1"));
    assert_eq!(json(state.session.get("k")).as_deref(), Some("1"));
    is_finished(&server, "1").await;
}

#[tokio::test]
async fn the_next_append_finishes_it() {
    let server = RedisServer::start().await;
    let store = cut_off(&server, 1).await;
    append(&store, &key("s"), said("next", "x")).await.unwrap();
    is_finished(&server, "1").await;
}

#[tokio::test]
async fn the_next_append_with_its_own_change_finishes_both_in_order() {
    let server = RedisServer::start().await;
    let store = cut_off(&server, 1).await;
    append(&store, &key("s"), set("next", r#"{"app:k":2}"#)).await.unwrap();
    is_finished(&server, "2").await;
}

#[tokio::test]
async fn the_same_append_again_finishes_it() {
    let server = RedisServer::start().await;
    let store = cut_off(&server, 1).await;
    let again = append(&store, &key("s"), set("cut-1", r#"{"app:k":1,"k":1}"#)).await.unwrap();
    assert!(again.outcomes[0].duplicate);
    is_finished(&server, "1").await;
}

#[tokio::test]
async fn the_look_up_of_a_retry_finishes_it() {
    let server = RedisServer::start().await;
    let store = cut_off(&server, 1).await;
    let (_, seen) = store.seen(&key("s"), &["cut-1"]).await.unwrap();
    assert!(seen[0].is_some());
    is_finished(&server, "1").await;
}

#[tokio::test]
async fn the_sweep_of_any_daemon_finishes_it() {
    let server = RedisServer::start().await;
    drop(cut_off(&server, 1).await);
    let other = server.store(StoreRules::default()).await;
    other.sweep().await.unwrap();
    is_finished(&server, "1").await;
    assert!(!server.keys().await.contains(&"sd:apps".to_owned()), "nothing is left to do");
}

/// Two were cut off: both are made, in order.
#[tokio::test]
async fn several_are_finished_in_order() {
    let server = RedisServer::start().await;
    drop(cut_off(&server, 1).await);
    let _: () = server.ask(&format!("SET {APP} blocked")).await;
    let store = server.store(StoreRules::default()).await;
    let cut = append(&store, &key("s"), set("second", r#"{"app:k":2,"app:l":2}"#)).await;
    assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
    let _: i64 = server.ask(&format!("DEL {APP}")).await;
    store.sweep().await.unwrap();
    is_finished(&server, "2").await;
}

/// What was written or removed later is not overwritten by what was left behind.
#[tokio::test]
async fn what_is_later_stays() {
    for later in [Some("3"), None] {
        let server = RedisServer::start().await;
        let store = cut_off(&server, 1).await;
        let delta = match later {
            Some(value) => {
                StateDelta::set([("app:k".to_owned(), StateValue::Json(value.to_owned()))])
            }
            None => StateDelta::remove("app:k".to_owned()),
        };
        store.change_app_state(key("s").app_key(), &delta).await.unwrap();
        let state = read(&store, &key("s")).await.state;
        assert_eq!(json(state.app.get("k")).as_deref(), later);
        assert!(!is_pending(&server).await);
        assert_eq!(app_state(&server).await.as_deref(), later);
        // When nothing earlier can come any more, the time of the removal is forgotten.
        store.sweep().await.unwrap();
        let left: bool = server.ask(&format!("EXISTS {APP}")).await;
        assert_eq!(left, later.is_some());
    }
}

/// A mark whose write never came stays while it may be under way, and then goes.
#[tokio::test]
async fn marks_without_a_write_go_in_time() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    create(&store, &key("s")).await;
    append(&store, &key("s"), set("1", r#"{"app:k":1}"#)).await.unwrap();
    let mut connection = server.connection().await;
    // Numbers of the year 1970, and of now.
    let old = format!("user:s:{:032x}", 0x7000_8000_0000_0000_0000_u128);
    let new = format!("user:s:{}", uuid_of_now());
    for mark in [&old, &new] {
        let _: i64 =
            redis::cmd("SADD").arg(MARKS).arg(mark).query_async(&mut connection).await.unwrap();
    }
    store.sweep().await.unwrap();
    let left: Vec<String> = server.ask(&format!("SMEMBERS {MARKS}")).await;
    assert_eq!(left, [new]);
    let apps: Vec<String> = server.ask("SMEMBERS sd:apps").await;
    assert_eq!(apps, ["app"]);
}

/// A version 7 UUID of now, without dashes.
fn uuid_of_now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{:012x}7000{:016x}", now.as_millis(), 0x8000_0000_0000_0000_u64)
}

/// A refused append leaves neither a change nor a mark.
#[tokio::test]
async fn refused_appends_leave_no_mark() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    let event = set("1", r#"{"app:k":1}"#);
    assert!(append(&store, &key("s"), event.clone()).await.is_err());
    create(&store, &key("s")).await;
    let condition = Condition { generation: Some(1), revision: None, lease: None };
    assert!(store.append(&key("s"), condition, &[entry(event)]).await.is_err());
    assert!(!server.keys().await.contains(&MARKS.to_owned()));
    assert_eq!(app_state(&server).await, None);
}

/// Daemons that stop at any point of an append: what is stored of their appends reaches the app.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_cut_off_reaches_the_app() {
    let server = RedisServer::start().await;
    let rules = StoreRules { event_limit: None, ..StoreRules::default() };
    let store = Arc::new(server.store(rules).await);
    create(&*store, &key("s")).await;
    for at in 0..200_u64 {
        let (store, event) =
            (store.clone(), set(&at.to_string(), &format!(r#"{{"app:k{at}":1}}"#)));
        let cut = async move { append(&*store, &key("s"), event).await };
        let _ = tokio::time::timeout(Duration::from_micros(at * 5), cut).await;
    }
    eventually_quiet(&*store).await;
    store.sweep().await.unwrap();
    let fields: Vec<String> = server.ask(&format!("HKEYS {HASH}")).await;
    assert!(!fields.iter().any(|field| field.starts_with('x')), "{fields:?}");
    let snapshot = read(&*store, &key("s")).await;
    let stored: Vec<String> =
        snapshot.entries.iter().map(|entry| format!("k{}", entry.event.id())).collect();
    assert!(!stored.is_empty());
    let state = store.app_state(key("s").app_key()).await.unwrap();
    assert_eq!(state.len(), stored.len());
    assert!(stored.iter().all(|key| state.contains_key(key)));
}

/// R11: connections that break at any point of an append, so that nobody knows whether it was made: what
/// is stored reaches the app, though each session is written once and never read before the sweep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_has_no_answer_reaches_the_app() {
    let server = RedisServer::start().await;
    let store = Arc::new(server.store(StoreRules::default()).await);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for at in 0..40 {
                let name = format!("w{writer}-{at}");
                let mut tries = 0;
                while store.create(&key(&name), &[]).await.is_err() {
                    tries += 1;
                    assert!(tries < 1_000);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let event = set(&name, &format!(r#"{{"app:{name}":1}}"#));
                // It is made, or not, or nobody knows.
                let _ = append(&*store, &key(&name), event).await;
            }
        });
    }
    while !writers.is_empty() {
        let _: i64 = server.ask("CLIENT KILL TYPE normal").await;
        let step = tokio::time::timeout(Duration::from_millis(2), writers.join_next()).await;
        if let Ok(Some(done)) = step {
            done.unwrap();
        }
    }
    let other = server.store(StoreRules::default()).await;
    other.sweep().await.unwrap();
    let app = other.app_state(key("s").app_key()).await.unwrap();
    let (mut stored, mut asked) = (0, 0);
    for writer in 0..8 {
        for at in 0..40 {
            let name = format!("w{writer}-{at}");
            let Some(snapshot) = other.read(&key(&name), super::ALL).await.unwrap() else {
                continue;
            };
            asked += 1;
            if !snapshot.entries.is_empty() {
                assert!(app.contains_key(&name), "{name} is stored, and its change is not made");
                stored += 1;
            }
        }
    }
    assert_eq!(asked, 320);
    assert_eq!(app.len(), stored);
}

/// Waits for what was sent before: replies come in order on each of the few connections.
async fn eventually_quiet(store: &dyn SessionStore) {
    for _ in 0..20 {
        store.ping().await.unwrap();
    }
}
