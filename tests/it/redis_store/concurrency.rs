//! Many writers at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessiond_core::digest::Digest;
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{
    Condition, JournalMark, NewEntry, Prefer, Range, SessionHeader, SessionStore, StoreError,
    StoreRules,
};
use sessiond_redis::RedisStore;
use sessiond_tests::redis_server::RedisServer;
use tokio::task::JoinSet;

use super::{append, create, entry, key, read, said, set};

fn unlimited() -> StoreRules {
    StoreRules { event_limit: None, ..StoreRules::default() }
}

/// Two daemons on one Redis.
async fn daemons(server: &RedisServer, rules: StoreRules) -> [Arc<RedisStore>; 2] {
    [Arc::new(server.store(rules.clone()).await), Arc::new(server.store(rules).await)]
}

/// R9: 16 writers of 50 events each: all are there once, and each writer's in its own order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_or_doubled() {
    let server = RedisServer::start().await;
    let stores = daemons(&server, unlimited()).await;
    create(&*stores[0], &key("s")).await;
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let store = stores[writer % 2].clone();
        writers.spawn(async move {
            for at in 0..50 {
                let done = append(&*store, &key("s"), said(&format!("{writer}-{at}"), "x")).await;
                assert!(!done.unwrap().outcomes[0].duplicate);
            }
        });
    }
    writers.join_all().await;
    let snapshot = read(&*stores[0], &key("s")).await;
    assert_eq!(snapshot.entries.len(), 800);
    assert_eq!(snapshot.header.revision, 801);
    let mut next = BTreeMap::new();
    for (at, entry) in snapshot.entries.iter().enumerate() {
        assert_eq!(entry.sequence, at as u64 + 1);
        let (writer, number) = entry.event.id().split_once('-').unwrap();
        let wanted = next.entry(writer.to_owned()).or_insert(0);
        assert_eq!(number.parse(), Ok(*wanted));
        *wanted += 1;
    }
}

/// R6: 32 writers of 100 changes of state each, on keys of their own, in all scopes: none is lost.
/// Nothing is left in an outbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_of_state_is_lost() {
    let server = RedisServer::start().await;
    let stores = daemons(&server, StoreRules::default()).await;
    for session in 0..4 {
        create(&*stores[0], &key(&format!("s{session}"))).await;
    }
    let mut writers = JoinSet::new();
    for writer in 0..32_usize {
        let store = stores[writer % 2].clone();
        writers.spawn(async move {
            let key = key(&format!("s{}", writer % 4));
            let scope = ["", "user:", "app:"][writer % 3];
            for at in 0..100 {
                let state =
                    format!(r#"{{"{scope}w{writer}-{at}":{at},"{scope}last{writer}":{at}}}"#);
                append(&*store, &key, set(&format!("{writer}-{at}"), &state)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let mut all = BTreeMap::new();
    for session in 0..4 {
        let state = read(&*stores[0], &key(&format!("s{session}"))).await.state;
        all.extend(state.merged());
    }
    assert_eq!(all.len(), 32 * 101);
    for writer in 0..32 {
        let last = all.iter().find(|(key, _)| key.ends_with(&format!("last{writer}"))).unwrap();
        assert_eq!(last.1.to_json(), "99");
    }
    assert!(!server.keys().await.contains(&"sd:{app}:o".to_owned()), "marks are left");
}

/// R8: whatever is written meanwhile, a read shows the state as of the last entry that it shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_of_one_moment() {
    let server = RedisServer::start().await;
    let stores = daemons(&server, StoreRules { event_limit: Some(10), ..unlimited() }).await;
    create(&*stores[0], &key("s")).await;
    let writer = stores[0].clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for at in 1..=400 {
            let state = format!(r#"{{"n":{at},"user:n":{at}}}"#);
            append(&*writer, &key("s"), set(&at.to_string(), &state)).await.unwrap();
        }
    });
    let newest = Range { limit: 3, prefer: Prefer::Newest, ..super::ALL };
    let mut last = 0;
    while last < 400 {
        let snapshot = stores[1].read(&key("s"), newest).await.unwrap().unwrap();
        let Some(entry) = snapshot.entries.last() else { continue };
        assert!(entry.sequence >= last);
        last = entry.sequence;
        assert_eq!(snapshot.header.last_sequence, last);
        assert_eq!(super::json(snapshot.state.session.get("n")), Some(last.to_string()));
        assert_eq!(super::json(snapshot.state.user.get("n")), Some(last.to_string()));
    }
    tasks.join_all().await;
}

/// R1 and R3: without a condition nobody is too late; with one, exactly one of those who saw the same
/// revision writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_saw_the_same_one_writes() {
    let server = RedisServer::start().await;
    let stores = daemons(&server, unlimited()).await;
    let header = create(&*stores[0], &key("s")).await;
    let mut writers = JoinSet::new();
    for writer in 0..20_usize {
        let store = stores[writer % 2].clone();
        let condition =
            Condition { generation: None, revision: Some(header.revision), lease: None };
        writers.spawn(async move {
            let entries = [entry(said(&writer.to_string(), "x"))];
            match store.append(&key("s"), condition, &entries).await {
                Ok(_) => 1,
                Err(StoreError::OtherRevision { current: 2, .. }) => 0,
                Err(other) => panic!("{other:?}"),
            }
        });
    }
    assert_eq!(writers.join_all().await.iter().sum::<i32>(), 1);
    append(&*stores[1], &key("s"), said("late", "x")).await.unwrap();
}

/// R10: the same append from many sides is stored once, and every answer has the same sequence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_from_many_sides_are_one() {
    let server = RedisServer::start().await;
    let stores = daemons(&server, unlimited()).await;
    create(&*stores[0], &key("s")).await;
    let mut writers = JoinSet::new();
    for writer in 0..20_usize {
        let store = stores[writer % 2].clone();
        writers.spawn(async move {
            let event = set("same", r#"{"app:n":1}"#);
            append(&*store, &key("s"), event).await.unwrap().outcomes.remove(0)
        });
    }
    let outcomes = writers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.duplicate).count(), 1);
    assert!(outcomes.iter().all(|outcome| outcome.fate == outcomes[0].fate));
    assert_eq!(read(&*stores[0], &key("s")).await.entries.len(), 1);
}

