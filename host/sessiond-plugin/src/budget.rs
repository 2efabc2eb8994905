//! How much a plugin may ask of models, for each app and in a window of time.
//!
//! What a request may cost is reserved before it is sent, and settled afterwards: many requests at
//! once cannot pass the budget together. Each daemon counts for itself, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most apps that are counted at a time: what clients name must not grow without end.
const MAX_APPS: usize = 10_000;

/// What a plugin may spend, for each app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests in a window.
    pub calls: u64,
    /// Tokens in a window, of requests and answers.
    pub tokens: u64,
    /// The length of a window, which begins with the first request in it.
    pub per: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { calls: 100, tokens: 100_000, per: Duration::from_secs(3_600) }
    }
}

/// Why a request is not paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverBudget {
    #[error("all {} calls of `model_budget.calls` in {:?} are used up", .0.calls, .0.per)]
    Calls(Budget),
    #[error(
        "the request may take {asked} tokens, and {left} of the {} of `model_budget.tokens` in {:?} \
         are left", budget.tokens, budget.per
    )]
    Tokens { budget: Budget, asked: u64, left: u64 },
    #[error("more than {MAX_APPS} apps ask at a time")]
    Apps,
}

/// What a plugin has spent.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: Budget,
    apps: Mutex<HashMap<String, Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    calls: u64,
    tokens: u64,
}

/// What was put aside for a request. Dropped without being settled, it stays spent.
#[derive(Debug)]
pub(crate) struct Reservation {
    ledger: Arc<Ledger>,
    app: String,
    began: Instant,
    tokens: u64,
}

impl Ledger {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, apps: Mutex::default() }
    }

    /// Puts a call and its tokens aside.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        app: &str,
        tokens: u64,
        now: Instant,
    ) -> Result<Reservation, OverBudget> {
        let budget = self.budget;
        let mut apps = self.lock();
        let over = |window: &Window| now.duration_since(window.began) >= budget.per;
        if apps.len() >= MAX_APPS && !apps.contains_key(app) {
            apps.retain(|_, window| !over(window));
            if apps.len() >= MAX_APPS {
                return Err(OverBudget::Apps);
            }
        }
        let fresh = || Window { began: now, calls: 0, tokens: 0 };
        let window = apps.entry(app.to_owned()).or_insert_with(fresh);
        if over(window) {
            *window = fresh();
        }
        if window.calls >= budget.calls {
            return Err(OverBudget::Calls(budget));
        }
        let left = budget.tokens.saturating_sub(window.tokens);
        if tokens > left {
            return Err(OverBudget::Tokens { budget, asked: tokens, left });
        }
        window.calls += 1;
        window.tokens += tokens;
        Ok(Reservation { ledger: self.clone(), app: app.to_owned(), began: window.began, tokens })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Window>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Puts what was really spent in the place of what was put aside.
    pub(crate) fn settle(self, tokens: u64) {
        let mut apps = self.ledger.lock();
        // Another window may have begun meanwhile, which has nothing to do with it.
        if let Some(window) = apps.get_mut(&self.app).filter(|it| it.began == self.began) {
            window.tokens = window.tokens.saturating_sub(self.tokens).saturating_add(tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Arc<Ledger> {
        let budget = Budget { calls: 3, tokens: 100, per: Duration::from_secs(60) };
        Arc::new(Ledger::new(budget))
    }

    #[test]
    fn what_is_reserved_is_spent_until_it_is_settled() {
        let (ledger, now) = (ledger(), Instant::now());
        let first = ledger.reserve("a", 80, now).unwrap();
        let told = ledger.reserve("a", 30, now).unwrap_err().to_string();
        assert!(told.contains("may take 30 tokens, and 20 of the 100"), "{told}");
        assert!(ledger.reserve("b", 30, now).is_ok(), "another app has a budget of its own");
        first.settle(10);
        drop(ledger.reserve("a", 90, now).unwrap());
        assert!(ledger.reserve("a", 1, now).is_err());
    }

    #[test]
    fn a_window_ends_and_settling_it_late_changes_nothing() {
        let (ledger, now) = (ledger(), Instant::now());
        let late = ledger.reserve("a", 100, now).unwrap();
        let next = now + Duration::from_secs(60);
        drop(ledger.reserve("a", 100, next).unwrap());
        late.settle(0);
        assert!(ledger.reserve("a", 1, next).is_err());
    }

    #[test]
    fn calls_are_counted_and_apps_are_bounded() {
        let (ledger, now) = (ledger(), Instant::now());
        for _ in 0..3 {
            drop(ledger.reserve("a", 1, now).unwrap());
        }
        assert!(matches!(ledger.reserve("a", 1, now), Err(OverBudget::Calls(_))));
        for app in 0..MAX_APPS - 1 {
            drop(ledger.reserve(&app.to_string(), 1, now).unwrap());
        }
        assert_eq!(ledger.reserve("new", 1, now).unwrap_err(), OverBudget::Apps);
        assert!(ledger.reserve("new", 1, now + Duration::from_secs(60)).is_ok());
    }
}
