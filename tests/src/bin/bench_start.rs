//! `bench_start`: what `scripts/bench-start` runs.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match sessiond_tests::start_up::measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_start: {error:#}");
            ExitCode::FAILURE
        }
    }
}
