//! The journal of the lanes, on the disk: where appends are before they are acknowledged.
//!
//! One thread writes it. All that has come while it was writing goes to the disk together, so that one
//! `fsync` serves many. A key is a lane and a position, a value the hash of the session and the
//! record; what is written to the store is removed.

mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction,
};
use sessiond_core::workers::lanes::journal::{Journal, JournalError};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use self::writer::{Command, Writer};
use crate::config::JournalConfig;

/// Records, by lane and position: the hash of the session, 8 bytes, and then the record.
const RECORDS: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("records");
/// What is known of the journal: `id`, `run` and `lanes`.
const ABOUT: TableDefinition<'_, &str, u128> = TableDefinition::new("about");

/// How many requests wait for the thread.
const WAITING: usize = 1_024;
/// The most bytes of records that are read at once.
const MAX_READ: usize = 8 << 20;
/// How much of the file is kept in memory, in bytes.
const CACHE: usize = 32 << 20;
/// Each run begins with positions that no run before it can have given, whatever a crash has made it
/// forget: these bits number the positions of a run.
const RUN_BITS: u32 = 36;
/// What a record costs besides its bytes, about.
const OVERHEAD: u64 = 64;

/// A journal in a folder.
#[derive(Debug)]
pub(crate) struct DiskJournal {
    id: Uuid,
    database: Arc<Database>,
    /// Bytes that wait.
    held: Arc<AtomicU64>,
    max_size: u64,
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl DiskJournal {
    /// Opens a journal, or begins one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When another daemon has it, or the folder cannot be used.
    pub(crate) async fn open(config: &JournalConfig, lanes: usize) -> anyhow::Result<Self> {
        let (config, runtime) = (config.clone(), tokio::runtime::Handle::current());
        let folder = config.folder.clone();
        let opened =
            tokio::task::spawn_blocking(move || Self::open_now(&config, lanes, runtime)).await?;
        opened.with_context(|| {
            format!("the journal {} cannot be used (async_persist.journal)", folder.display())
        })
    }

    fn open_now(
        config: &JournalConfig,
        lanes: usize,
        runtime: tokio::runtime::Handle,
    ) -> anyhow::Result<Self> {
        let database = Arc::new(open_database(config)?);
        let (id, run) = begin_run(database.begin_write()?, lanes)?;
        let (sender, commands) = mpsc::channel(WAITING);
        let held = Arc::new(AtomicU64::new(0));
        let mut writer = Writer::new(database.clone(), (run << RUN_BITS) + 1, held.clone());
        writer.weigh()?;
        let sync_every = config.sync_every;
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(commands, sync_every, &runtime))?;
        let (commands, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Self { id, database, held, max_size: config.max_size, commands, thread })
    }

    async fn send(&self, command: Command) -> Result<(), JournalError> {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let commands = commands.ok_or_else(|| failed("it is closed"))?;
        commands.send(command).await.map_err(|_| failed("its thread has ended"))
    }

    /// Reads records of a lane after a position, oldest first, until `each` says that it is enough.
    async fn scan<T: Send + 'static>(
        &self,
        lane: usize,
        after: u64,
        mut each: impl FnMut(&mut Vec<T>, u64, &[u8]) -> bool + Send + 'static,
    ) -> Result<Vec<T>, JournalError> {
        let (database, lane) = (self.database.clone(), lane_number(lane));
        let read = move || {
            let mut found = Vec::new();
            let transaction = database.begin_read().map_err(failed)?;
            let records = transaction.open_table(RECORDS).map_err(failed)?;
            let range = records.range((lane, after + 1)..=(lane, u64::MAX)).map_err(failed)?;
            for entry in range {
                let (key, value) = entry.map_err(failed)?;
                if !each(&mut found, key.value().1, value.value()) {
                    break;
                }
            }
            Ok(found)
        };
        tokio::task::spawn_blocking(read).await.map_err(failed)?
    }
}

