//! The replay from end to end: Redis, a daemon with the three example plugins, all conversations, and
//! every check.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::planted;
use super::{check_read, check_stored, expected, needs_summary, play_all, read, summary};
use crate::daemon::{Daemon, guest, program};
use crate::redis_server::RedisServer;

/// How many conversations are played at once.
const AT_ONCE: usize = 8;
/// How long summaries may take after the last append.
const SUMMARY_TIME: Duration = Duration::from_secs(60);

/// What was played and found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Sessions.
    pub sessions: usize,
    /// Events, each stored in order and byte for byte but for what the hook removed.
    pub events: usize,
    /// Sessions that are long enough for a summary, and have one.
    pub summaries: usize,
    /// How long the playing took.
    pub time: Duration,
}

/// The configuration of the three example plugins.
pub fn plugins() -> String {
    let plugin = |name: &str, file: &str| format!("[plugins.{name}]\npath = {:?}\n", guest(file));
    format!(
        "[hooks]\nappend = [\"redact\"]\nget = [\"recent\"]\n[summary]\nplugin = \"rolling\"\n{}{}{}",
        plugin("redact", "redact-secrets-rust"),
        plugin("recent", "recent-turns-javascript"),
        plugin("rolling", "rolling-summary-python"),
    )
}

/// Replays a file.
///
/// # Errors
/// The first check that fails.
pub async fn run(file: &Path, mut progress: impl FnMut(&str)) -> anyhow::Result<Report> {
    let recorded = read(file)?;
    ensure!(!recorded.is_empty(), "{file:?} has no conversations");
    progress("starting Redis, and the daemon with three plugins");
    let redis = RedisServer::start().await;
    let config = format!("[redis]\nurl = {:?}\n{}", redis.url(), plugins());
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();

    let begin = Instant::now();
    let sent: Vec<_> = recorded.iter().cloned().chain(planted::sent()).collect();
    let mut played = 0;
    play_all(&client, &sent, AT_ONCE, |_| {
        played += 1;
        if played % 10 == 0 || played == sent.len() {
            progress(&format!("{played} of {} sessions played", sent.len()));
        }
    })
    .await?;
    let time = begin.elapsed();

    progress("checking what is stored");
    let wanted: Vec<_> = expected(&recorded).into_iter().chain(planted::expected()).collect();
    check_stored(&export(&daemon).await?, &wanted)?;
    progress("checking what reads show");
    for conversation in &sent {
        check_read(&client, conversation).await?;
    }
    progress("waiting for summaries");
    let mut summaries = 0;
    for conversation in sent.iter().filter(|conversation| needs_summary(conversation)) {
        wait_for_summary(&client, conversation).await?;
        summaries += 1;
    }
    progress("searching Redis and the log for secrets");
    search("Redis", &everything(&redis).await?, file)?;
    search("the daemon's log", daemon.log().as_bytes(), file)?;
    ensure_no_errors(&client.get("/metrics").await.text)?;
    let events = sent.iter().map(|conversation| conversation.items.len()).sum();
    Ok(Report { sessions: sent.len(), events, summaries, time })
}

/// All that Redis holds, as any client of it sees it: the names of keys, and what is in them.
async fn everything(redis: &RedisServer) -> anyhow::Result<Vec<u8>> {
    let mut connection = redis.connection().await;
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await?;
    let mut bytes = Vec::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await?;
        let (command, arguments): (&str, &[&str]) = match kind.as_str() {
            "string" => ("GET", &[]),
            "hash" => ("HGETALL", &[]),
            "set" => ("SMEMBERS", &[]),
            "list" => ("LRANGE", &["0", "-1"]),
            "zset" => ("ZRANGE", &["0", "-1"]),
            other => anyhow::bail!("there is a key of the type {other}"),
        };
        let mut read = redis::cmd(command);
        read.arg(&key).arg(arguments);
        let value: redis::Value = read.query_async(&mut connection).await?;
        bytes.extend_from_slice(&key);
        collect(&value, &mut bytes);
    }
    Ok(bytes)
}

fn collect(value: &redis::Value, bytes: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(text) => {
            bytes.push(b'\n');
            bytes.extend_from_slice(text);
        }
        redis::Value::Array(values) | redis::Value::Set(values) => {
            values.iter().for_each(|value| collect(value, bytes));
        }
        _ => {}
    }
}

async fn export(daemon: &Daemon) -> anyhow::Result<String> {
    let run = tokio::process::Command::new(program())
        .args(["export", "--raw", "--config"])
        .arg(daemon.config())
        .output();
    let output = run.await.context("the export does not run")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn wait_for_summary(
    client: &crate::client::Client,
    conversation: &super::Conversation,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    while summary(client, conversation).await?.is_none() {
        ensure!(begin.elapsed() < SUMMARY_TIME, "{} has no summary", conversation.id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// No planted secret is there, nor any address of the file; and ids that look like secrets are.
fn search(place: &str, bytes: &[u8], file: &Path) -> anyhow::Result<()> {
    let recorded = std::fs::read_to_string(file)?;
    let addresses = addresses(&recorded);
    let secrets = planted::SECRETS.into_iter().chain(addresses.iter().map(String::as_str));
    for secret in secrets {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        ensure!(!found, "{secret:?} is found in {place}");
    }
    let spared = b"credit_card_4421486";
    let intact = bytes.windows(spared.len()).any(|window| window == spared);
    ensure!(place != "Redis" || intact, "an id that is no secret was removed");
    Ok(())
}

/// The addresses in a text, each once.
fn addresses(text: &str) -> Vec<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || "@._%+-".contains(char)));
    let mut addresses: Vec<String> = words
        .filter(|word| {
            word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        })
        .map(|word| word.trim_matches('.').to_owned())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Every request was answered with success, and every call to a plugin.
fn ensure_no_errors(metrics: &str) -> anyhow::Result<()> {
    let bad = metrics.lines().find(|line| {
        let failed =
            line.starts_with("sessiond_http_requests_total") && !line.contains("status=\"2");
        let plugin =
            line.starts_with("sessiond_plugin_calls_total") && !line.contains("outcome=\"ok\"");
        let job =
            line.starts_with("sessiond_summary_jobs_total") && line.contains("outcome=\"failed\"");
        failed || plugin || job
    });
    ensure!(bad.is_none(), "{}", bad.unwrap_or_default());
    Ok(())
}
