//! Appends that are acknowledged by the journal alone: the daemon is killed at random moments, and Redis
//! hangs, while writers go on. Afterwards all that was acknowledged must be stored, once and in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinSet;

use super::journal::{id, writer_of};
use super::load::sessions;
use crate::client::Client;
use crate::daemon::Daemon;
use crate::redis_server::RedisServer;
use crate::wait::eventually;

const SESSIONS: usize = 4;
const WRITERS: usize = 12;
/// How long a writer waits before it tries again.
const PAUSE: Duration = Duration::from_millis(10);
/// How many appends are acknowledged before the end.
const AFTER: u64 = 100;

/// What came of it. But for the first three, all zero: nothing is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queued {
    /// Appends that were acknowledged.
    pub acknowledged: u64,
    /// Of those, while Redis did not answer.
    pub in_outage: u64,
    /// Requests that were sent again.
    pub retried: u64,
    /// Acknowledged, and not there.
    pub lost: u64,
    /// Stored more than once.
    pub double: u64,
    /// Out of the order in which their writer wrote.
    pub disordered: u64,
    /// Appends that were refused after they had been acknowledged.
    pub dead: u64,
}

impl Queued {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.lost + self.double + self.disordered + self.dead == 0
    }
}

#[derive(Debug, Default)]
struct Told {
    /// For each writer, the number of the last append that was acknowledged. All before it were too.
    last: Mutex<BTreeMap<usize, u64>>,
    retried: AtomicU64,
    stopping: AtomicBool,
}

impl Told {
    fn acknowledged(&self) -> u64 {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    async fn more(&self, count: u64) {
        let wanted = self.acknowledged() + count;
        let enough = async || (self.acknowledged() >= wanted).then_some(());
        eventually("appends are acknowledged", enough).await;
    }
}

/// Kills the daemon so often, at random moments, and then lets Redis hang for so long.
///
/// # Panics
/// When the daemon does not start again, or nothing is acknowledged any more.
pub async fn run(kills: usize, outage: Duration) -> Queued {
    let redis = RedisServer::start_with(&["--save", "", "--appendonly", "no"]).await;
    let mut daemon = Daemon::start(&format!(
        "[session]\nevent_limit = \"unlimited\"\n[redis]\nurl = {:?}\ncommand_timeout = \"500ms\"\n\
         [async_persist]\nenabled = true\njournal = \"journal\"\nread_wait = \"30s\"\n",
        redis.url()
    ))
    .await;
    let client = daemon.client();
    for number in 0..SESSIONS {
        client.post(&sessions(number), r#"{"id":"s"}"#).await.expect(201);
    }
    let told = Arc::new(Told::default());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(client.clone(), writer, told.clone()));
    }
    let mut chance = Chance::new();
    let mut dead = 0;
    for _ in 0..kills {
        told.more(1).await;
        tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
        dead += dead_letters(&daemon).await;
        daemon = daemon.again().await;
    }
    told.more(AFTER).await;
    let before = told.acknowledged();
    redis.freeze();
    let begin = Instant::now();
    while begin.elapsed() < outage {
        told.more(1).await;
    }
    let in_outage = told.acknowledged() - before;
    redis.thaw();
    told.more(AFTER).await;
    told.stopping.store(true, Ordering::Relaxed);
    writers.join_all().await;
    eventually("all is written", async || {
        let lanes = daemon.admin("/v1/admin/queues").await["lanes"].clone();
        lanes.as_array()?.iter().all(|lane| lane["depth"] == 0).then_some(())
    })
    .await;
    dead += dead_letters(&daemon).await;
    let retried = told.retried.load(Ordering::Relaxed);
    let mut found =
        Queued { acknowledged: told.acknowledged(), in_outage, retried, dead, ..Queued::default() };
    for number in 0..SESSIONS {
        account(&client, number, &told, &mut found).await;
    }
    found
}

async fn dead_letters(daemon: &Daemon) -> u64 {
    let queues = daemon.admin("/v1/admin/queues").await;
    queues["dead_letters"]["total"].as_u64().unwrap_or_default()
}

/// Appends one event after the other, and does not go on before it is acknowledged.
async fn write(client: Client, writer: usize, told: Arc<Told>) {
    let path = format!("{}/s/events", sessions(writer % SESSIONS));
    for number in 1.. {
        let body = format!(
            r#"{{"id":"{}","event":{{"role":"user","content":"event {number} of {writer}"}},"state_delta":{{"w{writer}":{number}}}}}"#,
            id(writer, number)
        );
        loop {
            match client.send("POST", &path, &[], body.clone()).await {
                Ok(reply) if reply.status == 202 => break,
                Ok(reply) if !reply.status.is_server_error() => {
                    panic!("{}: {}", reply.status, reply.text)
                }
                _ => {}
            }
            told.retried.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        told.last.lock().unwrap_or_else(PoisonError::into_inner).insert(writer, number);
        if told.stopping.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Compares a session with what its writers were told.
async fn account(client: &Client, number: usize, told: &Told, found: &mut Queued) {
    let mut stored: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = format!("{}/s/events?after_seq={from}&limit=1000", sessions(number));
        let page = client.get(&page).await.expect(200).json();
        for event in page["events"].as_array().into_iter().flatten() {
            let (writer, number) =
                event["id"].as_str().and_then(writer_of).expect("an id of a writer");
            stored.entry(writer).or_default().push(number);
        }
        after = page["next_after_seq"].as_u64();
    }
    let last = told.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (writer, last) in last.into_iter().filter(|(writer, _)| writer % SESSIONS == number) {
        let mut events = stored.remove(&writer).unwrap_or_default();
        found.disordered += events.windows(2).filter(|two| two[1] < two[0]).count() as u64;
        let all = events.len();
        events.sort_unstable();
        events.dedup();
        found.double += (all - events.len()) as u64;
        let there = events.iter().filter(|number| **number <= last).count() as u64;
        found.lost += last - there;
    }
}

/// Random numbers, well enough for moments.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(u64::from(now.subsec_nanos()) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}
