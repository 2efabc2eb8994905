//! Names and prefixes keep sessions apart.

use std::collections::BTreeSet;

use sessiond_core::key::{SessionKey, UserKey};
use sessiond_core::store::{KeyFilter, SessionStore, StoreRules};
use sessiond_redis::{Error, RedisConfig, RedisStore};
use sessiond_tests::redis_server::RedisServer;

use super::{append, create, ids, key, read, said, set};

const NASTY: [&str; 16] = [
    "a",
    "a:b",
    "b",
    "a%3Ab",
    "%",
    "%25",
    "{",
    "}",
    "{a}",
    "}:h:x",
    "*",
    "?[x]\\",
    " \n\0\r\n",
    "😀",
    "s:e:i",
    "...",
];

/// R54: names that a careless encoding would mix up stay apart, in every operation.
#[tokio::test]
async fn nasty_names_stay_apart() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    let mut all = BTreeSet::new();
    for app in NASTY.iter().step_by(3) {
        for user in NASTY.iter().step_by(2) {
            for session in NASTY {
                let key = SessionKey::new(*app, *user, session).unwrap();
                create(&store, &key).await;
                let whole = format!("{key:?}");
                append(&store, &key, said(&whole, "x")).await.unwrap();
                all.insert(key);
            }
        }
    }
    for key in &all {
        let snapshot = read(&store, key).await;
        assert_eq!(ids(&snapshot), [format!("{key:?}")]);
    }
    let (mut walked, mut cursor) = (BTreeSet::new(), None);
    loop {
        let (keys, next) = store.keys(&KeyFilter::default(), cursor).await.unwrap();
        walked.extend(keys);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(walked, all);
    let user = UserKey::new("a", "a").unwrap();
    let page = store.list(&user, 100, None).await.unwrap();
    let names: Vec<&str> = page.sessions.iter().map(|(name, _)| name.as_str()).collect();
    let newest_first: Vec<&str> = NASTY.iter().rev().copied().collect();
    assert_eq!(names, newest_first);
    for key in &all {
        store.delete(key).await.unwrap();
    }
    assert_eq!(server.keys().await, ["sd:schema"]);
}

/// Keys of state, ids and filter keys are any text, and never meet what the store itself keeps.
#[tokio::test]
async fn nasty_state_keys_and_ids_stay_apart() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    create(&store, &key("s")).await;
    let names = ["#n", "#g", "x1", "m", "b", "#", "s", "1:2", "-0", "\\u0000", "😀"];
    for (at, name) in names.iter().enumerate() {
        let state = format!(r#"{{"{name}":{at},"user:{name}":{at},"app:{name}":{at}}}"#);
        append(&store, &key("s"), set(name, &state)).await.unwrap();
    }
    let snapshot = read(&store, &key("s")).await;
    assert_eq!(ids(&snapshot), names);
    for scope in [&snapshot.state.session, &snapshot.state.user, &snapshot.state.app] {
        assert_eq!(scope.len(), names.len());
        for (at, name) in names.iter().enumerate() {
            let name = name.replace("\\u0000", "\0");
            assert_eq!(super::json(scope.get(&name)), Some(at.to_string()), "{name:?}");
        }
    }
}

/// R53: daemons with different prefixes never see each other's data.
#[tokio::test]
async fn prefixes_keep_daemons_apart() {
    let server = RedisServer::start().await;
    let mut stores = Vec::new();
    for prefix in ["", "p", "p:sd", "q*", "é"] {
        let config =
            RedisConfig { key_prefix: prefix.to_owned(), ..RedisConfig::new(server.url()) };
        stores.push((prefix, server.store_with(config, StoreRules::default()).await));
    }
    for (prefix, store) in &stores {
        create(store, &key("s")).await;
        append(
            store,
            &key("s"),
            set(&format!("of {prefix}"), &format!(r#"{{"user:k":"{prefix}","app:k":1}}"#)),
        )
        .await
        .unwrap();
    }
    for (prefix, store) in &stores {
        assert_eq!(ids(&read(store, &key("s")).await), [format!("of {prefix}")]);
        let (keys, _) = store.keys(&KeyFilter::default(), None).await.unwrap();
        assert_eq!(keys, [key("s")], "{prefix}");
        let page = store.list(key("s").user_key(), 10, None).await.unwrap();
        assert_eq!(page.sessions.len(), 1);
    }
    stores[1].1.delete(&key("s")).await.unwrap();
    for (prefix, store) in &stores {
        let there = store.read(&key("s"), super::ALL).await.unwrap().is_some();
        assert_eq!(there, *prefix != "p", "{prefix}");
    }
}

/// Braces in a prefix would choose the slot, so they are refused.
#[tokio::test]
async fn a_prefix_has_no_braces() {
    let config = RedisConfig { key_prefix: "a{b}".to_owned(), ..RedisConfig::new("redis://h") };
    let refused = RedisStore::connect(config, StoreRules::default()).await;
    assert!(matches!(refused, Err(Error::Prefix(_))), "{refused:?}");
}

/// All daemons on one Redis, and those after them, use the same key for digests; one with another
/// prefix has its own. R96: a layout that is not known is refused.
#[tokio::test]
async fn daemons_agree_on_the_schema() {
    let server = RedisServer::start().await;
    let one = server.store(StoreRules::default()).await;
    let other = server.store(StoreRules::default()).await;
    assert!(one.digest_key() == other.digest_key());
    let config = RedisConfig { key_prefix: "p".to_owned(), ..RedisConfig::new(server.url()) };
    assert!(
        server.store_with(config, StoreRules::default()).await.digest_key() != one.digest_key()
    );
    let _: i64 = server.ask("HSET sd:schema version 9").await;
    let refused = RedisStore::connect(RedisConfig::new(server.url()), StoreRules::default()).await;
    let text = refused.unwrap_err().to_string();
    assert_eq!(text, "the keys in Redis have layout 9: this version knows layout 4 only");
    // What is refused is not written over.
    let kept: String = server.ask("HGET sd:schema version").await;
    assert_eq!(kept, "9");
}
