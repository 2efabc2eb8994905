//! What a summarizer is shown of a backlog: what the get hooks let out, as for any reader.
//!
//! The boundary goes by what was read, not by what was shown: what a hook hides is passed over, or a
//! session with a hidden part would never be summed up past it.

use super::found::Found;
use super::job::SummaryWork;
use super::prefix::{Budget, safe_prefix};
use super::queue::JobRequest;
use crate::error::Error;
use crate::event::StoredEvent;
use crate::event::editor::Access;
use crate::hook::Purpose;
use crate::key::Subject;
use crate::read::{ReadOptions, SummaryMode};
use crate::summary::{Backlog, Summary};
use crate::view::SessionView;

/// What the hooks have left of it.
#[derive(Debug)]
pub(super) struct Shown<'e> {
    pub(super) view: SessionView,
    pub(super) previous: Option<Summary>,
    /// The events up to the last one shown, with those that are hidden.
    pub(super) covered: &'e [StoredEvent],
    /// Whether there is more for a next job.
    pub(super) more: bool,
}

impl Shown<'_> {
    /// What it amounts to.
    pub(super) fn backlog(&self) -> Backlog {
        self.view.items().fold(Backlog::default(), |sum, item| sum.with(item.event.event()))
    }
}

impl SummaryWork {
    /// Passes what was found through the get hooks, as much of it as a summarizer takes at once.
    ///
    /// # Errors
    /// [`Error::Hook`], when a hook refuses the read or fails and its policy is to refuse.
    pub(super) async fn shown<'e>(
        &self,
        request: &JobRequest,
        found: &'e Found,
    ) -> Result<Shown<'e>, Error> {
        let options = self.options(request, found).await?;
        let before = options.before_sequence.unwrap_or(u64::MAX);
        let end = found.events.iter().position(|event| event.sequence >= before);
        let events = end.and_then(|end| found.events.get(..end)).unwrap_or(&found.events);
        let complete = found.complete && end.is_none();
        let (mut passed, mut shown) = (0, None);
        loop {
            let rest = events.get(passed..).unwrap_or_default();
            let (len, more) = self.offered(rest, complete, options.limit);
            if let (0, Some(shown)) = (len, shown.take()) {
                return Ok(shown);
            }
            let part = rest.get(..len).unwrap_or_default();
            let (view, previous) = self.seen(request, found, &options, part).await?;
            passed += len;
            let covered = events.get(..passed).unwrap_or_default();
            let is_last = len == 0 || !view.is_empty() || passed == events.len();
            let part = Shown { view, previous, covered, more };
            if is_last {
                return Ok(part);
            }
            // All of it is hidden: there may be something to see right after.
            shown = Some(part);
        }
    }

    /// What the hooks let be read.
    async fn options(&self, request: &JobRequest, found: &Found) -> Result<ReadOptions, Error> {
        let limit = u32::try_from(found.events.len()).unwrap_or(u32::MAX);
        let mut options = ReadOptions::new(Purpose::Summary, limit);
        options.after_sequence = Some(found.boundary());
        options.summary = SummaryMode::Include;
        let subject = Subject::Session(request.key.clone());
        Ok(self.hooks.before_get(&request.call, &subject, options).await?)
    }

    /// What of a backlog the summarizer gets at once, and whether there is more for a next job.
    fn offered(&self, events: &[StoredEvent], complete: bool, limit: u32) -> (usize, bool) {
        let max_age = i64::try_from(self.rules.open_call_max_age.as_nanos()).unwrap_or(i64::MAX);
        let now = self.clock.now();
        let given_up =
            |event: &StoredEvent| now.nanos().saturating_sub(event.event.time().nanos()) > max_age;
        let budget = Budget { tokens: self.rules.input_tokens, events: limit as usize };
        let prefix = safe_prefix(events, budget, complete, given_up);
        if prefix.orphans > 0 {
            metrics::counter!("sessiond_summary_open_calls_passed_total")
                .increment(prefix.orphans as u64);
        }
        (prefix.len, prefix.more)
    }

    /// Some events and the summary so far, as the hooks let them be seen.
    async fn seen(
        &self,
        request: &JobRequest,
        found: &Found,
        options: &ReadOptions,
        events: &[StoredEvent],
    ) -> Result<(SessionView, Option<Summary>), Error> {
        let subject = Subject::Session(request.key.clone());
        let (after, limit) = (options.after_sequence.unwrap_or(0), options.limit as usize);
        let from = options.after_time;
        let mut shown: Vec<StoredEvent> = events
            .iter()
            .filter(|event| event.sequence > after)
            .skip_while(|event| from.is_some_and(|from| event.event.time() < from))
            .cloned()
            .collect();
        // What cannot be parted is more than the hooks allow at once.
        shown.drain(..shown.len().saturating_sub(limit));
        let header = Some(found.header);
        let view =
            SessionView::new(subject.clone(), header, Access::Edit, shown, self.max_event_size);
        let previous = found.previous.iter().filter(|_| options.summary != SummaryMode::None);
        let view = view.with_state(found.state.clone()).with_summaries(previous.cloned().collect());
        let view = self.hooks.after_get(&request.call, &subject, view).await?.read_only();
        let previous = view.summaries().first().cloned();
        Ok((view.with_summaries(Vec::new()), previous))
    }
}
