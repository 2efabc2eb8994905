//! `bench_redis FILE`: what `scripts/bench-redis` runs.

use std::process::ExitCode;

use anyhow::Context as _;
use sessiond_tests::redis_cost::{Trpc, compare};

async fn run() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context(
        "usage: bench_redis FILE   (session/redis/internal/hashidx/lua.go of trpc-agent-go)",
    )?;
    let source = std::fs::read_to_string(&file).with_context(|| file.clone())?;
    compare(&Trpc::read(&source)?).await
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_redis: {error:#}");
            ExitCode::FAILURE
        }
    }
}
