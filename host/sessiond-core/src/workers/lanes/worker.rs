//! The worker of a lane: takes what has gathered, and writes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::dead_letter::DeadLetters;
use super::journal::{Journal, JournalError};
use super::known::KnownSessions;
use super::lane::{Lane, Queued};
use super::record::Record;
use crate::error::Error;
use crate::key::SessionKey;
use crate::service::SessionService;
use crate::store::{Appended, JournalMark, SessionStore, StoreError};
use crate::workers::together;

/// The most appends that a lane writes at once.
const MAX_BATCH: usize = 256;
/// How long a lane waits before it tries again: this at first, then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) service: Arc<SessionService>,
    pub(super) lane: Arc<Lane>,
    pub(super) journal: Option<Arc<dyn Journal>>,
    pub(super) known: Arc<KnownSessions>,
    pub(super) dead: Arc<DeadLetters>,
    /// Appends up to this position were left by an earlier run: they may be written already.
    pub(super) replayed: u64,
}

/// The appends of a session, in their order.
#[derive(Debug)]
struct Group {
    key: SessionKey,
    appends: Vec<Queued>,
    /// Whether some of them may be written already, so that the session is asked first.
    unsure: bool,
}

/// What became of an append.
type Answer = Result<Written, StoreError>;

#[derive(Debug)]
enum Written {
    Now(Appended),
    /// An earlier attempt had written it, of this run or another.
    Before,
}

impl Worker {
    pub(super) async fn run(self) {
        let mut after = 0;
        while self.lane.wait_after(after).await.is_some() {
            let (batch, last) = match &self.journal {
                None => {
                    let batch = self.lane.take(MAX_BATCH);
                    let last = batch.last().map_or(after, |queued| queued.position);
                    (batch, last)
                }
                Some(journal) => match self.read(journal.as_ref(), after).await {
                    Ok(batch) => batch,
                    Err(error) => {
                        tracing::error!(%error, "the journal cannot be read; trying again");
                        sleep(LONGEST_PAUSE).await;
                        continue;
                    }
                },
            };
            after = last;
            self.work(batch, last).await;
        }
    }

    /// What the journal has next, and where that ends.
    async fn read(
        &self,
        journal: &dyn Journal,
        after: u64,
    ) -> Result<(Vec<Queued>, u64), JournalError> {
        let records = journal.read(self.lane.number(), after, MAX_BATCH).await?;
        // What was announced and is not there was forgotten.
        let last = records.last().map_or_else(|| self.lane.newest(), |(position, _)| *position);
        let mut batch = Vec::with_capacity(records.len());
        for (position, bytes) in records {
            let mark = JournalMark { journal: journal.id(), position };
            match Record::from_bytes(&bytes).and_then(Record::queued) {
                Ok((queued, waited)) => batch.push(queued.at(mark, waited)),
                Err(error) => {
                    // It is left where it is, for whoever can read it.
                    tracing::error!(position, %error, "a record of the journal cannot be read");
                    self.lane.count("refused");
                    self.lane.finish(0, 1);
                }
            }
        }
        Ok((batch, last))
    }

    /// Writes a batch, whatever time that takes, and does what follows.
    async fn work(&self, batch: Vec<Queued>, last: u64) {
        self.lane.begin(&batch);
        let positions: Vec<u64> = batch.iter().map(|queued| queued.position).collect();
        let mut groups = self.groups(batch);
        let (mut written, mut pause) = (Vec::new(), FIRST_PAUSE);
        loop {
            groups = self.attempt(groups, &mut written).await;
            if groups.is_empty() {
                break;
            }
            sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.lane.finish(last, positions.len() as u64);
        if let Some(journal) = &self.journal
            && let Err(error) = journal.forget(self.lane.number(), positions).await
        {
            // They will be found to be written when they come again.
            tracing::warn!(%error, "the journal did not forget what is written");
        }
        for (queued, appended) in written {
            let entries = &queued.ready.entries;
            self.service.follow_up(&queued.call, &queued.key, entries, &appended).await;
        }
    }

    fn groups(&self, batch: Vec<Queued>) -> Vec<Group> {
        let mut places: HashMap<SessionKey, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for queued in batch {
            let unsure = self.journal.is_some() && queued.position <= self.replayed;
            let place = *places.entry(queued.key.clone()).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => {
                    group.unsure |= unsure;
                    group.appends.push(queued);
                }
                None => {
                    let key = queued.key.clone();
                    groups.push(Group { key, appends: vec![queued], unsure });
                }
            }
        }
        groups
    }

