mod shown;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::event::Received;
use crate::hook::chain::HookChain;
use crate::hook::{HookError, Rejection, Summarizer};
use crate::key::Subject;
use crate::service::{Limits, SessionService};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Condition, SessionStore, StoreRules};
use crate::summary::{Draft, Summary, SummaryJob, Thresholds};
use crate::time::SystemClock;
use crate::view::SessionView;

/// Sums up after a while, when it is allowed to.
#[derive(Debug, Default)]
struct Slow {
    takes: Duration,
    /// The first calls fail, so many.
    fails: usize,
    boundary: Option<u64>,
    /// Filter key, first and last sequence, and attempt of each call.
    calls: Mutex<Vec<(String, u64, u64, u32)>>,
    finished: AtomicUsize,
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
        Ok(job.backlog.turns > 1 || job.previous.is_some())
    }

    async fn summarize(
        &self,
        call: &CallContext,
        _: &Subject,
        mut view: SessionView,
        job: SummaryJob,
    ) -> Result<Draft, HookError> {
        let made = {
            let mut calls = self.calls.lock().unwrap();
            let (first, last) = (job.first_sequence, job.last_sequence);
            calls.push((job.filter_key.clone(), first, last, call.attempt));
            calls.len()
        };
        tokio::time::sleep(self.takes).await;
        self.finished.fetch_add(1, Ordering::Relaxed);
        if made <= self.fails {
            let (kind, text) = (RejectionKind::Unavailable, "busy".to_owned());
            return Err(HookError::Rejected(Rejection { kind, text }));
        }
        let before = job.previous.map(|summary| summary.text).unwrap_or_default();
        let text = format!("{before}|{}", view.transcript(1_000));
        Ok(Draft { text, topics: vec!["t".to_owned()], last_sequence: self.boundary })
    }
}

struct Fixture {
    store: Arc<EmbeddedStore>,
    slow: Arc<Slow>,
    pool: Arc<SummaryPool>,
    service: SessionService,
    key: SessionKey,
    generation: u64,
}

fn start(
    store: &Arc<EmbeddedStore>,
    slow: &Arc<Slow>,
    limits: PoolLimits,
    rules: SummaryRules,
) -> Arc<SummaryPool> {
    start_with(store, slow, limits, rules, no_hooks())
}

fn no_hooks() -> HookChain {
    HookChain::new(Vec::new(), Vec::new(), 1_000)
}

fn start_with(
    store: &Arc<EmbeddedStore>,
    slow: &Arc<Slow>,
    limits: PoolLimits,
    rules: SummaryRules,
    hooks: HookChain,
) -> Arc<SummaryPool> {
    let work = SummaryWork {
        store: store.clone(),
        hooks,
        summarizer: slow.clone(),
        max_event_size: 1_000,
        rules,
        clock: Arc::new(SystemClock),
    };
    let queue = Arc::new(LocalQueue::new(limits.queue_size));
    Arc::new(SummaryPool::start(work, queue, limits))
}

async fn ruled(slow: Slow, limits: PoolLimits, rules: SummaryRules) -> Fixture {
    hooked(slow, limits, rules, no_hooks()).await
}

/// With hooks on what jobs read.
async fn hooked(slow: Slow, limits: PoolLimits, rules: SummaryRules, hooks: HookChain) -> Fixture {
    in_store(StoreRules::default(), slow, limits, rules, hooks).await
}

async fn in_store(
    store: StoreRules,
    slow: Slow,
    limits: PoolLimits,
    rules: SummaryRules,
    hooks: HookChain,
) -> Fixture {
    let store = Arc::new(EmbeddedStore::new(store));
    let slow = Arc::new(slow);
    let pool = start_with(&store, &slow, limits, rules, hooks);
    let (summaries, clock) = (Some(pool.clone()), Arc::new(SystemClock));
    let service =
        SessionService::new(store.clone(), no_hooks(), summaries, Limits::default(), clock);
    let key = SessionKey::new("a", "u", "s").unwrap();
    let generation = store.create(&key, &[]).await.unwrap().unwrap().generation;
    Fixture { store, slow, pool, service, key, generation }
}

async fn fixture(takes: Duration, limits: PoolLimits, boundary: Option<u64>) -> Fixture {
    let slow = Slow { takes, boundary, ..Slow::default() };
    ruled(slow, limits, SummaryRules::default()).await
}

