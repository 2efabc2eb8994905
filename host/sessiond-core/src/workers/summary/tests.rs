use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::digest::Digest;
use crate::event::{Event, Received};
use crate::hook::chain::HookChain;
use crate::hook::{HookError, Purpose, Summarizer};
use crate::key::Subject;
use crate::store::embedded::EmbeddedStore;
use crate::store::{Condition, NewEntry, SessionStore, StoreRules};
use crate::summary::{Draft, SummaryJob};
use crate::time::{SystemClock, Time};
use crate::view::SessionView;

/// Sums up after a while, when it is allowed to.
#[derive(Debug)]
struct Slow {
    takes: Duration,
    calls: AtomicUsize,
    boundary: Option<u64>,
}

#[async_trait]
impl Summarizer for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn should_summarize(
        &self,
        _: &CallContext,
        _: &Subject,
        _: SessionView,
        job: SummaryJob,
    ) -> Result<bool, HookError> {
        Ok(job.backlog.turns > 1)
    }

    async fn summarize(
        &self,
        _: &CallContext,
        _: &Subject,
        mut view: SessionView,
        job: SummaryJob,
    ) -> Result<Draft, HookError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        let before = job.previous.map(|summary| summary.text).unwrap_or_default();
        let text = format!("{before}|{}", view.transcript(1_000));
        Ok(Draft { text, topics: vec!["t".to_owned()], last_sequence: self.boundary })
    }
}

struct Fixture {
    store: Arc<EmbeddedStore>,
    slow: Arc<Slow>,
    pool: SummaryPool,
    key: SessionKey,
    generation: u64,
}

async fn fixture(takes: Duration, limits: PoolLimits, boundary: Option<u64>) -> Fixture {
    let store = Arc::new(EmbeddedStore::new(StoreRules::default()));
    let slow = Arc::new(Slow { takes, calls: AtomicUsize::new(0), boundary });
    let work = SummaryWork {
        store: store.clone(),
        hooks: HookChain::new(Vec::new(), Vec::new(), 1_000),
        summarizer: slow.clone(),
        max_event_size: 1_000,
        clock: Arc::new(SystemClock),
    };
    let key = SessionKey::new("a", "u", "s").unwrap();
    let generation = store.create(&key, &[]).await.unwrap().unwrap().generation;
    Fixture { store, slow, pool: SummaryPool::start(work, limits), key, generation }
}

