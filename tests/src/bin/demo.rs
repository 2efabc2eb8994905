//! `demo [--redis]`: what `scripts/demo` shows.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let on_redis = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--redis") => true,
        Some(other) => {
            eprintln!("demo: {other:?} is not known: there is --redis");
            return ExitCode::from(64);
        }
    };
    match sessiond_tests::demo::run(on_redis).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
