//! Random operations on both stores at once: after each, both must have given the same answer.

mod step;
mod world;

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{Condition, NewEntry, SessionStore, StoreRules};
use sessiond_redis::{RedisConfig, Topology};
use sessiond_tests::redis_server::RedisServer;

use self::world::World;
use super::random::Random;
use super::{create, entry, event, key, read, said};

const LIMITS: [Option<u64>; 8] =
    [None, Some(1), Some(2), Some(3), Some(5), Some(8), Some(20), Some(100)];

/// How many operations one seed makes.
const STEPS: usize = 40;

async fn run(server: &RedisServer, base: &RedisConfig, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut random = Random::new(seed);
        let ttl = random.percent(50).then_some(Duration::from_secs(3_600));
        let rules = StoreRules {
            event_limit: *random.pick(&LIMITS),
            session_ttl: ttl,
            app_state_ttl: ttl,
            user_state_ttl: ttl,
            ..StoreRules::default()
        };
        let config = RedisConfig { key_prefix: format!("p{seed}"), ..base.clone() };
        let redis = server.store_with(config, rules.clone()).await;
        let mut world = World::new(EmbeddedStore::new(rules.clone()), redis, random);
        for step in 0..STEPS {
            let done = world.step().await;
            // The answers were the same; now and then, so must be all that is stored.
            if step % 4 == 3 {
                world.compare().await.unwrap_or_else(|difference| {
                    panic!("seed {seed}, step {step}: {done}, with {rules:?}\n{difference}")
                });
            }
        }
    }
}

/// R99: whatever is done, Redis answers as the embedded store does.
#[tokio::test]
async fn redis_answers_as_the_embedded_store_does() {
    let server = RedisServer::start().await;
    run(&server, &RedisConfig::new(server.url()), 0..250).await;
    // The older protocol, for what stands between a daemon and Redis.
    let older = RedisConfig::new(format!("{}/?protocol=2", server.url()));
    run(&server, &older, 250..270).await;
}

/// R45: a server in cluster mode refuses steps over keys of more than one slot, and there are none.
#[tokio::test]
async fn no_step_leaves_its_slot() {
    let options = ["--save", "", "--appendonly", "no", "--cluster-enabled", "yes"];
    let server = RedisServer::start_with(&options).await;
    let slots: Vec<String> = (0..16_384).map(|slot| slot.to_string()).collect();
    let _: () = server.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await;
    sessiond_tests::wait::eventually("the cluster is whole", async || {
        let info: String = server.ask("CLUSTER INFO").await;
        info.contains("cluster_state:ok").then_some(())
    })
    .await;
    let cluster = Topology::Cluster { nodes: vec![server.url()] };
    run(&server, &RedisConfig::at(cluster), 1_000..1_030).await;
}

/// Both stores, with nothing in them.
async fn both(server: &RedisServer, rules: StoreRules) -> [Arc<dyn SessionStore>; 2] {
    [Arc::new(EmbeddedStore::new(rules.clone())), Arc::new(server.store(rules).await)]
}

/// R57: more than 1,000 open calls never hold back the trimming, and those given up are counted.
#[tokio::test]
async fn too_many_open_calls_are_given_up() {
    let server = RedisServer::start().await;
    let mut answers = Vec::new();
    for store in both(&server, super::limited(2_000)).await {
        create(&*store, &key("s")).await;
        let mut given_up = Vec::new();
        for batch in 0..12 {
            let call = |at: u64| {
                let body = format!(
                    r#"{{"role":"assistant","tool_calls":[{{"id":"c{at}"}},{{"id":"d{at}"}}]}}"#
                );
                entry(event(&format!("e{at}"), &body, None))
            };
            let calls: Vec<NewEntry> = (batch * 50..batch * 50 + 50).map(call).collect();
            let done = store.append(&key("s"), Condition::default(), &calls).await.unwrap();
            given_up.push((done.given_up, done.header.first_sequence));
        }
        answers.push(given_up);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].iter().map(|(given_up, _)| given_up).sum::<u64>(), 200);
}

/// R56 and R57: an open call holds back the trimming until it is too old.
#[tokio::test]
async fn an_open_call_is_given_up_when_it_is_old() {
    let server = RedisServer::start().await;
    let age = Duration::from_millis(300);
    let rules = StoreRules { open_call_max_age: age, ..super::limited(2) };
    for store in both(&server, rules).await {
        create(&*store, &key("s")).await;
        let call = r#"{"role":"assistant","tool_calls":[{"id":"c"}]}"#;
        store
            .append(&key("s"), Condition::default(), &[entry(event("c", call, None))])
            .await
            .unwrap();
        for at in 0..2 {
            let done =
                super::append(&*store, &key("s"), said(&format!("{at}"), "x")).await.unwrap();
            assert_eq!((done.header.first_sequence, done.given_up), (1, 0), "{store:?}");
        }
        tokio::time::sleep(age + Duration::from_millis(5)).await;
        let done = super::append(&*store, &key("s"), said("last", "x")).await.unwrap();
        assert_eq!((done.header.first_sequence, done.given_up), (3, 1), "{store:?}");
        assert_eq!(super::ids(&read(&*store, &key("s")).await), ["1", "last"]);
    }
}

/// A large batch, with more ids and state keys than one command takes.
#[tokio::test]
async fn large_batches_are_one_step() {
    let server = RedisServer::start().await;
    let mut answers = Vec::new();
    for store in both(&server, super::limited(700)).await {
        create(&*store, &key("s")).await;
        let state: Vec<String> = (0..1_500).map(|at| format!(r#""k{at}":{at}"#)).collect();
        let state = format!("{{{}}}", state.join(","));
        let mut entries: Vec<NewEntry> =
            (0..2_500).map(|at| entry(said(&format!("e{at}"), "x"))).collect();
        entries.push(entry(super::set("state", &state)));
        let done = store.append(&key("s"), Condition::default(), &entries).await.unwrap();
        assert_eq!(done.header.last_sequence, 2_501);
        let again = store.append(&key("s"), Condition::default(), &entries[1_900..]).await.unwrap();
        let repeated = again.outcomes.iter().filter(|outcome| outcome.duplicate).count();
        let snapshot = read(&*store, &key("s")).await;
        let first = snapshot.entries.first().map(|entry| entry.sequence);
        answers.push((snapshot.entries.len(), first, snapshot.state.session.len(), repeated));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], (700, Some(1_802), 1_500, 601));
}
