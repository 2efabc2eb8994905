//! What plugins keep, with a guest that does, in memory and in Redis.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sessiond_core::key::AppKey;
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::plugin::{Allowance, Bucket, Kept, PluginStore};
use sessiond_core::store::{StoreError, StoreRules};
use sessiond_redis::{RedisConfig, RedisStore, Topology};
use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;

const IMPORTS: [&str; 2] = ["wasi:config/store@0.2.0-rc.1", "wasi:keyvalue/store@0.2.0-draft"];
const GRANT: &str = "grants.keyvalue = { quota = \"1KiB\", keys = 10, ttl = \"1h\" }\n";

fn write(folder: &Path) -> PathBuf {
    let file = folder.join("keeps.wasm");
    std::fs::write(&file, wat::granted("keeps", &IMPORTS)).unwrap();
    file
}

/// A daemon whose append hook does one thing with what it keeps, and says what came of it.
async fn says(redis: &RedisServer, app: &str, action: &str, grants: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    let daemon = Daemon::start(&format!(
        "[redis]\nurl = {:?}\n[hooks]\nappend = [\"keeps\"]\n[plugins.keeps]\npath = {file:?}\n{grants}\
         [plugins.keeps.config]\ndo = {action:?}\n",
        redis.url()
    ))
    .await;
    let sessions = format!("/v1/apps/{app}/users/ann/sessions");
    daemon.client().post(&format!("{sessions}?if_exists=return"), r#"{"id":"s"}"#).await;
    let event = r#"{"role":"user","content":"x"}"#;
    let reply = daemon.client().post(&format!("{sessions}/s/events"), event).await;
    let reply = reply.expect(422).json();
    reply["rejection"].as_str().unwrap_or_default().to_owned()
}

/// What a guest keeps is there for the next one, for the same app only, until it is purged.
#[tokio::test]
async fn a_guest_keeps_values() {
    let redis = RedisServer::start().await;
    let value = "v".repeat(100);
    for (app, action, wanted) in [
        ("shop", "g", "none"),
        ("shop", "e", "no"),
        ("shop", "l", "none"),
        ("shop", "s", "set"),
        ("shop", "g", &value),
        ("shop", "e", "yes"),
        ("shop", "l", "k"),
        ("club", "g", "none"),
        ("shop", "d", "gone"),
        ("shop", "e", "no"),
        ("shop", "s", "set"),
        ("shop", "m", "09"),
        ("shop", "b", "a value has at most 1048576 bytes"),
    ] {
        let grants = GRANT.to_owned();
        assert_eq!(says(&redis, app, action, &grants).await, wanted, "{app} {action}");
    }
    let small = "grants.keyvalue = { quota = \"100B\" }\n";
    let told = says(&redis, "club", "s", small).await;
    assert_eq!(told, "the bucket is full: it may have 1000 keys and 100 bytes (`grants.keyvalue`)");

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("s.toml");
    std::fs::write(&config, format!("[redis]\nurl = {:?}\n", redis.url())).unwrap();
    let purge = async |name: &str| {
        let output = run(&["plugin", "purge", name, "--config", config.to_str().unwrap()]).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(purge("kee").await, "The plugin \"kee\" kept nothing.\n");
    assert!(redis.keys().await.iter().any(|key| key.contains(":p:keeps")));
    assert_eq!(
        purge("keeps").await,
        "The plugin \"keeps\" kept something for 1 app, which is gone.\n"
    );
    assert!(!redis.keys().await.iter().any(|key| key.contains(":p:")));
}

fn bucket(plugin: &str, app: &str) -> Bucket {
    Bucket { plugin: plugin.to_owned(), app: AppKey::new(app).unwrap() }
}

const ROOM: Allowance = Allowance { quota: 100, keys: 3, ttl: None };

/// Both stores keep to the same rules.
async fn rules(store: &dyn PluginStore) {
    let (one, other) = (bucket("p", "a:{b}"), bucket("p", "c"));
    let set = async |key: &str, bytes: usize, allowance: &Allowance| {
        store.set_value(&one, key, &vec![b'x'; bytes], allowance).await.unwrap()
    };
    assert_eq!(set("a", 99, &ROOM).await, Kept::Set);
    assert_eq!(set("b", 0, &ROOM).await, Kept::Over);
    assert_eq!(set("a", 100, &ROOM).await, Kept::Over);
    assert_eq!(store.value(&one, "a").await.unwrap().unwrap().len(), 99);
    // What takes the place of another needs no room beside it.
    assert_eq!(set("a", 50, &ROOM).await, Kept::Set);
    assert_eq!(set("b", 48, &ROOM).await, Kept::Set);
    assert_eq!(set("c", 0, &ROOM).await, Kept::Over);
    store.delete_value(&one, "b").await.unwrap();
    store.delete_value(&one, "b").await.unwrap();
    assert_eq!(set("b", 0, &ROOM).await, Kept::Set);
    assert_eq!(set("é%:", 0, &ROOM).await, Kept::Set);
    assert_eq!(set("d", 0, &ROOM).await, Kept::Over);
    let mut keys = store.value_keys(&one, 0).await.unwrap().keys;
    keys.sort();
    assert_eq!(keys, ["a", "b", "é%:"]);
    assert!(!store.has_value(&other, "a").await.unwrap());
    assert!(!store.has_value(&bucket("p2", "a:{b}"), "a").await.unwrap());

    // A time to live ends a value, and what is over makes room.
    let brief = Allowance { ttl: Some(Duration::from_millis(50)), ..ROOM };
    assert_eq!(set("a", 96, &brief).await, Kept::Over);
    assert_eq!(set("a", 90, &brief).await, Kept::Set);
    let gone = async || (!store.has_value(&one, "a").await.unwrap()).then_some(());
    eventually("the value is over", gone).await;
    assert_eq!(store.value(&one, "a").await.unwrap(), None);
    assert_eq!(set("d", 90, &ROOM).await, Kept::Set);
    let mut keys = store.value_keys(&one, 0).await.unwrap().keys;
    keys.sort();
    assert_eq!(keys, ["b", "d", "é%:"]);

    let many = Allowance { quota: 1 << 20, keys: 1_000, ttl: None };
    for number in 0..300 {
        let key = format!("key-{number:03}");
        store.set_value(&other, &key, b"v", &many).await.unwrap();
    }
    let (mut found, mut cursor) = (std::collections::BTreeSet::new(), 0);
    loop {
        let page = store.value_keys(&other, cursor).await.unwrap();
        assert!(page.keys.len() < 200);
        found.extend(page.keys);
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(found.len(), 300);
    assert_eq!(store.purge_plugin("p").await.unwrap(), 2);
    assert_eq!(store.value_keys(&one, 0).await.unwrap().keys, Vec::<String>::new());
}

#[tokio::test]
async fn the_embedded_store_keeps_to_the_rules() {
    rules(&EmbeddedStore::new(StoreRules::default())).await;
}

#[tokio::test]
async fn redis_keeps_to_the_rules() {
    let redis = RedisServer::start().await;
    rules(&redis.store(StoreRules::default()).await).await;
}

#[tokio::test]
async fn a_cluster_keeps_to_the_rules() {
    let cluster = RedisCluster::start().await;
    let config = RedisConfig::at(Topology::Cluster { nodes: cluster.urls() });
    let store = RedisStore::connect(config, StoreRules::default()).await.unwrap();
    rules(&store).await;
}

/// When the memory of Redis is full nothing is set, and what is there can be read and removed.
#[tokio::test]
async fn a_full_redis_still_lets_go() {
    let redis = RedisServer::start().await;
    let store = redis.store(StoreRules::default()).await;
    let (bucket, room) = (bucket("p", "a"), Allowance { quota: 1 << 20, keys: 10, ttl: None });
    store.set_value(&bucket, "k", b"v", &room).await.unwrap();
    let _: String = redis.ask("CONFIG SET maxmemory 1").await;
    let refused = store.set_value(&bucket, "l", b"v", &room).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    assert_eq!(store.value(&bucket, "k").await.unwrap(), Some(b"v".to_vec()));
    store.delete_value(&bucket, "k").await.unwrap();
    assert!(!store.has_value(&bucket, "k").await.unwrap());
}

/// The quota is part of the write: many at once do not pass it together.
#[tokio::test]
async fn a_quota_holds_under_contention() {
    let redis = RedisServer::start().await;
    let store = Arc::new(redis.store(StoreRules::default()).await);
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        writers.spawn(async move {
            let room = Allowance { quota: 1_000, keys: 100, ttl: Some(Duration::from_secs(60)) };
            let value = [b'x'; 97];
            store
                .set_value(&bucket("p", "a"), &format!("k{number:02}"), &value, &room)
                .await
                .unwrap()
        });
    }
    let kept = writers.join_all().await.into_iter().filter(|kept| *kept == Kept::Set).count();
    assert_eq!(kept, 10);
    // The bucket goes with the last of its values.
    for key in redis.keys().await.iter().filter(|key| key.contains(":p:")) {
        let left: i64 = redis.ask(&format!("PTTL {key}")).await;
        assert!((1..=60_000).contains(&left), "{key}: {left}");
    }
}
