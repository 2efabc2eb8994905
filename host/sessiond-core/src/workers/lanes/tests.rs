use std::sync::Mutex;

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::event::editor::EventEditor;
use crate::event::{Received, StoredEvent};
use crate::hook::chain::HookChain;
use crate::hook::{AppendHook, HookError, Moments, OnError, Purpose, Returned};
use crate::key::Subject;
use crate::service::{ItemFate, Limits};
use crate::state::StateValue;
use crate::store::embedded::EmbeddedStore;
use crate::store::{Prefer, Range, SessionStore, StoreRules};
use crate::time::SystemClock;

/// Drops what says "drop", and notes what was stored.
#[derive(Debug, Default)]
struct Spy {
    stored: Mutex<Vec<String>>,
}

#[async_trait]
impl AppendHook for Spy {
    fn name(&self) -> &str {
        "spy"
    }

    fn moments(&self) -> Moments {
        Moments { before: true, after: true }
    }

    fn on_error(&self) -> OnError {
        OnError::Reject
    }

    async fn before_append(
        &self,
        _: &CallContext,
        _: &Subject,
        events: Vec<EventEditor>,
    ) -> Result<Vec<Returned>, HookError> {
        let kept =
            events.into_iter().enumerate().filter(|(_, event)| !event.body().contains("drop"));
        Ok(kept.map(|(at, event)| Returned { given: Some(at), event }).collect())
    }

    async fn after_append(
        &self,
        call: &CallContext,
        _: &Subject,
        events: Vec<StoredEvent>,
    ) -> Result<(), HookError> {
        let told = events.iter().map(|event| format!("{} {}", call.request_id, event.event.id()));
        self.stored.lock().unwrap().extend(told);
        Ok(())
    }
}

/// A journal in memory: what an earlier run has left is what was put there.
#[derive(Debug, Default)]
struct Paper {
    records: Mutex<Vec<(usize, u64, Vec<u8>)>>,
    forgotten: Mutex<Vec<u64>>,
}

#[async_trait]
impl Journal for Paper {
    fn id(&self) -> Uuid {
        Uuid::from_u128(7)
    }

    async fn append(&self, lane: usize, hash: u64, bytes: Vec<u8>) -> Result<u64, JournalError> {
        let mut records = self.records.lock().unwrap();
        records.push((lane, hash, bytes));
        Ok(records.len() as u64)
    }

    async fn read(
        &self,
        lane: usize,
        after: u64,
        most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
        let records = self.records.lock().unwrap();
        let found = (1..).zip(records.iter()).filter(|(at, it)| *at > after && it.0 == lane);
        Ok(found.take(most).map(|(at, (_, _, bytes))| (at, bytes.clone())).collect())
    }

    async fn forget(&self, _: usize, positions: Vec<u64>) -> Result<(), JournalError> {
        self.forgotten.lock().unwrap().extend(positions);
        Ok(())
    }

    async fn left(&self, lane: usize) -> Result<Vec<(u64, u64)>, JournalError> {
        let records = self.records.lock().unwrap();
        let found = (1..).zip(records.iter()).filter(|(_, it)| it.0 == lane);
        Ok(found.map(|(at, (_, hash, _))| (*hash, at)).collect())
    }

    async fn close(&self) {}
}

fn service(store: &Arc<EmbeddedStore>, spy: &Arc<Spy>) -> SessionService {
    let hooks = HookChain::new(vec![spy.clone()], Vec::new(), 1_000);
    let clock = Arc::new(SystemClock);
    let (store, limits) = (store.clone(), Limits::default());
    SessionService::new(store, hooks, None, limits, clock)
}

fn item(id: &str, text: &str) -> Received {
    let body = format!(r#"{{"role":"user","content":"{text}"}}"#);
    let state_delta = Some(format!(r#"{{"last":"{id}","user:seen":true}}"#));
    Received { body, id: Some(id.to_owned()), dialect: None, state_delta }
}

const ALL: Range =
    Range { after: 0, before: None, limit: 100, prefer: Prefer::Newest, with_state: true };

/// What hooks remove is in no lane and no journal; what they leave is written with its changes of
/// state, and the after-hooks see it with the request that it came with. It is the same whether the
/// lane gets it from memory, from the journal, or from the journal of an earlier run.
#[tokio::test]
async fn hooks_run_before_the_queue_and_after_the_write() {
    let key = SessionKey::new("a", "u", "s").unwrap();
    let paper = Arc::new(Paper::default());
    for (journaled, again) in [(false, false), (true, false), (true, true)] {
        let (store, spy) =
            (Arc::new(EmbeddedStore::new(StoreRules::default())), Arc::new(Spy::default()));
        store.create(&key, &[]).await.unwrap().unwrap();
        let service = service(&store, &spy);
        let journal = journaled.then(|| paper.clone() as Arc<dyn Journal>);
        if again {
            // The generation of the session is another in this store.
            let generation = store.seen(&key, &[]).await.unwrap().0.generation;
            for (_, _, bytes) in paper.records.lock().unwrap().iter_mut() {
                let mut record: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                record["generation"] = generation.into();
                *bytes = serde_json::to_vec(&record).unwrap();
            }
        }
        let lanes = Lanes::start(service.clone(), journal, LaneLimits::default()).await.unwrap();
        let service = service.with_lanes(Arc::new(lanes));
        let call = CallContext::new(Purpose::Append, "request-1");
        if !again {
            let items = vec![item("1", "one"), item("2", "drop my secret"), item("3", "three")];
            let reply = service.queue(&call, &key, Condition::default(), items).await.unwrap();
            let fates: Vec<_> = reply.items.into_iter().map(|(_, fate)| fate).collect();
            assert_eq!(fates, [None, Some(ItemFate::DroppedBy("spy".to_owned())), None]);
        }
        let left = service.lanes().unwrap().drain(Duration::from_secs(10)).await;
        assert_eq!(left.appends, 0);
        let read = store.read(&key, ALL).await.unwrap().unwrap();
        let ids: Vec<_> = read.entries.iter().map(|entry| entry.event.id()).collect();
        assert_eq!(ids, ["1", "3"]);
        assert_eq!(read.entries[0].event.body(), r#"{"role":"user","content":"one"}"#);
        let (last, seen) = (read.state.session.get("last"), read.state.user.get("seen"));
        assert_eq!(last, Some(&StateValue::Json("\"3\"".to_owned())));
        assert_eq!(seen, Some(&StateValue::Json("true".to_owned())));
        assert_eq!(*spy.stored.lock().unwrap(), ["request-1 1", "request-1 3"]);
    }
    let records = paper.records.lock().unwrap();
    let text = String::from_utf8(records[0].2.clone()).unwrap();
    assert!(text.contains("three") && !text.contains("secret"), "{text}");
    assert_eq!(*paper.forgotten.lock().unwrap(), [1, 1]);
}
