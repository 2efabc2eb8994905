//! One summary job, from the boundary of the last summary to that of the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::found::Found;
use super::queue::{Cause, JobRequest};
use super::rules::SummaryRules;
use super::shown::Shown;
use crate::error::Error;
use crate::event::{Event, StoredEvent};
use crate::hook::chain::{ChainError, HookChain};
use crate::hook::{FailureKind, HookError, Summarizer};
use crate::json::Index;
use crate::key::Subject;
use crate::store::{HistoryVersion, SessionStore, Snapshot, StoreError, SummaryCommit};
use crate::summary::{
    Backlog, Draft, MAX_SUMMARY, MAX_TOPIC, MAX_TOPICS, Summary, SummaryJob, is_below,
};
use crate::time::Clock;
use crate::view::SessionView;
use crate::view::json::summary_body;
use uuid::Uuid;

/// How often a summary is made, when edits of the history overtake it.
const ATTEMPTS: usize = 3;

/// How a job ended, if it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// A summary is stored.
    Stored {
        /// Its boundary.
        last_sequence: u64,
        /// Whether there was more than a summarizer takes at once. Another job goes on with it.
        more: bool,
    },
    /// There is no event after the last boundary.
    NothingNew,
    /// The summarizer declined.
    NotDue,
    /// The summarizer had nothing to say.
    Empty,
    /// An append hook dropped the summary.
    DroppedBy(String),
    /// Another summary was stored meanwhile.
    Late,
    /// The history was edited meanwhile, again and again.
    Edited,
    /// Another job runs for the session and filter key.
    Held,
    /// Another daemon has taken the job over.
    Lost,
    /// The session was deleted meanwhile.
    Cancelled,
}

impl JobOutcome {
    /// The name in replies and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stored { .. } => "stored",
            Self::NothingNew => "nothing_new",
            Self::NotDue => "not_due",
            Self::Empty => "empty",
            Self::DroppedBy(_) => "dropped",
            Self::Late => "late",
            Self::Edited => "edited",
            Self::Held => "held",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What jobs work with.
#[derive(Debug)]
pub struct SummaryWork {
    /// Where sessions are.
    pub store: Arc<dyn SessionStore>,
    /// Who looks at what is summed up, and at a summary before it is stored.
    pub hooks: HookChain,
    /// Who sums up.
    pub summarizer: Arc<dyn Summarizer>,
    /// Bounds events in a view, in bytes.
    pub max_event_size: usize,
    /// When summaries are made, and of how much.
    pub rules: SummaryRules,
    /// Dates summaries.
    pub clock: Arc<dyn Clock>,
}

/// A summary that is ready to be stored, or an early end.
enum Prepared {
    Ready { seen: HistoryVersion, summary: Box<Summary>, totals: Backlog, more: bool },
    Ended(JobOutcome),
}

impl SummaryWork {
    /// Runs a job under its claim. Past its time it has written nothing, whatever the summarizer does.
    pub(super) async fn run(
        &self,
        request: &JobRequest,
        claim: Uuid,
        timeout: Duration,
    ) -> Result<JobOutcome, Error> {
        let until = Instant::now() + timeout;
        for _ in 0..ATTEMPTS {
            let prepared = tokio::time::timeout_at(until, self.prepare(request)).await;
            let (seen, summary, totals, more) = match prepared
                .map_err(|_| Error::SummaryTimeOut)??
            {
                Prepared::Ready { seen, summary, totals, more } => (seen, summary, totals, more),
                Prepared::Ended(outcome) => return Ok(outcome),
            };
            let (store, claim) = (&self.store, Some(claim));
            match store.commit_summary(&request.key, seen, &summary, totals, claim).await? {
                SummaryCommit::Stored => {
                    return Ok(JobOutcome::Stored { last_sequence: summary.last_sequence, more });
                }
                SummaryCommit::Late => return Ok(JobOutcome::Late),
                SummaryCommit::Lost => return Ok(JobOutcome::Lost),
                // What it sums up may be gone: it is made anew of what is there.
                SummaryCommit::Edited => {}
            }
        }
        Ok(JobOutcome::Edited)
    }

