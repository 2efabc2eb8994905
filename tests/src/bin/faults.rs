//! `faults [--minutes N] [FAULT...]`, or `faults --journal KILLS SECONDS`: what `scripts/soak` runs.

use std::process::ExitCode;
use std::time::Duration;

use sessiond_tests::faults::{FAULTS, named, queued, soak::soak};

#[tokio::main]
async fn main() -> ExitCode {
    let (mut minutes, mut faults) = (0, Vec::new());
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, kills, seconds] = &words[..]
        && mode == "--journal"
        && let (Ok(kills), Ok(seconds)) = (kills.parse(), seconds.parse())
    {
        let found = queued::run(kills, Duration::from_secs(seconds)).await;
        println!("{kills} times kill -9, then no Redis for {seconds} s: {found:#?}");
        return if found.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let number = (word == "--minutes").then(|| words.next().and_then(|it| it.parse().ok()));
        match (number, named(&word)) {
            (Some(Some(number)), _) => minutes = number,
            (None, Some(fault)) => faults.push(fault),
            _ => {
                eprintln!("usage: faults --journal KILLS SECONDS");
                eprintln!("       faults [--minutes N] [FAULT...]   The faults are:");
                FAULTS.iter().for_each(|fault| eprintln!("  {}", fault.name));
                return ExitCode::from(64);
            }
        }
    }
    match soak(&faults, Duration::from_secs(60 * minutes)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}
