//! `sessiond import`

mod checkpoint;
mod ndjson;
mod progress;
mod trpc;

use std::process::ExitCode;
use std::sync::Arc;

use sessiond_core::service::{Screening, SessionService};

use crate::app::App;
use crate::cli::{ImportArgs, ImportSource, ImportTarget};
use crate::config::{Config, HookLists};
use crate::import::report::Report;
use crate::telemetry;

pub(super) async fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    match (&args.source, &args.file) {
        (Some(ImportSource::Trpc(args)), _) => trpc::run(args).await,
        (None, Some(file)) => ndjson::run(file, &args.target).await,
        (None, None) => anyhow::bail!(
            "say what to import: a file that `sessiond export` wrote, `-` for the standard input, or \
             `trpc --from URL`"
        ),
    }
}

/// The configuration of the target; without plugins when they are to be passed by.
fn config_of(target: &ImportTarget) -> anyhow::Result<(Config, std::path::PathBuf)> {
    let Some(path) = &target.config else {
        anyhow::bail!("name the configuration of the store: --config FILE");
    };
    let mut config = Config::load(path)?;
    telemetry::start_log(&config.telemetry);
    if target.bypass_hooks {
        config.hooks = HookLists { append: Vec::new(), get: Vec::new() };
        config.summary.plugin = None;
        config.plugins = Vec::new();
    }
    Ok((config, path.clone()))
}

/// The operations on the target's sessions.
async fn service_of(config: Config, path: &std::path::Path) -> anyhow::Result<Arc<SessionService>> {
    Ok(App::build(config, path).await?.service())
}

fn screening_of(target: &ImportTarget) -> Screening {
    if target.bypass_hooks { Screening::Bypass } else { Screening::Hooks }
}

/// Prints the report. Whoever runs this in a script learns from the exit code that something is
/// missing.
fn conclude(report: &Report, from: &str, dry_run: bool) -> anyhow::Result<ExitCode> {
    super::print(&report.text(from, dry_run))?;
    Ok(if report.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
