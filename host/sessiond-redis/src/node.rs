//! A server that serves keys: its connections, and what its replicas have.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::{Instant, timeout_at};

use crate::access::Address;
use crate::error::Error;
use crate::link::{Link, Live, Target};

/// What is left of an operation's time for the answer to a `WAIT` that ran out.
const MARGIN: Duration = Duration::from_millis(20);

/// A server.
pub(crate) struct Node {
    target: Arc<Target>,
    links: Vec<Link>,
    next: AtomicUsize,
    /// Whether the last that was asked of it went wrong, so that another may be in its place.
    suspect: AtomicBool,
    /// The connection that waits for replicas: whoever waits on one keeps all behind him waiting.
    waiting: Link,
    /// Held by who waits for replicas. When that began for the last time, and how many had it.
    waited: tokio::sync::Mutex<Option<(Instant, u32)>>,
}

/// A promise that what is written after it was made can be waited for: the connection for that is
/// there, and so it leads to the very process that does the write.
pub(crate) struct Pledge {
    node: Arc<Node>,
    live: Arc<Live>,
}

impl Node {
    /// A server with so many connections, none of which is made yet.
    pub(crate) fn new(target: Target, pool_size: usize) -> Self {
        let target = Arc::new(target);
        let links = (0..pool_size.max(1)).map(|_| Link::new(target.clone())).collect();
        let waiting = Link::new(target.clone());
        let (next, suspect, waited) = Default::default();
        Self { target, links, next, suspect, waiting, waited }
    }

    pub(crate) fn address(&self) -> &Address {
        self.target.address()
    }

    /// One of the connections.
    pub(crate) async fn live(&self, until: Instant) -> Result<Arc<Live>, Error> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let link = self.links.get(turn % self.links.len().max(1)).unwrap_or(&self.waiting);
        link.live(until).await.inspect_err(|_| self.doubt())
    }

    /// Whether another server may be in its place.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    pub(crate) fn doubt(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    pub(crate) fn trust(&self) {
        if self.is_suspect() {
            self.suspect.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) async fn pledge(self: Arc<Self>, until: Instant) -> Result<Pledge, Error> {
        let live = self.waiting.live(until).await.inspect_err(|_| self.doubt())?;
        Ok(Pledge { node: self, live })
    }
}

impl Pledge {
    /// Waits until so many replicas have all that the server has done so far. `mark` is a key of
    /// its slots that nobody uses.
    ///
    /// Those who come while somebody waits are served together by the one who waits next.
    pub(crate) async fn keep(
        &self,
        wanted: u32,
        mark: &[u8],
        until: Instant,
        longest: Duration,
    ) -> Result<(), Error> {
        let asked = Instant::now();
        let late = || Error::Timeout(until.saturating_duration_since(asked));
        let turn = timeout_at(until, self.node.waited.lock()).await;
        let mut waited = turn.map_err(|_| late())?;
        let got = match waited.filter(|(began, _)| *began > asked) {
            Some((_, got)) => got,
            None => {
                let began = Instant::now();
                let left = until.saturating_duration_since(began).saturating_sub(MARGIN);
                let got = self.wait(wanted, mark, left.min(longest), until).await?;
                *waited = Some((began, got));
                got
            }
        };
        if got < wanted { Err(Error::NotReplicated { wanted, got }) } else { Ok(()) }
    }

    async fn wait(
        &self,
        wanted: u32,
        mark: &[u8],
        longest: Duration,
        until: Instant,
    ) -> Result<u32, Error> {
        // WAIT looks at the last write of its own connection, so there must be one, after all those
        // that are waited for.
        let mut write = redis::cmd("SET");
        write.arg(mark).arg("").arg("PX").arg(1);
        let mut wait = redis::cmd("WAIT");
        wait.arg(wanted).arg(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1));
        let commands: [Cmd; 2] = [write, wait];
        let begin = Instant::now();
        let answer = timeout_at(until, self.live.exchange(&commands)).await;
        let Ok(answer) = answer else {
            self.live.doubt(begin);
            self.node.doubt();
            return Err(Error::Timeout(begin.elapsed()));
        };
        let answers = answer.inspect_err(|error| {
            self.live.judge(error);
            self.node.doubt();
        })?;
        self.live.hear();
        let answers = Value::Array(answers).extract_error().inspect_err(|error| {
            self.live.judge(error);
        })?;
        let (_, got): (Value, u32) =
            redis::from_redis_value(answers).map_err(redis::RedisError::from)?;
        Ok(got)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(self.address()).finish()
    }
}
