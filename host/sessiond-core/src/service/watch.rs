//! Watch: a session, or a user's sessions, as they change.
//!
//! A watcher reads from its cursor whenever there may be something new. So there is no gap between
//! what it got first and what comes later, and nothing waits for one that is slow.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SessionService;
use crate::error::Error;
use crate::event::EntryKind;
use crate::hook::CallContext;
use crate::key::{SessionKey, Subject, UserKey};
use crate::read::ReadOptions;
use crate::state::StateMap;
use crate::store::watch::{Watch, Watched};
use crate::store::{PageToken, Prefer, Range, SessionHeader, Snapshot, StoreError};
use crate::summary::Summary;
use crate::view::{SessionView, ViewItem};

/// How many entries are read at once.
const PAGE: usize = 16;
/// How many sessions of a user are listed at once, and how many new ones there may be before it is
/// better to begin anew.
const LIST_PAGE: usize = 100;
const MAX_LISTED: usize = 1_000;

/// Up to where a watcher knows a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The session's generation.
    pub generation: u64,
    /// The sequence of the last entry that it knows.
    pub sequence: u64,
    /// How often the history had been edited.
    pub edits: u64,
}

impl Cursor {
    /// Reads what [`Cursor`]s print as.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
        let (generation, sequence) = (parts.next()??, parts.next()??);
        let edits = parts.next().map_or(Some(0), |edits| edits)?;
        parts.next().is_none().then_some(Self { generation, sequence, edits })
    }

    fn of(header: &SessionHeader, sequence: u64) -> Self {
        Self { generation: header.generation, sequence, edits: header.edits }
    }
}

impl fmt::Display for Cursor {
    /// `GENERATION-SEQ`, or `GENERATION-SEQ-EDITS` for a history that was edited.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.generation, self.sequence)?;
        if self.edits > 0 { write!(f, "-{}", self.edits) } else { Ok(()) }
    }
}

/// Why a watcher must forget what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// Entries that it has not seen are not kept any more.
    TooOld,
    /// The session was deleted, and created again.
    OtherGeneration,
    /// The history was edited.
    Edited,
}

impl ResetReason {
    /// Its name for clients.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::OtherGeneration => "other_generation",
            Self::Edited => "edited",
        }
    }
}

/// Something new in a session.
#[derive(Debug)]
pub enum News {
    /// The session, as a read shows it.
    Snapshot(Box<SessionView>),
    /// What is known of it is worth nothing; a snapshot follows.
    Reset(ResetReason),
    /// An event.
    Event(Box<ViewItem>),
    /// The state, after a change of it by itself.
    State(StateMap),
    /// A summary.
    Summary(Box<Summary>),
    /// Entries that hooks hide.
    Hidden,
    /// The session is gone. Nothing follows.
    Gone,
}

/// News, and up to where the session is known with them.
#[derive(Debug)]
pub struct Notice {
    /// None: as far as before.
    pub cursor: Option<Cursor>,
    /// What is new.
    pub news: News,
}

impl Notice {
    fn new(cursor: Cursor, news: News) -> Self {
        Self { cursor: Some(cursor), news }
    }
}

/// Who watches a session.
#[derive(Debug)]
pub struct SessionWatch {
    service: Arc<SessionService>,
    call: CallContext,
    key: SessionKey,
    options: ReadOptions,
    watch: Watch,
    /// None: it gets a snapshot first.
    at: Option<Cursor>,
    /// Whether there may be more to read without waiting.
    behind: bool,
    /// The boundaries of the summaries that it knows. None: of none yet.
    summaries: Option<BTreeMap<String, u64>>,
}

impl SessionService {
    /// Begins to watch a session, after a cursor or with a snapshot as `options` say.
    ///
    /// # Errors
    /// [`Error`], with [`StoreError::NotFound`] when there is none.
    pub async fn watch(
        self: &Arc<Self>,
        call: CallContext,
        key: SessionKey,
        after: Option<Cursor>,
        options: ReadOptions,
    ) -> Result<SessionWatch, Error> {
        // It is told of what is written from here on, and so reads it after all before.
        let watch = self.store.watch(Watched::Session(key.clone()));
        self.admitted(&call, &Subject::Session(key.clone()), options.clone()).await?;
        self.store.read(&key, range_after(0, 0)).await?.ok_or(StoreError::NotFound)?;
        let service = self.clone();
        let (behind, summaries) = (true, None);
        Ok(SessionWatch { service, call, key, options, watch, at: after, behind, summaries })
    }
}

fn range_after(after: u64, limit: usize) -> Range {
    Range { after, before: None, limit, prefer: Prefer::Oldest, with_state: true }
}

