//! What the get hooks let a summarizer see.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::hook::{GetHook, Moments, OnError};
use crate::read::ReadOptions;

/// Hides events below a sequence, and reads no more than so many at once.
#[derive(Debug)]
struct Hides {
    below: AtomicU64,
    limit: u32,
    /// The first reads fail, so many.
    fails: AtomicUsize,
    on_error: OnError,
}

#[async_trait]
impl GetHook for Hides {
    fn name(&self) -> &str {
        "hides"
    }

    fn moments(&self) -> Moments {
        Moments { before: true, after: true }
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    async fn before_get(
        &self,
        call: &CallContext,
        _: &Subject,
        mut options: ReadOptions,
    ) -> Result<ReadOptions, HookError> {
        assert_eq!((call.purpose, options.purpose), (Purpose::Summary, Purpose::Summary));
        options.limit = options.limit.min(self.limit);
        Ok(options)
    }

    async fn after_get(
        &self,
        _: &CallContext,
        _: &Subject,
        mut view: SessionView,
    ) -> Result<SessionView, HookError> {
        let left = self.fails.load(Ordering::Relaxed);
        if left > 0 {
            self.fails.store(left - 1, Ordering::Relaxed);
            return Err(HookError::failed(FailureKind::Trap, "unreachable"));
        }
        view.drop_before(self.below.load(Ordering::Relaxed)).unwrap();
        Ok(view)
    }
}

fn hides(below: u64) -> Hides {
    let (below, fails) = (AtomicU64::new(below), AtomicUsize::new(0));
    Hides { below, limit: u32::MAX, fails, on_error: OnError::Reject }
}

async fn watched(hook: Hides, rules: SummaryRules) -> (Fixture, Arc<Hides>) {
    let hook = Arc::new(hook);
    let hooks = HookChain::new(Vec::new(), vec![hook.clone()], 1_000);
    (hooked(Slow::default(), PoolLimits::default(), rules, hooks).await, hook)
}

/// R65: what is hidden is never shown to the summarizer, holds up nothing, and is covered.
#[tokio::test(start_paused = true)]
async fn what_is_hidden_is_passed_over() {
    let rules = SummaryRules { input_tokens: 1, ..SummaryRules::default() };
    let (fixture, hook) = watched(hides(3), rules).await;
    fixture.say(&["1", "2"]).await;
    let run = async || fixture.pool.run(fixture.request(true)).await.unwrap();
    assert_eq!(run().await, JobOutcome::Empty);
    assert_eq!(fixture.summary().await, None);
    fixture.say(&["3", "4"]).await;
    assert_eq!(run().await, JobOutcome::Stored { last_sequence: 3, more: true });
    fixture.settle().await;
    let text = "|user: 3|user: 4".to_owned();
    assert_eq!(fixture.summary().await, Some((text.clone(), 4)));
    let parts: Vec<_> = fixture.calls().iter().map(|(_, first, last, _)| (*first, *last)).collect();
    assert_eq!(parts, [(1, 3), (4, 4)]);
    let header = fixture.store.seen(&fixture.key, &[]).await.unwrap().0;
    assert_eq!(header.backlog().events, 0);

    // R73: nothing is shown, so nothing is said anew.
    hook.below.store(100, Ordering::Relaxed);
    fixture.say(&["5", "6"]).await;
    assert_eq!(run().await, stored(6));
    assert_eq!(fixture.summary().await, Some((text, 6)));
    assert_eq!(fixture.calls().len(), 2);
}

/// A part that is longer than what is read at once is passed over too, hidden or of another branch.
#[tokio::test(start_paused = true)]
async fn a_long_part_is_passed_over() {
    let store = StoreRules { event_limit: None, ..StoreRules::default() };
    let hooks = HookChain::new(Vec::new(), vec![Arc::new(hides(2_401))], 1_000);
    let (slow, limits) = (Slow::default(), PoolLimits::default());
    let fixture = in_store(store, slow, limits, above(100_000), hooks).await;
    for _ in 0..3 {
        fixture.say_in("a", 800).await;
    }
    fixture.say_in("b", 2).await;
    let run = async |request| fixture.pool.run(request).await.unwrap();
    assert_eq!(run(fixture.request(true)).await, stored(2_402));
    let branch = JobRequest { filter_key: "b".to_owned(), ..fixture.request(true) };
    assert_eq!(run(branch).await, stored(2_402));
    let parts: Vec<_> = fixture.calls().iter().map(|(_, first, last, _)| (*first, *last)).collect();
    assert_eq!(parts, [(2_001, 2_402), (2_401, 2_402)]);
    let header = fixture.store.seen(&fixture.key, &[]).await.unwrap().0;
    assert_eq!(header.backlog().events, 0);
    let summary = fixture.stored("").await.unwrap();
    assert_eq!((summary.first_sequence, summary.unseen), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_makes_more_jobs() {
    let (fixture, _) = watched(Hides { limit: 2, ..hides(0) }, SummaryRules::default()).await;
    fixture.say(&["1", "2", "3"]).await;
    let first = fixture.pool.run(fixture.request(true)).await.unwrap();
    assert_eq!(first, JobOutcome::Stored { last_sequence: 2, more: true });
    fixture.settle().await;
    assert_eq!(fixture.summary().await, Some(("|user: 1\nuser: 2|user: 3".to_owned(), 3)));
}

/// A guard that fails shows the summarizer nothing; the job is tried again.
#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_ends_the_job_or_is_skipped() {
    let guard = Hides { fails: AtomicUsize::new(1), ..hides(2) };
    let (fixture, _) = watched(guard, SummaryRules::default()).await;
    fixture.say(&["1", "2"]).await;
    assert_eq!(fixture.pool.queue(fixture.request(true)).await.unwrap(), None);
    fixture.settle().await;
    assert_eq!(fixture.outcome("tried_again").await, 1);
    assert_eq!(fixture.calls(), [(String::new(), 1, 2, 2)]);
    assert_eq!(fixture.summary().await, Some(("|user: 2".to_owned(), 2)));

    let down = Hides { fails: AtomicUsize::new(9), ..hides(2) };
    let (fixture, _) = watched(down, SummaryRules::default()).await;
    fixture.say(&["1", "2"]).await;
    let refused = fixture.pool.run(fixture.request(true)).await.unwrap_err();
    assert_eq!(refused.code(), "plugin_failed");
    assert_eq!((fixture.calls(), fixture.summary().await), (Vec::new(), None));

    let skipped = Hides { fails: AtomicUsize::new(1), on_error: OnError::Skip, ..hides(2) };
    let (fixture, _) = watched(skipped, SummaryRules::default()).await;
    fixture.say(&["1", "2"]).await;
    assert_eq!(fixture.pool.run(fixture.request(true)).await.unwrap(), stored(2));
    assert_eq!(fixture.summary().await, Some(("|user: 1\nuser: 2".to_owned(), 2)));
}
