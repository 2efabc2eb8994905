//! How many appends to one session are made in a second: by this daemon, and by another store.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::redis_server::RedisServer;

/// How many write at once.
const WRITERS: usize = 16;
/// How many appends each makes here, and there, so that a round takes seconds in both.
const EACH: usize = 500;
const EACH_OF_OTHER: usize = 50;
const ROUNDS: usize = 5;
const SESSIONS: &str = "/v1/apps/bench/users/ann/sessions";

/// Compares appends of 16 writers on one session with those of OpenAI Agents' RedisSession, on the
/// same Redis, in turns. Prints each round, the medians, and their ratio.
///
/// # Errors
/// When either loses an event or fails.
pub async fn compare(python: &Path) -> anyhow::Result<()> {
    let redis = RedisServer::start().await;
    let daemon = Daemon::start(&format!(
        "[session]\nevent_limit = \"unlimited\"\n[redis]\nurl = {:?}\n",
        redis.url()
    ))
    .await;
    let client = daemon.client();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    println!("appends a second, {WRITERS} writers of one session:");
    println!("{:>8} {:>12} {:>12}", "round", "sessiond", "RedisSession");
    for round in 0..=ROUNDS {
        let our = rate(EACH, write(&client, &format!("s{round}")).await?);
        let their = rate(EACH_OF_OTHER, write_other(python, &redis, round).await?);
        // The first is not counted: both have to warm up.
        if round > 0 {
            println!("{round:>8} {our:>12.0} {their:>12.0}");
            ours.push(our);
            theirs.push(their);
        }
    }
    let (our, their) = (median(ours), median(theirs));
    println!("{:>8} {our:>12.0} {their:>12.0}   ratio {:.1}", "median", our / their);
    Ok(())
}

fn rate(each: usize, took: Duration) -> f64 {
    (WRITERS * each) as f64 / took.as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

async fn write(client: &Client, session: &str) -> anyhow::Result<Duration> {
    client.post(SESSIONS, format!(r#"{{"id":"{session}"}}"#)).await.expect(201);
    let events = format!("{SESSIONS}/{session}/events");
    let begin = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (client, events) = (client.clone(), events.clone());
        writers.spawn(async move {
            for number in 0..EACH {
                let text = format!("event {number} of {writer}");
                client
                    .post(&events, format!(r#"{{"role":"user","content":"{text}"}}"#))
                    .await
                    .expect(200);
            }
        });
    }
    writers.join_all().await;
    let took = begin.elapsed();
    let stored = client.get(&format!("{SESSIONS}/{session}?limit=0")).await.expect(200).json();
    ensure!(stored["last_seq"] == (WRITERS * EACH) as u64, "lost: {stored}");
    Ok(took)
}

async fn write_other(python: &Path, redis: &RedisServer, round: usize) -> anyhow::Result<Duration> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/openai_writers.py");
    let run = tokio::process::Command::new(python)
        .arg(script)
        .args([redis.url(), format!("other-{round}")])
        .args([WRITERS.to_string(), EACH_OF_OTHER.to_string()])
        .output();
    let output = run.await.context("Python does not run")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let (took, stored) = text.trim().split_once(' ').context("no figures")?;
    ensure!(stored.parse() == Ok(WRITERS * EACH_OF_OTHER), "RedisSession stored {stored}");
    Ok(Duration::from_secs_f64(took.parse()?))
}
