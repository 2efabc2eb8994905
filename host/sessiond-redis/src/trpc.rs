//! A Redis that trpc-agent-go has written, read and never written: its sessions as plain values.
//!
//! Both of its layouts are read: `hashidx`, which it writes today, and `zset`, which it wrote before.
//! One key after the other is looked at with SCAN, and one session is in memory at a time. What
//! cannot be read becomes a [`Finding`], and the rest is read nevertheless.

mod event;
mod place;
mod record;
mod session;
mod states;
mod summary;
mod track;

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue};
use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::state::StateMap;
use sessiond_core::store::whole::Whole;
use tokio::time::timeout;

use self::place::Names;
pub use self::place::Place;
use crate::error::{Error, has_code};

/// How many keys Redis looks at for one reply.
const STEP: usize = 500;
/// How many events, or entries of a track, are read at once.
const PAGE: usize = 500;

/// What to read.
#[derive(Clone)]
pub struct TrpcConfig {
    /// The address of the Redis, as in [`crate::RedisConfig`].
    pub url: String,
    /// The key prefix that trpc-agent-go was configured with; empty without one.
    pub prefix: String,
    /// Only this app's.
    pub app: Option<String>,
    /// Only this user's.
    pub user: Option<String>,
    /// The largest event to take over, in bytes.
    pub max_event_size: usize,
    /// How long a connection may take to be made, and how long an answer.
    pub timeout: Duration,
}

/// Something that cannot be taken over as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key, and what of it.
    pub key: String,
    /// Why, or what became of it.
    pub reason: String,
    /// Whether something is left behind; otherwise it comes along, but not quite as it was.
    pub lost: bool,
}

impl Finding {
    fn lost(key: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { key: key.to_string(), reason: reason.to_string(), lost: true }
    }

    fn changed(key: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { key: key.to_string(), reason: reason.to_string(), lost: false }
    }
}

/// What a place holds.
#[derive(Debug)]
pub enum Content {
    /// A session.
    Session(SessionKey, Box<Whole>),
    /// A user's state.
    User(UserKey, StateMap),
    /// An app's state.
    App(AppKey, StateMap),
    /// More places to look at.
    Places(Vec<Place>),
    /// Nothing that was asked for.
    Nothing,
}

/// What a place holds, and what is odd about it.
#[derive(Debug)]
pub struct Found {
    /// What there is.
    pub content: Content,
    /// What could not be read, or not taken over as it is.
    pub findings: Vec<Finding>,
}

/// A part of the way through all keys.
#[derive(Debug)]
pub struct Step {
    /// Where there is something to read.
    pub places: Vec<Place>,
    /// What was found wrong with keys themselves.
    pub findings: Vec<Finding>,
    /// How many keys were looked at.
    pub keys: usize,
    /// Where to go on. None: that was all.
    pub next: Option<u64>,
}

/// A Redis that trpc-agent-go has written.
pub struct TrpcSource {
    config: TrpcConfig,
    names: Names,
    connection: MultiplexedConnection,
    address: String,
}

/// Fields and values of a hash.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Why a part could not be read.
#[derive(Debug)]
enum Trouble {
    /// The way to Redis is broken: nothing else can be read either.
    Source(Error),
    /// This part is not what trpc-agent-go writes.
    Part(Finding),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Source(error)
    }
}

