//! Sends commands and scripts, over a few connections, each operation within its time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, has_code};
use crate::link::{Link, Target};
use crate::schema::Schema;
use crate::script::{Reply, ScriptCall};

/// How many connections there are. One would do, but a large reply keeps those behind it waiting.
const LINKS: usize = 4;

/// The way to Redis.
pub(crate) struct Client {
    target: Arc<Target>,
    links: [Link; LINKS],
    next: AtomicUsize,
    timeout: Duration,
}

/// One operation: its commands go over one connection, and all together take no longer than the
/// time-out.
pub(crate) struct Call<'a> {
    link: &'a Link,
    until: Instant,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(target: Target, timeout: Duration) -> Self {
        let target = Arc::new(target);
        let links = std::array::from_fn(|_| Link::new(target.clone()));
        Self { target, links, next: AtomicUsize::new(0), timeout }
    }

    /// Makes the first connection.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        let [first, ..] = &self.links;
        first.live(Instant::now() + self.target.connect_timeout).await.map(drop)
    }

    /// Begins an operation.
    pub(crate) fn call(&self) -> Call<'_> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let [first, ..] = &self.links;
        let link = self.links.get(turn % LINKS).unwrap_or(first);
        Call { link, until: Instant::now() + self.timeout, timeout: self.timeout }
    }

    /// What all daemons on this Redis agree on.
    pub(crate) fn schema(&self) -> &Schema {
        &self.target.schema
    }
}

impl Call<'_> {
    /// Sends a command.
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.send(async |connection| command.query_async(connection).await).await
    }

    /// Sends commands at once. One that fails makes all fail.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, Error> {
        self.send(async |connection| pipe.query_async(connection).await).await
    }

    /// Reads keys of a session's slot as of one moment. `hash` is the session's.
    ///
    /// A server without memory refuses transactions, even those that only read. Then what was read
    /// counts if the session's hash was the same before and after.
    pub(crate) async fn snapshot(&self, reads: &[Cmd], hash: &str) -> Result<Vec<Value>, Error> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for read in reads {
            pipe.add_command(read.clone());
        }
        match self.pipeline(&pipe).await {
            Err(Error::Command(error)) if has_code(&error, "OOM") => {}
            answer => return answer,
        }
        let mut version = redis::cmd("HMGET");
        version.arg(hash).arg("#g").arg("#n");
        let mut pipe = redis::pipe();
        pipe.add_command(version.clone());
        for read in reads {
            pipe.add_command(read.clone());
        }
        pipe.add_command(version);
        loop {
            let mut answer: Vec<Value> = self.pipeline(&pipe).await?;
            let after = answer.pop();
            if answer.first() == after.as_ref() {
                answer.remove(0);
                return Ok(answer);
            }
        }
    }

    /// Runs a script. A server that does not know it gets its text.
    pub(crate) async fn script(&self, call: &ScriptCall) -> Result<Reply, Error> {
        let reply = match self.command(call.by_hash()).await {
            Err(Error::Command(error)) if has_code(&error, "NOSCRIPT") => {
                self.command(&call.by_text()).await
            }
            reply => reply,
        };
        Ok(Reply::new(call.name(), reply?))
    }

    /// Makes sure that what all daemons must agree on is still there.
    pub(crate) async fn agree(&self, schema: &Schema) -> Result<(), Error> {
        let live = self.link.live(self.until).await?;
        let agreed = timeout_at(self.until, schema.ensure(&mut live.connection())).await;
        agreed.map_err(|_| Error::Timeout(self.timeout))?
    }

    async fn send<T>(
        &self,
        request: impl AsyncFnOnce(&mut redis::aio::MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Error> {
        let live = self.link.live(self.until).await?;
        let (mut connection, sent) = (live.connection(), Instant::now());
        match timeout_at(self.until, request(&mut connection)).await {
            Ok(Ok(answer)) => {
                live.hear();
                Ok(answer)
            }
            Ok(Err(error)) => {
                live.judge(&error);
                Err(error.into())
            }
            Err(_) => {
                live.doubt(sent);
                Err(Error::Timeout(self.timeout))
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.target.address).finish_non_exhaustive()
    }
}
