//! The store over Redis, on private servers.
//!
//! What it must answer is in the embedded store: [`oracle`] holds the two against each other. The
//! other files hold what only Redis can show: keys, times to live, outages, memory and cost.

mod claims;
mod concurrency;
mod cost;
mod deletion;
mod edits;
mod expiry;
mod isolation;
mod jobs;
mod memory;
mod oracle;
mod outage;
mod outbox;

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::digest::Digest;
use sessiond_core::event::{Event, Received};
use sessiond_core::key::SessionKey;
use sessiond_core::state::{StateDelta, StateValue};
use sessiond_core::store::{
    Appended, Condition, HistoryVersion, NewEntry, Prefer, Range, SessionHeader, SessionStore,
    Snapshot, StoreError, StoreRules,
};
use sessiond_core::time::Time;

/// The largest event of these tests.
const MAX_SIZE: usize = 1 << 24;

/// All entries, as far as a test has that many.
const ALL: Range =
    Range { after: 0, before: None, limit: 100_000, prefer: Prefer::Oldest, with_state: true };

fn key(session: &str) -> SessionKey {
    SessionKey::new("app", "user", session).unwrap()
}

fn limited(limit: u64) -> StoreRules {
    StoreRules { event_limit: Some(limit), ..StoreRules::default() }
}

fn living(ttl: Duration) -> StoreRules {
    StoreRules { session_ttl: Some(ttl), ..StoreRules::default() }
}

/// An event, with changes of state beside it.
fn event(id: &str, body: &str, state: Option<&str>) -> Arc<Event> {
    let received = Received {
        body: body.to_owned(),
        id: Some(id.to_owned()),
        dialect: None,
        state_delta: state.map(str::to_owned),
    };
    Arc::new(Event::parse(received, Time::from_nanos(1), MAX_SIZE).unwrap())
}

fn said(id: &str, text: &str) -> Arc<Event> {
    event(id, &format!(r#"{{"role":"user","content":"{text}"}}"#), None)
}

/// What one says, and changes of state.
fn set(id: &str, state: &str) -> Arc<Event> {
    event(id, r#"{"role":"assistant","content":"set"}"#, Some(state))
}

fn state_entry(key: &str, value: &str) -> Arc<Event> {
    let delta = StateDelta::set([(key.to_owned(), StateValue::Json(value.to_owned()))]);
    Arc::new(Event::of_state(delta, Time::from_nanos(1), MAX_SIZE).unwrap())
}

fn entry(event: Arc<Event>) -> NewEntry {
    NewEntry::Event { event, digest: Digest::from_bytes([7; 16]) }
}

/// The history of that session, before any edit.
fn version(generation: u64) -> HistoryVersion {
    HistoryVersion { generation, edits: 0 }
}

async fn create(store: &dyn SessionStore, key: &SessionKey) -> SessionHeader {
    store.create(key, &[]).await.unwrap().expect("a new session")
}

async fn append(
    store: &dyn SessionStore,
    key: &SessionKey,
    event: Arc<Event>,
) -> Result<Appended, StoreError> {
    store.append(key, Condition::default(), &[entry(event)]).await
}

async fn read(store: &dyn SessionStore, key: &SessionKey) -> Snapshot {
    store.read(key, ALL).await.unwrap().expect("the session")
}

fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.entries.iter().map(|entry| entry.event.id()).collect()
}

fn json(value: Option<&StateValue>) -> Option<String> {
    value.map(StateValue::to_json)
}
