//! `types.summary` and `types.summary-job`: what is summed up, and what was.

use sessiond_core::event::editor::EditError;
use sessiond_core::summary::{Draft, MAX_TOPIC, MAX_TOPICS, SummaryJob};
use wasmtime::component::Resource;

use super::{Edited, edited};
use crate::bindings::sessiond::plugin::types;
use crate::host::Host;
use crate::rows::{Row, StaleHandle, SummaryRow};

type Handle = Resource<types::Summary>;
type JobHandle = Resource<types::SummaryJob>;

impl Host {
    fn summary(&mut self, it: &Handle) -> Result<&mut SummaryRow, StaleHandle> {
        match self.rows.get_mut(it.rep())? {
            Row::Summary(summary) => Ok(summary),
            _ => Err(StaleHandle),
        }
    }

    fn draft(&mut self, it: &Handle) -> Result<Result<&mut Draft, EditError>, StaleHandle> {
        Ok(match self.summary(it)? {
            SummaryRow::Draft(draft) => Ok(draft),
            SummaryRow::Stored(_) => Err(EditError::ReadOnly("the summary is stored")),
        })
    }

    fn job(&mut self, it: &JobHandle) -> Result<&mut SummaryJob, StaleHandle> {
        match self.rows.get_mut(it.rep())? {
            Row::Job(job) => Ok(job),
            _ => Err(StaleHandle),
        }
    }
}

impl types::HostSummary for Host {
    fn new(&mut self, text: String) -> wasmtime::Result<Handle> {
        self.may_hold(1)?;
        self.put(&text)?;
        let draft = Draft { text, ..Draft::default() };
        Ok(self.rows.give(Row::Summary(SummaryRow::Draft(draft))))
    }

    fn text(&mut self, it: Handle) -> wasmtime::Result<String> {
        let value = match self.summary(&it)? {
            SummaryRow::Stored(summary) => summary.text.clone(),
            SummaryRow::Draft(draft) => draft.text.clone(),
        };
        self.copied(value)
    }

    fn topics(&mut self, it: Handle) -> wasmtime::Result<Vec<String>> {
        let value = match self.summary(&it)? {
            SummaryRow::Stored(summary) => summary.topics.clone(),
            SummaryRow::Draft(draft) => draft.topics.clone(),
        };
        self.copied(value)
    }

    fn set_topics(&mut self, it: Handle, topics: Vec<String>) -> Edited<()> {
        topics.iter().try_for_each(|topic| self.put(topic))?;
        let draft = self.draft(&it)?;
        let fits =
            topics.len() <= MAX_TOPICS && topics.iter().all(|topic| topic.len() <= MAX_TOPIC);
        edited(draft.and_then(|draft| {
            if !fits {
                let message = format!("at most {MAX_TOPICS} topics of at most {MAX_TOPIC} bytes");
                return Err(EditError::Invalid(message));
            }
            draft.topics = topics;
            Ok(())
        }))
    }

    fn filter_key(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(match self.summary(&it)? {
            SummaryRow::Stored(summary) => summary.filter_key.clone(),
            SummaryRow::Draft(_) => String::new(),
        })
    }

    fn first_sequence(&mut self, it: Handle) -> wasmtime::Result<u64> {
        Ok(match self.summary(&it)? {
            SummaryRow::Stored(summary) => summary.first_sequence,
            SummaryRow::Draft(_) => 0,
        })
    }

    fn last_sequence(&mut self, it: Handle) -> wasmtime::Result<u64> {
        Ok(match self.summary(&it)? {
            SummaryRow::Stored(summary) => summary.last_sequence,
            SummaryRow::Draft(draft) => draft.last_sequence.unwrap_or(0),
        })
    }

    fn set_last_sequence(&mut self, it: Handle, sequence: u64) -> Edited<()> {
        edited(self.draft(&it)?.map(|draft| draft.last_sequence = Some(sequence)))
    }

    fn updated_at(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(match self.summary(&it)? {
            SummaryRow::Stored(summary) => summary.updated_at.to_string(),
            SummaryRow::Draft(_) => String::new(),
        })
    }

    fn drop(&mut self, it: Handle) -> wasmtime::Result<()> {
        self.rows.release(it.rep());
        Ok(())
    }
}

impl types::HostSummaryJob for Host {
    fn filter_key(&mut self, it: JobHandle) -> wasmtime::Result<String> {
        Ok(self.job(&it)?.filter_key.clone())
    }

    fn forced(&mut self, it: JobHandle) -> wasmtime::Result<bool> {
        Ok(self.job(&it)?.forced)
    }

    fn previous(&mut self, it: JobHandle) -> wasmtime::Result<Option<Handle>> {
        self.may_hold(1)?;
        let previous = self.job(&it)?.previous.clone();
        Ok(previous.map(|summary| self.rows.give(Row::Summary(SummaryRow::Stored(summary)))))
    }

    fn first_sequence(&mut self, it: JobHandle) -> wasmtime::Result<u64> {
        Ok(self.job(&it)?.first_sequence)
    }

    fn last_sequence(&mut self, it: JobHandle) -> wasmtime::Result<u64> {
        Ok(self.job(&it)?.last_sequence)
    }

    fn estimated_tokens(&mut self, it: JobHandle) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.job(&it)?.backlog.tokens).unwrap_or(u32::MAX))
    }

    fn user_turns(&mut self, it: JobHandle) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.job(&it)?.backlog.turns).unwrap_or(u32::MAX))
    }

    fn unseen(&mut self, it: JobHandle) -> wasmtime::Result<Option<(u64, u64)>> {
        Ok(self.job(&it)?.unseen)
    }

    fn drop(&mut self, it: JobHandle) -> wasmtime::Result<()> {
        self.rows.release(it.rep());
        Ok(())
    }
}
