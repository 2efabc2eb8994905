//! A server without memory: what is refused is not written in part, and all else goes on.

use std::collections::BTreeMap;

use sessiond_core::state::{StateDelta, StateValue};
use sessiond_core::store::{Condition, NewEntry, SessionStore, StoreError, StoreRules};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;
use sessiond_redis::{Error, RedisConfig, RedisStore};
use sessiond_tests::redis_server::RedisServer;

use super::{append, create, entry, key, limited, read, said, set, state_entry};

/// All keys and what they hold.
async fn dump(server: &RedisServer) -> BTreeMap<String, Vec<u8>> {
    let mut connection = server.connection().await;
    let mut all = BTreeMap::new();
    for key in server.keys().await {
        let held = redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap();
        all.insert(key, held);
    }
    all
}

fn is_full<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Full(_)))
}

/// R27: without memory every write that needs some is refused as a whole; reads, lists and deletes
/// go on; and with memory again, so do writes.
#[tokio::test]
async fn a_full_server_writes_all_or_nothing() {
    let server = RedisServer::start().await;
    let store = server.store(limited(4)).await;
    let generation = create(&store, &key("s")).await.generation;
    create(&store, &key("t")).await;
    // As many as the limit, so that the next append would rotate the ids first.
    for at in 0..4 {
        append(&store, &key("s"), set(&at.to_string(), r#"{"k":1,"user:k":1,"app:k":1}"#))
            .await
            .unwrap();
    }
    let _: () = server.ask("CONFIG SET maxmemory-policy noeviction").await;
    let _: () = server.ask("CONFIG SET maxmemory 1").await;
    let before = dump(&server).await;

    let full = append(&store, &key("s"), said("4", "x")).await;
    assert!(is_full(full));
    let full = append(&store, &key("s"), set("5", r#"{"k":2,"user:k":2}"#)).await;
    assert!(is_full(full));
    let full = append(&store, &key("s"), set("6", r#"{"app:k":2}"#)).await;
    assert!(is_full(full));
    let digest = entry(said("7", "x")).digest();
    let dropped = NewEntry::Dropped { id: "7".to_owned(), digest, by: "p".to_owned() };
    assert!(is_full(store.append(&key("s"), Condition::default(), &[dropped]).await));
    assert!(is_full(store.create(&key("u"), &[]).await));
    assert!(is_full(store.create(&key("u"), &[state_entry("app:k", "2")]).await));
    let summary = Summary {
        filter_key: String::new(),
        text: "x".to_owned(),
        topics: Vec::new(),
        first_sequence: 1,
        last_sequence: 2,
        unseen: None,
        updated_at: Time::from_nanos(1),
    };
    assert!(is_full(
        store
            .put_summary(&key("s"), super::version(generation), &summary, Backlog::default())
            .await
    ));
    for scope in ["user", "app"] {
        let value = StateValue::Json("2".to_owned());
        let delta = StateDelta::set([(format!("{scope}:k"), value)]);
        assert!(
            is_full(store.change_user_state(key("s").user_key(), &delta).await) || scope == "app"
        );
        assert!(
            is_full(store.change_app_state(key("s").app_key(), &delta).await) || scope == "user"
        );
    }
    assert_eq!(dump(&server).await, before, "something was written");

    let snapshot = read(&store, &key("s")).await;
    assert_eq!(snapshot.entries.len(), 4);
    assert_eq!(store.seen(&key("s"), &["0"]).await.unwrap().1.len(), 1);
    let again = append(&store, &key("s"), set("0", "{}")).await.unwrap();
    assert!(again.outcomes[0].duplicate, "a repeat needs no memory");
    assert_eq!(store.list(key("s").user_key(), 10, None).await.unwrap().sessions.len(), 2);
    store.ping().await.unwrap();
    store.delete(&key("t")).await.unwrap();

    let _: () = server.ask("CONFIG SET maxmemory 0").await;
    append(&store, &key("s"), said("4", "x")).await.unwrap();
    assert_eq!(store.list(key("s").user_key(), 10, None).await.unwrap().sessions.len(), 1);
}

/// A server that throws keys away is refused, if the configuration says so.
#[tokio::test]
async fn eviction_is_refused() {
    let server = RedisServer::start().await;
    let _: () = server.ask("CONFIG SET maxmemory-policy allkeys-lru").await;
    server.store(StoreRules::default()).await;
    let config = RedisConfig { require_noeviction: true, ..RedisConfig::new(server.url()) };
    let refused = RedisStore::connect(config.clone(), StoreRules::default()).await;
    assert!(matches!(refused, Err(Error::Eviction { .. })), "{refused:?}");
    let _: () = server.ask("CONFIG SET maxmemory-policy noeviction").await;
    server.store_with(config, StoreRules::default()).await;
}
