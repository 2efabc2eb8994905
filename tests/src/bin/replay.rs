//! `replay FILE`: plays recorded conversations through the three example plugins on a private Redis,
//! and checks every event of what came of it. `scripts/replay FILE` builds what it needs.

use std::path::Path;
use std::process::ExitCode;

use sessiond_tests::replay;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!(
            "usage: replay FILE   (one {{\"conversation\": ID, \"messages\": [...]}} a line)"
        );
        return ExitCode::from(64);
    };
    match replay::run(Path::new(&file), |step| println!("  {step}")).await {
        Ok(report) => {
            let replay::Report { sessions, events, summaries, time } = report;
            println!(
                "{sessions} sessions of {events} events in {time:.1?}: all stored in order, byte for byte"
            );
            println!(
                "but for what was removed; {summaries} of them summed up; no secret found; no error."
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("replay: {error:#}");
            ExitCode::FAILURE
        }
    }
}