/// R49: 500 clients at once are all served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_are_served() {
    let server = RedisServer::start().await;
    let stores = daemons(&server, StoreRules::default()).await;
    let mut clients = JoinSet::new();
    for client in 0..500_usize {
        let store = stores[client % 2].clone();
        clients.spawn(async move {
            let key = key(&format!("s{client}"));
            create(&*store, &key).await;
            append(&*store, &key, set("1", r#"{"k":1,"user:k":2}"#)).await.unwrap();
            read(&*store, &key).await.entries.len()
        });
    }
    assert!(clients.join_all().await.into_iter().all(|entries| entries == 1));
    let connected: String = server.ask("INFO clients").await;
    let line = connected.lines().find_map(|line| line.strip_prefix("connected_clients:"));
    assert!(line.unwrap().trim().parse::<u32>().unwrap() <= 10, "{connected}");
}

/// Appends that are made as one step are answered as those of the reference, and the session remembers
/// how far it has come in which journal, whatever the appends are made of.
#[tokio::test]
async fn appends_together_are_as_in_the_reference() {
    let server = RedisServer::start().await;
    let redis = server.store(StoreRules::default()).await;
    let reference = EmbeddedStore::new(StoreRules::default());
    let stores: [&dyn SessionStore; 2] = [&redis, &reference];
    let dropped = |id: &str| NewEntry::Dropped {
        id: id.to_owned(),
        digest: Digest::from_bytes([7; 16]),
        by: "p".to_owned(),
    };
    let other = NewEntry::Event { event: said("a", "other"), digest: Digest::from_bytes([8; 16]) };
    let batches: Vec<Vec<Vec<NewEntry>>> = vec![
        vec![vec![entry(said("a", "x"))]],
        vec![vec![entry(set("b", r#"{"k":1,"user:k":2,"app:k":3}"#))]],
        vec![vec![dropped("c")]],
        vec![
            vec![entry(said("d", "x")), entry(said("e", "x"))],
            vec![entry(said("d", "x"))],
            vec![dropped("f")],
        ],
        vec![
            vec![entry(said("g", "x"))],
            vec![entry(set("h", r#"{"k":null}"#)), entry(said("i", "x"))],
        ],
        vec![vec![entry(said("a", "x"))]],
        vec![vec![entry(said("j", "x"))], vec![other]],
    ];
    for store in stores {
        create(store, &key("s")).await;
    }
    let journal = uuid::Uuid::from_u128(42);
    for (batch, position) in batches.iter().zip(1..) {
        let parts: Vec<&[NewEntry]> = batch.iter().map(Vec::as_slice).collect();
        let mark = Some(JournalMark { journal, position });
        let mut answers = Vec::new();
        for store in stores {
            let condition = Condition::default();
            let answer = store.append_together(&key("s"), condition, &parts, mark).await;
            answers.push(match answer {
                Ok(parts) => parts
                    .into_iter()
                    .map(|part| {
                        let SessionHeader { revision, last_sequence, .. } = part.header;
                        format!("{:?} {revision} {last_sequence}", part.outcomes)
                    })
                    .collect(),
                Err(error) => vec![error.to_string()],
            });
        }
        assert_eq!(answers[0], answers[1], "batch {position}");
        let known = redis.journal_position(&key("s"), journal).await.unwrap();
        // The last one was refused.
        assert_eq!(known, Some(position.min(6)));
    }
    assert_eq!(redis.journal_position(&key("s"), uuid::Uuid::from_u128(43)).await.unwrap(), None);
    let (left, right) = (read(&redis, &key("s")).await, read(&reference, &key("s")).await);
    assert_eq!(left.state, right.state);
    assert_eq!(left.header.revision, right.header.revision);
}
