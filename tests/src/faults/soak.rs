//! The long run: rounds of every fault, until the time is over, and a table of what came of them.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::deletion;
use super::fault::{Expect, FAULTS, Fault};
use super::round::{Round, run};

/// How often a fault strikes in a round, and how far apart.
const STRIKES: usize = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// How many rounds of deletes there are, whatever the time.
const DELETIONS: usize = 10_000;

/// A line of the table.
#[derive(Debug, Default)]
struct Line {
    rounds: u64,
    acknowledged: u64,
    retried: u64,
    lost: u64,
    double: u64,
    other: u64,
    worst: Duration,
    bad: Vec<String>,
}

impl Line {
    fn add(&mut self, fault: &Fault, round: &Round) {
        let found = &round.findings;
        self.rounds += 1;
        self.acknowledged += round.acknowledged;
        self.retried += round.retried;
        self.lost += found.lost;
        self.double += found.double;
        self.other += found.moved + found.disordered + found.holes + found.strange + found.stale;
        self.worst = self.worst.max(round.worst);
        self.bad.extend(round.verdict(fault).err());
    }

    fn print(&self, out: &mut impl std::io::Write, fault: &Fault) -> std::io::Result<()> {
        let note = match (self.bad.is_empty(), fault.expect) {
            (false, _) => "NOT AS EXPECTED",
            (true, Expect::Nothing) => "",
            (true, Expect::Wiped) => "what was acknowledged before a wipe does not count",
            (true, Expect::Loss) => "losses are expected here: the checker must see them",
        };
        writeln!(
            out,
            "{:<26} {:>6} {:>12} {:>8} {:>6} {:>6} {:>6} {:>8.1} s  {note}",
            fault.name,
            self.rounds,
            self.acknowledged,
            self.retried,
            self.lost,
            self.double,
            self.other,
            self.worst.as_secs_f64(),
        )
    }
}

/// Runs rounds of these faults, or of all, one after the other, for this long at least. Each has one
/// round at least. Returns whether all came out as they must.
///
/// # Errors
/// When the table cannot be printed.
pub async fn soak(faults: &[&Fault], time: Duration) -> anyhow::Result<bool> {
    let all: Vec<&Fault> = FAULTS.iter().collect();
    let faults = if faults.is_empty() { &all[..] } else { faults };
    let mut lines: Vec<Line> = faults.iter().map(|_| Line::default()).collect();
    let begin = Instant::now();
    let mut at = 0;
    while at < faults.len() || begin.elapsed() < time {
        let (fault, line) = (faults[at % faults.len()], &mut lines[at % faults.len()]);
        let round = run(fault, STRIKES, PAUSE).await;
        line.add(fault, &round);
        let mut told = std::io::stderr().lock();
        writeln!(told, "[{:>5} s] {}", begin.elapsed().as_secs(), fault.name)?;
        line.bad.last().map_or(Ok(()), |bad| writeln!(told, "{bad}"))?;
        at += 1;
    }
    let deletions = deletion::run(DELETIONS).await;
    let clean = deletions.orphans + deletions.resurrected + deletions.repeated == 0;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<26} {:>6} {:>12} {:>8} {:>6} {:>6} {:>6} {:>10}",
        "fault", "rounds", "acknowledged", "retried", "lost", "double", "other", "worst wait"
    )?;
    for (line, fault) in lines.iter().zip(faults) {
        line.print(&mut out, fault)?;
    }
    writeln!(
        out,
        "\n{} rounds of delete against append against summarize: {} writes, {} refused; \
         {} left a key, {} brought a session back, {} generations came twice.",
        deletions.rounds,
        deletions.written,
        deletions.refused,
        deletions.orphans,
        deletions.resurrected,
        deletions.repeated
    )?;
    Ok(clean && lines.iter().all(|line| line.bad.is_empty()))
}
