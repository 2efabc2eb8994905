//! What becomes of calls to a plugin that fails again and again.
//!
//! After so many failures in a row the breaker opens: for a time calls fail at once, without
//! reaching the guest. Then one call is let through to try. If that succeeds the breaker closes; if
//! not, it stays open for as long again. What a failed call means is the policy's business
//! (`on_error`), open or not: a guard that cannot be asked lets nothing through.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::plugin::Interface;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRule {
    /// Failures in a row. None: it never opens.
    pub failures: Option<u64>,
    /// How long it stays open before a call is let through to try.
    pub open_for: Duration,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self { failures: Some(10), open_for: Duration::from_secs(10) }
    }
}

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It lets them through.
    Closed,
    /// It has let one through to try, and refuses the others.
    HalfOpen,
    /// It refuses them.
    Open,
}

impl BreakerState {
    /// The name in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    const fn level(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
        }
    }
}

/// The breaker of an interface of a plugin.
#[derive(Debug)]
pub(crate) struct Breaker {
    plugin: String,
    interface: Interface,
    rule: BreakerRule,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: BreakerState,
    /// Failures in a row.
    failures: u64,
    /// When a call may try, while it is open.
    until: Instant,
    last_failure: Option<String>,
}

/// A call that was let through. Without a verdict, since its request went away, it counts for
/// nothing.
#[derive(Debug)]
pub(crate) struct Passage<'b> {
    breaker: &'b Breaker,
    trying: bool,
}

impl Breaker {
    pub(crate) fn new(plugin: &str, interface: Interface, rule: BreakerRule) -> Self {
        let state = BreakerState::Closed;
        let until = Instant::now();
        let inner = Mutex::new(Inner { state, failures: 0, until, last_failure: None });
        Self { plugin: plugin.to_owned(), interface, rule, inner }
    }

    /// Shows what it does with calls, from now on.
    pub(crate) fn begin(&self) {
        self.show(self.state());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it does with calls.
    pub(crate) fn state(&self) -> BreakerState {
        self.lock().state
    }

    /// How often the plugin has failed in a row, and how it failed last, if it ever did.
    pub(crate) fn failures(&self) -> (u64, Option<String>) {
        let inner = self.lock();
        (inner.failures, inner.last_failure.clone())
    }

    /// Lets a call through, or says how long to wait with another.
    pub(crate) fn admit(&self, now: Instant) -> Result<Passage<'_>, Duration> {
        let mut inner = self.lock();
        let trying = match inner.state {
            BreakerState::Closed => false,
            BreakerState::Open if now >= inner.until => {
                self.turn(&mut inner, BreakerState::HalfOpen);
                true
            }
            BreakerState::Open => return Err(inner.until - now),
            BreakerState::HalfOpen => return Err(Duration::ZERO),
        };
        Ok(Passage { breaker: self, trying })
    }

    fn turn(&self, inner: &mut Inner, state: BreakerState) {
        inner.state = state;
        let (plugin, interface) = (&*self.plugin, self.interface.name());
        let failures = inner.failures;
        match state {
            BreakerState::Open => {
                tracing::error!(plugin, interface, failures, open_for = ?self.rule.open_for,
                    "the plugin fails again and again: it is not called for a while")
            }
            BreakerState::HalfOpen => {
                tracing::info!(plugin, interface, "the plugin is tried again");
            }
            BreakerState::Closed => {
                tracing::info!(plugin, interface, "the plugin works again");
            }
        }
        metrics::counter!("sessiond_plugin_breaker_transitions_total", "plugin" => plugin.to_owned(), "interface" => interface, "to" => state.name())
            .increment(1);
        self.show(state);
    }

    fn show(&self, state: BreakerState) {
        let (plugin, interface) = (self.plugin.clone(), self.interface.name());
        metrics::gauge!("sessiond_plugin_breaker_state", "plugin" => plugin, "interface" => interface)
            .set(state.level());
    }
}

impl Passage<'_> {
    /// The call came to an answer: a rejection is one too.
    pub(crate) fn succeed(mut self) {
        let trying = std::mem::take(&mut self.trying);
        let mut inner = self.breaker.lock();
        if trying {
            inner.failures = 0;
            self.breaker.turn(&mut inner, BreakerState::Closed);
        } else if inner.state == BreakerState::Closed {
            inner.failures = 0;
        }
    }

    /// The call failed.
    pub(crate) fn fail(mut self, now: Instant, how: String) {
        let trying = std::mem::take(&mut self.trying);
        let mut inner = self.breaker.lock();
        inner.failures += 1;
        inner.last_failure = Some(how);
        let enough = self.breaker.rule.failures.is_some_and(|most| inner.failures >= most);
        if trying || (inner.state == BreakerState::Closed && enough) {
            inner.until = now + self.breaker.rule.open_for;
            self.breaker.turn(&mut inner, BreakerState::Open);
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.trying {
            let mut inner = self.breaker.lock();
            // The next call may try.
            self.breaker.turn(&mut inner, BreakerState::Open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    fn breaker(failures: Option<u64>) -> Breaker {
        let rule = BreakerRule { failures, open_for: OPEN_FOR };
        Breaker::new("p", Interface::BeforeAppend, rule)
    }

    fn fail(breaker: &Breaker, now: Instant) {
        breaker.admit(now).unwrap().fail(now, "trap".to_owned());
    }

    /// P16, P35: it opens after failures in a row, lets one call try, and closes when that succeeds.
    #[test]
    fn it_opens_tries_and_closes() {
        let (breaker, begin) = (breaker(Some(3)), Instant::now());
        fail(&breaker, begin);
        fail(&breaker, begin);
        breaker.admit(begin).unwrap().succeed();
        fail(&breaker, begin);
        fail(&breaker, begin);
        assert_eq!(breaker.state(), BreakerState::Closed, "a success in between counts");
        fail(&breaker, begin);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(begin + OPEN_FOR / 2).unwrap_err(), OPEN_FOR / 2);

        let later = begin + OPEN_FOR;
        let trial = breaker.admit(later).unwrap();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.admit(later).is_err(), "one at a time");
        trial.fail(later, "time-out".to_owned());
        assert!(breaker.admit(later + OPEN_FOR / 2).is_err(), "open for as long again");
        assert_eq!(breaker.failures(), (4, Some("time-out".to_owned())));

        breaker.admit(later + OPEN_FOR).unwrap().succeed();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.failures().0, 0);
    }

    /// P14: a request that went away while it tried leaves the try to another.
    #[test]
    fn a_try_without_a_verdict_is_left_to_another() {
        let (breaker, begin) = (breaker(Some(1)), Instant::now());
        fail(&breaker, begin);
        drop(breaker.admit(begin + OPEN_FOR).unwrap());
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.admit(begin + OPEN_FOR).unwrap().succeed();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn it_may_never_open() {
        let (breaker, begin) = (breaker(None), Instant::now());
        for _ in 0..100 {
            fail(&breaker, begin);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
