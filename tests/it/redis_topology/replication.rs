//! `wait_replicas`: what is acknowledged is on replicas.

use std::time::{Duration, Instant};

use sessiond_core::store::{SessionStore, StoreError, StoreRules};
use sessiond_redis::{RedisConfig, RedisStore};
use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;

use super::{PROMISE, append, key};

/// A master and a replica that is in step.
async fn pair() -> (RedisServer, RedisServer) {
    let options = ["--save", "", "--repl-diskless-sync-delay", "0"];
    let master = RedisServer::start_with(&options).await;
    let port = master.port().to_string();
    let replica = RedisServer::start_with(&["--save", "", "--replicaof", "127.0.0.1", &port]).await;
    eventually("the replica is in step", async || (master.replicas().await == 1).then_some(()))
        .await;
    (master, replica)
}

fn is_not_replicated<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotReplicated { wanted: 1, got: 0 }))
}

/// A write whose replica does not answer is not acknowledged, nor is its retry, until the replica
/// has it. Reads are not held up meanwhile, and the time-out holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_its_replica() {
    let (master, replica) = pair().await;
    let config = RedisConfig { wait_replicas: 1, ..RedisConfig::new(master.url()) };
    let store = RedisStore::connect(config, StoreRules::default()).await.unwrap();
    let key = key("u");
    store.create(&key, &[]).await.unwrap().expect("new");
    append(&store, &key, "1").await.unwrap();
    let there: u64 = replica.ask("EXISTS sd:{app:u}:h:s").await;
    assert_eq!(there, 1);

    replica.freeze();
    for _ in 0..2 {
        let begin = Instant::now();
        let writing = async { (append(&store, &key, "2").await, begin.elapsed()) };
        let reading = async {
            for _ in 0..20 {
                store.list(key.user_key(), 1, None).await.unwrap();
            }
            begin.elapsed()
        };
        let ((written, took), read) = tokio::join!(writing, reading);
        assert!(is_not_replicated(&written), "{written:?}");
        assert!(took < PROMISE, "{took:?}");
        assert!(read < Duration::from_millis(500), "{read:?}");
    }
    // The look-up of a retry tells of a write, so it waits too.
    assert!(is_not_replicated(&store.seen(&key, &["2"]).await));
    assert!(is_not_replicated(&store.delete(&key).await));
    replica.thaw();
    let again = append(&store, &key, "3").await;
    assert!(matches!(again, Err(StoreError::NotFound)), "the delete was made: {again:?}");
    store.create(&key, &[]).await.unwrap().expect("new");
    append(&store, &key, "2").await.unwrap();
    assert!(append(&store, &key, "2").await.unwrap().outcomes[0].duplicate);
}

/// Over HTTP it is 503 `not_replicated`, and the same request again is answered as a duplicate.
#[tokio::test]
async fn clients_are_told_to_try_again() {
    const SESSIONS: &str = "/v1/apps/a/users/u/sessions";
    let (master, replica) = pair().await;
    let config = format!("[redis]\nurl = {:?}\nwait_replicas = 1\n", master.url());
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let event = r#"{"id":"e1","event":{"role":"user","content":"hi"}}"#;
    let events = format!("{SESSIONS}/s/events");
    replica.freeze();
    for _ in 0..2 {
        let begin = Instant::now();
        let reply = client.post(&events, event).await.expect(503);
        assert_eq!(reply.code(), "not_replicated");
        assert_eq!((&reply.json()["wanted"], &reply.json()["got"]), (&1.into(), &0.into()));
        assert!(begin.elapsed() < PROMISE, "{:?}", begin.elapsed());
    }
    replica.thaw();
    let reply = client.post(&events, event).await.expect(200).json();
    assert_eq!(reply["items"][0]["duplicate"], true);
    let unwatched = format!("[redis]\nurl = {:?}\nwait_replicas = 2\n", master.url());
    let warned = Daemon::start(&unwatched).await.log();
    assert!(warned.contains("fewer replicas than `redis.wait_replicas`"), "{warned}");
}

/// What waiting costs, when many write at once: those who come together wait together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_wait_together() {
    let (master, _replica) = pair().await;
    for wait_replicas in [0, 1] {
        let config = RedisConfig { wait_replicas, ..RedisConfig::new(master.url()) };
        let config = RedisConfig { key_prefix: format!("w{wait_replicas}"), ..config };
        let store = RedisStore::connect(config, StoreRules::default()).await.unwrap();
        let store = std::sync::Arc::new(store);
        let begin = Instant::now();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..64 {
            let store = store.clone();
            writers.spawn(async move {
                let key = super::key(&format!("u{writer}"));
                store.create(&key, &[]).await.unwrap();
                for at in 0..50 {
                    append(&*store, &key, &at.to_string()).await.unwrap();
                }
            });
        }
        writers.join_all().await;
        println!("wait_replicas = {wait_replicas}: 3,264 writes of 64 in {:?}", begin.elapsed());
    }
    let told: String = master.ask("INFO commandstats").await;
    let waits = told.lines().find(|line| line.starts_with("cmdstat_wait:")).unwrap();
    let calls = waits.split(['=', ',']).nth(1).unwrap().parse::<u64>().unwrap();
    println!("{calls} times WAIT");
    assert!(calls < 3_264 / 4, "{waits}");
}
