//! `bench_openai PYTHON`: what `scripts/bench-openai` runs.

use std::path::Path;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(python) = std::env::args().nth(1) else {
        eprintln!("usage: bench_openai PYTHON   (one that has openai-agents[redis])");
        return ExitCode::from(64);
    };
    match sessiond_tests::throughput::compare(Path::new(&python)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_openai: {error:#}");
            ExitCode::FAILURE
        }
    }
}
