//! What comes from another place: each session whole, and nothing twice.
//!
//! A session that is there already and equal is skipped, one that differs is reported and left
//! alone: so an import that was cut off can simply be run again.

pub(crate) mod block;
mod equal;
pub(crate) mod report;

use std::sync::Arc;

use sessiond_core::error::Error;
use sessiond_core::hook::chain::ChainError;
use sessiond_core::hook::{CallContext, Purpose};
use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::service::{Imported, Screening, SessionService};
use sessiond_core::state::{Scope, StateDelta, StateMap};
use sessiond_core::store::StoreError;
use sessiond_core::store::whole::Whole;
use uuid::Uuid;

use self::report::Report;

/// Puts sessions and state into the store.
#[derive(Debug)]
pub(crate) struct Importer {
    service: Arc<SessionService>,
    screening: Screening,
    /// Only find out what would be written.
    dry_run: bool,
    call: CallContext,
    /// What has come of it so far.
    pub(crate) report: Report,
}

/// What became of a session or of state.
enum Fate {
    Written,
    Equal,
    Refused(String),
}

impl Importer {
    pub(crate) fn new(service: Arc<SessionService>, screening: Screening, dry_run: bool) -> Self {
        let call = CallContext::new(Purpose::Import, Uuid::now_v7().to_string());
        Self { service, screening, dry_run, call, report: Report::default() }
    }

    /// The largest event that is taken in, in bytes.
    pub(crate) fn max_event_size(&self) -> usize {
        self.service.limits().max_event_size
    }

    /// Puts a session into the store. `from` is where it comes from, for the report.
    ///
    /// # Errors
    /// When the store does not answer: everything else goes into the report.
    pub(crate) async fn session(
        &mut self,
        from: &str,
        key: &SessionKey,
        whole: Whole,
    ) -> anyhow::Result<()> {
        let events = whole.entries().count() as u64;
        self.report.sessions_read += 1;
        self.report.events_read += events;
        match self.put(key, whole).await? {
            Fate::Written => {
                self.report.sessions_written += 1;
                self.report.events_written += events;
            }
            Fate::Equal => self.report.sessions_equal += 1,
            Fate::Refused(reason) => self.report.lose(from, reason),
        }
        Ok(())
    }

    async fn put(&self, key: &SessionKey, whole: Whole) -> anyhow::Result<Fate> {
        // Most of a second run is equal, and no hook need see it.
        let difference = equal::difference(self.service.store().as_ref(), key, &whole).await?;
        match difference {
            Some(None) => return Ok(Fate::Equal),
            Some(Some(what)) if self.dry_run || self.screening == Screening::Bypass => {
                return Ok(Fate::Refused(differs(what)));
            }
            None if self.dry_run => return Ok(Fate::Written),
            _ => {}
        }
        let imported = self.service.import(&self.call, key, whole, self.screening).await;
        let there = match imported {
            Ok(Imported::Stored(_)) => return Ok(Fate::Written),
            Ok(Imported::Exists(whole)) => whole,
            Err(error) => return refused(error),
        };
        let store = self.service.store().as_ref();
        Ok(match equal::difference(store, key, &there).await? {
            Some(None) => Fate::Equal,
            Some(Some(what)) => Fate::Refused(differs(what)),
            None => Fate::Refused("it was deleted meanwhile".to_owned()),
        })
    }

    /// Puts a user's state into the store: what is missing of it. Values that differ stay.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn user_state(
        &mut self,
        from: &str,
        key: &UserKey,
        state: StateMap,
    ) -> anyhow::Result<()> {
        let there = self.service.store().user_state(key).await?;
        let Some(delta) = self.missing(from, Scope::User, state, &there) else { return Ok(()) };
        let done = match (self.dry_run, self.screening) {
            (true, _) => Ok(()),
            (_, Screening::Hooks) => self.service.change_user_state(&self.call, key, delta).await,
            (_, Screening::Bypass) => {
                Ok(self.service.store().change_user_state(key, &delta).await?)
            }
        };
        self.note_state(from, done)
    }

    /// Puts an app's state into the store, as [`Importer::user_state`] does.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn app_state(
        &mut self,
        from: &str,
        key: &AppKey,
        state: StateMap,
    ) -> anyhow::Result<()> {
        let there = self.service.store().app_state(key).await?;
        let Some(delta) = self.missing(from, Scope::App, state, &there) else { return Ok(()) };
        let done = match (self.dry_run, self.screening) {
            (true, _) => Ok(()),
            (_, Screening::Hooks) => self.service.change_app_state(&self.call, key, delta).await,
            (_, Screening::Bypass) => {
                Ok(self.service.store().change_app_state(key, &delta).await?)
            }
        };
        self.note_state(from, done)
    }

    /// The values that are not there yet. None: all are.
    fn missing(
        &mut self,
        from: &str,
        scope: Scope,
        state: StateMap,
        there: &StateMap,
    ) -> Option<StateDelta> {
        self.report.states_read += 1;
        let mut set = Vec::new();
        for (name, value) in state {
            match there.get(&name) {
                None => set.push((format!("{}{name}", scope.prefix()), value)),
                Some(same) if *same == value => {}
                Some(_) => {
                    let at = format!("{from} (state {name:?})");
                    self.report.lose(&at, "it has another value in the store already: left alone");
                }
            }
        }
        if set.is_empty() {
            self.report.states_equal += 1;
            return None;
        }
        Some(StateDelta::set(set))
    }

    fn note_state(&mut self, from: &str, done: Result<(), Error>) -> anyhow::Result<()> {
        match done {
            Ok(()) => self.report.states_written += 1,
            Err(error) => {
                if let Fate::Refused(reason) = refused(error)? {
                    self.report.lose(from, reason);
                }
            }
        }
        Ok(())
    }
}

fn differs(what: &str) -> String {
    format!("a session of that name is in the store already, and {what}: left alone")
}

/// What an error says of one session; the store's own trouble ends the import.
fn refused(error: Error) -> anyhow::Result<Fate> {
    match error {
        Error::Store(error @ (StoreError::Unavailable(_) | StoreError::Full(_))) => {
            Err(error.into())
        }
        Error::Hook(ChainError::Rejected { plugin, rejection }) => {
            let said = rejection.text;
            Ok(Fate::Refused(format!("the plugin {plugin:?} rejects it: {said:?}")))
        }
        error => Ok(Fate::Refused(format!("{:#}", anyhow::Error::from(error)))),
    }
}