/// Due above so many events, from the first turn on.
fn above(min_events: u64) -> SummaryRules {
    let thresholds = Thresholds { min_events, min_tokens: 1_000_000, min_turns: 1 };
    SummaryRules { thresholds, ..SummaryRules::default() }
}

impl Fixture {
    async fn append(&self, bodies: Vec<String>) -> Result<(), Error> {
        let items = bodies.into_iter().map(|body| Received { body, ..Received::default() });
        let call = CallContext::new(Purpose::Append, "r");
        let appended =
            self.service.append(&call, &self.key, Condition::default(), items.collect()).await;
        appended.map(drop)
    }

    async fn say(&self, texts: &[&str]) {
        let body = |text: &&str| format!(r#"{{"role":"user","content":"{text}"}}"#);
        self.append(texts.iter().map(body).collect()).await.unwrap();
    }

    async fn say_in(&self, branch: &str, count: usize) {
        let body = format!(
            r#"{{"version":1,"filterKey":"{branch}","choices":[{{"message":{{"role":"user","content":"x"}}}}]}}"#
        );
        self.append(vec![body; count]).await.unwrap();
    }

    fn request(&self, forced: bool) -> JobRequest {
        let call = CallContext::new(Purpose::Summary, "r");
        let (key, generation) = (self.key.clone(), self.generation);
        let cause = Cause::Asked { forced };
        JobRequest { key, generation, filter_key: String::new(), cause, call }
    }

    fn other(&self, name: &str) -> JobRequest {
        JobRequest { key: SessionKey::new("a", "u", name).unwrap(), ..self.request(true) }
    }

    async fn summary_of(&self, branch: &str) -> Option<(String, u64)> {
        let summary = self.stored(branch).await?;
        Some((summary.text, summary.last_sequence))
    }

    async fn stored(&self, branch: &str) -> Option<Summary> {
        let range = crate::store::Range {
            after: 0,
            before: None,
            limit: 0,
            prefer: crate::store::Prefer::Newest,
            with_state: false,
        };
        let snapshot = self.store.read(&self.key, range).await.unwrap()?;
        snapshot.summaries.into_iter().find(|it| it.filter_key == branch)
    }

    async fn summary(&self) -> Option<(String, u64)> {
        self.summary_of("").await
    }

    fn calls(&self) -> Vec<(String, u64, u64, u32)> {
        self.slow.calls.lock().unwrap().clone()
    }

    async fn outcome(&self, name: &str) -> u64 {
        self.pool.status().await.outcomes.get(name).copied().unwrap_or_default()
    }

    /// Waits until nothing waits and nothing runs.
    async fn settle(&self) {
        loop {
            tokio::time::sleep(SECOND / 10).await;
            let status = self.pool.status().await;
            let depth = status.depth.unwrap();
            if depth.waiting + depth.running + status.running == 0 {
                return;
            }
        }
    }
}

fn stored(last_sequence: u64) -> JobOutcome {
    JobOutcome::Stored { last_sequence, more: false }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_from_the_last_boundary() {
    let fixture = fixture(SECOND, PoolLimits::default(), None).await;
    let run = async |forced| fixture.pool.run(fixture.request(forced)).await.unwrap();
    assert_eq!(run(true).await, JobOutcome::NothingNew);
    fixture.say(&["1"]).await;
    assert_eq!(run(false).await, JobOutcome::NotDue);
    assert_eq!(run(true).await, stored(1));
    fixture.say(&["2", "3"]).await;
    assert_eq!(run(false).await, stored(3));
    assert_eq!(fixture.summary().await, Some(("|user: 1|user: 2\nuser: 3".to_owned(), 3)));
}

/// R65: the boundary goes only as far as the summarizer says, and the next job goes on from there.
#[tokio::test(start_paused = true)]
async fn a_boundary_may_be_earlier_but_not_elsewhere() {
    let limits = PoolLimits::default();
    let early = fixture(SECOND, limits, Some(2)).await;
    early.say(&["1", "2", "3"]).await;
    assert_eq!(early.pool.run(early.request(true)).await.unwrap(), stored(2));
    let header = early.store.seen(&early.key, &[]).await.unwrap().0;
    assert_eq!(header.backlog().events, 1);
    let wild = fixture(SECOND, limits, Some(99)).await;
    wild.say(&["1"]).await;
    assert_eq!(wild.pool.run(wild.request(true)).await.unwrap_err().code(), "plugin_failed");
    assert_eq!(wild.summary().await, None);
}

/// R62, R65: what does not fit at once is taken in parts, one right after the other, without a gap
/// and without being asked for.
#[tokio::test(start_paused = true)]
async fn a_long_backlog_takes_several_jobs() {
    let rules = SummaryRules { input_tokens: 20, ..SummaryRules::default() };
    let fixture = ruled(Slow::default(), PoolLimits::default(), rules).await;
    let text = "x".repeat(32);
    fixture.say(&[text.as_str(); 7]).await;
    let first = fixture.pool.run(fixture.request(true)).await.unwrap();
    assert_eq!(first, JobOutcome::Stored { last_sequence: 2, more: true });
    fixture.settle().await;
    let parts: Vec<_> = fixture.calls().iter().map(|(_, first, last, _)| (*first, *last)).collect();
    assert_eq!(parts, [(1, 2), (3, 4), (5, 6), (7, 7)]);
    assert_eq!(fixture.summary().await.unwrap().1, 7);
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

/// R64: a session that is deleted ends its job at once.
#[tokio::test(start_paused = true)]
async fn a_deleted_session_stops_its_job() {
    let fixture = fixture(SECOND * 30, PoolLimits::default(), None).await;
    fixture.say(&["1"]).await;
    let job = fixture.pool.run(fixture.request(true));
    let deletion = async {
        tokio::time::sleep(SECOND).await;
        fixture.service.delete(&fixture.key).await.unwrap();
    };
    let begin = Instant::now();
    let (outcome, ()) = tokio::join!(job, deletion);
    assert_eq!(outcome.unwrap(), JobOutcome::Cancelled);
    assert_eq!(begin.elapsed().as_secs(), 1);
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(fixture.slow.finished.load(Ordering::Relaxed), 0);
}

/// R64: it does so through another daemon, as soon as the claim is to last longer.
#[tokio::test(start_paused = true)]
async fn a_session_that_others_delete_stops_its_job() {
    let fixture = fixture(SECOND * 30, PoolLimits::default(), None).await;
    fixture.say(&["1"]).await;
    let job = fixture.pool.run(fixture.request(true));
    let deletion = async {
        tokio::time::sleep(SECOND).await;
        fixture.store.delete(&fixture.key).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(job, deletion);
    assert_eq!(outcome.unwrap_err().code(), "session_not_found");
    assert_eq!(fixture.slow.finished.load(Ordering::Relaxed), 0);
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

/// R63: of many triggers, in two daemons, one calls the summarizer.
#[tokio::test(start_paused = true)]
async fn a_session_has_one_job_at_a_time() {
    let one = fixture(SECOND * 20, PoolLimits::default(), None).await;
    let other = start(&one.store, &one.slow, PoolLimits::default(), SummaryRules::default());
    one.say(&["1", "2"]).await;
    for _ in 0..25 {
        one.pool.queue(one.request(false)).await.unwrap();
        other.queue(one.request(false)).await.unwrap();
    }
    // One that waits runs after the one that runs, and finds nothing left to do.
    tokio::time::sleep(SECOND).await;
    assert_eq!(other.run(one.request(true)).await.unwrap(), JobOutcome::NothingNew);
    one.settle().await;
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(one.calls(), [(String::new(), 1, 2, 1)]);
}

/// R63: what was appended while a job ran is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_trigger_during_a_job_leads_to_another() {
    let slow = Slow { takes: SECOND * 5, ..Slow::default() };
    let fixture = ruled(slow, PoolLimits::default(), above(1)).await;
    fixture.say(&["1", "2"]).await;
    tokio::time::sleep(SECOND).await;
    fixture.say(&["3", "4"]).await;
    fixture.settle().await;
    assert_eq!(fixture.calls(), [(String::new(), 1, 2, 1), (String::new(), 3, 4, 1)]);
}

/// A job that fails is tried again, after a while that grows, and not for ever.
#[tokio::test(start_paused = true)]
async fn a_job_that_fails_is_tried_again() {
    let slow = Slow { fails: 2, ..Slow::default() };
    let fixture = ruled(slow, PoolLimits::default(), above(1)).await;
    let begin = Instant::now();
    fixture.say(&["1", "2"]).await;
    fixture.settle().await;
    let attempts: Vec<u32> = fixture.calls().iter().map(|(.., attempt)| *attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(begin.elapsed().as_secs(), 5);
    assert_eq!(fixture.summary().await.unwrap().1, 2);
    assert_eq!(fixture.outcome("tried_again").await, 2);

    let slow = Slow { fails: 99, ..Slow::default() };
    let fixture = ruled(slow, PoolLimits::default(), above(1)).await;
    fixture.say(&["1", "2"]).await;
    fixture.settle().await;
    assert_eq!(fixture.calls().len(), 3);
    assert_eq!(fixture.outcome("failed").await, 1);
}

/// A full queue of a pool that cannot keep up: one job runs, one waits.
async fn full(on_full: OnFull) -> Fixture {
    let limits = PoolLimits { workers: 1, queue_size: 1, job_timeout: SECOND * 60 };
    let rules = SummaryRules { on_full, ..above(1) };
    let slow = Slow { takes: SECOND * 10, ..Slow::default() };
    let fixture = ruled(slow, limits, rules).await;
    for name in ["x", "y"] {
        let key = SessionKey::new("a", "u", name).unwrap();
        let generation = fixture.store.create(&key, &[]).await.unwrap().unwrap().generation;
        let filler = Fixture { key, generation, ..fixture.again() };
        filler.say(&["1", "2"]).await;
        tokio::task::yield_now().await;
    }
    fixture
}

impl Fixture {
    fn again(&self) -> Self {
        Self {
            store: self.store.clone(),
            slow: self.slow.clone(),
            pool: self.pool.clone(),
            service: self.service.clone(),
            key: self.key.clone(),
            generation: self.generation,
        }
    }
}

/// R69: by default an append never waits for a full queue, and what was left is counted.
#[tokio::test(start_paused = true)]
async fn a_full_queue_may_leave_a_job() {
    let fixture = full(OnFull::Drop).await;
    let begin = Instant::now();
    fixture.say(&["1", "2"]).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(fixture.outcome("not_queued").await, 1);
    // The next append tries again.
    tokio::time::sleep(SECOND * 30).await;
    fixture.say(&["3"]).await;
    fixture.settle().await;
    assert_eq!(fixture.summary().await.unwrap().1, 3);
}

/// R69: or the append waits for its summary.
#[tokio::test(start_paused = true)]
async fn a_full_queue_may_make_the_append_do_it() {
    let fixture = full(OnFull::Inline).await;
    let begin = Instant::now();
    fixture.say(&["1", "2"]).await;
    assert_eq!(begin.elapsed().as_secs(), 10);
    assert_eq!(fixture.summary().await.unwrap().1, 2);
}

/// R69: or the append is refused before anything is stored, if its session is due.
#[tokio::test(start_paused = true)]
async fn a_full_queue_may_refuse_appends() {
    let fixture = full(OnFull::Reject).await;
    // Not due yet, so it is stored.
    fixture.say(&["1", "2"]).await;
    let body = r#"{"role":"user","content":"3"}"#.to_owned();
    let refused = fixture.append(vec![body.clone()]).await.unwrap_err();
    assert_eq!(refused.code(), "summary_queue_full");
    assert_eq!(fixture.store.seen(&fixture.key, &[]).await.unwrap().0.last_sequence, 2);
    assert_eq!(fixture.outcome("refused").await, 1);
    tokio::time::sleep(SECOND * 30).await;
    fixture.append(vec![body]).await.unwrap();
}

/// R69, R70: the queue is bounded, and stopping says what was left.
#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_drained() {
    let limits = PoolLimits { workers: 1, queue_size: 1, job_timeout: SECOND * 60 };
    let fixture = fixture(SECOND * 10, limits, None).await;
    fixture.say(&["1"]).await;
    let queue = async |job| fixture.pool.queue(job).await;
    queue(fixture.request(true)).await.unwrap();
    tokio::task::yield_now().await;
    queue(fixture.other("x")).await.unwrap();
    assert_eq!(queue(fixture.other("y")).await.unwrap_err().code(), "summary_queue_full");
    assert_eq!(fixture.pool.drain(SECOND).await, 2);
    assert_eq!(queue(fixture.other("z")).await.unwrap_err().code(), "stopping");
    assert_eq!(fixture.pool.run(fixture.other("z")).await.unwrap_err().code(), "stopping");
    assert_eq!(fixture.summary().await, None);
}

#[tokio::test(start_paused = true)]
async fn stopping_in_time_finishes_what_is_queued() {
    let fixture = fixture(SECOND, PoolLimits::default(), None).await;
    fixture.say(&["1"]).await;
    fixture.pool.queue(fixture.request(true)).await.unwrap();
    assert_eq!(fixture.pool.drain(SECOND * 10).await, 0);
    assert_eq!(fixture.summary().await.unwrap().1, 1);
}

/// R66: the thresholds of a branch count its own events and those below it, not those of its parent
/// and of its siblings; and only branches of the list are summed up by themselves.
#[tokio::test(start_paused = true)]
async fn a_branch_is_due_by_what_is_below_it() {
    let list = vec!["team/a".to_owned()];
    let rules = SummaryRules { filter_allowlist: list, cascade: false, ..above(2) };
    let fixture = ruled(Slow::default(), PoolLimits::default(), rules).await;
    let branches = || {
        let calls = fixture.calls().into_iter().filter(|(branch, ..)| !branch.is_empty());
        calls.map(|(branch, first, last, _)| (branch, first, last)).collect::<Vec<_>>()
    };
    fixture.say_in("team/b", 3).await;
    fixture.say_in("team/a/x", 2).await;
    fixture.settle().await;
    assert_eq!(branches(), []);
    fixture.say_in("team/a", 1).await;
    fixture.settle().await;
    assert_eq!(branches(), [("team/a".to_owned(), 4, 6)]);
    fixture.say_in("team/a", 2).await;
    fixture.settle().await;
    fixture.say_in("team/a/x", 1).await;
    fixture.settle().await;
    // The child has three by now, and its parent had none to add.
    let child = ("team/a/x".to_owned(), 4, 9);
    assert_eq!(branches()[1..], [child]);
}

/// R66: a branch of the list carries the whole session along, unless that is turned off; and nobody
/// may ask for a branch that is not on the list.
#[tokio::test(start_paused = true)]
async fn a_branch_carries_the_whole_session_along() {
    for (cascade, whole) in [(true, 3), (false, 2)] {
        let list = vec!["a".to_owned()];
        let rules = SummaryRules { filter_allowlist: list, cascade, ..above(2) };
        let fixture = ruled(Slow::default(), PoolLimits::default(), rules).await;
        fixture.say_in("a", 2).await;
        fixture.pool.run(fixture.request(true)).await.unwrap();
        fixture.say_in("a", 1).await;
        fixture.settle().await;
        assert_eq!(fixture.summary_of("a").await.unwrap().1, 3);
        assert_eq!(fixture.summary().await.unwrap().1, whole);
        let call = CallContext::new(Purpose::Summary, "r");
        let asked = fixture.service.summarize(&call, &fixture.key, "b".into(), true, true).await;
        assert_eq!(asked.unwrap_err().code(), "branch_not_listed");
    }
}

/// R67: a session that was quiet for long enough is summed up, counted from its last entry.
#[tokio::test(start_paused = true)]
async fn a_quiet_session_is_summed_up() {
    let thresholds = Thresholds { min_turns: 2, ..Thresholds::default() };
    let idle = Some(SECOND * 60);
    let rules = SummaryRules { thresholds, idle, ..SummaryRules::default() };
    let fixture = ruled(Slow::default(), PoolLimits::default(), rules).await;
    fixture.say(&["1", "2"]).await;
    tokio::time::sleep(SECOND * 40).await;
    fixture.say(&["3"]).await;
    tokio::time::sleep(SECOND * 59).await;
    assert_eq!(fixture.summary().await, None);
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(fixture.summary().await.unwrap().1, 3);
    // One turn is too few.
    fixture.say(&["4"]).await;
    tokio::time::sleep(SECOND * 120).await;
    assert_eq!(fixture.calls().len(), 1);
}
