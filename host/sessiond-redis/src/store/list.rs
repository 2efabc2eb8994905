//! Listing a user's sessions.

use sessiond_core::key::UserKey;
use sessiond_core::store::{PageToken, SessionHeader, SessionPage};

use super::RedisStore;
use crate::codec::{HeaderFields, Lifetime};
use crate::error::Error;
use crate::keyspace::unescape;
use crate::script::LIST;

impl RedisStore {
    pub(super) async fn list_sessions(
        &self,
        user: &UserKey,
        size: usize,
        after: Option<PageToken>,
    ) -> Result<SessionPage, Error> {
        let call = self.client.call();
        let keys = self.keyspace.user(user);
        let mut from = after.map_or("+inf".to_owned(), |token| format!("({}", token.updated));
        let mut sessions: Vec<(String, SessionHeader)> = Vec::new();
        // One more than asked for tells whether there is a next page.
        while sessions.len() <= size {
            let mut script = LIST.call(&[&keys.by_update, &keys.by_expiry]);
            script.arg(&keys.hashes).arg(&from).arg(size + 1 - sessions.len());
            let mut reply = call.script(&script).await?;
            let over = reply.number()? == 1;
            from = reply.text()?;
            let now = reply.number()?;
            while !reply.is_empty() {
                let name = unescape(&reply.text()?).ok_or_else(|| reply.unreadable())?;
                let fields = HeaderFields::take(&mut reply)?;
                let lifetime = Lifetime { now, left: reply.number()? };
                sessions.push((name, fields.header(lifetime)?));
            }
            if over {
                break;
            }
        }
        let more = sessions.len() > size;
        sessions.truncate(size);
        let last = sessions.last().filter(|_| more);
        let next = last.map(|(_, header)| PageToken {
            generation: header.generation,
            updated: header.updated_at.micros(),
        });
        Ok(SessionPage { sessions, next })
    }
}
