//! One round: a fault strikes again and again under load, and what is left is accounted for.

use std::time::Duration;

use super::check::{Findings, check};
use super::fault::{Expect, Fault};
use super::load::Load;
use super::site::Site;

/// How many appends are acknowledged before the first strike, between two, and after the last.
const BETWEEN: usize = 150;

/// What came of a round.
#[derive(Debug, Clone)]
pub struct Round {
    /// Appends that were acknowledged.
    pub acknowledged: u64,
    /// Requests that were sent again.
    pub retried: u64,
    /// Appends that were given up.
    pub given_up: u64,
    /// The longest that a writer had to wait for an acknowledgement.
    pub worst: Duration,
    /// Answers that no fault explains.
    pub refused: Vec<String>,
    /// What the checker found.
    pub findings: Findings,
}

/// Runs a round of so many strikes, `pause` apart at least.
pub async fn run(fault: &Fault, strikes: usize, pause: Duration) -> Round {
    let mut site = Site::start(fault).await;
    let load = Load::start(site.clients()).await;
    for _ in 0..strikes {
        tokio::time::sleep(pause).await;
        // Each strike hits a site that works, so this also waits for the one before to be over.
        load.more(BETWEEN).await;
        site.strike(fault, &load).await;
    }
    load.more(BETWEEN).await;
    let journal = load.stop().await;
    let findings = check(&journal, &site.stored().await);
    Round {
        acknowledged: journal.acknowledged.len() as u64,
        retried: journal.retried,
        given_up: journal.given_up,
        worst: journal.worst,
        refused: journal.refused.into_iter().map(|(told, n)| format!("{n} x {told}")).collect(),
        findings,
    }
}

impl Round {
    /// What is not as the fault lets expect.
    ///
    /// # Errors
    /// All of it, in words.
    pub fn verdict(&self, fault: &Fault) -> Result<(), String> {
        let found = &self.findings;
        let as_expected = match fault.expect {
            Expect::Nothing => found.lost == 0 && found.wiped == 0,
            Expect::Wiped => found.lost == 0 && found.wiped > 0,
            Expect::Loss => found.lost > 0 && found.wiped == 0,
        };
        let good = as_expected && found.is_consistent();
        if good && self.refused.is_empty() && self.given_up == 0 {
            Ok(())
        } else {
            Err(format!("{}: {self:#?}", fault.name))
        }
    }
}