    /// Writes all groups at once. Returns what is to be tried again.
    async fn attempt(
        &self,
        groups: Vec<Group>,
        written: &mut Vec<(Queued, Appended)>,
    ) -> Vec<Group> {
        let groups: Vec<Arc<Group>> = groups.into_iter().map(Arc::new).collect();
        let mut answers: Vec<Vec<Answer>> = groups.iter().map(|_| Vec::new()).collect();
        let mut tasks = JoinSet::new();
        for (number, group) in groups.iter().enumerate() {
            let (store, group) = (self.service.store().clone(), group.clone());
            tasks.spawn(async move { (number, write(store.as_ref(), &group).await) });
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok((number, of_group)) = done
                && let Some(place) = answers.get_mut(number)
            {
                *place = of_group;
            }
        }
        let mut again = Vec::new();
        for (group, answers) in groups.into_iter().zip(answers) {
            // Its task has ended, so nobody else has it.
            let Ok(group) = Arc::try_unwrap(group) else { continue };
            again.extend(self.judge(group, answers, written));
        }
        again
    }

    /// What is left of a group.
    fn judge(
        &self,
        group: Group,
        answers: Vec<Answer>,
        written: &mut Vec<(Queued, Appended)>,
    ) -> Option<Group> {
        let mut again = Vec::new();
        let mut answers = answers.into_iter();
        for queued in group.appends {
            let no_answer = || Err(StoreError::Corrupt("the attempt to write it failed".into()));
            match answers.next().unwrap_or_else(no_answer) {
                Ok(Written::Before) => self.lane.count("repeated"),
                Ok(Written::Now(appended)) => {
                    self.lane.count("written");
                    self.known.note(&queued.key, appended.header.generation);
                    written.push((queued, appended));
                }
                Err(error) if is_passing(&error) => {
                    if again.is_empty() {
                        tracing::warn!(session = ?queued.key, %error, "trying again to write");
                    }
                    self.lane.count("retried");
                    again.push(queued);
                }
                Err(error) => {
                    self.lane.count("refused");
                    self.known.forget(&queued.key);
                    let now = self.service.now();
                    self.dead.add(now, &queued, &Error::Store(error));
                }
            }
        }
        let (key, unsure) = (group.key, self.journal.is_some());
        (!again.is_empty()).then_some(Group { key, appends: again, unsure })
    }
}

/// Whether the same may be done later.
fn is_passing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable(_) | StoreError::NotReplicated { .. } | StoreError::Full(_)
    )
}

/// Writes a group. What the session says that it has is not written again, however many events came
/// to it since then.
async fn write(store: &dyn SessionStore, group: &Group) -> Vec<Answer> {
    let mut written = 0;
    if group.unsure
        && let Some(mark) = group.appends.iter().find_map(|queued| queued.ready.mark)
    {
        match store.journal_position(&group.key, mark.journal).await {
            Ok(position) => written = position.unwrap_or(0),
            Err(error) => return vec![Err(error)].into_iter().chain(missing(group)).collect(),
        }
    }
    let known = group.appends.iter().take_while(|it| group.unsure && it.position <= written);
    let known = known.count();
    let mut answers: Vec<Answer> = (0..known).map(|_| Ok(Written::Before)).collect();
    let rest = group.appends.get(known..).unwrap_or_default();
    let made = together::write(store, &group.key, rest).await;
    answers.extend(made.into_iter().map(|answer| answer.map(Written::Now)));
    answers
}

/// The answers to all but the first, when nothing could be tried.
fn missing(group: &Group) -> impl Iterator<Item = Answer> {
    let rest = group.appends.len().saturating_sub(1);
    (0..rest).map(|_| Err(StoreError::Unavailable("the session could not be asked".into())))
}