impl SessionWatch {
    /// What is new. Waits for it no longer than `patience`, and looks once more then: so it finds out
    /// too that a session has expired, of which nobody tells.
    ///
    /// # Errors
    /// [`Error`]; a store that is unavailable may be asked again.
    pub async fn next(&mut self, patience: Duration) -> Result<Vec<Notice>, Error> {
        loop {
            let waits = !self.behind;
            if waits {
                // In time or not: it looks.
                let _ = tokio::time::timeout(patience, self.watch.changed()).await;
            }
            // If it cannot look now, it does so the next time.
            self.behind = true;
            let notices = match self.at {
                None => self.snapshot(Vec::new()).await?,
                Some(at) => self.read(at).await?,
            };
            self.behind = !notices.is_empty();
            if waits || self.behind {
                return Ok(notices);
            }
        }
    }

    async fn snapshot(&mut self, mut before: Vec<Notice>) -> Result<Vec<Notice>, Error> {
        match self.service.get(&self.call, &self.key, self.options.clone()).await {
            Ok(view) => {
                let at = view.header().map(|header| Cursor::of(header, header.last_sequence));
                (self.at, self.summaries) = (at, None);
                let news = News::Snapshot(Box::new(view));
                before.push(Notice { cursor: at, news });
                Ok(before)
            }
            Err(Error::Store(StoreError::NotFound)) => Ok(gone()),
            Err(error) => Err(error),
        }
    }

    async fn read(&mut self, at: Cursor) -> Result<Vec<Notice>, Error> {
        let read = self.service.store.read(&self.key, range_after(at.sequence, PAGE)).await?;
        let Some(snapshot) = read else { return Ok(gone()) };
        let header = snapshot.header;
        let reason = if header.generation != at.generation {
            Some(ResetReason::OtherGeneration)
        } else if header.edits != at.edits {
            Some(ResetReason::Edited)
        } else if at.sequence + 1 < header.first_sequence || at.sequence > header.last_sequence {
            Some(ResetReason::TooOld)
        } else {
            None
        };
        if let Some(reason) = reason {
            let reset = Notice { cursor: None, news: News::Reset(reason) };
            return self.snapshot(vec![reset]).await;
        }
        let known = self.summaries.replace(boundaries(&snapshot.summaries));
        let is_new = |summary: &Summary| {
            known
                .as_ref()
                .is_some_and(|known| known.get(&summary.filter_key) != Some(&summary.last_sequence))
        };
        let summaries: Vec<_> =
            snapshot.summaries.iter().filter(|it| is_new(it)).cloned().collect();
        if snapshot.entries.is_empty()
            && header.last_sequence == at.sequence
            && summaries.is_empty()
        {
            return Ok(Vec::new());
        }
        let shown = self.shown(at, Snapshot { summaries, ..snapshot }).await;
        if shown.is_err() {
            self.summaries = known;
        }
        shown
    }

    /// What hooks let be seen of what was read.
    async fn shown(&mut self, at: Cursor, snapshot: Snapshot) -> Result<Vec<Notice>, Error> {
        let Snapshot { header, state, summaries, mut entries, .. } = snapshot;
        let subject = Subject::Session(self.key.clone());
        let mut options = ReadOptions::new(self.call.purpose, u32::try_from(PAGE).unwrap_or(1));
        options.after_sequence = Some(at.sequence);
        let options = self.service.admitted(&self.call, &subject, options).await?;
        // A hook that lets fewer through at once makes it go in smaller steps.
        let step = if options.limit == 0 { PAGE } else { options.limit as usize };
        entries.truncate(step);
        let last = entries.last().map_or(header.last_sequence, |entry| entry.sequence);
        let changes_state = entries.iter().any(|entry| entry.event.kind() == EntryKind::State);
        entries.retain(|entry| {
            entry.event.kind() == EntryKind::Event
                && options.limit > 0
                && options.after_sequence.is_none_or(|after| entry.sequence > after)
                && options.before_sequence.is_none_or(|before| entry.sequence < before)
                && options.after_time.is_none_or(|time| entry.event.time() >= time)
        });
        let view = self.service.view(&subject, Some(header), entries).with_state(state);
        let view = view.with_summaries(summaries);
        let view = self.service.hooks.after_get(&self.call, &subject, view).await?;
        let mut notices = Vec::new();
        for item in view.items() {
            let cursor = item.sequence.map(|sequence| Cursor::of(&header, sequence));
            notices.push(Notice { cursor, news: News::Event(Box::new(item.clone())) });
        }
        let end = Cursor::of(&header, last);
        if changes_state {
            notices.push(Notice::new(end, News::State(view.state().merged())));
        }
        for summary in view.summaries() {
            notices.push(Notice { cursor: None, news: News::Summary(Box::new(summary.clone())) });
        }
        if last > at.sequence && !notices.iter().any(|notice| notice.cursor == Some(end)) {
            notices.push(Notice::new(end, News::Hidden));
        }
        self.at = Some(end);
        Ok(notices)
    }
}

