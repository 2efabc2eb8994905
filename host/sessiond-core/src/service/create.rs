//! Create: a session, with its first state.

use uuid::Uuid;

use super::SessionService;
use crate::error::Error;
use crate::event::{Event, StoredEvent};
use crate::hook::{CallContext, Purpose};
use crate::key::{SessionKey, Subject, UserKey};
use crate::read::ReadOptions;
use crate::state::StateDelta;
use crate::store::{SessionHeader, StoreError};
use crate::view::SessionView;

/// What to do when a session of that name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Refuse.
    Refuse,
    /// Return it as it is. The state that came with the request is not used.
    Return,
}

/// A session, new or found.
#[derive(Debug)]
pub struct Created {
    /// Its key.
    pub key: SessionKey,
    /// Whether it was there before.
    pub existed: bool,
    /// What is known of it.
    pub header: SessionHeader,
    /// What the get hooks let be seen of it, without events. None: they refuse it.
    pub view: Option<SessionView>,
}

impl SessionService {
    /// Creates a session. Without an id it gets a UUIDv7.
    ///
    /// # Errors
    /// [`Error`]; there is no new session then.
    pub async fn create(
        &self,
        call: &CallContext,
        user: &UserKey,
        id: Option<String>,
        state: StateDelta,
        if_exists: IfExists,
    ) -> Result<Created, Error> {
        let key = user.session(id.unwrap_or_else(|| Uuid::now_v7().to_string()))?;
        if let Some(header) = self.find(&key).await? {
            return self.found(call, key, header, if_exists).await;
        }
        let subject = Subject::Session(key.clone());
        let first = match state.is_empty() {
            true => Vec::new(),
            false => {
                let event = self.state_event(state)?;
                let screened = self.hooks.before_append(call, &subject, vec![event]).await?;
                screened.events.into_iter().map(|pending| pending.event).collect()
            }
        };
        let Some(header) = self.store.create(&key, &first).await? else {
            // Somebody else was faster.
            let header = self.find(&key).await?.ok_or(Error::Exists)?;
            return self.found(call, key, header, if_exists).await;
        };
        metrics::counter!("sessiond_sessions_created_total").increment(1);
        let stored: Vec<_> = first
            .iter()
            .zip(1..)
            .map(|(event, sequence)| StoredEvent { sequence, event: Event::clone(event) })
            .collect();
        if !stored.is_empty() {
            self.hooks.after_append(call, &subject, &stored).await;
        }
        let view = self.shown(call, &key).await;
        Ok(Created { key, existed: false, header, view })
    }

    async fn found(
        &self,
        call: &CallContext,
        key: SessionKey,
        header: SessionHeader,
        if_exists: IfExists,
    ) -> Result<Created, Error> {
        match if_exists {
            IfExists::Refuse => Err(Error::Exists),
            IfExists::Return => {
                let view = self.shown(call, &key).await;
                Ok(Created { key, existed: true, header, view })
            }
        }
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<SessionHeader>, Error> {
        match self.store.seen(key, &[]).await {
            Ok((header, _)) => Ok(Some(header)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The session is there whatever a read of it says, so a refusal is no error here.
    pub(super) async fn shown(&self, call: &CallContext, key: &SessionKey) -> Option<SessionView> {
        let call = call.with_purpose(Purpose::Session);
        self.get(&call, key, ReadOptions::new(Purpose::Session, 0)).await.ok()
    }
}
