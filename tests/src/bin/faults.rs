//! `faults [--minutes N] [FAULT...]`: what `scripts/soak` runs.

use std::process::ExitCode;
use std::time::Duration;

use sessiond_tests::faults::{FAULTS, named, soak::soak};

#[tokio::main]
async fn main() -> ExitCode {
    let (mut minutes, mut faults) = (0, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = (word == "--minutes").then(|| words.next().and_then(|it| it.parse().ok()));
        match (number, named(&word)) {
            (Some(Some(number)), _) => minutes = number,
            (None, Some(fault)) => faults.push(fault),
            _ => {
                eprintln!("usage: faults [--minutes N] [FAULT...]   The faults are:");
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
