//! A server that goes away, comes back, forgets or hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sessiond_core::store::{SessionStore, StoreError, StoreRules};
use sessiond_redis::{Error, RedisConfig, RedisStore};
use sessiond_tests::redis_server::{Data, RedisServer};
use sessiond_tests::wait::eventually;

use super::{append, create, ids, key, read, said, set};

/// What the daemon promises to its clients.
const PROMISE: Duration = Duration::from_secs(2);

/// Every operation is answered as unavailable, in time.
async fn is_unavailable(store: &dyn SessionStore) {
    let begin = Instant::now();
    let appended = append(store, &key("s"), set("x", r#"{"app:k":1}"#)).await;
    assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}");
    assert!(begin.elapsed() < PROMISE, "{:?}", begin.elapsed());
    let begin = Instant::now();
    let (key, other) = (key("s"), key("t"));
    let all = tokio::join!(
        store.read(&key, super::ALL),
        store.create(&other, &[]),
        store.seen(&key, &["x"]),
        store.list(key.user_key(), 10, None),
        store.ping(),
        store.delete(&key),
    );
    assert!(begin.elapsed() < PROMISE, "{:?}", begin.elapsed());
    assert!(matches!(all.0, Err(StoreError::Unavailable(_))), "{:?}", all.0);
    assert!(matches!(all.1, Err(StoreError::Unavailable(_))), "{:?}", all.1);
    assert!(matches!(all.2, Err(StoreError::Unavailable(_))), "{:?}", all.2);
    assert!(matches!(all.3, Err(StoreError::Unavailable(_))), "{:?}", all.3);
    assert!(matches!(all.4, Err(StoreError::Unavailable(_))), "{:?}", all.4);
    assert!(matches!(all.5, Err(StoreError::Unavailable(_))), "{:?}", all.5);
}

async fn is_back(store: &dyn SessionStore) {
    eventually("the store is back", async || store.ping().await.ok()).await;
}

/// R52: when the server is gone, every operation says so in time; when it is back with its data, all
/// goes on; when it is back without, all begins anew, with the same key for digests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_comes_back_with_the_server() {
    let options = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let mut server = RedisServer::start_with(&options).await;
    let store = server.store(StoreRules::default()).await;
    let digest_key = store.digest_key();
    create(&store, &key("s")).await;
    append(&store, &key("s"), said("1", "x")).await.unwrap();

    server.stop();
    for _ in 0..3 {
        is_unavailable(&store).await;
    }
    server.restart(Data::Kept).await;
    is_back(&store).await;
    append(&store, &key("s"), said("2", "x")).await.unwrap();
    assert_eq!(ids(&read(&store, &key("s")).await), ["1", "2"]);

    server.restart(Data::Wiped).await;
    is_back(&store).await;
    assert!(store.read(&key("s"), super::ALL).await.unwrap().is_none());
    create(&store, &key("s")).await;
    append(&store, &key("s"), said("1", "x")).await.unwrap();
    let kept: String = server.ask("HGET sd:schema digest_key").await;
    assert!(store.digest_key() == digest_key);
    let other = server.store(StoreRules::default()).await;
    assert!(other.digest_key() == digest_key, "{kept}");
}

/// After a wipe another daemon may have been first: its key counts.
#[tokio::test]
async fn after_a_wipe_the_first_key_counts() {
    let mut server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    server.restart(Data::Wiped).await;
    let first = server.store(StoreRules::default()).await;
    assert!(first.digest_key() != store.digest_key());
    is_back(&store).await;
    assert!(first.digest_key() == store.digest_key());
}

/// A server that was emptied without a break of the connections gets the schema again by the sweep.
#[tokio::test]
async fn the_sweep_writes_the_schema_again() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    let digest_key = store.digest_key();
    let _: () = server.ask("FLUSHALL").await;
    store.sweep().await.unwrap();
    assert_eq!(server.keys().await, ["sd:schema"]);
    assert!(server.store(StoreRules::default()).await.digest_key() == digest_key);
}

/// A server that hangs is as one that is gone, and connections that it does not answer are not used
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_not_waited_for() {
    let server = RedisServer::start().await;
    let store = Arc::new(server.store(StoreRules::default()).await);
    create(&*store, &key("s")).await;
    server.freeze();
    for _ in 0..2 {
        is_unavailable(&*store).await;
    }
    let mut many = tokio::task::JoinSet::new();
    let begin = Instant::now();
    for _ in 0..500 {
        let store = store.clone();
        many.spawn(async move { store.read(&key("s"), super::ALL).await.is_err() });
    }
    assert!(many.join_all().await.into_iter().all(|failed| failed));
    assert!(begin.elapsed() < PROMISE, "{:?}", begin.elapsed());
    server.thaw();
    is_back(&*store).await;
    // What was sent before may be done now, as it may after any time-out.
    store.create(&key("s"), &[]).await.unwrap();
    read(&*store, &key("s")).await;
    eventually("connections that were given up are closed", async || {
        let clients: String = server.ask("CLIENT LIST").await;
        (clients.lines().count() <= 6).then_some(())
    })
    .await;
}