fn gone() -> Vec<Notice> {
    vec![Notice { cursor: None, news: News::Gone }]
}

fn boundaries(summaries: &[Summary]) -> BTreeMap<String, u64> {
    summaries.iter().map(|it| (it.filter_key.clone(), it.last_sequence)).collect()
}

/// Something new among a user's sessions.
#[derive(Debug)]
pub enum UserNews {
    /// The newest sessions. What was known before is worth nothing.
    Snapshot(Vec<(String, SessionHeader)>),
    /// One that was created or written.
    Session(String, SessionHeader),
    /// One that was deleted.
    Gone(String),
}

/// Who watches a user's sessions.
#[derive(Debug)]
pub struct UserWatch {
    service: Arc<SessionService>,
    user: UserKey,
    watch: Watch,
    /// The update that it knows last. None: it gets a snapshot first.
    at: Option<PageToken>,
    size: usize,
    behind: bool,
}

impl SessionService {
    /// Begins to watch a user's sessions, after a cursor or with a snapshot of so many of them.
    pub fn watch_user(
        self: &Arc<Self>,
        user: UserKey,
        after: Option<PageToken>,
        size: usize,
    ) -> UserWatch {
        let watch = self.store.watch(Watched::User(user.clone()));
        UserWatch { service: self.clone(), user, watch, at: after, size, behind: true }
    }
}

impl UserWatch {
    /// What is new, and up to where it is known with that. Waits for it no longer than `patience`.
    ///
    /// # Errors
    /// As for [`SessionWatch::next`].
    pub async fn next(
        &mut self,
        patience: Duration,
    ) -> Result<Vec<(Option<PageToken>, UserNews)>, Error> {
        let mut news = Vec::new();
        if !self.behind {
            if let Ok(hint) = tokio::time::timeout(patience, self.watch.changed()).await {
                news.extend(hint.gone.into_iter().map(|name| (None, UserNews::Gone(name))));
                self.at = self.at.filter(|_| !hint.lost);
            }
            self.behind = true;
        }
        let read = self.read(&mut news).await;
        match read {
            Ok(()) => self.behind = false,
            // What was deleted is not told a second time.
            Err(_) if !news.is_empty() => self.at = None,
            Err(_) => {}
        }
        read.map(|()| news)
    }

    async fn read(&mut self, news: &mut Vec<(Option<PageToken>, UserNews)>) -> Result<(), Error> {
        if let Some(at) = self.at
            && let Some(written) = self.written_since(at).await?
        {
            for (name, header) in written {
                self.at = Some(token(&header));
                news.push((self.at, UserNews::Session(name, header)));
            }
            return Ok(());
        }
        let page = self.service.list(&self.user, self.size, None).await?;
        let newest = page.sessions.first().map(|(_, header)| token(header));
        self.at = Some(newest.unwrap_or(PageToken { generation: 0, updated: 0 }));
        news.push((self.at, UserNews::Snapshot(page.sessions)));
        Ok(())
    }

    /// The sessions that were written since, the oldest first. None: too many to tell.
    async fn written_since(
        &self,
        at: PageToken,
    ) -> Result<Option<Vec<(String, SessionHeader)>>, Error> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.service.list(&self.user, LIST_PAGE, after).await?;
            let is_new =
                |(_, header): &(String, SessionHeader)| header.updated_at.micros() > at.updated;
            let size = page.sessions.len();
            let before = found.len();
            found.extend(page.sessions.into_iter().take_while(is_new));
            if found.len() > MAX_LISTED {
                return Ok(None);
            }
            match page.next {
                Some(next) if found.len() == before + size => after = Some(next),
                _ => break,
            }
        }
        found.reverse();
        Ok(Some(found))
    }
}

fn token(header: &SessionHeader) -> PageToken {
    PageToken { generation: header.generation, updated: header.updated_at.micros() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_integers() {
        for (text, edits) in [("12-5", 0), ("12-5-3", 3)] {
            let cursor = Cursor::parse(text).unwrap();
            assert_eq!(cursor, Cursor { generation: 12, sequence: 5, edits });
            assert_eq!(cursor.to_string(), text);
        }
        for bad in ["", "1", "a-1", "1-", "1-2-", "1-2-3-4", "-1-2", "1-2-x"] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }
}
