//! Which slots keys are in.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sessiond_core::key::SessionKey;
use sessiond_core::state::{StateDelta, StateValue};
use sessiond_core::store::{KeyFilter, Prefer, Range, SessionStore, StoreRules};
use sessiond_redis::RedisStore;
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::scenario::all;
use sessiond_tests::scenario::service::ServiceTarget;
use tokio_stream::StreamExt;

use super::{append, cluster_config, key};

const ALL: Range =
    Range { after: 0, before: None, limit: 100_000, prefer: Prefer::Oldest, with_state: true };

/// R45: all keys that a script is given, and all that it uses, share one slot. The scenarios run
/// while a server tells what it is asked.
#[tokio::test]
async fn the_keys_of_a_script_share_a_slot() {
    let server = RedisServer::start().await;
    let teller = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut monitor = client.get_async_monitor().await.unwrap().into_on_message::<String>();
    let mut reading = tokio::task::JoinSet::new();
    reading.spawn(async move {
        let (mut scripts, mut keys) = (Vec::new(), BTreeSet::new());
        while let Some(line) = monitor.next().await {
            let words = words(&line);
            let name = words.first().map(String::as_str).unwrap_or_default();
            match name {
                "PING" if words.get(1).is_some_and(|word| word == "end") => break,
                "EVALSHA" | "EVAL" => {
                    scripts.push(std::mem::take(&mut keys));
                    let count: usize = words[2].parse().unwrap();
                    keys.extend(words[3..3 + count].iter().cloned());
                }
                // What a script asks of the server has `lua` in place of an address.
                _ if line.contains(" lua] ") && words.len() > 1 && !is_keyless(name) => {
                    keys.insert(words[1].clone());
                }
                _ => {}
            }
        }
        scripts.push(keys);
        scripts
    });
    for scenario in all() {
        let rules = StoreRules { event_limit: Some(scenario.event_limit), ..StoreRules::default() };
        let store = Arc::new(server.store(rules).await) as Arc<dyn SessionStore>;
        scenario.run(&ServiceTarget::new(store)).await;
    }
    let _: String = server.ask("PING end").await;
    let scripts = reading.join_next().await.unwrap().unwrap();
    assert!(scripts.len() > 50, "{}", scripts.len());
    let mut slots: HashMap<String, u16> = HashMap::new();
    let mut connection = teller.connection().await;
    for keys in &scripts {
        let mut found = BTreeSet::new();
        for key in keys {
            let slot = match slots.get(key) {
                Some(slot) => *slot,
                None => {
                    let mut asked = redis::cmd("CLUSTER");
                    asked.arg("KEYSLOT").arg(key);
                    asked.query_async(&mut connection).await.unwrap()
                }
            };
            slots.insert(key.clone(), slot);
            found.insert(slot);
        }
        assert!(found.len() <= 1, "{keys:?}");
    }
}

fn is_keyless(command: &str) -> bool {
    ["TIME", "PUBLISH"].iter().any(|name| name.eq_ignore_ascii_case(command))
}

/// The quoted words of a line of `MONITOR`.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, inside) {
            ('"', false) => inside = true,
            ('"', true) => {
                inside = false;
                words.push(std::mem::take(&mut word));
            }
            ('\\', true) => word.push(characters.next().unwrap_or_default()),
            (other, true) => word.push(other),
            _ => {}
        }
    }
    words
}

/// R46: the sessions of one app are spread over all masters, and each can be found again, also by
/// going through all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_one_app_are_spread_over_all_masters() {
    const SESSIONS: usize = 10_000;
    let cluster = RedisCluster::start().await;
    let store = RedisStore::connect(cluster_config(&cluster), StoreRules::default()).await.unwrap();
    let store = Arc::new(store);
    let begin = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..32 {
        let store = store.clone();
        writers.spawn(async move {
            for at in (writer..SESSIONS).step_by(32) {
                store.create(&key(&format!("user-{at}")), &[]).await.unwrap().expect("new");
            }
        });
    }
    writers.join_all().await;
    println!("{SESSIONS} sessions in {:?}", begin.elapsed());
    let mut counts = Vec::new();
    for master in cluster.masters().await {
        let keys: Vec<String> = cluster.nodes()[master].ask("KEYS sd:{*}:h:*").await;
        counts.push(keys.len());
    }
    assert_eq!(counts.iter().sum::<usize>(), SESSIONS, "{counts:?}");
    let (most, mean) = (*counts.iter().max().unwrap(), SESSIONS / counts.len());
    assert!(most * 10 <= mean * 13, "{counts:?}");

    let mut found: BTreeSet<SessionKey> = BTreeSet::new();
    let mut cursor = None;
    loop {
        let (keys, next) = store.keys(&KeyFilter::default(), cursor).await.unwrap();
        found.extend(keys);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), SESSIONS);
}

/// A slot that moves to another master, while it is written and read, costs no request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed() {
    let cluster = RedisCluster::start().await;
    let store = RedisStore::connect(cluster_config(&cluster), StoreRules::default()).await.unwrap();
    let store = Arc::new(store);
    let key = key("mover");
    store.create(&key, &[]).await.unwrap().expect("new");
    let delta = StateDelta::set([("user:k".to_owned(), StateValue::Json("1".to_owned()))]);
    store.change_user_state(key.user_key(), &delta).await.unwrap();
    let hash = "sd:{app:mover}:h:s";
    let from = cluster.master_of(hash).await;
    let to = cluster.masters().await.into_iter().find(|master| *master != from).unwrap();
    let slot: u16 = cluster.nodes()[from].ask(&format!("CLUSTER KEYSLOT {hash}")).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, stopped) = (store.clone(), stop.clone());
    let mut writer = tokio::task::JoinSet::new();
    writer.spawn(async move {
        let mut written = 0;
        while !stopped.load(Ordering::Relaxed) {
            append(&*writing, &super::key("mover"), &format!("e{written}"))
                .await
                .expect("no error");
            let read = writing.read(&super::key("mover"), ALL).await.expect("no error");
            written += 1;
            assert_eq!(read.expect("the session").entries.len(), written);
        }
        written
    });
    let (from, to) = (&cluster.nodes()[from], &cluster.nodes()[to]);
    let from_id: String = from.ask("CLUSTER MYID").await;
    let to_id: String = to.ask("CLUSTER MYID").await;
    let _: () = to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
    let _: () = from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
    loop {
        let keys: Vec<String> = from.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
        if keys.is_empty() {
            break;
        }
        for name in keys {
            let _: redis::Value =
                from.ask(&format!("MIGRATE 127.0.0.1 {} {name} 0 1000", to.port())).await;
        }
    }
    // Here the old one sends all who come on to the new one, which takes them only if they ask.
    assert_eq!(store.user_state(key.user_key()).await.unwrap().len(), 1);
    store.change_user_state(key.user_key(), &delta).await.unwrap();
    let _: () = to.ask(&format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    let _: () = from.ask(&format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    stop.store(true, Ordering::Relaxed);
    let written = writer.join_next().await.unwrap().unwrap();
    append(&*store, &key, "last").await.unwrap();
    let read = store.read(&key, ALL).await.unwrap().expect("the session");
    assert_eq!(read.entries.len(), written + 1);
}
