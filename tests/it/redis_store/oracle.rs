//! Random operations on both stores at once: after each, both must have given the same answer, and
//! Redis must hold what its rules say, and no more.

mod entries;
mod side;
mod step;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::Strategy;
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{Condition, NewEntry, SessionStore, StoreRules, TtlRefresh};
use sessiond_redis::{RedisConfig, Topology};
use sessiond_tests::redis_server::RedisServer;

use self::step::{Step, step};
use self::world::World;
use super::{create, entry, event, key, read, said};
use crate::property::{Property, one_of, percent};

const LIMITS: [Option<u64>; 8] =
    [None, Some(100), Some(20), Some(8), Some(5), Some(3), Some(2), Some(1)];

/// How many operations one case makes at most.
const STEPS: usize = 60;

/// The number of the next case, which no other has.
static CASE: AtomicU32 = AtomicU32::new(0);

/// A minute for sessions, two for users' state, three for apps'. No case takes that long.
fn rules() -> impl Strategy<Value = StoreRules> {
    (one_of(&LIMITS), percent(50), percent(30)).prop_map(|(event_limit, ends, read)| {
        let minutes = |count: u64| ends.then_some(Duration::from_secs(60 * count));
        StoreRules {
            event_limit,
            session_ttl: minutes(1),
            user_state_ttl: minutes(2),
            app_state_ttl: minutes(3),
            ttl_refresh: if read { TtlRefresh::Read } else { TtlRefresh::Write },
            ..StoreRules::default()
        }
    })
}

/// Runs cases, each under a prefix of its own.
fn check(property: &Property, server: &RedisServer, base: &RedisConfig, cases: u32) {
    let inputs = (rules(), vec(step(), 1..STEPS));
    property.check(cases, inputs, async |(rules, steps)| {
        let key_prefix = format!("p{}", CASE.fetch_add(1, Ordering::Relaxed));
        let config = RedisConfig { key_prefix, ..base.clone() };
        let redis = server.store_with(config.clone(), rules.clone()).await;
        let keys = server.keys_under(format!("{}:", config.key_prefix)).await;
        let mut world = World::new(EmbeddedStore::new(rules.clone()), redis, keys);
        run(&mut world, &rules, &steps).await
    });
}

async fn run(world: &mut World, rules: &StoreRules, steps: &[Step]) -> Result<(), String> {
    for (at, step) in steps.iter().enumerate() {
        let context = |wrong: String| format!("step {}, {step:?}:\n{wrong}", at + 1);
        world.apply(step).await.map_err(context)?;
        // The answers were the same; now and then, so must be all that is stored.
        if at % 4 == 3 || at + 1 == steps.len() {
            world.compare().await.map_err(context)?;
            world.check_times(rules).await.map_err(context)?;
        }
    }
    world.check_nothing_is_left().await
}

/// R99, R23, R30, R32: whatever is done, Redis answers as the embedded store does; every key of a session
/// lives as long as the others; and when the sessions are deleted, nothing of them is left.
#[test]
fn redis_answers_as_the_embedded_store_does() {
    let property = Property::new();
    let server = property.start(RedisServer::start());
    check(&property, &server, &RedisConfig::new(server.url()), 200);
    // The older protocol, for what stands between a daemon and Redis.
    let older = RedisConfig::new(format!("{}/?protocol=2", server.url()));
    check(&property, &server, &older, 10);
}

/// R45: a server in cluster mode refuses steps over keys of more than one slot, and there are none.
#[test]
fn no_step_leaves_its_slot() {
    let property = Property::new();
    let server = property.start(async {
        let options = ["--save", "", "--appendonly", "no", "--cluster-enabled", "yes"];
        let server = RedisServer::start_with(&options).await;
        let slots: Vec<String> = (0..16_384).map(|slot| slot.to_string()).collect();
        let _: () = server.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await;
        sessiond_tests::wait::eventually("the cluster is whole", async || {
            let info: String = server.ask("CLUSTER INFO").await;
            info.contains("cluster_state:ok").then_some(())
        })
        .await;
        server
    });
    let cluster = Topology::Cluster { nodes: vec![server.url()] };
    check(&property, &server, &RedisConfig::at(cluster), 30);
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
