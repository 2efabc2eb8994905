//! Group commit: appends that come to a session while another is being written wait for it, and are
//! then written together, in one step.
//!
//! An append that finds nobody before it goes at once, so a lone client waits for nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::together::{self, Ready};
use crate::error::Error;
use crate::key::SessionKey;
use crate::store::{Appended, Condition, NewEntry, SessionStore, StoreError};

/// The most appends that one step writes.
const MAX_GROUP: usize = 128;

/// Writes appends, those to one session together where they meet.
#[derive(Debug, Clone)]
pub(crate) struct GroupCommit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn SessionStore>,
    /// The sessions that are being written, and who waits there. How many wait is bounded by the
    /// requests that there are: each waits with at most one append.
    sessions: Mutex<HashMap<SessionKey, Vec<Waiting>>>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Waiting {
    ready: Ready,
    reply: oneshot::Sender<Result<Appended, StoreError>>,
}

impl AsRef<Ready> for Waiting {
    fn as_ref(&self) -> &Ready {
        &self.ready
    }
}

impl GroupCommit {
    pub(crate) fn new(store: Arc<dyn SessionStore>) -> Self {
        let (sessions, tasks) = Default::default();
        Self { shared: Arc::new(Shared { store, sessions, tasks }) }
    }

    /// Appends entries, as [`SessionStore::append`] does.
    pub(crate) async fn append(
        &self,
        key: &SessionKey,
        condition: Condition,
        entries: &[NewEntry],
    ) -> Result<Appended, Error> {
        let receiver = {
            let mut sessions = self.shared.lock();
            match sessions.entry(key.clone()) {
                Entry::Vacant(place) => {
                    place.insert(Vec::new());
                    None
                }
                Entry::Occupied(mut waiting) => {
                    let (reply, receiver) = oneshot::channel();
                    let ready = Ready { condition, entries: entries.to_vec(), mark: None };
                    waiting.get_mut().push(Waiting { ready, reply });
                    Some(receiver)
                }
            }
        };
        match receiver {
            None => {
                // Whatever becomes of this request, those who wait for it go on.
                let _turn = Turn { shared: &self.shared, key };
                Ok(self.shared.store.append(key, condition, entries).await?)
            }
            Some(receiver) => Ok(receiver.await.map_err(|_| Error::Stopping)??),
        }
    }

    /// Waits until nothing is being written any more. No request may be left.
    pub(crate) async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Vec<Waiting>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes who waits for a session. If nobody does, it is not being written any more.
    fn take(&self, key: &SessionKey) -> Vec<Waiting> {
        let mut sessions = self.lock();
        let Some(waiting) = sessions.get_mut(key) else { return Vec::new() };
        let count = waiting.len().min(MAX_GROUP);
        if count == 0 {
            sessions.remove(key);
            return Vec::new();
        }
        waiting.drain(..count).collect()
    }

    async fn write_all(&self, key: &SessionKey, mut group: Vec<Waiting>) {
        while !group.is_empty() {
            let answers = together::write(self.store.as_ref(), key, &group).await;
            metrics::histogram!("sessiond_group_commit_appends").record(group.len() as f64);
            for (waiting, answer) in group.into_iter().zip(answers) {
                // The client may have gone.
                let _ = waiting.reply.send(answer);
            }
            // Who has just been answered, and those whose requests are here already, may join.
            tokio::task::yield_now().await;
            group = self.take(key);
        }
    }
}

/// The turn of an append that goes by itself. At its end those who came meanwhile have theirs, in a
/// task of their own: none of them depends on the request of another.
struct Turn<'a> {
    shared: &'a Arc<Shared>,
    key: &'a SessionKey,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let group = self.shared.take(self.key);
        if group.is_empty() {
            return;
        }
        let (shared, key) = (self.shared.clone(), self.key.clone());
        self.shared.tasks.spawn(async move { shared.write_all(&key, group).await });
    }
}
