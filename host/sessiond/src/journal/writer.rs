//! The thread that writes the journal.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _};
use sessiond_core::workers::lanes::journal::JournalError;
use tokio::sync::{mpsc, oneshot};

use super::{ABOUT, OVERHEAD, RECORDS, RUN_BITS, failed};

/// How many requests are written together.
const MOST: usize = 512;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        lane: u32,
        /// The hash of the session, and the record.
        value: Vec<u8>,
        /// What it counts for.
        size: u64,
        reply: oneshot::Sender<Result<u64, JournalError>>,
    },
    Forget {
        lane: u32,
        positions: Vec<u64>,
    },
}

pub(super) struct Writer {
    database: Arc<Database>,
    /// The next position.
    next: u64,
    /// What each record counts for.
    sizes: HashMap<u64, u64>,
    held: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(database: Arc<Database>, next: u64, held: Arc<AtomicU64>) -> Self {
        Self { database, next, sizes: HashMap::new(), held }
    }

    /// Weighs what is there.
    pub(super) fn weigh(&mut self) -> anyhow::Result<()> {
        let mut held = 0;
        let transaction = self.database.begin_read()?;
        for entry in transaction.open_table(RECORDS)?.iter()? {
            let (key, value) = entry?;
            let size = (value.value().len() as u64).saturating_sub(8) + OVERHEAD;
            held += size;
            self.sizes.insert(key.value().1, size);
        }
        self.held.store(held, Ordering::Relaxed);
        metrics::gauge!("sessiond_journal_bytes").set(held as f64);
        Ok(())
    }

    /// Writes until nobody asks any more, and then all to the disk. `sync_every` None: before each
    /// answer.
    pub(super) fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        sync_every: Option<Duration>,
        on: &tokio::runtime::Handle,
    ) {
        let (mut synced, mut dirty) = (Instant::now(), false);
        loop {
            let first = match sync_every.filter(|_| dirty) {
                None => commands.blocking_recv(),
                Some(every) => {
                    let left = every.saturating_sub(synced.elapsed());
                    let next = async { tokio::time::timeout(left, commands.recv()).await };
                    let Ok(first) = on.block_on(next) else {
                        self.write(Vec::new(), Durability::Immediate);
                        (synced, dirty) = (Instant::now(), false);
                        continue;
                    };
                    first
                }
            };
            let Some(first) = first else { break };
            let mut group = vec![first];
            while group.len() < MOST
                && let Ok(next) = commands.try_recv()
            {
                group.push(next);
            }
            let appends = group.iter().any(|command| matches!(command, Command::Append { .. }));
            let due = sync_every.map_or(appends, |every| synced.elapsed() >= every);
            self.write(group, if due { Durability::Immediate } else { Durability::None });
            dirty = !due;
            if due {
                synced = Instant::now();
            }
        }
        self.write(Vec::new(), Durability::Immediate);
    }

    /// Does what is asked for, all or nothing.
    fn write(&mut self, group: Vec<Command>, durability: Durability) {
        let first = self.next;
        let stored = self.store(&group, durability);
        if let Err(error) = &stored {
            tracing::error!(%error, "the journal cannot be written");
        }
        let (mut position, mut freed) = (first, 0);
        for command in group {
            match command {
                Command::Append { size, reply, .. } => {
                    let answer = match &stored {
                        Ok(()) => {
                            self.sizes.insert(position, size);
                            Ok(position)
                        }
                        Err(error) => {
                            freed += size;
                            Err(failed(error.to_string()))
                        }
                    };
                    position += 1;
                    // Who asked may have gone: then it is written all the same.
                    let _ = reply.send(answer);
                }
                Command::Forget { positions, .. } if stored.is_ok() => {
                    let sizes = positions.iter().filter_map(|position| self.sizes.remove(position));
                    freed += sizes.sum::<u64>();
                }
                Command::Forget { .. } => {}
            }
        }
        let held = self.held.fetch_sub(freed, Ordering::Relaxed).saturating_sub(freed);
        metrics::gauge!("sessiond_journal_bytes").set(held as f64);
    }

    fn store(&mut self, group: &[Command], durability: Durability) -> anyhow::Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut records = transaction.open_table(RECORDS)?;
            let run = self.next >> RUN_BITS;
            for command in group {
                match command {
                    Command::Append { lane, value, .. } => {
                        records.insert((*lane, self.next), value.as_slice())?;
                        self.next += 1;
                    }
                    Command::Forget { lane, positions } => {
                        for position in positions {
                            records.remove((*lane, *position))?;
                        }
                    }
                }
            }
            if self.next >> RUN_BITS != run {
                let mut about = transaction.open_table(ABOUT)?;
                about.insert("run", u128::from(self.next >> RUN_BITS))?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}
