//! R99: what agents do, replayed on the embedded store and on Redis. Both must come to the same; and a
//! replay with one write missing must be told from it, or the comparison would prove nothing.

mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sessiond_core::key::SessionKey;
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;
use sessiond_redis::RedisConfig;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::scenario::Target as _;
use sessiond_tests::scenario::service::ServiceTarget;

use self::cases::{Case, cases};

/// Where a case is replayed, each time with nothing in it.
enum Place<'a> {
    Embedded,
    Redis(&'a RedisServer, String),
}

impl Place<'_> {
    /// A store as of now: on Redis a new one, as another daemon has it.
    async fn store(&self, before: Option<Arc<dyn SessionStore>>) -> Arc<dyn SessionStore> {
        match (self, before) {
            (Self::Embedded, Some(store)) => store,
            (Self::Embedded, None) => Arc::new(EmbeddedStore::new(StoreRules::default())),
            (Self::Redis(server, prefix), _) => {
                let config =
                    RedisConfig { key_prefix: prefix.clone(), ..RedisConfig::new(server.url()) };
                Arc::new(server.store_with(config, StoreRules::default()).await)
            }
        }
    }
}

/// Replays a case, without the step of this number. Returns what is there in the end.
async fn replay(case: &Case, place: &Place<'_>, without: Option<usize>) -> Value {
    let mut store = place.store(None).await;
    for (at, step) in case.steps.iter().enumerate() {
        if Some(at) == without {
            continue;
        }
        match step["do"].as_str() {
            Some("reload") => store = place.store(Some(store)).await,
            Some("summary") => put_summary(&*store, step).await,
            Some("at_once") => {
                let target = ServiceTarget::new(store.clone());
                let one = run_all(&target, &step["one"]);
                let other = run_all(&target, &step["other"]);
                tokio::join!(one, other);
            }
            _ => run(&ServiceTarget::new(store.clone()), step).await,
        }
    }
    snapshot(store).await
}

async fn run_all(target: &ServiceTarget, steps: &Value) {
    for step in steps.as_array().into_iter().flatten() {
        run(target, step).await;
        tokio::task::yield_now().await;
    }
}

/// Does a step. What it needs may be missing, when a step before it was left out.
async fn run(target: &ServiceTarget, step: &Value) {
    let _ = target.run("app", step).await;
}

async fn put_summary(store: &dyn SessionStore, step: &Value) {
    let key = SessionKey::new("app", "u", "s").unwrap();
    let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
    let Ok((header, _)) = store.seen(&key, &[]).await else { return };
    let summary = Summary {
        filter_key: text("filter_key"),
        text: text("text"),
        topics: vec!["bikes".to_owned()],
        first_sequence: 1,
        last_sequence: step["last_seq"].as_u64().unwrap(),
        unseen: None,
        updated_at: Time::from_nanos(1),
    };
    store.put_summary(&key, header.version(), &summary, Backlog::default()).await.unwrap();
}

/// All that a client can read, without what is another each time: generations and the host's times.
/// Events of branches have no sequence here: branches write at once.
async fn snapshot(store: Arc<dyn SessionStore>) -> Value {
    let target = ServiceTarget::new(store);
    let read = |step: Value| {
        let target = &target;
        async move { target.run("app", &step).await.unwrap_or_else(Value::String) }
    };
    let mut sessions = BTreeMap::new();
    for name in ["s", "t"] {
        let step = json!({"do": "get", "session": name, "limit": 1_000, "window": "exact",
            "summary": "include"});
        let session = read(step).await;
        let mut branches: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in session["events"].as_array().into_iter().flatten() {
            let branch = event["event"]["branch"].as_str().unwrap_or_default();
            let sequence = if branch.is_empty() { event["seq"].clone() } else { Value::Null };
            let shown = json!([sequence, event["id"], event["dialect"], event["event"]]);
            branches.entry(branch.to_owned()).or_default().push(shown);
        }
        let turns = read(json!({"do": "get", "session": name, "limit": 4})).await;
        let turns = turns["events"].as_array().map(Vec::len);
        let shown = json!({"last": session["last_seq"], "revision": session["revision"],
            "branches": branches, "state": session["state"],
            "summaries": session["summaries"], "turns": turns});
        sessions.insert(name, shown);
    }
    let user = read(json!({"do": "state", "scope": "user"})).await;
    let app = read(json!({"do": "state", "scope": "app"})).await;
    json!({"sessions": sessions, "user": user, "app": app})
}

/// R99: every case comes to the same on both stores, and no write of it can be left out unnoticed.
#[tokio::test]
async fn replays_come_to_the_same() {
    let server = RedisServer::start().await;
    let mut number = 0;
    let mut place = || {
        number += 1;
        Place::Redis(&server, format!("p{number}"))
    };
    for case in cases() {
        let wanted = replay(&case, &Place::Embedded, None).await;
        assert!(wanted["sessions"]["s"]["last"].is_number(), "{}: {wanted:#}", case.name);
        let found = replay(&case, &place(), None).await;
        assert_eq!(found, wanted, "{}", case.name);
        for (at, step) in case.steps.iter().enumerate().filter(|(_, step)| is_write(step)) {
            let found = replay(&case, &place(), Some(at)).await;
            assert_ne!(found, wanted, "{}: nobody misses step {} {step}", case.name, at + 1);
        }
    }
}

/// Whether a step changes anything.
fn is_write(step: &Value) -> bool {
    step["do"] != "reload" && step["do"] != "get" && step["retry"] != true
}
