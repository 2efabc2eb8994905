//! Creating a session.

use std::sync::Arc;

use sessiond_core::event::Event;
use sessiond_core::key::SessionKey;
use sessiond_core::store::{SessionHeader, StoreError};

use super::RedisStore;
use super::append::{Written, unsettled};
use super::batch::{Common, begin, changes_app, put_event};
use crate::client::Call;
use crate::error::Error;
use crate::outbox::{Mark, Outbox};
use crate::script::CREATE;

impl RedisStore {
    pub(super) async fn create_session(
        &self,
        key: &SessionKey,
        first: &[Arc<Event>],
    ) -> Result<Option<SessionHeader>, StoreError> {
        let call = self.client.call();
        let app = first.iter().any(|event| changes_app(event.delta()));
        let mark = app.then(|| Mark::new(key));
        if let Some(mark) = &mark {
            self.announce(&call, mark).await?;
        }
        // Without an answer the session may be there, now or in a moment: then the mark stays.
        let created = self.try_create(&call, key, first, mark.as_ref()).await?;
        let Some(header) = created else {
            self.withdraw(&call, mark).await;
            return Ok(None);
        };
        let deltas = first.iter().map(|event| event.delta());
        let left = mark.and_then(|mark| Outbox::left(header.updated_at, &mark, deltas));
        let settled = match left {
            Some(left) => self.settle(&call, key, &[left]).await,
            None => self.touch_app_state(&call, key.app_key()).await,
        };
        settled.map_err(unsettled)?;
        Ok(Some(header))
    }

    async fn try_create(
        &self,
        call: &Call<'_>,
        key: &SessionKey,
        first: &[Arc<Event>],
        mark: Option<&Mark>,
    ) -> Result<Option<SessionHeader>, Error> {
        let (keys, tokens) = (self.keyspace.session(key), self.client.schema().digest_key());
        let mark = mark.map(|mark| mark.number.as_str()).unwrap_or_default();
        let common = Common { mark, count: first.len(), ..Common::default() };
        let mut script = begin(&CREATE, &keys, &self.terms, &common, &[]);
        for event in first {
            put_event(&mut script, event, tokens);
        }
        let mut reply = call.script(&script).await?;
        match reply.text()?.as_str() {
            "done" => Ok(Some(Written::read(reply)?.header)),
            "exists" => Ok(None),
            _ => Err(reply.unreadable()),
        }
    }
}
