//! The state of users and apps.

use redis::Cmd;
use sessiond_core::key::{AppKey, UserKey};
use sessiond_core::state::{Scope, StateDelta, StateMap};

use super::RedisStore;
use crate::client::Call;
use crate::codec::{self, Fields};
use crate::error::Error;
use crate::outbox::{AppState, changes};
use crate::script::APP;

impl RedisStore {
    pub(super) async fn read_user_state(&self, user: &UserKey) -> Result<StateMap, Error> {
        let mut command = redis::cmd("HGETALL");
        let command = command.arg(self.keyspace.user(user).state);
        codec::user_state(self.client.call().command(command).await?)
    }

    pub(super) async fn read_app_state(&self, app: &AppKey) -> Result<StateMap, Error> {
        let fields: Fields = self.client.call().command(&self.app_state_command(app)).await?;
        AppState::read(fields)?.into_map()
    }

    pub(super) fn app_state_command(&self, app: &AppKey) -> Cmd {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keyspace.app(app).state);
        command
    }

    pub(super) async fn write_user_state(
        &self,
        user: &UserKey,
        delta: &StateDelta,
    ) -> Result<(), Error> {
        let key = self.keyspace.user(user).state;
        let (removed, set): (Vec<_>, Vec<_>) =
            changes(delta, Scope::User).into_iter().partition(|(_, value)| value.is_empty());
        let mut pipe = redis::pipe();
        pipe.atomic();
        if !set.is_empty() {
            pipe.cmd("HSET").arg(&key).ignore();
            for (field, value) in set {
                pipe.arg(field).arg(value);
            }
        }
        if !removed.is_empty() {
            let fields: Vec<&str> = removed.into_iter().map(|(field, _)| field).collect();
            pipe.cmd("HDEL").arg(&key).arg(fields).ignore();
        }
        pipe.add_command(expire(&key, self.terms.user_state_ttl)).ignore();
        self.client.call().lasting(&pipe).await
    }

    pub(super) async fn write_app_state(
        &self,
        app: &AppKey,
        delta: &StateDelta,
    ) -> Result<(), Error> {
        let call = self.client.call();
        let changes = changes(delta, Scope::App);
        let mut script = APP.call(&[&self.keyspace.app(app).state]);
        script.arg(self.terms.app_state_ttl);
        for (key, value) in &changes {
            script.arg("").arg(*key).arg(value.as_slice());
        }
        call.script(&script).await?;
        if changes.values().any(Vec::is_empty) {
            // The sweep forgets when the key was removed.
            let mut command = redis::cmd("SADD");
            let _: i64 = call.command(command.arg(self.keyspace.apps()).arg(app.app())).await?;
        }
        Ok(())
    }

    /// Begins the time of an app's state anew, if it has one.
    pub(super) async fn touch_app_state(&self, call: &Call<'_>, app: &AppKey) -> Result<(), Error> {
        match self.terms.app_state_ttl {
            0 => Ok(()),
            ttl => call.command(&expire(&self.keyspace.app(app).state, ttl)).await,
        }
    }
}

fn expire(key: &str, ttl: u64) -> Cmd {
    let mut command = redis::cmd(if ttl == 0 { "PERSIST" } else { "PEXPIRE" });
    command.arg(key);
    if ttl > 0 {
        command.arg(ttl);
    }
    command
}
