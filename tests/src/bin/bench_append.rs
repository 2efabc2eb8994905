//! `bench_append`: what `scripts/bench-append` runs.

use std::process::ExitCode;

use sessiond_tests::append_cost::compare;

#[tokio::main]
async fn main() -> ExitCode {
    match compare().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_append: {error:#}");
            ExitCode::FAILURE
        }
    }
}
