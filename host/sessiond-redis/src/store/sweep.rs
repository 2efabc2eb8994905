//! Finishing what was cut off.

use std::collections::BTreeSet;
use std::time::Duration;

use sessiond_core::key::{AppKey, SessionKey};

use super::RedisStore;
use crate::error::Error;
use crate::outbox::Mark;
use crate::script::FORGET;

/// After this time a mark without an outbox is not of a write that is still under way.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// How many members of a set come at once.
const STEP: usize = 100;

impl RedisStore {
    /// Brings to apps what is left in outboxes of sessions. Sessions themselves expire in Redis.
    pub(super) async fn sweep_outboxes(&self) -> Result<(), Error> {
        // Somebody may have emptied the server, without a break of the connections.
        self.client.call().agree(self.client.schema()).await?;
        let apps = self.keyspace.apps();
        let mut cursor = 0;
        loop {
            let (next, names): (u64, Vec<String>) = self.members(&apps, cursor).await?;
            for app in names.into_iter().filter_map(|name| AppKey::new(name).ok()) {
                pass_over(&app, self.sweep_app(&app).await)?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn sweep_app(&self, app: &AppKey) -> Result<(), Error> {
        let keys = self.keyspace.app(app);
        let mut cursor = 0;
        loop {
            let (next, texts) = self.members(&keys.outboxes, cursor).await?;
            let marks: Vec<Mark> = texts.iter().filter_map(|text| Mark::read(app, text)).collect();
            let sessions: BTreeSet<&SessionKey> = marks.iter().map(|mark| &mark.key).collect();
            let mut settled = BTreeSet::new();
            for session in sessions {
                let result = self.settle_all(&self.client.call(), session).await.map(drop);
                if pass_over(session, result)? {
                    settled.insert(session);
                }
            }
            // Those of outboxes are gone now. Of the others, what made them may be under way.
            let stale = |mark: &&Mark| settled.contains(&mark.key) && mark.age() > UNDER_WAY;
            let stale: Vec<Mark> = marks.iter().filter(stale).cloned().collect();
            self.unmark(&self.client.call(), &stale).await?;
            if next == 0 {
                break;
            }
            cursor = next;
        }
        self.forget_app(app).await
    }

    /// Takes an app off the list, if nothing is left to do for it.
    async fn forget_app(&self, app: &AppKey) -> Result<(), Error> {
        let (call, keys) = (self.client.call(), self.keyspace.app(app));
        let mut reply = call.script(&FORGET.call(&[&keys.state, &keys.outboxes])).await?;
        if reply.text()? != "done" {
            return Ok(());
        }
        let apps = self.keyspace.apps();
        let _: i64 = call.command(redis::cmd("SREM").arg(&apps).arg(app.app())).await?;
        // A write may have left a mark meanwhile, and put the app on the list before it was taken
        // off.
        if call.command(redis::cmd("EXISTS").arg(&keys.outboxes)).await? {
            let _: i64 = call.command(redis::cmd("SADD").arg(&apps).arg(app.app())).await?;
        }
        Ok(())
    }

    async fn members(&self, set: &str, cursor: u64) -> Result<(u64, Vec<String>), Error> {
        let mut command = redis::cmd("SSCAN");
        command.arg(set).arg(cursor).arg("COUNT").arg(STEP);
        self.client.call().command(&command).await
    }
}

/// What cannot be read must not keep the sweep from all that comes after it. Returns whether it
/// was.
fn pass_over(what: &impl std::fmt::Debug, result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Err(error) if error.is_corrupt() => {
            tracing::warn!(
                ?what,
                error = &error as &dyn std::error::Error,
                "the sweep passes over what it cannot read"
            );
            Ok(false)
        }
        result => result.map(|()| true),
    }
}