    async fn prepare(&self, request: &JobRequest) -> Result<Prepared, Error> {
        let Snapshot { header: seen, summaries, .. } = self.read(request, 0, 0).await?;
        if seen.generation != request.generation {
            return Err(StoreError::OtherGeneration { current: seen.generation }.into());
        }
        let previous = summaries.into_iter().find(|it| it.filter_key == request.filter_key);
        let mut found = self.found(request, previous).await?;
        if !self.is_due(request, &found) {
            return Ok(Prepared::Ended(JobOutcome::NotDue));
        }
        let shown = loop {
            if found.events.is_empty() {
                return Ok(Prepared::Ended(JobOutcome::NothingNew));
            }
            let shown = self.shown(request, &found).await?;
            let hidden = shown.covered.len();
            let is_last = found.complete || hidden == 0 || !shown.view.is_empty();
            if is_last || found.previous.is_some() {
                break shown;
            }
            // Without a summary there is nothing that could note how far the hooks hide everything.
            found = self.found_past(request, found, hidden).await?;
        };
        let more = shown.more;
        let (text, topics, last_sequence) = match self.draft(request, &found, shown).await? {
            Ok(written) => written,
            Err(outcome) => return Ok(Prepared::Ended(outcome)),
        };
        let summary = Summary {
            filter_key: request.filter_key.clone(),
            text,
            topics,
            first_sequence: found.first_sequence(),
            last_sequence,
            unseen: found.unseen().or(found.previous.as_ref().and_then(|it| it.unseen)),
            updated_at: self.clock.now(),
        };
        let totals = found.totals_at(last_sequence);
        Ok(Prepared::Ready { seen: seen.version(), summary: Box::new(summary), totals, more })
    }

    /// Has a summary written of what is shown, up to the sequence that is returned with it; or says
    /// why there is none.
    async fn draft(
        &self,
        request: &JobRequest,
        found: &Found,
        shown: Shown<'_>,
    ) -> Result<Result<(String, Vec<String>, u64), JobOutcome>, Error> {
        let Some(job) = self.job(request, found, &shown) else {
            return Ok(Err(JobOutcome::NothingNew));
        };
        let covered = shown.covered;
        if shown.view.is_empty() {
            // There is nothing to add to what was said before.
            let previous = found.previous.clone().ok_or(JobOutcome::Empty);
            return Ok(previous.map(|it| (it.text, it.topics, job.last_sequence)));
        }
        let Some(draft) = self.ask(request, shown.view, &job).await? else {
            return Ok(Err(JobOutcome::NotDue));
        };
        if draft.text.trim().is_empty() {
            return Ok(Err(JobOutcome::Empty));
        }
        let last_sequence = self.check(&draft, &job, covered)?;
        let screened = self.screen(request, draft).await?;
        Ok(screened
            .map(|(text, topics)| (text, topics, last_sequence))
            .map_err(JobOutcome::DroppedBy))
    }

    /// Whether what caused the job still holds.
    fn is_due(&self, request: &JobRequest, found: &Found) -> bool {
        let (header, events) = (&found.header, &found.events);
        let branch = request.filter_key.as_str();
        let backlog = || match branch {
            "" => header.backlog(),
            _ => {
                let counted = |event: &&StoredEvent| {
                    let key = event.event.facts().filter_key.as_deref().unwrap_or_default();
                    key.is_empty() || is_below(key, branch)
                };
                Backlog::of(events.iter().filter(counted))
            }
        };
        let thresholds = &self.rules.thresholds;
        match request.cause {
            Cause::Due => thresholds.passed(backlog()),
            Cause::Quiet { last_sequence } => {
                header.last_sequence == last_sequence && backlog().turns >= thresholds.min_turns
            }
            Cause::Asked { .. } | Cause::Rest | Cause::Cascade => true,
        }
    }