/// Events are in it as they are, so it is for the daemon's user alone.
fn open_database(config: &JournalConfig) -> anyhow::Result<Database> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.folder)?;
    let path = config.folder.join("journal.redb");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    match Database::builder().set_cache_size(CACHE).create(&path) {
        Err(DatabaseError::DatabaseAlreadyOpen) => {
            bail!("another daemon uses it: give each its own folder")
        }
        opened => Ok(opened?),
    }
}

/// Begins a run: gives every record the lane that its session has now. Returns the journal's id and the
/// number of the run.
fn begin_run(transaction: WriteTransaction, lanes: usize) -> anyhow::Result<(Uuid, u64)> {
    let begun = {
        let mut about = transaction.open_table(ABOUT)?;
        let mut records = transaction.open_table(RECORDS)?;
        let known = |name: &str| anyhow::Ok(about.get(name)?.map(|value| value.value()));
        let id = known("id")?.map_or_else(Uuid::now_v7, Uuid::from_u128);
        let run = known("run")?.unwrap_or(0) + 1;
        if run >> (53 - RUN_BITS) > 0 {
            bail!("it has been opened too often: when it is empty, remove the folder");
        }
        let lanes = lanes.max(1) as u64;
        if known("lanes")?.is_some_and(|before| before != u128::from(lanes)) {
            let mut moved = Vec::new();
            for entry in records.iter()? {
                let (key, value) = entry?;
                let (lane, position) = key.value();
                let session = session_of(value.value());
                let now = lane_number(usize::try_from(session % lanes).unwrap_or(0));
                if now != lane {
                    moved.push((lane, now, position));
                }
            }
            for (from, to, position) in moved {
                let value = records.remove((from, position))?.map(|value| value.value().to_vec());
                if let Some(value) = value {
                    records.insert((to, position), value.as_slice())?;
                }
            }
        }
        about.insert("id", id.as_u128())?;
        about.insert("run", run)?;
        about.insert("lanes", u128::from(lanes))?;
        (id, u64::try_from(run)?)
    };
    transaction.commit()?;
    Ok(begun)
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> JournalError {
    JournalError::Failed(cause.into())
}

fn lane_number(lane: usize) -> u32 {
    u32::try_from(lane).unwrap_or(u32::MAX)
}

/// The hash of the session that a value is of.
fn session_of(value: &[u8]) -> u64 {
    value.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[async_trait]
impl Journal for DiskJournal {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn append(
        &self,
        lane: usize,
        session: u64,
        record: Vec<u8>,
    ) -> Result<u64, JournalError> {
        let size = record.len() as u64 + OVERHEAD;
        let held = self.held.fetch_add(size, Ordering::Relaxed);
        if held + size > self.max_size {
            self.held.fetch_sub(size, Ordering::Relaxed);
            return Err(JournalError::Full(held));
        }
        let value = [session.to_be_bytes().as_slice(), &record].concat();
        let (reply, position) = oneshot::channel();
        let lane = lane_number(lane);
        if let Err(error) = self.send(Command::Append { lane, value, size, reply }).await {
            self.held.fetch_sub(size, Ordering::Relaxed);
            return Err(error);
        }
        position.await.unwrap_or_else(|_| Err(failed("its thread has ended")))
    }

    async fn read(
        &self,
        lane: usize,
        after: u64,
        most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
        let mut bytes = 0;
        let each = move |found: &mut Vec<_>, position, value: &[u8]| {
            let record = value.get(8..).unwrap_or_default();
            bytes += record.len();
            found.push((position, record.to_vec()));
            found.len() < most && bytes < MAX_READ
        };
        self.scan(lane, after, each).await
    }

    async fn forget(&self, lane: usize, positions: Vec<u64>) -> Result<(), JournalError> {
        self.send(Command::Forget { lane: lane_number(lane), positions }).await
    }

    async fn left(&self, lane: usize) -> Result<Vec<(u64, u64)>, JournalError> {
        let each = |found: &mut Vec<_>, position, value: &[u8]| {
            found.push((session_of(value), position));
            true
        };
        self.scan(lane, 0, each).await
    }

    async fn close(&self) {
        drop(self.commands.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has said so.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
