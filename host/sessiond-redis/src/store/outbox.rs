//! Bringing changes of an app's state from a session's outbox to the app.

use sessiond_core::key::SessionKey;

use super::RedisStore;
use crate::client::Call;
use crate::codec::{Fields, SessionFields};
use crate::error::Error;
use crate::outbox::{Mark, Outbox};
use crate::script::{APP, CLEAR};

impl RedisStore {
    /// Leaves a mark before a write that will leave an outbox.
    pub(super) async fn announce(&self, call: &Call<'_>, mark: &Mark) -> Result<(), Error> {
        let app = mark.key.app_key();
        // In this order: the sweep takes an app off the list before it looks for the last time.
        let (mut first, mut second) = (redis::cmd("SADD"), redis::cmd("SADD"));
        first.arg(self.keyspace.app(app).outboxes).arg(mark.text());
        second.arg(self.keyspace.apps()).arg(app.app());
        call.in_order(first, second).await
    }

    /// Takes back the mark of a write that has left none. If that fails, the sweep does it.
    pub(super) async fn withdraw(&self, call: &Call<'_>, mark: Option<Mark>) {
        let Some(mark) = mark else { return };
        if let Err(error) = self.unmark(call, &[mark]).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a mark without an outbox is left"
            );
        }
    }

    pub(super) async fn unmark(&self, call: &Call<'_>, marks: &[Mark]) -> Result<(), Error> {
        let Some(first) = marks.first() else { return Ok(()) };
        let mut command = redis::cmd("SREM");
        command.arg(self.keyspace.app(first.key.app_key()).outboxes);
        for mark in marks {
            command.arg(mark.text());
        }
        call.command(&command).await
    }

    /// Makes the changes of outboxes of a session, and clears them. To do it again does no harm.
    pub(super) async fn settle(
        &self,
        call: &Call<'_>,
        key: &SessionKey,
        outboxes: &[Outbox],
    ) -> Result<(), Error> {
        if outboxes.is_empty() {
            return Ok(());
        }
        let app = self.keyspace.app(key.app_key());
        let mut apply = APP.call(&[&app.state]);
        apply.arg(self.terms.app_state_ttl);
        let mut clear = CLEAR.call(&[&self.keyspace.session(key).hash]);
        for outbox in outboxes {
            for (change, value) in &outbox.changes {
                apply.arg(outbox.stamp).arg(change).arg(value.as_slice());
            }
            clear.arg(outbox.stamp);
        }
        call.script(&apply).await?;
        call.script(&clear).await?;
        // Only now: a mark stays as long as the outbox may be there.
        let mark = |outbox: &Outbox| Mark { key: key.clone(), number: outbox.number.clone() };
        let marks: Vec<Mark> = outboxes.iter().map(mark).collect();
        if let Err(error) = self.unmark(call, &marks).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a mark without an outbox is left"
            );
        }
        Ok(())
    }

    /// Settles what a write has left, and before that what earlier ones have, if any did.
    pub(super) async fn settle_after(
        &self,
        call: &Call<'_>,
        key: &SessionKey,
        own: Option<Outbox>,
        pending: bool,
    ) -> Result<(), Error> {
        let done = if pending { self.settle_all(call, key).await? } else { Vec::new() };
        match own {
            // The session may have been deleted since, and its outbox with it.
            Some(own) if !done.contains(&own.stamp) => self.settle(call, key, &[own]).await,
            _ => Ok(()),
        }
    }

    /// Settles whatever a session's outbox holds. Returns the times of the appends.
    pub(super) async fn settle_all(
        &self,
        call: &Call<'_>,
        key: &SessionKey,
    ) -> Result<Vec<u64>, Error> {
        let mut command = redis::cmd("HGETALL");
        let command = command.arg(self.keyspace.session(key).hash);
        let fields: Fields = call.command(command).await?;
        let Some(session) = SessionFields::read(fields)? else { return Ok(Vec::new()) };
        self.settle(call, key, &session.outboxes).await?;
        Ok(session.outboxes.iter().map(|outbox| outbox.stamp).collect())
    }
}
