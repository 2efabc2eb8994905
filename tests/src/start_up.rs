//! How long a start takes with plugins in three languages: the first, which compiles them, and those
//! after it, which find the code in the cache.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::StatusCode;

use crate::client::Client;
use crate::daemon::{guest, program};

/// How often a start with a full cache is measured.
const TIMES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures, and prints what came of it.
///
/// # Errors
/// When a daemon does not become ready.
pub async fn measure() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut config = format!(
        "[server]\nlisten = \"{address}\"\n[plugin_cache]\ndir = \"cache\"\n[hooks]\nappend = [\"redact\"]\n\
         get = [\"recent\"]\n[summary]\nplugin = \"rolling\"\n"
    );
    for (name, file) in [
        ("redact", "redact-secrets-rust"),
        ("recent", "recent-turns-javascript"),
        ("rolling", "rolling-summary-python"),
    ] {
        writeln!(config, "[plugins.{name}]\npath = {:?}", guest(file))?;
    }
    let path = folder.path().join("sessiond.toml");
    std::fs::write(&path, config)?;
    let base = format!("http://{address}");
    let first = start(&path, &base).await?;
    println!(
        "first start, compiling Rust, JavaScript and Python: ready in {} ms",
        first.as_millis()
    );
    let mut times = Vec::new();
    for _ in 0..TIMES {
        times.push(start(&path, &base).await?.as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get((times.len() - 1) * part / 100).copied().unwrap_or_default();
    println!(
        "later starts ({TIMES}): ready in {:.0} ms (median), {:.0} to {:.0} ms",
        at(50),
        at(0),
        at(100)
    );
    Ok(())
}

/// From the start of the process to the first answer that says it is ready.
async fn start(config: &std::path::Path, base: &str) -> anyhow::Result<Duration> {
    let client = Client::new(base);
    let begin = Instant::now();
    let mut daemon = Command::new(program())
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("the daemon does not start")?;
    let ready = loop {
        match client.send("GET", "/readyz", &[], "").await {
            Ok(reply) if reply.status == StatusCode::OK => break Ok(begin.elapsed()),
            _ if begin.elapsed() > PATIENCE => break Err(anyhow::anyhow!("it does not get ready")),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    let _ = daemon.kill();
    let _ = daemon.wait();
    ready
}
