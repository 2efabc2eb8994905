//! Append by way of the lanes: checked, screened, queued, and written later.

use super::append::{Item, entries_of};
use super::{ItemFate, ItemReply, SessionService};
use crate::digest::Digest;
use crate::error::Error;
use crate::event::Received;
use crate::hook::CallContext;
use crate::key::{SessionKey, Subject};
use crate::store::{Condition, StoreError};

/// The answer to an append that is queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedReply {
    /// Tells the session from another of its key: it is written to this one, or to none.
    pub generation: u64,
    /// For each item that was sent, its id, and what has become of it if nothing is queued of it.
    pub items: Vec<(String, Option<ItemFate>)>,
}

impl SessionService {
    /// Queues events to be appended, all or none. The hooks see them first: nothing that they remove
    /// is queued. A repeated id is found when the events are written, so the hooks may see it again.
    ///
    /// # Errors
    /// [`Error`]; nothing is queued then.
    pub async fn queue(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        received: Vec<Received>,
    ) -> Result<QueuedReply, Error> {
        let lanes = self.lanes.as_ref().ok_or(Error::Stopping)?;
        if condition.revision.is_some() {
            return Err(Error::QueuedRevision);
        }
        let items = self.parse(received)?;
        let generation = self.known_generation(key, condition.generation).await?;
        let condition = Condition { generation: Some(generation), ..condition };
        self.admit_summary(key).await?;
        let mut replies: Vec<(String, Option<ItemFate>)> = Vec::with_capacity(items.len());
        let mut open: Vec<Item> = Vec::with_capacity(items.len());
        for item in items {
            let partial = item.reply_if_partial().map(|ItemReply { fate, .. }| fate);
            let id = item.event.id().to_owned();
            if partial.is_none() {
                open.push(item);
            }
            replies.push((id, partial));
        }
        if !open.is_empty() {
            let known: Vec<(String, Digest)> =
                open.iter().map(|item| (item.event.id().to_owned(), item.digest)).collect();
            let events = open.into_iter().map(|item| item.event).collect();
            let subject = Subject::Session(key.clone());
            let screened = self.hooks.before_append(call, &subject, events).await?;
            let (entries, _) = entries_of(&screened, &known, self.store.digest_key());
            lanes.queue(call, key, condition, entries).await?;
            let unsettled = replies.iter_mut().filter(|(_, fate)| fate.is_none());
            for ((_, fate), by) in unsettled.zip(screened.dropped_by) {
                *fate = by.map(ItemFate::DroppedBy);
            }
        }
        Ok(QueuedReply { generation, items: replies })
    }

    /// The generation of a session. One that was not seen lately is looked up, and so is one of which
    /// the client knows otherwise.
    async fn known_generation(&self, key: &SessionKey, wanted: Option<u64>) -> Result<u64, Error> {
        let lanes = self.lanes.as_ref().ok_or(Error::Stopping)?;
        let known = lanes.known().generation(key);
        if let Some(known) = known.filter(|known| wanted.is_none_or(|wanted| wanted == *known)) {
            return Ok(known);
        }
        let current = self.store.seen(key, &[]).await?.0.generation;
        lanes.known().note(key, current);
        match wanted {
            Some(wanted) if wanted != current => {
                Err(StoreError::OtherGeneration { current }.into())
            }
            _ => Ok(current),
        }
    }

    /// Waits until what is queued for a session is written, so that a read shows it and a write comes
    /// after it.
    pub(super) async fn settled(&self, key: &SessionKey) -> Result<(), Error> {
        match &self.lanes {
            Some(lanes) => lanes.settled(key).await,
            None => Ok(()),
        }
    }
}
