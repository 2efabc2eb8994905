//! What operations ask of Redis: never more because more is stored.

use std::collections::BTreeMap;

use sessiond_core::store::{Prefer, Range, SessionStore, StoreRules};
use sessiond_tests::redis_server::RedisServer;

use super::{append, create, key, living, read, said, set};

/// How often each command was called.
async fn calls(server: &RedisServer) -> BTreeMap<String, u64> {
    let stats: String = server.ask("INFO commandstats").await;
    let commands = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
    let commands = commands.filter_map(|line| {
        let (name, rest) = line.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    });
    // What the test itself asks does not count.
    let own = ["info", "hello", "client|setinfo", "client", "auth", "select"];
    commands.filter(|(name, _)| !own.contains(&name.as_str())).collect()
}

/// The calls that something makes.
async fn cost(server: &RedisServer, work: impl AsyncFnOnce()) -> BTreeMap<String, u64> {
    let before = calls(server).await;
    work().await;
    let mut after = calls(server).await;
    for (name, count) in &mut after {
        *count -= before.get(name).copied().unwrap_or(0);
    }
    after.retain(|_, count| *count > 0);
    after
}

/// R5: an append asks the same of Redis whether there are 10 events or 2,000.
#[tokio::test]
async fn an_append_costs_the_same_at_any_length() {
    let server = RedisServer::start().await;
    let minute = std::time::Duration::from_secs(60);
    for rules in [living(minute), StoreRules { event_limit: None, ..living(minute) }] {
        let store = server.store(rules.clone()).await;
        create(&store, &key("s")).await;
        let mut costs = Vec::new();
        for at in 1..=2_000 {
            let event = set(&at.to_string(), r#"{"k":1,"user:k":2}"#);
            let append = async || drop(append(&store, &key("s"), event).await.unwrap());
            if at == 10 || at == 2_000 {
                costs.push(cost(&server, append).await);
            } else {
                append().await;
            }
        }
        assert_eq!(costs[0], costs[1], "{rules:?}");
        assert_eq!(costs[0]["evalsha"], 1);
        assert!(costs[0].values().sum::<u64>() <= 24, "{:?}", costs[0]);
        store.delete(&key("s")).await.unwrap();
    }
}

/// R29: at the limit the number of keys and of what they hold stays the same.
#[tokio::test]
async fn a_session_at_its_limit_does_not_grow() {
    let server = RedisServer::start().await;
    let store = server.store(super::limited(100)).await;
    create(&store, &key("s")).await;
    for at in 0..1_000 {
        append(&store, &key("s"), set(&at.to_string(), r#"{"k":1}"#)).await.unwrap();
    }
    assert!(server.keys().await.iter().filter(|name| name.ends_with(":s")).count() <= 4);
    let stored: u64 = server.ask("LLEN sd:{app:user}:e:s").await;
    assert!((100..164).contains(&stored), "{stored}");
    for ids in ["i", "j"] {
        let count: u64 = server.ask(&format!("HLEN sd:{{app:user}}:{ids}:s")).await;
        assert!(count <= 100, "{count}");
    }
    let snapshot = read(&store, &key("s")).await;
    assert_eq!(snapshot.entries.len(), 100);
    assert_eq!(snapshot.header.first_sequence, 901);
}

/// R35 and R36: a read of the newest events asks for no more than it returns, however many there are.
#[tokio::test]
async fn a_read_costs_what_it_returns() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules { event_limit: None, ..StoreRules::default() }).await;
    let newest = Range { limit: 20, prefer: Prefer::Newest, with_state: false, ..super::ALL };
    let sent = async || {
        let stats: String = server.ask("INFO stats").await;
        let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse::<i64>().unwrap()
    };
    let mut costs = Vec::new();
    for (session, count) in [("short", 50), ("long", 2_000)] {
        create(&store, &key(session)).await;
        let text = "x".repeat(200);
        for at in 0..count {
            append(&store, &key(session), said(&at.to_string(), &text)).await.unwrap();
        }
        let before = sent().await;
        let asked = cost(&server, async || {
            let snapshot = store.read(&key(session), newest).await.unwrap().unwrap();
            assert_eq!(snapshot.entries.len(), 20);
        })
        .await;
        costs.push((asked, sent().await - before));
    }
    assert_eq!(costs[0].0, costs[1].0);
    assert!(!costs[0].0.keys().any(|name| name.starts_with("eval")), "{:?}", costs[0].0);
    assert!((costs[0].1 - costs[1].1).abs() < 1_000, "{costs:?}");
}

/// Reads find events among many changes of state, page by page.
#[tokio::test]
async fn events_are_found_among_changes_of_state() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules { event_limit: None, ..StoreRules::default() }).await;
    create(&store, &key("s")).await;
    for at in 0..20 {
        append(&store, &key("s"), said(&at.to_string(), "x")).await.unwrap();
        for _ in 0..40 {
            append(&store, &key("s"), super::state_entry("k", "1")).await.unwrap();
        }
    }
    for prefer in [Prefer::Newest, Prefer::Oldest] {
        let range = Range { limit: 10, prefer, with_state: false, ..super::ALL };
        let snapshot = store.read(&key("s"), range).await.unwrap().unwrap();
        let wanted = if prefer == Prefer::Newest { 10..20 } else { 0..10 };
        let wanted: Vec<String> = wanted.map(|at: u32| at.to_string()).collect();
        assert_eq!(super::ids(&snapshot), wanted);
    }
}

/// R38 and R37: a page of a list costs the same among few sessions or many, and never scans; pages
/// together are the whole list.
#[tokio::test]
async fn a_list_costs_what_it_returns() {
    let server = RedisServer::start().await;
    let store = server.store(living(std::time::Duration::from_secs(60))).await;
    let user = key("s").user_key().clone();
    let mut costs = Vec::new();
    for at in 0..1_500 {
        create(&store, &key(&format!("s{at}"))).await;
        if at == 40 {
            // Once, so that Redis knows the script.
            store.list(&user, 20, None).await.unwrap();
        }
        if at == 50 || at == 1_499 {
            costs.push(
                cost(&server, async || {
                    assert_eq!(store.list(&user, 20, None).await.unwrap().sessions.len(), 20);
                })
                .await,
            );
        }
    }
    assert_eq!(costs[0], costs[1]);
    assert!(!costs[0].contains_key("scan") && !costs[0].contains_key("keys"), "{:?}", costs[0]);
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(&user, 70, after).await.unwrap();
        names.extend(page.sessions.into_iter().map(|(name, _)| name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let wanted: Vec<String> = (0..1_500).rev().map(|at| format!("s{at}")).collect();
    assert_eq!(names, wanted);
}

/// Sessions that are over, in any number, neither show up in a list nor stop it.
#[tokio::test]
async fn a_list_passes_over_what_is_gone() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    create(&store, &key("oldest")).await;
    for at in 0..1_200 {
        create(&store, &key(&format!("s{at}"))).await;
    }
    create(&store, &key("newest")).await;
    for at in 0..1_200 {
        // As if Redis had thrown them away.
        let _: i64 = server.ask(&format!("DEL sd:{{app:user}}:h:s{at}")).await;
    }
    let page = store.list(key("s").user_key(), 2, None).await.unwrap();
    let names: Vec<&str> = page.sessions.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, page.next), (vec!["newest", "oldest"], None));
    let listed: i64 = server.ask("ZCARD sd:{app:user}:x").await;
    assert_eq!(listed, 2);
}
