//! The queue of summary jobs that all daemons on a Redis share: a stream with one group of
//! consumers, a daemon each.
//!
//! An entry is a job that may be done. Whoever takes it says now and then that he lives, and if he
//! does not, another one takes it over. All keys share a slot, so every step is one script.

mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sessiond_core::store::StoreError;
use sessiond_core::workers::summary::{Depth, JobQueue, JobRequest, Put, Room, Taken};
use tokio::sync::Notify;
use uuid::Uuid;

use self::text::{read, subject, write};
use crate::error::Error;
use crate::keyspace::JobKeys;
use crate::script::{JOB_DEPTH, JOB_END, JOB_KEEP, JOB_PUT, JOB_TAKE, Reply, Script, ScriptCall};
use crate::store::RedisStore;

/// After how long without a sign of life a job is taken over. Longer than the claim of its session
/// lasts.
const LEFT_BEHIND: Duration = Duration::from_secs(15);
/// How often to look for jobs that other daemons have put in.
const LOOK: Duration = Duration::from_millis(500);

/// Jobs of all daemons on one Redis.
#[derive(Debug)]
pub struct RedisQueue {
    store: Arc<RedisStore>,
    keys: JobKeys,
    size: usize,
    consumer: String,
    /// How many were waiting when Redis said so last.
    waiting: AtomicU64,
    closed: AtomicBool,
    nudge: Notify,
}

impl RedisQueue {
    /// The queue of all daemons on a Redis, with room for so many jobs.
    pub fn new(store: Arc<RedisStore>, size: usize) -> Self {
        let keys = store.keyspace().jobs();
        let consumer = Uuid::now_v7().simple().to_string();
        let (waiting, closed, nudge) = Default::default();
        Self { store, keys, size, consumer, waiting, closed, nudge }
    }

    fn call(&self, script: &'static Script) -> ScriptCall {
        script.call(&[&self.keys.ready, &self.keys.names, &self.keys.later])
    }

    async fn send(&self, call: &ScriptCall) -> Result<Reply, Error> {
        self.store.client().call().script(call).await
    }

    fn note(&self, waiting: i64) {
        self.waiting.store(u64::try_from(waiting).unwrap_or_default(), Ordering::Relaxed);
    }

    async fn look(&self) -> Result<Option<Taken>, Error> {
        let mut call = self.call(&JOB_TAKE);
        call.arg(&self.consumer).arg(crate::store::millis(LEFT_BEHIND));
        let mut reply = self.send(&call).await?;
        let word = reply.text()?;
        self.note(reply.number()?);
        if word != "job" {
            return Ok(None);
        }
        let (ticket, text, waited) = (reply.text()?, reply.text()?, reply.number()?);
        let waited = Duration::from_millis(u64::try_from(waited).unwrap_or_default());
        match read(&text) {
            Some(job) => Ok(Some(Taken { job, ticket, waited })),
            None => {
                // Nobody can do it, so nobody must find it again.
                tracing::warn!("a summary job in Redis cannot be read, and is left out");
                self.end(&ticket, None).await?;
                Ok(None)
            }
        }
    }

    async fn end(&self, ticket: &str, back: Option<(&JobRequest, Duration)>) -> Result<(), Error> {
        let mut call = self.call(&JOB_END);
        call.arg(&self.consumer).arg(ticket);
        if let Some((job, after)) = back {
            call.arg(subject(job)).arg(write(job)).arg(crate::store::millis(after));
        }
        self.send(&call).await.map(drop)
    }

    async fn ask_depth(&self, leaving: &str) -> Result<Depth, Error> {
        let mut call = self.call(&JOB_DEPTH);
        let mut reply = self.send(call.arg(leaving)).await?;
        let (waiting, running, oldest) = (reply.number()?, reply.number()?, reply.number()?);
        self.note(waiting);
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let oldest = u64::try_from(oldest).ok().map(Duration::from_millis);
        Ok(Depth { waiting: count(waiting), running: count(running), oldest })
    }
}

#[async_trait]
impl JobQueue for RedisQueue {
    fn kind(&self) -> &'static str {
        "redis"
    }

    async fn put(&self, job: &JobRequest, room: Room) -> Result<Put, StoreError> {
        let mut call = self.call(&JOB_PUT);
        call.arg(subject(job)).arg(write(job));
        match room {
            Room::Bounded => call.arg(self.size),
            Room::Left => call.arg(""),
        };
        let mut reply = self.send(&call).await?;
        let word = reply.text()?;
        self.note(reply.number()?);
        Ok(match word.as_str() {
            "queued" => {
                self.nudge.notify_one();
                Put::Queued
            }
            "full" => Put::Full,
            _ => Put::Waiting,
        })
    }

    async fn take(&self) -> Result<Option<Taken>, StoreError> {
        while !self.closed.load(Ordering::Relaxed) {
            if let Some(taken) = self.look().await? {
                return Ok(Some(taken));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.nudge.notified() => {}
            }
        }
        Ok(None)
    }

    async fn keep(&self, ticket: &str) -> Result<bool, StoreError> {
        let mut call = JOB_KEEP.call(&[&self.keys.ready]);
        call.arg(&self.consumer).arg(ticket);
        Ok(self.send(&call).await?.text()? == "yes")
    }

    async fn done(&self, ticket: &str) -> Result<(), StoreError> {
        Ok(self.end(ticket, None).await?)
    }

    async fn again(
        &self,
        ticket: &str,
        job: &JobRequest,
        after: Duration,
    ) -> Result<(), StoreError> {
        Ok(self.end(ticket, Some((job, after))).await?)
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        Ok(self.ask_depth("").await?)
    }

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= self.size as u64
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // For whoever waits now, and for whoever will.
        self.nudge.notify_waiters();
        self.nudge.notify_one();
    }

    async fn leave(&self) {
        // Who leaves nothing behind is forgotten at once, and otherwise in a while.
        if let Err(error) = self.ask_depth(&self.consumer).await {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::debug!(error, "the queue of summary jobs was left without a word");
        }
    }
}
