//! Edits of a session's history, and what else is done to a session as a whole.

use super::SessionService;
use crate::error::Error;
use crate::event::StoredEvent;
use crate::hook::{CallContext, Purpose};
use crate::key::{SessionKey, Subject};
use crate::read::ReadOptions;
use crate::store::edit::Edit;
use crate::store::lease::{Lease, LeaseRequest, MAX_HOLDER};
use crate::store::whole::SessionTtl;
use crate::store::{Condition, SessionHeader};
use crate::view::SessionView;
use uuid::Uuid;

/// The answer to an edit.
#[derive(Debug)]
pub struct EditReply {
    /// The session, as it is now.
    pub header: SessionHeader,
    /// How many events went.
    pub removed: u64,
    /// Of what a pop took out, what the get hooks let be seen. None: they refuse it.
    pub popped: Option<SessionView>,
}

impl SessionService {
    /// Takes entries out of a session's history. Of a pop, the get hooks see first whether the
    /// events may be read at all.
    ///
    /// # Errors
    /// [`Error`]; nothing is changed then.
    pub async fn edit(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        edit: &Edit,
    ) -> Result<EditReply, Error> {
        let subject = Subject::Session(key.clone());
        if matches!(edit, Edit::Pop { .. }) {
            let options = ReadOptions::new(Purpose::Edit, self.limits.max_events);
            self.hooks.before_get(call, &subject, options).await?;
        }
        self.settled(key).await?;
        let edited = self.store.edit(key, condition, edit).await?;
        metrics::counter!("sessiond_events_removed_total").increment(edited.removed);
        let popped = match edited.popped {
            events if events.is_empty() => None,
            events => self.shown_events(call, &subject, edited.header, events).await,
        };
        Ok(EditReply { header: edited.header, removed: edited.removed, popped })
    }

    /// They are gone whatever a hook says now, so a refusal is no error here.
    async fn shown_events(
        &self,
        call: &CallContext,
        subject: &Subject,
        header: SessionHeader,
        events: Vec<StoredEvent>,
    ) -> Option<SessionView> {
        let view = self.view(subject, Some(header), events);
        self.hooks.after_get(call, subject, view).await.ok()
    }

    /// Gives a session a time to live of its own, and begins it anew.
    ///
    /// # Errors
    /// [`Error`]; nothing is changed then.
    pub async fn set_ttl(
        &self,
        key: &SessionKey,
        condition: Condition,
        ttl: SessionTtl,
    ) -> Result<SessionHeader, Error> {
        self.settled(key).await?;
        Ok(self.store.set_ttl(key, condition, ttl).await?)
    }

    /// Takes a lease on a session, or goes on with one: as long as it lasts, writes that do not show
    /// its token are refused.
    ///
    /// # Errors
    /// [`Error::Holder`], and [`Error::Store`].
    pub async fn lease(&self, key: &SessionKey, request: &LeaseRequest) -> Result<Lease, Error> {
        if request.holder.len() > MAX_HOLDER {
            return Err(Error::Holder(request.holder.len()));
        }
        self.settled(key).await?;
        Ok(self.store.lease(key, request).await?)
    }

    /// Ends a lease. One that is over is no error.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn release(&self, key: &SessionKey, token: Uuid) -> Result<(), Error> {
        self.settled(key).await?;
        Ok(self.store.release(key, token).await?)
    }
}
