use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::digest::Digest;
use crate::event::Received;
use crate::state::StateValue;
use crate::store::{Fate, Prefer};

#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Hand {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Time {
        Time::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

const TTL: Duration = Duration::from_secs(60);
const HALF: Duration = Duration::from_secs(31);

fn store(rules: StoreRules) -> (EmbeddedStore, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    clock.forward(Duration::from_secs(1_000_000));
    (EmbeddedStore::with_clock(rules, clock.clone()), clock)
}

fn key() -> SessionKey {
    SessionKey::new("a", "u", "s").unwrap()
}

fn entry(id: &str, body: &str) -> NewEntry {
    let received =
        Received { body: body.to_owned(), id: Some(id.to_owned()), ..Received::default() };
    let event = Event::parse(received, Time::from_nanos(0), 10_000).unwrap();
    NewEntry::Event { event: Arc::new(event), digest: Digest::from_bytes([1; 16]) }
}

fn said(id: &str) -> NewEntry {
    entry(id, r#"{"role":"user","content":"x"}"#)
}

async fn append(store: &EmbeddedStore, entries: &[NewEntry]) -> Result<Appended, StoreError> {
    store.append(&key(), Condition::default(), entries).await
}

const ALL: Range =
    Range { after: 0, before: None, limit: 1_000, prefer: Prefer::Newest, with_state: true };

async fn sequences(store: &EmbeddedStore) -> Vec<u64> {
    let snapshot = store.read(&key(), ALL).await.unwrap().unwrap();
    snapshot.entries.iter().map(|entry| entry.sequence).collect()
}

/// R26, R34: a session goes when nobody has written it for its time, and with it its place in the list.
#[tokio::test]
async fn a_session_expires_and_reading_keeps_it_only_if_so_configured() {
    for refresh in [TtlRefresh::Write, TtlRefresh::Read] {
        let rules =
            StoreRules { session_ttl: Some(TTL), ttl_refresh: refresh, ..StoreRules::default() };
        let (store, clock) = store(rules);
        store.create(&key(), &[]).await.unwrap().unwrap();
        clock.forward(HALF);
        append(&store, &[said("1")]).await.unwrap();
        clock.forward(HALF);
        let read = store.read(&key(), ALL).await.unwrap().unwrap();
        assert!(read.header.expires_at.is_some());
        clock.forward(HALF);
        let kept = refresh == TtlRefresh::Read;
        let list = store.list(key().user_key(), 10, None).await.unwrap();
        assert_eq!(list.sessions.len(), usize::from(kept));
        assert_eq!(store.read(&key(), ALL).await.unwrap().is_some(), kept);
        clock.forward(TTL);
        assert!(matches!(append(&store, &[said("2")]).await, Err(StoreError::NotFound)));
        assert!(store.create(&key(), &[]).await.unwrap().is_some());
        clock.forward(TTL);
        store.sweep().await.unwrap();
        assert!(store.keys(&KeyFilter::default(), None).await.unwrap().0.is_empty());
    }
}

#[tokio::test]
async fn shared_state_lives_by_its_own_time() {
    let rules = StoreRules {
        user_state_ttl: Some(TTL),
        app_state_ttl: Some(TTL * 2),
        ..StoreRules::default()
    };
    let (store, clock) = store(rules);
    let set = |key: &str| StateDelta::set([(key.to_owned(), StateValue::Null)]);
    store.change_user_state(key().user_key(), &set("user:k")).await.unwrap();
    store.change_app_state(key().app_key(), &set("app:k")).await.unwrap();
    clock.forward(HALF);
    store.create(&key(), &[]).await.unwrap();
    clock.forward(HALF);
    assert_eq!(store.user_state(key().user_key()).await.unwrap().len(), 1);
    clock.forward(HALF);
    append(&store, &[said("1")]).await.unwrap();
    let state = store.read(&key(), ALL).await.unwrap().unwrap().state;
    assert_eq!((state.user.len(), state.app.len()), (0, 1));
}

/// R57: a call that is never answered holds back the trimming for a bounded time.
#[tokio::test]
async fn an_open_call_is_given_up_with_age() {
    let rules =
        StoreRules { event_limit: Some(2), open_call_max_age: TTL, ..StoreRules::default() };
    let (store, clock) = store(rules);
    store.create(&key(), &[]).await.unwrap();
    let call = r#"{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}"#;
    append(&store, &[entry("1", call), said("2"), said("3")]).await.unwrap();
    assert_eq!(sequences(&store).await, [1, 2, 3]);
    clock.forward(TTL + HALF);
    let appended = append(&store, &[said("4")]).await.unwrap();
    assert_eq!(appended.given_up, 1);
    assert_eq!(sequences(&store).await, [3, 4]);
}

/// An id is remembered for at least as many further events as a session keeps, and a dropped one too.
#[tokio::test]
async fn ids_are_remembered_long_enough_and_not_for_ever() {
    let (store, _) = store(StoreRules { event_limit: Some(4), ..StoreRules::default() });
    store.create(&key(), &[]).await.unwrap();
    let dropped = NewEntry::Dropped {
        id: "d".to_owned(),
        digest: Digest::from_bytes([1; 16]),
        by: "p".to_owned(),
    };
    let first = append(&store, std::slice::from_ref(&dropped)).await.unwrap();
    assert_eq!((first.header.revision, first.header.last_sequence), (1, 0));
    for number in 0..40 {
        append(&store, &[said(&number.to_string())]).await.unwrap();
        for back in 0..=number.min(4) {
            let again = append(&store, &[said(&(number - back).to_string())]).await.unwrap();
            assert_eq!(again.outcomes[0].fate, Fate::Stored(number - back + 1));
            assert!(again.outcomes[0].duplicate);
        }
        if number < 4 {
            let again = append(&store, std::slice::from_ref(&dropped)).await.unwrap();
            assert_eq!(again.outcomes[0].fate, Fate::Dropped("p".to_owned()));
        }
    }
    let (_, seen) = store.seen(&key(), &["0", "d", "39"]).await.unwrap();
    assert_eq!(seen.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
}

/// R60, R61, R63: a summary is stored if it goes further, for the session that it was made of.
#[tokio::test]
async fn summaries_move_forward_only() {
    let (store, _) = store(StoreRules::default());
    let generation = store.create(&key(), &[]).await.unwrap().unwrap().generation;
    append(&store, &[said("1"), said("2")]).await.unwrap();
    let summary = |last_sequence| Summary {
        filter_key: String::new(),
        text: "t".to_owned(),
        topics: Vec::new(),
        first_sequence: 1,
        last_sequence,
        unseen: None,
        updated_at: Time::from_nanos(0),
    };
    let totals = Backlog { events: 2, tokens: 0, turns: 2 };
    let put = async |generation, last| {
        let seen = HistoryVersion { generation, edits: 0 };
        store.put_summary(&key(), seen, &summary(last), totals).await
    };
    assert_eq!(put(generation, 2).await.unwrap(), SummaryCommit::Stored);
    assert_eq!(put(generation, 2).await.unwrap(), SummaryCommit::Late);
    assert_eq!(put(generation, 1).await.unwrap(), SummaryCommit::Late);
    assert!(matches!(put(generation + 1, 3).await, Err(StoreError::OtherGeneration { .. })));
    let header = store.read(&key(), ALL).await.unwrap().unwrap().header;
    assert_eq!(header.backlog().events, 0);
    store.delete(&key()).await.unwrap();
    assert!(matches!(put(generation, 3).await, Err(StoreError::NotFound)));
}

/// Appends that are made as one step are answered as if each had been made by itself.
#[tokio::test]
async fn appends_together_are_answered_as_appends_apart() {
    let (together, apart) = (store(StoreRules::default()).0, store(StoreRules::default()).0);
    let batches: [&[NewEntry]; 4] =
        [&[said("a"), said("b")], &[said("a")], &[said("c")], &[said("d"), said("e")]];
    for store in [&together, &apart] {
        store.create(&key(), &[]).await.unwrap().unwrap();
        append(store, &[said("a")]).await.unwrap();
    }
    let condition = Condition::default();
    let answers = together.append_together(&key(), condition, &batches, None).await.unwrap();
    for (answer, batch) in answers.iter().zip(batches) {
        let alone = append(&apart, batch).await.unwrap();
        assert_eq!(answer.outcomes, alone.outcomes);
        assert_eq!(answer.header.last_sequence, alone.header.last_sequence);
    }
    let revisions: Vec<u64> = answers.iter().map(|answer| answer.header.revision).collect();
    assert_eq!(revisions, [3, 4, 5, 6]);
    let (header, _) = together.seen(&key(), &[]).await.unwrap();
    assert_eq!(header.revision, 6);
    let repeated = together.append_together(&key(), condition, &batches, None).await.unwrap();
    assert!(repeated.iter().all(|answer| answer.header.revision == 6));
}
