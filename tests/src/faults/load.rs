//! Writers, each of which appends one event after the other to a session, and does not go on before
//! it is acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::journal::{Acknowledged, Journal, id};
use crate::client::{Client, Reply};
use crate::wait::eventually;

/// How many sessions there are, each of a user of its own.
pub(super) const SESSIONS: usize = 4;
/// How many writers there are, several of them on each session.
const WRITERS: usize = 12;
/// How long an append is tried.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a writer waits before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// The path of the sessions of the user of this number.
pub(super) fn sessions(number: usize) -> String {
    format!("/v1/apps/load/users/user-{number}/sessions")
}

/// Writers at work.
#[derive(Debug)]
pub(super) struct Load {
    journal: Arc<Mutex<Journal>>,
    stopping: Arc<AtomicBool>,
    writers: JoinSet<()>,
}

impl Load {
    /// Creates the sessions, and starts writing to them.
    pub(super) async fn start(clients: Vec<Client>) -> Self {
        let (journal, stopping) = (Arc::default(), Arc::default());
        let mut load = Self { journal, stopping, writers: JoinSet::new() };
        for number in 0..SESSIONS {
            clients[0].post(&sessions(number), r#"{"id":"s"}"#).await.expect(201);
        }
        for number in 0..WRITERS {
            let writer = Writer {
                number,
                clients: clients.clone(),
                journal: load.journal.clone(),
                stopping: load.stopping.clone(),
            };
            load.writers.spawn(writer.run());
        }
        load
    }

    fn acknowledged(&self) -> usize {
        lock(&self.journal).acknowledged.len()
    }

    /// Waits until so many more appends are acknowledged.
    pub(super) async fn more(&self, count: usize) {
        let wanted = self.acknowledged() + count;
        eventually("appends are acknowledged", async || {
            (self.acknowledged() >= wanted).then_some(())
        })
        .await;
    }

    /// Lets every writer finish what it has begun. Returns what they were told.
    pub(super) async fn stop(self) -> Journal {
        self.stopping.store(true, Ordering::Relaxed);
        self.writers.join_all().await;
        lock(&self.journal).clone()
    }
}

fn lock(journal: &Mutex<Journal>) -> std::sync::MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    number: usize,
    clients: Vec<Client>,
    journal: Arc<Mutex<Journal>>,
    stopping: Arc<AtomicBool>,
}

impl Writer {
    async fn run(self) {
        let mut number = 0;
        while !self.stopping.load(Ordering::Relaxed) {
            number += 1;
            self.append(number).await;
        }
    }

    /// Appends an event. As long as there is no answer, or one that asks for patience, it is sent
    /// again with the same id, to the next daemon.
    async fn append(&self, number: u64) {
        let session = self.number % SESSIONS;
        let (writer, begin) = (self.number, Instant::now());
        let path = format!("{}/s/events", sessions(session));
        let body = format!(
            r#"{{"id":"{}","event":{{"role":"user","content":"event {number} of {writer}"}},"state_delta":{{"w{writer}":{number}}}}}"#,
            id(writer, number)
        );
        for tried in 0.. {
            let client = &self.clients[(writer + tried) % self.clients.len()];
            match client.send("POST", &path, &[], body.clone()).await {
                Ok(reply) if reply.status.is_success() => {
                    return self.acknowledged(session, number, &reply, begin.elapsed());
                }
                Ok(reply) if reply.status.is_server_error() => {}
                Ok(reply) if reply.code() == "session_not_found" => {
                    // Wiped: it begins anew.
                    let create = format!("{}?if_exists=return", sessions(session));
                    let _ = client.send("POST", &create, &[], r#"{"id":"s"}"#).await;
                }
                Ok(reply) => {
                    let told = format!("{} {}", reply.status, reply.code());
                    *lock(&self.journal).refused.entry(told).or_default() += 1;
                    return;
                }
                Err(_) => {}
            }
            if begin.elapsed() > PATIENCE {
                lock(&self.journal).given_up += 1;
                return;
            }
            lock(&self.journal).retried += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn acknowledged(&self, session: usize, number: u64, reply: &Reply, took: Duration) {
        let (told, writer) = (reply.json(), self.number);
        let mut journal = lock(&self.journal);
        let of = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
        let (generation, sequence) = (of(&told["generation"]), of(&told["items"][0]["seq"]));
        journal.acknowledged.push(Acknowledged { session, writer, number, generation, sequence });
        journal.worst = journal.worst.max(took);
    }
}