impl Fixture {
    async fn say(&self, texts: &[&str]) {
        let entries = texts.iter().map(|text| {
            let body = format!(r#"{{"role":"user","content":"{text}"}}"#);
            let received = Received { body, ..Received::default() };
            let event = Arc::new(Event::parse(received, Time::from_nanos(0), 1_000).unwrap());
            NewEntry::Event { event, digest: Digest::from_bytes([0; 16]) }
        });
        let entries: Vec<_> = entries.collect();
        self.store.append(&self.key, Condition::default(), &entries).await.unwrap();
    }

    fn request(&self, forced: bool) -> JobRequest {
        let call = CallContext::new(Purpose::Summary, "r");
        let (key, generation) = (self.key.clone(), self.generation);
        JobRequest { key, generation, filter_key: String::new(), forced, call }
    }

    async fn summary(&self) -> Option<(String, u64)> {
        let range = crate::store::Range {
            after: 0,
            before: None,
            limit: 0,
            prefer: crate::store::Prefer::Newest,
            with_state: false,
        };
        let snapshot = self.store.read(&self.key, range).await.unwrap()?;
        snapshot.summaries.first().map(|it| (it.text.clone(), it.last_sequence))
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_from_the_last_boundary() {
    let fixture = fixture(SECOND, PoolLimits::default(), None).await;
    let run = async |forced| fixture.pool.run(fixture.request(forced)).await.unwrap();
    assert_eq!(run(true).await, JobOutcome::NothingNew);
    fixture.say(&["1"]).await;
    assert_eq!(run(false).await, JobOutcome::NotDue);
    assert_eq!(run(true).await, JobOutcome::Stored { last_sequence: 1 });
    fixture.say(&["2", "3"]).await;
    assert_eq!(run(false).await, JobOutcome::Stored { last_sequence: 3 });
    assert_eq!(fixture.summary().await, Some(("|user: 1|user: 2\nuser: 3".to_owned(), 3)));
}

/// R65: the boundary goes only as far as the summarizer says, and the next job goes on from there.
#[tokio::test(start_paused = true)]
async fn a_boundary_may_be_earlier_but_not_elsewhere() {
    let limits = PoolLimits::default();
    let early = fixture(SECOND, limits, Some(2)).await;
    early.say(&["1", "2", "3"]).await;
    assert_eq!(
        early.pool.run(early.request(true)).await.unwrap(),
        JobOutcome::Stored { last_sequence: 2 }
    );
    let header = early.store.seen(&early.key, &[]).await.unwrap().0;
    assert_eq!(header.backlog().events, 1);
    let wild = fixture(SECOND, limits, Some(99)).await;
    wild.say(&["1"]).await;
    assert_eq!(wild.pool.run(wild.request(true)).await.unwrap_err().code(), "plugin_failed");
    assert_eq!(wild.summary().await, None);
}

/// R64: past its time a job writes nothing, though the summarizer would answer later.
#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_writes_nothing() {
    let limits = PoolLimits { job_timeout: SECOND, ..PoolLimits::default() };
    let fixture = fixture(SECOND * 2, limits, None).await;
    fixture.say(&["1"]).await;
    let outcome = fixture.pool.run(fixture.request(true)).await;
    assert_eq!(outcome.unwrap_err().code(), "summary_time_out");
    tokio::time::sleep(SECOND * 5).await;
    assert_eq!(fixture.summary().await, None);
}

/// R60: a session that was deleted, or created again, gets no summary of the old one.
#[tokio::test(start_paused = true)]
async fn a_summary_of_another_generation_is_not_stored() {
    let fixture = fixture(SECOND, PoolLimits::default(), None).await;
    fixture.say(&["1"]).await;
    let job = fixture.pool.run(fixture.request(true));
    let meanwhile = async {
        tokio::time::sleep(SECOND / 2).await;
        fixture.store.delete(&fixture.key).await.unwrap();
        fixture.store.create(&fixture.key, &[]).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(job, meanwhile);
    assert_eq!(outcome.unwrap_err().code(), "other_generation");
    assert_eq!(fixture.summary().await, None);
}

/// R63: of many triggers one job runs.
#[tokio::test(start_paused = true)]
async fn a_session_has_one_job_at_a_time() {
    let fixture = fixture(SECOND, PoolLimits::default(), None).await;
    fixture.say(&["1", "2"]).await;
    for _ in 0..50 {
        fixture.pool.offer(fixture.request(false));
    }
    // One that waits runs after the one that is queued, and finds nothing left to do.
    assert_eq!(fixture.pool.run(fixture.request(true)).await.unwrap(), JobOutcome::NothingNew);
    assert_eq!(fixture.slow.calls.load(Ordering::Relaxed), 1);
}

/// R69, R70: the queue is bounded, and stopping says what was left.
#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_drained() {
    let limits = PoolLimits { workers: 1, queue_size: 1, job_timeout: SECOND * 60 };
    let fixture = fixture(SECOND * 10, limits, None).await;
    fixture.say(&["1"]).await;
    let other = |name: &str| {
        let key = SessionKey::new("a", "u", name).unwrap();
        JobRequest { key, ..fixture.request(true) }
    };
    fixture.pool.queue(fixture.request(true)).unwrap();
    tokio::task::yield_now().await;
    fixture.pool.queue(other("x")).unwrap();
    assert_eq!(fixture.pool.queue(other("y")).unwrap_err().code(), "summary_queue_full");
    assert_eq!(fixture.pool.drain(SECOND).await, 2);
    assert_eq!(fixture.pool.queue(other("z")).unwrap_err().code(), "stopping");
    assert_eq!(fixture.summary().await, None);
}

#[tokio::test(start_paused = true)]
async fn stopping_in_time_finishes_what_is_queued() {
    let fixture = fixture(SECOND, PoolLimits::default(), None).await;
    fixture.say(&["1"]).await;
    fixture.pool.queue(fixture.request(true)).unwrap();
    assert_eq!(fixture.pool.drain(SECOND * 10).await, 0);
    assert_eq!(fixture.summary().await.unwrap().1, 1);
}
