//! The sessions that this daemon has seen lately, so that not every append has to look.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::key::SessionKey;

/// How long a session is known without being used.
const LATELY: Duration = Duration::from_secs(60);
/// How many are known at most. Past it all are forgotten, and looked up again.
const MOST: usize = 100_000;

type Sessions = HashMap<SessionKey, (u64, Instant)>;

#[derive(Debug, Default)]
pub(crate) struct KnownSessions {
    sessions: Mutex<Sessions>,
}

impl KnownSessions {
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation of a session, if it was seen lately.
    pub(crate) fn generation(&self, key: &SessionKey) -> Option<u64> {
        let mut sessions = self.lock();
        let (generation, seen) = sessions.get_mut(key)?;
        if seen.elapsed() > LATELY {
            sessions.remove(key);
            return None;
        }
        *seen = Instant::now();
        Some(*generation)
    }

    pub(crate) fn note(&self, key: &SessionKey, generation: u64) {
        let mut sessions = self.lock();
        if sessions.len() >= MOST && !sessions.contains_key(key) {
            sessions.clear();
        }
        sessions.insert(key.clone(), (generation, Instant::now()));
    }

    pub(crate) fn forget(&self, key: &SessionKey) {
        self.lock().remove(key);
    }
}