    /// What to ask of the summarizer; nothing when there are no events.
    fn job(&self, request: &JobRequest, found: &Found, shown: &Shown<'_>) -> Option<SummaryJob> {
        let first_sequence = shown.covered.first()?.sequence;
        let last_sequence = shown.covered.last()?.sequence;
        let unseen = found.unseen();
        if let Some((first, last)) = unseen {
            metrics::counter!("sessiond_summary_unseen_events_total").increment(last - first + 1);
        }
        Some(SummaryJob {
            filter_key: request.filter_key.clone(),
            forced: request.is_forced(),
            previous: shown.previous.clone(),
            first_sequence,
            last_sequence,
            backlog: shown.backlog(),
            unseen,
        })
    }

    async fn ask(
        &self,
        request: &JobRequest,
        view: SessionView,
        job: &SummaryJob,
    ) -> Result<Option<Draft>, Error> {
        let summarizer = &self.summarizer;
        let subject = Subject::Session(request.key.clone());
        let failed = |error| Error::Hook(chain_error(summarizer.name(), error));
        if !request.is_forced() {
            let asked =
                summarizer.should_summarize(&request.call, &subject, view.clone(), job.clone());
            if !asked.await.map_err(failed)? {
                return Ok(None);
            }
        }
        let draft = summarizer.summarize(&request.call, &subject, view, job.clone());
        draft.await.map(Some).map_err(failed)
    }

    /// The boundary of a draft, if all of it is acceptable.
    fn check(&self, draft: &Draft, job: &SummaryJob, events: &[StoredEvent]) -> Result<u64, Error> {
        let bad = |what: String| {
            let error = HookError::failed(FailureKind::BadAnswer, what);
            Error::Hook(chain_error(self.summarizer.name(), error))
        };
        if draft.text.len() > MAX_SUMMARY {
            return Err(bad(format!("the summary has more than {MAX_SUMMARY} bytes")));
        }
        if draft.topics.len() > MAX_TOPICS || draft.topics.iter().any(|it| it.len() > MAX_TOPIC) {
            return Err(bad(format!(
                "more than {MAX_TOPICS} topics, or one of more than {MAX_TOPIC} bytes"
            )));
        }
        let wanted = draft.last_sequence.unwrap_or(job.last_sequence);
        if wanted < job.first_sequence || wanted > job.last_sequence {
            let (first, last) = (job.first_sequence, job.last_sequence);
            return Err(bad(format!("the boundary {wanted} lies outside of {first} to {last}")));
        }
        // A boundary is an event: of a number in between, the one before it.
        let at_or_before = events.iter().rev().map(|event| event.sequence).find(|at| *at <= wanted);
        Ok(at_or_before.unwrap_or(wanted))
    }

    /// Passes the summary through the append hooks. `Err` is the plugin that dropped it.
    async fn screen(
        &self,
        request: &JobRequest,
        draft: Draft,
    ) -> Result<Result<(String, Vec<String>), String>, Error> {
        let body = summary_body(&draft.text, &draft.topics);
        let event = Event::of_summary(body, self.clock.now());
        let subject = Subject::Session(request.key.clone());
        let kept = self.hooks.before_one(&request.call, &subject, event).await?;
        Ok(kept.map(|kept| text_and_topics(kept.body())))
    }
}

/// The text and the topics of an entry of kind `summary`.
pub(crate) fn text_and_topics(body: &str) -> (String, Vec<String>) {
    let Ok(index) = Index::of(body) else { return Default::default() };
    let root = index.root(body);
    let topics = root.get("topics").into_iter().flat_map(|topics| topics.items());
    let topics = topics.filter_map(|topic| topic.as_text()).collect();
    (root.text("text").unwrap_or_default(), topics)
}

fn chain_error(plugin: &str, error: HookError) -> ChainError {
    let plugin = plugin.to_owned();
    match error {
        HookError::Rejected(rejection) => ChainError::Rejected { plugin, rejection },
        HookError::Failed { kind, source } => ChainError::Failed { plugin, kind, source },
    }
}
