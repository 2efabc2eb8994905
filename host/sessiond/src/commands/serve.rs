//! `sessiond serve`

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;
use crate::door::Door;
use crate::http::entrance::Entrance;
use crate::telemetry;

pub(super) async fn run(path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = match path {
        Some(path) => Config::load(path)?,
        None => Config::without_file()?,
    };
    let traces = telemetry::start(&config.telemetry)?;
    let grace = config.server.grace_period;
    if path.is_none() {
        tracing::info!(
            "no configuration given: sessions are kept in memory, on the loopback interface only"
        );
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let door = Door::load(&config.server)?;
    let stop = stop_on_signal()?;
    // From here on it does not end the process.
    let hangup = signal(SignalKind::hangup())?;
    let metrics = telemetry::start_metrics()?;
    // Whoever watches the process sees that it lives while plugins are compiled.
    let entrance = Entrance::open(&config.server, door, metrics, stop.clone()).await?;
    tracing::info!(address = %entrance.address(), "starting");
    let app = tokio::select! {
        app = App::build(config, path.unwrap_or(Path::new("defaults"))) => app?,
        () = stop.cancelled() => {
            tracing::info!("stopped before it had started");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let ended = app.run(entrance, hangup, stop).await?;
    if let Some(traces) = traces {
        traces.flush(grace).await;
    }
    tracing::info!(ended, "stopped");
    Ok(if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Stops at the first signal, in peace; exits at the second, at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let watch = async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: requests and jobs that have begun are finished");
        token.cancel();
        next().await;
        std::process::exit(1);
    };
    #[allow(
        clippy::disallowed_methods,
        reason = "it waits for a second signal as long as the process lives"
    )]
    tokio::spawn(watch);
    Ok(stop)
}
