//! What group commit saves, and what it costs a client that is alone: two daemons on one Redis, one with
//! it and one without, in turns.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::redis_server::RedisServer;

/// How many clients append to one session at once, and how often each.
const CLIENTS: usize = 64;
const EACH: usize = 60;
/// How often a client that is alone appends in a round.
const ALONE: usize = 300;
const ROUNDS: usize = 9;
const SESSIONS: &str = "/v1/apps/bench/users/ann/sessions";

/// What a round of many clients came to.
struct Crowd {
    /// Microseconds of the main thread of Redis, an append.
    cpu: f64,
    /// Appends a second.
    rate: f64,
}

/// Compares the two, and prints the medians and their ratios. The last columns are the daemon with group
/// commit against itself.
///
/// # Errors
/// When an append fails.
pub async fn compare() -> anyhow::Result<()> {
    let redis = RedisServer::start().await;
    let daemon = async |on: bool| {
        Daemon::start(&format!(
            "[append]\ngroup_commit = {on}\n[session]\nevent_limit = \"unlimited\"\n[redis]\nurl = {:?}\n",
            redis.url()
        ))
        .await
    };
    let (on, off) = (daemon(true).await, daemon(false).await);
    let bench = Bench { redis, session: 0 };
    bench.run([on.client(), off.client()]).await
}

struct Bench {
    redis: RedisServer,
    session: usize,
}

impl Bench {
    async fn run(mut self, [on, off]: [Client; 2]) -> anyhow::Result<()> {
        let (mut cpu, mut rate, mut alone) = (Turns::default(), Turns::default(), Turns::default());
        // The first round is not counted: all have to warm up.
        for round in 0..=ROUNDS {
            let crowds = [self.crowd(&on).await?, self.crowd(&off).await?, self.crowd(&on).await?];
            let lone = [self.alone(&on).await?, self.alone(&off).await?, self.alone(&on).await?];
            if round > 0 {
                cpu.add(crowds.each_ref().map(|crowd| crowd.cpu));
                rate.add(crowds.each_ref().map(|crowd| crowd.rate));
                alone.add(lone);
            }
        }
        println!("median of {ROUNDS} rounds, group commit on and off in turns");
        println!("{:<44} {:>9} {:>9} {:>7}   on against itself", "", "on", "off", "ratio");
        cpu.print(&format!("Redis CPU an append, {CLIENTS} clients (us)"));
        rate.print(&format!("appends a second, {CLIENTS} clients"));
        alone.print("latency of a client that is alone (us)");
        Ok(())
    }

    async fn fresh(&mut self, client: &Client) -> String {
        self.session += 1;
        let session = format!("s{}", self.session);
        client.post(SESSIONS, format!(r#"{{"id":"{session}"}}"#)).await.expect(201);
        format!("{SESSIONS}/{session}/events")
    }

    async fn crowd(&mut self, client: &Client) -> anyhow::Result<Crowd> {
        let events = self.fresh(client).await;
        let (before, begin) = (self.cpu().await?, Instant::now());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (client, events) = (client.clone(), events.clone());
            clients.spawn(async move {
                for at in 0..EACH {
                    append(&client, &events, &format!("{number}-{at}")).await;
                }
            });
        }
        clients.join_all().await;
        let (took, appends) = (begin.elapsed(), (CLIENTS * EACH) as f64);
        let cpu = (self.cpu().await? - before) * 1e6 / appends;
        Ok(Crowd { cpu, rate: appends / took.as_secs_f64() })
    }

    /// The median time of an append, in microseconds.
    async fn alone(&mut self, client: &Client) -> anyhow::Result<f64> {
        let events = self.fresh(client).await;
        let mut times: Vec<Duration> = Vec::with_capacity(ALONE);
        for at in 0..ALONE {
            let begin = Instant::now();
            append(client, &events, &at.to_string()).await;
            times.push(begin.elapsed());
        }
        times.sort();
        Ok(times[times.len() / 2].as_secs_f64() * 1e6)
    }

    /// Seconds of the main thread of Redis.
    async fn cpu(&self) -> anyhow::Result<f64> {
        let info: String = self.redis.ask("INFO cpu").await;
        let of = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let value = value.with_context(|| format!("Redis does not tell {name}"))?;
            anyhow::Ok(value.trim().parse::<f64>()?)
        };
        Ok(of("used_cpu_user_main_thread")? + of("used_cpu_sys_main_thread")?)
    }
}

async fn append(client: &Client, events: &str, text: &str) {
    // As long as an event of a conversation.
    let text = format!("event {text} {}", "x".repeat(900));
    client.post(events, format!(r#"{{"role":"user","content":"{text}"}}"#)).await.expect(200);
}

/// Figures of rounds: on, off, and on again.
#[derive(Default)]
struct Turns(Vec<[f64; 3]>);

impl Turns {
    fn add(&mut self, round: [f64; 3]) {
        self.0.push(round);
    }

    fn median(&self, of: impl Fn(&[f64; 3]) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.0.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    }

    fn print(&self, what: &str) {
        let (on, off) = (self.median(|round| round[0]), self.median(|round| round[1]));
        let again = self.median(|round| round[2]);
        let mut itself: Vec<f64> = self.0.iter().map(|round| round[2] / round[0]).collect();
        itself.sort_by(f64::total_cmp);
        let spread = itself.first().zip(itself.last());
        let (low, high) = spread.map_or((0.0, 0.0), |(low, high)| (*low, *high));
        println!(
            "{what:<44} {on:>9.1} {off:>9.1} {:>7.2}   {:.2} ({low:.2} to {high:.2})",
            on / off,
            again / on
        );
    }
}
