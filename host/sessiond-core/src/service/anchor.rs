//! An event by its id, with what stands around it.

use super::SessionService;
use crate::error::Error;
use crate::hook::{CallContext, Purpose};
use crate::key::{SessionKey, Subject};
use crate::read::ReadOptions;
use crate::store::{Fate, Prefer, Range, StoreError};
use crate::view::SessionView;

impl SessionService {
    /// Reads an event, and so many before and after it. It is found as long as its id is remembered.
    ///
    /// # Errors
    /// As for [`SessionService::get`], and [`Error::NoEvent`].
    pub async fn around(
        &self,
        call: &CallContext,
        key: &SessionKey,
        id: &str,
        before: u32,
        after: u32,
    ) -> Result<SessionView, Error> {
        let subject = Subject::Session(key.clone());
        let limit = before.saturating_add(after).saturating_add(1);
        let options = ReadOptions::new(Purpose::Events, limit);
        let options = self.admitted(call, &subject, options).await?;
        let (_, seen) = self.store.seen(key, &[id]).await?;
        let none = || Error::NoEvent { id: id.to_owned() };
        let Some(Fate::Stored(anchor)) = seen.into_iter().flatten().next().map(|seen| seen.fate)
        else {
            return Err(none());
        };
        let part = async |after, before, limit: u32, prefer| {
            let range = Range { after, before, limit: limit as usize, prefer, with_state: false };
            self.store.read(key, range).await?.ok_or(StoreError::NotFound)
        };
        let later = part(anchor - 1, None, after.saturating_add(1), Prefer::Oldest).await?;
        if later.entries.first().is_none_or(|entry| entry.sequence != anchor) {
            return Err(none());
        }
        let earlier = part(0, Some(anchor), before, Prefer::Newest).await?;
        let bounds = (options.after_sequence.unwrap_or(0), options.before_sequence);
        let mut entries = earlier.entries;
        entries.extend(later.entries);
        // A hook may have narrowed what is to be seen.
        entries.retain(|entry| {
            entry.sequence > bounds.0 && bounds.1.is_none_or(|end| entry.sequence < end)
        });
        let surplus = entries.len().saturating_sub(options.limit as usize);
        entries.drain(..surplus);
        let view = self.view(&subject, Some(later.header), entries);
        Ok(self.hooks.after_get(call, &subject, view).await?)
    }
}
