//! Append: events on their way into a session.

use std::sync::Arc;

use super::SessionService;
use crate::digest::{Digest, DigestKey};
use crate::error::Error;
use crate::event::{Event, Received, StoredEvent};
use crate::hook::CallContext;
use crate::hook::chain::Screened;
use crate::key::{SessionKey, Subject};
use crate::store::{Appended, Condition, Fate, NewEntry, Outcome, SessionHeader, StoreError};

/// The answer to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendReply {
    /// The session, as it is now.
    pub header: SessionHeader,
    /// For each item that was sent, in order.
    pub items: Vec<ItemReply>,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemReply {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub fate: ItemFate,
    /// Whether that happened in an earlier append, which this one repeats.
    pub duplicate: bool,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemFate {
    /// It is stored under this sequence.
    Stored(u64),
    /// A plugin dropped it.
    DroppedBy(String),
    /// It is partial: its whole will follow.
    Partial,
}

/// An item as it was sent, parsed.
pub(super) struct Item {
    pub(super) event: Event,
    pub(super) digest: Digest,
    /// The client chose the id, so it may be a retry.
    own_id: bool,
}

impl SessionService {
    /// Appends events, all or none.
    ///
    /// # Errors
    /// [`Error`]; nothing is stored then, but see [`StoreError::Unavailable`].
    pub async fn append(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        received: Vec<Received>,
    ) -> Result<AppendReply, Error> {
        let items = self.parse(received)?;
        self.admit_summary(key).await?;
        self.append_items(call, key, condition, items).await
    }

    /// Appends a change of state that came without an event.
    pub(super) async fn append_state(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        event: Event,
    ) -> Result<AppendReply, Error> {
        let digest = self.store.digest_key().of_event(&event);
        let item = Item { event, digest, own_id: false };
        self.settled(key).await?;
        self.append_items(call, key, condition, vec![item]).await
    }

    pub(super) fn parse(&self, received: Vec<Received>) -> Result<Vec<Item>, Error> {
        let (count, max) = (received.len(), self.limits.max_batch);
        if received.is_empty() || count > max {
            return Err(Error::BatchSize { count, max });
        }
        let (digests, now) = (self.store.digest_key(), self.now());
        let parse = |(item, received): (usize, Received)| {
            let digest = digests.digest(&received);
            let named = received.id.is_some();
            let event = Event::parse(received, now, self.limits.max_event_size)
                .map_err(|source| Error::Event { item, source })?;
            let own_id = named || event.facts().id.as_deref() == Some(event.id());
            Ok(Item { event, digest, own_id })
        };
        received.into_iter().enumerate().map(parse).collect()
    }

    async fn append_items(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        items: Vec<Item>,
    ) -> Result<AppendReply, Error> {
        let mut replies: Vec<Option<ItemReply>> =
            items.iter().map(Item::reply_if_partial).collect();
        let mut header = self.answer_repeats(key, &items, &mut replies).await?;
        let ids: Vec<String> = items.iter().map(|item| item.event.id().to_owned()).collect();
        let open: Vec<(usize, Item)> = items
            .into_iter()
            .enumerate()
            .filter(|(at, _)| replies.get(*at).is_some_and(Option::is_none))
            .collect();
        if !open.is_empty() {
            let (numbers, items): (Vec<usize>, Vec<Item>) = open.into_iter().unzip();
            let (now, outcomes) = self.store_items(call, key, condition, items).await?;
            header = Some(now);
            for (at, outcome) in numbers.into_iter().zip(outcomes) {
                if let (Some(reply), Some(id)) = (replies.get_mut(at), ids.get(at)) {
                    *reply = Some(reply_of(id.clone(), outcome));
                }
            }
        }
        let header = match header {
            Some(header) => header,
            None => self.store.seen(key, &[]).await?.0,
        };
        Ok(AppendReply { header, items: replies.into_iter().flatten().collect() })
    }

    /// Answers what was appended before, so that no hook sees it again. Without hooks the store's
    /// own step finds it.
    async fn answer_repeats(
        &self,
        key: &SessionKey,
        items: &[Item],
        replies: &mut [Option<ItemReply>],
    ) -> Result<Option<SessionHeader>, Error> {
        let mut asked: Vec<(&Item, &mut Option<ItemReply>)> = items
            .iter()
            .zip(replies)
            .filter(|(item, reply)| item.own_id && reply.is_none())
            .collect();
        if asked.is_empty() || !self.hooks.screens_appends() {
            return Ok(None);
        }
        let ids: Vec<&str> = asked.iter().map(|(item, _)| item.event.id()).collect();
        let (header, seen) = self.store.seen(key, &ids).await?;
        for ((item, reply), seen) in asked.iter_mut().zip(seen) {
            let Some(seen) = seen else { continue };
            let id = item.event.id().to_owned();
            if seen.digest != item.digest {
                return Err(StoreError::IdConflict { id }.into());
            }
            **reply = Some(reply_of(id, Outcome { fate: seen.fate, duplicate: true }));
        }
        Ok(Some(header))
    }

    /// Hooks, store, hooks.
    async fn store_items(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        items: Vec<Item>,
    ) -> Result<(SessionHeader, Vec<Outcome>), Error> {
        let subject = Subject::Session(key.clone());
        let known: Vec<(String, Digest)> =
            items.iter().map(|item| (item.event.id().to_owned(), item.digest)).collect();
        let events = items.into_iter().map(|item| item.event).collect();
        let screened = self.hooks.before_append(call, &subject, events).await?;
        let (entries, places) = entries_of(&screened, &known, self.store.digest_key());

        let appended = match &self.group_commit {
            Some(group_commit) => group_commit.append(key, condition, &entries).await?,
            None => self.store.append(key, condition, &entries).await?,
        };
        self.follow_up(call, key, &entries, &appended).await;
        let outcomes = places.iter().filter_map(|at| appended.outcomes.get(*at).cloned()).collect();
        Ok((appended.header, outcomes))
    }

    /// What follows when an append is written: after-hooks, and a summary if it is due.
    pub(crate) async fn follow_up(
        &self,
        call: &CallContext,
        key: &SessionKey,
        entries: &[NewEntry],
        appended: &Appended,
    ) {
        metrics::counter!("sessiond_open_calls_given_up_total").increment(appended.given_up);
        let subject = Subject::Session(key.clone());
        let stored: Vec<StoredEvent> = entries
            .iter()
            .zip(&appended.outcomes)
            .filter_map(|(entry, outcome)| match (entry, outcome) {
                (
                    NewEntry::Event { event, .. },
                    Outcome { fate: Fate::Stored(sequence), duplicate: false },
                ) => Some(StoredEvent { sequence: *sequence, event: Event::clone(event) }),
                _ => None,
            })
            .collect();
        metrics::counter!("sessiond_events_appended_total").increment(stored.len() as u64);
        if !stored.is_empty() {
            self.hooks.after_append(call, &subject, &stored).await;
            self.summarize_if_due(call, key, &appended.header, &stored).await;
        }
    }
}

impl Item {
    pub(super) fn reply_if_partial(&self) -> Option<ItemReply> {
        let id = self.event.id().to_owned();
        (!self.event.is_kept()).then_some(ItemReply {
            id,
            fate: ItemFate::Partial,
            duplicate: false,
        })
    }
}

fn reply_of(id: String, outcome: Outcome) -> ItemReply {
    let fate = match outcome.fate {
        Fate::Stored(sequence) => ItemFate::Stored(sequence),
        Fate::Dropped(by) => ItemFate::DroppedBy(by),
    };
    ItemReply { id, fate, duplicate: outcome.duplicate }
}

/// The entries to store, in the order that the hooks left, then the ids of what they dropped; and
/// for each item that came, the number of its entry.
pub(super) fn entries_of(
    screened: &Screened,
    known: &[(String, Digest)],
    digests: DigestKey,
) -> (Vec<NewEntry>, Vec<usize>) {
    let mut entries = Vec::with_capacity(screened.events.len());
    let mut places = vec![usize::MAX; known.len()];
    let mut note = |item: usize, at: usize| {
        if let Some(place) = places.get_mut(item) {
            *place = at;
        }
    };
    for pending in &screened.events {
        let digest = match pending.item.and_then(|item| known.get(item)) {
            Some((_, digest)) => *digest,
            None => digests.of_event(&pending.event),
        };
        if let Some(item) = pending.item {
            note(item, entries.len());
        }
        entries.push(NewEntry::Event { event: Arc::clone(&pending.event), digest });
    }
    for (item, (by, (id, digest))) in screened.dropped_by.iter().zip(known).enumerate() {
        if let Some(by) = by {
            note(item, entries.len());
            let (id, by) = (id.clone(), by.clone());
            entries.push(NewEntry::Dropped { id, digest: *digest, by });
        }
    }
    (entries, places)
}
