//! Deleting leaves nothing, and what was created again is another session.

use sessiond_core::store::{Condition, SessionStore, StoreError};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;
use sessiond_tests::redis_server::RedisServer;

use super::{append, create, entry, key, limited, read, said, set};

fn summary() -> Summary {
    Summary {
        filter_key: String::new(),
        text: "so far".to_owned(),
        topics: Vec::new(),
        first_sequence: 1,
        last_sequence: 2,
        unseen: None,
        updated_at: Time::from_nanos(1),
    }
}

/// Whether any key, or any member of a list or set, names the session.
async fn is_named(server: &RedisServer, session: &str) -> bool {
    server.keys_under("").await.naming(session).await.is_some()
}

/// R30: after a delete no key names the session, whatever it had.
#[tokio::test]
async fn nothing_is_left_of_a_deleted_session() {
    let server = RedisServer::start().await;
    let store = server.store(limited(3)).await;
    let key = key("unmistakable");
    let generation = create(&store, &key).await.generation;
    for at in 0..8 {
        let state = format!(r#"{{"k{at}":1,"user:k":2,"app:k":3}}"#);
        append(&store, &key, set(&at.to_string(), &state)).await.unwrap();
    }
    store
        .put_summary(&key, super::version(generation), &summary(), Backlog::default())
        .await
        .unwrap();
    assert!(is_named(&server, "unmistakable").await);
    store.delete(&key).await.unwrap();
    assert!(!is_named(&server, "unmistakable").await);
    // To delete what is not there is no error.
    store.delete(&key).await.unwrap();
}

/// R31: writes for the session before are refused, and write nothing.
#[tokio::test]
async fn late_writes_are_refused() {
    let server = RedisServer::start().await;
    let store = server.store(limited(10)).await;
    let old = create(&store, &key("s")).await.generation;
    append(&store, &key("s"), said("1", "x")).await.unwrap();
    store.delete(&key("s")).await.unwrap();
    let condition = Condition { generation: Some(old), revision: None, lease: None };
    let entries = [entry(said("2", "x"))];
    let missing = store.append(&key("s"), condition, &entries).await;
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
    let missing =
        store.put_summary(&key("s"), super::version(old), &summary(), Backlog::default()).await;
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
    let new = create(&store, &key("s")).await.generation;
    assert_ne!(old, new);
    let late = store.append(&key("s"), condition, &entries).await;
    assert!(matches!(late, Err(StoreError::OtherGeneration { current }) if current == new));
    let late =
        store.put_summary(&key("s"), super::version(old), &summary(), Backlog::default()).await;
    assert!(matches!(late, Err(StoreError::OtherGeneration { current }) if current == new));
    let snapshot = read(&store, &key("s")).await;
    assert!(snapshot.entries.is_empty() && snapshot.summaries.is_empty());
    assert_eq!(snapshot.header.revision, 1);
}
