//! Who watches what, and that there is something new for them. What it is, they read from the store:
//! so nothing is queued for a watcher that is slow, and nothing is lost to one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::key::{SessionKey, UserKey};

/// How many deleted sessions of a user are remembered for those who watch the user.
const MAX_GONE: usize = 1_000;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Watched {
    /// A session.
    Session(SessionKey),
    /// All sessions of a user.
    User(UserKey),
}

/// Who watches, and who is told.
#[derive(Debug, Default)]
pub struct NoticeBoard {
    posts: Mutex<HashMap<Watched, Post>>,
    /// Told when there is one more watcher.
    joined: Notify,
}

/// Those who watch the same.
#[derive(Debug)]
struct Post {
    watchers: usize,
    /// How often there was something new.
    times: watch::Sender<u64>,
    /// Deleted sessions of a user, and at which of these times.
    gone: VecDeque<(u64, String)>,
    /// The last of these times at which more may have been deleted.
    lost: u64,
}

/// One who watches.
#[derive(Debug)]
pub struct Watch {
    board: Arc<NoticeBoard>,
    what: Watched,
    times: watch::Receiver<u64>,
    seen: u64,
}

/// What is known of what is new, without having read it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Sessions of a watched user that were deleted, in order.
    pub gone: Vec<String>,
    /// Whether more may have been deleted.
    pub lost: bool,
}

impl NoticeBoard {
    /// Begins to watch. What is written from now on is told.
    pub fn watch(self: &Arc<Self>, what: Watched) -> Watch {
        let mut posts = self.posts();
        let post = posts.entry(what.clone()).or_insert_with(|| Post {
            watchers: 0,
            times: watch::Sender::new(0),
            gone: VecDeque::new(),
            lost: 0,
        });
        post.watchers += 1;
        let times = post.times.subscribe();
        let seen = *times.borrow();
        self.joined.notify_one();
        Watch { board: self.clone(), what, times, seen }
    }

    /// Tells those who watch a session or its user that it was written, or deleted.
    pub fn tell(&self, key: &SessionKey, deleted: bool) {
        let mut posts = self.posts();
        if posts.is_empty() {
            return;
        }
        if let Some(post) = posts.get_mut(&Watched::Session(key.clone())) {
            post.times.send_modify(|times| *times += 1);
        }
        if let Some(post) = posts.get_mut(&Watched::User(key.user_key().clone())) {
            if deleted {
                let next = *post.times.borrow() + 1;
                post.gone.push_back((next, key.session().to_owned()));
                if post.gone.len() > MAX_GONE {
                    post.lost = post.gone.pop_front().map_or(0, |(at, _)| at).max(post.lost);
                }
            }
            post.times.send_modify(|times| *times += 1);
        }
    }

    /// Tells some that there may be something new, and that deletions may have been missed.
    pub fn tell_some(&self, whom: impl Fn(&Watched) -> bool) {
        for (_, post) in self.posts().iter_mut().filter(|(what, _)| whom(what)) {
            post.lost = *post.times.borrow() + 1;
            post.times.send_modify(|times| *times += 1);
        }
    }

    /// All that is watched.
    pub fn watched(&self) -> Vec<Watched> {
        self.posts().keys().cloned().collect()
    }

    /// Waits until there is one more watcher than when this was last waited for.
    pub async fn joined(&self) {
        self.joined.notified().await;
    }

    fn posts(&self) -> MutexGuard<'_, HashMap<Watched, Post>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Waits until there may be something new.
    pub async fn changed(&mut self) -> Hint {
        // The board, which is held here, has the sender.
        let _ = self.times.changed().await;
        let times = *self.times.borrow_and_update();
        let before = std::mem::replace(&mut self.seen, times);
        let posts = self.board.posts();
        let Some(post) = posts.get(&self.what) else { return Hint::default() };
        let lost = post.lost > before;
        let gone = post.gone.iter().filter(|(at, _)| *at > before && *at <= times);
        Hint { gone: gone.map(|(_, name)| name.clone()).collect(), lost }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut posts = self.board.posts();
        if let Some(post) = posts.get_mut(&self.what) {
            post.watchers -= 1;
            if post.watchers == 0 {
                posts.remove(&self.what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str, session: &str) -> SessionKey {
        SessionKey::new("app", user, session).unwrap()
    }

    /// R50: what is told is not queued, and who has gone leaves nothing behind.
    #[tokio::test]
    async fn watchers_are_told_once_whatever_happened() {
        let board = Arc::new(NoticeBoard::default());
        let mut session = board.watch(Watched::Session(key("u", "a")));
        let mut user = board.watch(Watched::User(key("u", "a").user_key().clone()));
        for (name, deleted) in [("a", false), ("a", false), ("b", true), ("c", true)] {
            board.tell(&key("u", name), deleted);
        }
        board.tell(&key("v", "a"), true);
        assert_eq!(session.changed().await, Hint::default());
        let gone = vec!["b".to_owned(), "c".to_owned()];
        assert_eq!(user.changed().await, Hint { gone, lost: false });
        let waits = tokio::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(waits, session.changed()).await.is_err());
        assert!(tokio::time::timeout(waits, user.changed()).await.is_err());
        for _ in 0..=MAX_GONE {
            board.tell(&key("u", "d"), true);
        }
        let hint = user.changed().await;
        assert!(hint.lost && hint.gone.len() == MAX_GONE);
        board.tell_some(|watched| matches!(watched, Watched::Session(_)));
        assert_eq!(session.changed().await, Hint { lost: true, ..Hint::default() });
        drop((session, user));
        assert_eq!(board.watched(), []);
    }
}
