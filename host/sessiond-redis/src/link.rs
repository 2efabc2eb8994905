//! One connection to Redis, made anew when it breaks, and never waited for without end.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, RedisError, RedisResult, RetryMethod,
    Value,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::access::{Access, Address, no_answer, unreachable};
use crate::error::{Error, has_code};
use crate::sentinel::Sentinels;

/// How long Sentinels have to confirm that a server is the master.
const CONFIRM: Duration = Duration::from_millis(500);

/// A place for one connection that all callers share, each command after the other.
pub(crate) struct Link {
    target: Arc<Target>,
    live: Mutex<Option<Arc<Live>>>,
    /// Held by who makes a connection. When that failed for the last time, and why.
    gate: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
    /// Whether the last attempt failed, so that the log tells it once.
    down: AtomicBool,
}

/// What all links to a server have in common.
pub(crate) struct Target {
    client: Client,
    address: Address,
    access: Arc<Access>,
    kind: Kind,
}

/// What a server must be.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The only one.
    Single,
    /// The master that Sentinels named: it may have ceased to be that.
    Master(Arc<Sentinels>),
    /// A node of a Cluster: another one may have the schema.
    Node,
}

/// A connection, as long as nothing speaks against using it.
pub(crate) struct Live {
    connection: MultiplexedConnection,
    lost: Arc<AtomicBool>,
    since: Instant,
    /// When it was last heard of, in microseconds since it was made.
    heard: AtomicU64,
}

impl Link {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        let gate = tokio::sync::Mutex::default();
        Self { target, live: Mutex::default(), gate, down: AtomicBool::new(false) }
    }

    /// The connection, made anew if there is none, before that time.
    pub(crate) async fn live(&self, until: Instant) -> Result<Arc<Live>, Error> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let after = until.saturating_duration_since(Instant::now());
        let made = timeout_at(until, self.make(after)).await;
        let made = made.unwrap_or_else(|_| Err(no_answer(&self.target.address, after)));
        let failed = made.is_err();
        if self.down.swap(failed, Ordering::Relaxed) != failed {
            let address = self.target.address.to_string();
            match &made {
                Ok(_) => tracing::info!(address, "Redis is back"),
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = error;
                    tracing::warn!(address, error, "Redis cannot be used");
                }
            }
        }
        made
    }

    fn current(&self) -> Option<Arc<Live>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.clone().filter(|live| live.is_good())
    }

    async fn make(&self, within: Duration) -> Result<Arc<Live>, Error> {
        let asked = Instant::now();
        let mut failure = self.gate.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        // Who waited in line while it failed gets that answer, or the line would never end.
        if let Some((_, source)) = failure.as_ref().filter(|(at, _)| *at > asked) {
            return Err(unreachable(&self.target.address, source.clone()));
        }
        match self.target.connect(within).await {
            Ok(live) => {
                let live = Arc::new(live);
                *failure = None;
                *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
                Ok(live)
            }
            Err(Error::Connect { address, source }) => {
                *failure = Some((Instant::now(), source.clone()));
                Err(Error::Connect { address, source })
            }
            Err(error) => Err(error),
        }
    }
}

