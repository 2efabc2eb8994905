//! State: read and changed by itself, in each of its scopes.

use super::{AppendReply, SessionService};
use crate::error::Error;
use crate::event::{Event, StoredEvent};
use crate::hook::{CallContext, Purpose};
use crate::key::{AppKey, SessionKey, Subject, UserKey};
use crate::read::ReadOptions;
use crate::state::{Scope, ScopedState, StateDelta, StateError};
use crate::store::{Condition, Prefer, Range, StoreError};
use crate::view::SessionView;

impl SessionService {
    /// Reads the state that a session sees: its own, the user's and the app's.
    ///
    /// # Errors
    /// [`Error`], with [`StoreError::NotFound`] when there is no such session.
    pub async fn session_state(
        &self,
        call: &CallContext,
        key: &SessionKey,
    ) -> Result<SessionView, Error> {
        let subject = Subject::Session(key.clone());
        self.admitted(call, &subject, ReadOptions::new(Purpose::State, 0)).await?;
        let nothing =
            Range { after: 0, before: None, limit: 0, prefer: Prefer::Newest, with_state: false };
        let snapshot = self.store.read(key, nothing).await?.ok_or(StoreError::NotFound)?;
        let view =
            self.view(&subject, Some(snapshot.header), Vec::new()).with_state(snapshot.state);
        Ok(self.hooks.after_get(call, &subject, view).await?)
    }

    /// Changes a session's state. Keys with the prefix of another scope go there.
    ///
    /// # Errors
    /// [`Error`]; nothing is changed then.
    pub async fn change_session_state(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        delta: StateDelta,
    ) -> Result<AppendReply, Error> {
        self.append_state(call, key, condition, self.state_event(delta)?).await
    }

    /// Reads a user's state.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn user_state(
        &self,
        call: &CallContext,
        user: &UserKey,
    ) -> Result<SessionView, Error> {
        let subject = Subject::User(user.clone());
        self.admitted(call, &subject, ReadOptions::new(Purpose::State, 0)).await?;
        let user = self.store.user_state(user).await?;
        self.shown_state(call, &subject, ScopedState { user, ..ScopedState::default() }).await
    }

    /// Reads an app's state.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn app_state(&self, call: &CallContext, app: &AppKey) -> Result<SessionView, Error> {
        let subject = Subject::App(app.clone());
        self.admitted(call, &subject, ReadOptions::new(Purpose::State, 0)).await?;
        let app = self.store.app_state(app).await?;
        self.shown_state(call, &subject, ScopedState { app, ..ScopedState::default() }).await
    }

    async fn shown_state(
        &self,
        call: &CallContext,
        subject: &Subject,
        state: ScopedState,
    ) -> Result<SessionView, Error> {
        let view = self.view(subject, None, Vec::new()).with_state(state);
        Ok(self.hooks.after_get(call, subject, view).await?)
    }

    /// Changes a user's state. Keys have the prefix of that scope.
    ///
    /// # Errors
    /// [`Error`]; nothing is changed then.
    pub async fn change_user_state(
        &self,
        call: &CallContext,
        user: &UserKey,
        delta: StateDelta,
    ) -> Result<(), Error> {
        let subject = Subject::User(user.clone());
        let change = self.screened_state(call, &subject, Scope::User, delta).await?;
        if let Some(event) = change {
            self.store.change_user_state(user, event.delta()).await?;
            self.hooks.after_append(call, &subject, &[StoredEvent { sequence: 0, event }]).await;
        }
        Ok(())
    }

    /// Changes an app's state. Keys have the prefix of that scope.
    ///
    /// # Errors
    /// [`Error`]; nothing is changed then.
    pub async fn change_app_state(
        &self,
        call: &CallContext,
        app: &AppKey,
        delta: StateDelta,
    ) -> Result<(), Error> {
        let subject = Subject::App(app.clone());
        let change = self.screened_state(call, &subject, Scope::App, delta).await?;
        if let Some(event) = change {
            self.store.change_app_state(app, event.delta()).await?;
            self.hooks.after_append(call, &subject, &[StoredEvent { sequence: 0, event }]).await;
        }
        Ok(())
    }

    /// What the hooks leave of a change that belongs to no session: at most one, of one scope.
    async fn screened_state(
        &self,
        call: &CallContext,
        subject: &Subject,
        scope: Scope,
        delta: StateDelta,
    ) -> Result<Option<Event>, Error> {
        check_scope(&delta, scope)?;
        let event = self.state_event(delta)?;
        let Ok(kept) = self.hooks.before_one(call, subject, event).await? else { return Ok(None) };
        check_scope(kept.delta(), scope)?;
        Ok(Some(Event::clone(&kept)))
    }

    pub(super) fn state_event(&self, delta: StateDelta) -> Result<Event, Error> {
        Event::of_state(delta, self.now(), self.limits.max_event_size)
            .map_err(|source| Error::Event { item: 0, source })
    }
}

/// Every key belongs to the scope, and to no other besides: `user:app:k` would be asking for trouble.
fn check_scope(delta: &StateDelta, scope: Scope) -> Result<(), StateError> {
    let other = |key: &str| {
        let (of, rest) = Scope::of_key(key);
        of != scope || Scope::of_key(rest).0 != Scope::Session
    };
    match delta.changes().find(|(key, _)| other(key)) {
        Some((key, _)) => Err(StateError::OtherScope(key.to_owned())),
        None => Ok(()),
    }
}