impl TrpcSource {
    /// Connects.
    ///
    /// # Errors
    /// [`Error`], when the address is wrong or nobody answers there in time.
    pub async fn connect(config: TrpcConfig) -> Result<Self, Error> {
        let client = redis::Client::open(config.url.as_str()).map_err(Error::Url)?;
        let address = client.get_connection_info().addr().to_string();
        let (after, named) = (config.timeout, address.clone());
        let options = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.timeout))
            .set_response_timeout(Some(config.timeout));
        let made = timeout(after, client.get_multiplexed_async_connection_with_config(&options));
        let made = made.await.map_err(|_| Error::ConnectTimeout { address: named, after })?;
        let connection =
            made.map_err(|source| Error::Connect { address: address.clone(), source })?;
        let names = Names::new(&config.prefix);
        Ok(Self { config, names, connection, address })
    }

    /// The address, without a password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The id of the server's run: the cursor of a [`Step`] is of no use to another one.
    ///
    /// # Errors
    /// [`Error`], when Redis does not answer.
    pub async fn run(&self) -> Result<String, Error> {
        let told: String = self.send(redis::cmd("INFO").arg("server")).await?;
        let found = told.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(found.unwrap_or_default().trim().to_owned())
    }

    /// How many keys there are, of whatever kind.
    ///
    /// # Errors
    /// [`Error`], when Redis does not answer.
    pub async fn size(&self) -> Result<u64, Error> {
        self.send(&redis::cmd("DBSIZE")).await
    }

    /// Looks at some keys, from a cursor on; 0 is the beginning. A key that is there all the while
    /// is returned at least once.
    ///
    /// # Errors
    /// [`Error`], when Redis does not answer.
    pub async fn step(&self, cursor: u64) -> Result<Step, Error> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(self.names.pattern()).arg("COUNT").arg(STEP);
        let (next, keys): (u64, Vec<Vec<u8>>) = self.send(&scan).await?;
        let count = keys.len();
        let mut step = Step {
            places: Vec::new(),
            findings: Vec::new(),
            keys: count,
            next: (next > 0).then_some(next),
        };
        let mut parts = Vec::new();
        for key in keys {
            let sorted = match String::from_utf8(key) {
                Ok(key) => self.names.sort(&key, self.wanted()),
                Err(error) if self.names.are_ours(error.as_bytes()) => {
                    let key = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    place::Sorted::Odd(Finding::lost(key, "its name is not UTF-8"))
                }
                Err(_) => place::Sorted::Other,
            };
            match sorted {
                place::Sorted::Place(place) => step.places.push(place),
                place::Sorted::Part(part) => parts.push(part),
                place::Sorted::Odd(finding) => step.findings.push(finding),
                place::Sorted::Other => {}
            }
        }
        step.findings.extend(self.without_session(parts).await?);
        Ok(step)
    }

    /// Reads what is at a place.
    ///
    /// # Errors
    /// [`Error`], when Redis does not answer.
    pub async fn look(&self, place: &Place) -> Result<Found, Error> {
        let looked = match place {
            Place::Hashidx(meta) => self.hashidx_session(meta).await,
            Place::ZsetUser { user, cursor } => self.zset_sessions(user, *cursor).await,
            Place::Zset(user, session) => self.zset_session(user, session).await,
            Place::UserState { key, app, user } => self.user_state(key, app, user).await,
            Place::AppState { key, app } => self.app_state(key, app).await,
        };
        match looked {
            Ok(found) => Ok(found),
            Err(Trouble::Part(finding)) => {
                Ok(Found { content: Content::Nothing, findings: vec![finding] })
            }
            Err(Trouble::Source(error)) => Err(error),
        }
    }

    fn wanted(&self) -> (Option<&str>, Option<&str>) {
        (self.config.app.as_deref(), self.config.user.as_deref())
    }

    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let answer = timeout(self.config.timeout, async {
            command.query_async(&mut self.connection.clone()).await
        });
        Ok(answer.await.map_err(|_| Error::Timeout(self.config.timeout))??)
    }

    /// Sends a command that reads a key, which may be of another type.
    /// A page of a sorted set, from a place on. An empty one: there is no more.
    async fn page(&self, key: &str, from: usize) -> Result<Vec<Vec<u8>>, Trouble> {
        let mut range = on("ZRANGE", key);
        range.arg(from).arg(from + PAGE - 1);
        self.read(&range, key).await
    }

    async fn read<T: FromRedisValue>(&self, command: &Cmd, key: &str) -> Result<T, Trouble> {
        match self.send(command).await {
            Err(Error::Command(error)) if has_code(&error, "WRONGTYPE") => {
                let reason = "the key has another type than trpc-agent-go gives it";
                Err(Trouble::Part(Finding::lost(key, reason)))
            }
            answer => Ok(answer?),
        }
    }
}

impl fmt::Debug for TrpcSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrpcSource").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for TrpcConfig {
    /// The address may hold a password, so it is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrpcConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A command on a key.
fn on(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}