impl Target {
    pub(crate) fn new(address: Address, access: Arc<Access>, kind: Kind) -> Result<Self, Error> {
        let made = access.client(&address);
        let client = made.map_err(|source| unreachable(&address, source))?;
        Ok(Self { client, address, access, kind })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Makes a connection, and sees to it that the keys there are of this layout.
    async fn connect(&self, within: Duration) -> Result<Live, Error> {
        let within = within.min(self.access.connect_timeout);
        let made = timeout(within, self.connect_now()).await;
        made.unwrap_or_else(|_| Err(no_answer(&self.address, within)))
    }

    async fn connect_now(&self) -> Result<Live, Error> {
        let lost = Arc::new(AtomicBool::new(false));
        let mut config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        if self.client.get_connection_info().redis_settings().protocol().supports_resp3() {
            // So an idle connection that the server closes is known at once, and costs no request.
            let lost = lost.clone();
            config = config.set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    lost.store(true, Ordering::Relaxed);
                }
                Ok::<(), redis::aio::SendError>(())
            });
        }
        let unreachable = |source| unreachable(&self.address, source);
        let made = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = made.map_err(unreachable)?;
        if let Some(name) = &self.access.client_name {
            let mut naming = redis::cmd("CLIENT");
            let named = naming.arg("SETNAME").arg(name).exec_async(&mut connection).await;
            named.map_err(unreachable)?;
        }
        if let Kind::Master(sentinels) = &self.kind {
            self.confirm(sentinels, &mut connection).await?;
        }
        match self.agree(&connection).await {
            Err(Error::Command(error))
                if matches!(self.kind, Kind::Node) && is_elsewhere(&error) => {}
            agreed => agreed?,
        }
        Ok(Live { connection, lost, since: Instant::now(), heard: AtomicU64::new(0) })
    }

    /// Makes sure that the server is the master, and not one that came back and has yet to hear that
    /// another took its place. If no Sentinel can be asked, the server's own word must do.
    async fn confirm(
        &self,
        sentinels: &Arc<Sentinels>,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), Error> {
        let told = redis::cmd("ROLE").query_async(connection).await;
        let role: Vec<Value> = told.map_err(|source| unreachable(&self.address, source))?;
        let says_so = matches!(role.first(), Some(Value::BulkString(role)) if role == b"master");
        let named = sentinels.master(&self.access, Instant::now() + CONFIRM).await;
        if says_so && named.map_or(true, |named| named == self.address) {
            return Ok(());
        }
        Err(Error::NotMaster { address: self.address.to_string() })
    }

    /// Makes sure that what all daemons must agree on is there.
    async fn agree(&self, connection: &MultiplexedConnection) -> Result<(), Error> {
        let schema = &self.access.schema;
        let known = exchange(connection.clone(), &[schema.question()]).await?;
        if !schema.learn(known)? {
            schema.learn(exchange(connection.clone(), &schema.proposal()).await?)?;
        }
        Ok(())
    }
}

fn is_elsewhere(error: &RedisError) -> bool {
    ["MOVED", "ASK", "CLUSTERDOWN"].iter().any(|code| has_code(error, code))
}

impl Live {
    /// Sends commands at once. Refusals are among the answers, one for each command.
    pub(crate) async fn exchange(&self, commands: &[Cmd]) -> RedisResult<Vec<Value>> {
        exchange(self.connection.clone(), commands).await
    }

    /// Whether nothing speaks against using it.
    pub(crate) fn is_good(&self) -> bool {
        !self.lost.load(Ordering::Relaxed)
    }

    /// Takes note of an answer.
    pub(crate) fn hear(&self) {
        let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.heard.fetch_max(micros, Ordering::Relaxed);
    }

    /// Gives the connection up if an error speaks against it. A master that has become a replica
    /// answers, but a new connection may lead to the new master.
    pub(crate) fn judge(&self, error: &RedisError) {
        let broken = matches!(error.retry_method(), RetryMethod::Reconnect);
        if broken || ["READONLY", "MASTERDOWN"].iter().any(|code| has_code(error, code)) {
            self.lost.store(true, Ordering::Relaxed);
        } else {
            self.hear();
        }
    }

    /// Gives the connection up if nothing was heard of it since then: a machine that is gone does
    /// not say so.
    pub(crate) fn doubt(&self, since: Instant) {
        let heard = self.since + Duration::from_micros(self.heard.load(Ordering::Relaxed));
        if heard < since {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

async fn exchange(
    mut connection: MultiplexedConnection,
    commands: &[Cmd],
) -> RedisResult<Vec<Value>> {
    if let [command] = commands {
        return Ok(vec![connection.send_packed_command(command).await?]);
    }
    let mut pipe = redis::pipe();
    for command in commands {
        pipe.add_command(command.clone());
    }
    connection.send_packed_commands(&pipe, 0, commands.len()).await
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.target.address.to_string())
            .finish_non_exhaustive()
    }
}