/// R48: connections that the server closes while they are idle cost no request; those that break
/// under way cost those requests only, and a retry of them is stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_are_made_anew() {
    let server = RedisServer::start().await;
    let store =
        Arc::new(server.store(StoreRules { event_limit: None, ..StoreRules::default() }).await);
    create(&*store, &key("s")).await;
    for at in 0..20 {
        append(&*store, &key("s"), said(&format!("idle-{at}"), "x"))
            .await
            .expect("no request is lost");
        let _: i64 = server.ask("CLIENT KILL TYPE normal").await;
        // The news needs a moment to come over the socket.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for at in 0..50 {
                let event = said(&format!("{writer}-{at}"), "x");
                let mut tries = 0;
                while append(&*store, &key("s"), event.clone()).await.is_err() {
                    tries += 1;
                    assert!(tries < 1_000);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }
    while !writers.is_empty() {
        let _: i64 = server.ask("CLIENT KILL TYPE normal").await;
        let step = tokio::time::timeout(Duration::from_millis(5), writers.join_next()).await;
        if let Ok(Some(done)) = step {
            done.unwrap();
        }
    }
    is_back(&*store).await;
    let snapshot =
        eventually("a read", async || store.read(&key("s"), super::ALL).await.ok()).await.unwrap();
    assert_eq!(snapshot.entries.len(), 20 + 400);
}

/// R51: a server that has forgotten the scripts gets them again.
#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    create(&store, &key("s")).await;
    for at in 0..5 {
        let _: () = server.ask("SCRIPT FLUSH").await;
        append(&store, &key("s"), set(&at.to_string(), r#"{"app:k":1}"#)).await.unwrap();
        let _: () = server.ask("SCRIPT FLUSH").await;
        assert_eq!(store.list(key("s").user_key(), 10, None).await.unwrap().sessions.len(), 1);
    }
    assert_eq!(read(&store, &key("s")).await.entries.len(), 5);
}

/// A master that has become a replica refuses writes, and the store tries another connection.
#[tokio::test]
async fn a_replica_is_unavailable_for_writes() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    create(&store, &key("s")).await;
    let _: () = server.ask("CONFIG SET replica-serve-stale-data yes").await;
    let _: () = server.ask("REPLICAOF 127.0.0.1 1").await;
    let refused = append(&store, &key("s"), said("1", "x")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let _: () = server.ask("REPLICAOF NO ONE").await;
    append(&store, &key("s"), said("1", "x")).await.unwrap();
}

/// R52: an address that leads nowhere fails at start, soon, with one clear line.
#[tokio::test]
async fn a_wrong_address_fails_at_start() {
    let connect = async |url: &str| {
        let config = RedisConfig {
            connect_timeout: Duration::from_millis(300),
            ..RedisConfig::new(url.to_owned())
        };
        let begin = Instant::now();
        let error = RedisStore::connect(config, StoreRules::default()).await.unwrap_err();
        assert!(begin.elapsed() < PROMISE);
        error
    };
    let nobody = connect("redis://127.0.0.1:1").await;
    assert_eq!(nobody.to_string(), "there is no connection to Redis at 127.0.0.1:1");
    assert!(std::error::Error::source(&nobody).unwrap().to_string().contains("refused"));
    assert!(matches!(connect("http://127.0.0.1").await, Error::Url(_)));
    assert!(matches!(connect("redis://127.0.0.1:port").await, Error::Url(_)));
    // Somebody listens, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let error = connect(&format!("redis://user:secret@{address}")).await;
    assert_eq!(error.to_string(), format!("Redis at {address} did not answer within 300ms"));
}

/// The name of the connections shows in the server.
#[tokio::test]
async fn connections_have_a_name() {
    let server = RedisServer::start().await;
    let config = RedisConfig {
        client_name: Some("sessiond-1".to_owned()),
        ..RedisConfig::new(server.url())
    };
    let store = server.store_with(config.clone(), StoreRules::default()).await;
    store.ping().await.unwrap();
    let clients: String = server.ask("CLIENT LIST").await;
    assert!(clients.contains("name=sessiond-1"), "{clients}");
    let wrong = RedisConfig { client_name: Some("with space".to_owned()), ..config };
    let refused = RedisStore::connect(wrong, StoreRules::default()).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
}
