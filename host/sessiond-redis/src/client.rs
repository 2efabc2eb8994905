//! Sends commands and scripts to the servers that have their keys, each operation within its time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::PubSub;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Value};
use tokio::time::{Instant, timeout_at};

use crate::access::{Access, Place, unreachable};
use crate::config::{RedisConfig, Topology};
use crate::directory::{Directory, Origin};
use crate::error::{Error, has_code};
use crate::node::Node;
use crate::schema::Schema;
use crate::script::{Reply, ScriptCall};
use crate::sentinel::Sentinels;
use crate::server;
use crate::transfer::{Transfer, Wait};

/// The way to Redis.
pub(crate) struct Client {
    access: Arc<Access>,
    directory: Directory,
    timeout: Duration,
    script_cache: bool,
    wait_replicas: u32,
}

/// One operation: all its commands together take no longer than the time-out.
pub(crate) struct Call<'a> {
    client: &'a Client,
    until: Instant,
}

impl Client {
    /// Finds the servers, makes sure that they can hold sessions, and makes the first connection.
    pub(crate) async fn open(config: RedisConfig, schema: Schema) -> Result<Self, Error> {
        let (origin, place) = origin(&config)?;
        let access = Arc::new(Access::new(&place, &config, schema)?);
        let directory = Directory::new(access.clone(), origin, config.pool_size);
        let until = Instant::now() + access.connect_timeout;
        directory.look(until).await?;
        for node in directory.nodes() {
            server::check(&access, node.address(), &config).await?;
        }
        let timeout = access.connect_timeout;
        let (script_cache, wait_replicas) = (config.script_cache, config.wait_replicas);
        let client = Self { access, directory, timeout, script_cache, wait_replicas };
        client.call().agree(client.schema()).await?;
        Ok(Self { timeout: config.command_timeout, ..client })
    }

    /// Begins an operation.
    pub(crate) fn call(&self) -> Call<'_> {
        Call { client: self, until: Instant::now() + self.timeout }
    }

    /// What all daemons on this Redis agree on.
    pub(crate) fn schema(&self) -> &Schema {
        &self.access.schema
    }

    /// All servers that serve keys, in the order of their addresses.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.directory.nodes()
    }

    /// A connection for what is published, to a server that gets to know of it: each does.
    pub(crate) async fn subscriber(&self) -> Result<PubSub, Error> {
        let until = Instant::now() + self.timeout;
        self.directory.look(until).await?;
        let nodes = self.nodes();
        let good = nodes.iter().find(|node| !node.is_suspect()).or(nodes.first());
        let address = good.ok_or(Error::NoNodes)?.address().clone();
        let opened = self.access.client(&address);
        let opened = opened.map_err(|source| unreachable(&address, source))?;
        let subscriber = timeout_at(until, opened.get_async_pubsub()).await;
        let subscriber = subscriber.unwrap_or_else(|_| Err(timed_out()));
        subscriber.map_err(|source| unreachable(&address, source))
    }

    /// How long an operation may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether all servers answer.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let call = self.call();
        // A Cluster that is out of order answers PING, and no command with a key.
        let mut exists = redis::cmd("EXISTS");
        let _: Value = call.command(exists.arg(self.schema().key())).await?;
        for node in self.nodes() {
            let node = self.directory.check(node, call.until).await?;
            let _: Value = call.command_at(&node, &redis::cmd("PING")).await?;
        }
        Ok(())
    }
}

fn origin(config: &RedisConfig) -> Result<(Origin, Place), Error> {
    let read = |nodes: &[String]| {
        let places = nodes.iter().map(|url| Place::read_node(url));
        let places = places.collect::<Result<Vec<Place>, Error>>()?;
        let addresses = places.iter().map(|place| place.address.clone()).collect();
        let first = places.into_iter().next().ok_or(Error::NoNodes)?;
        Ok::<_, Error>((addresses, first))
    };
    match &config.topology {
        Topology::Server { url } => {
            let place = Place::read(url)?;
            Ok((Origin::Server(place.address.clone()), place))
        }
        Topology::Sentinel { master, nodes, credentials } => {
            let (nodes, place) = read(nodes)?;
            let (name, credentials) = (master.clone(), credentials.clone());
            let sentinels = Sentinels { nodes, credentials, name };
            Ok((Origin::Sentinel(Arc::new(sentinels)), place))
        }
        Topology::Cluster { .. } if config.database.is_some_and(|it| it > 0) => {
            Err(Error::Database)
        }
        Topology::Cluster { nodes } => {
            let (nodes, place) = read(nodes)?;
            Ok((Origin::Cluster(nodes), place))
        }
    }
}

impl Call<'_> {
    /// Sends a command, by its key.
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        read(self.send(std::slice::from_ref(command), false).await?.pop())
    }

    /// Sends a command to a server.
    pub(crate) async fn command_at<T: FromRedisValue>(
        &self,
        node: &Node,
        command: &Cmd,
    ) -> Result<T, Error> {
        let transfer = self.transfer(std::slice::from_ref(command));
        read(transfer.once(node, false).await?.pop())
    }

    /// Sends commands of one slot at once. One that fails makes all fail. All have an answer, those
    /// to be ignored too.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, Error> {
        let commands: Vec<Cmd> = pipe.cmd_iter().cloned().collect();
        read(Some(Value::Array(self.send_all(commands, pipe.is_transaction(), false).await?)))
    }

    /// As [`Self::pipeline`], and waits for the replicas that must have it.
    pub(crate) async fn lasting(&self, pipe: &Pipeline) -> Result<(), Error> {
        let commands = pipe.cmd_iter().cloned().collect();
        self.send_all(commands, pipe.is_transaction(), true).await.map(drop)
    }

    /// Sends two commands, the second after the first was done. They need not share a slot.
    pub(crate) async fn in_order(&self, first: Cmd, second: Cmd) -> Result<(), Error> {
        if self.client.directory.is_cluster() {
            let _: Value = self.command(&first).await?;
            let _: Value = self.command(&second).await?;
            return Ok(());
        }
        self.send_all(vec![first, second], false, false).await.map(drop)
    }

    /// Reads keys of a session's slot as of one moment. `hash` is the session's.
    ///
    /// A server without memory refuses transactions, even those that only read. Then what was read
    /// counts if the session's hash was the same before and after.
    pub(crate) async fn snapshot(&self, reads: &[Cmd], hash: &str) -> Result<Vec<Value>, Error> {
        match self.send_all(reads.to_vec(), true, false).await {
            Err(Error::Command(error)) if has_code(&error, "OOM") => {}
            answer => return answer,
        }
        let mut version = redis::cmd("HMGET");
        version.arg(hash).arg("#g").arg("#n");
        let commands = [std::slice::from_ref(&version), reads, &[version.clone()]].concat();
        loop {
            let mut answer = self.send_all(commands.clone(), false, false).await?;
            let after = answer.pop();
            if answer.first() == after.as_ref() {
                answer.remove(0);
                return Ok(answer);
            }
        }
    }

    /// Runs a script, and waits for the replicas that must have what it wrote. A server that does
    /// not know it gets its text.
    pub(crate) async fn script(&self, call: &ScriptCall) -> Result<Reply, Error> {
        let (name, lasts) = (call.name(), call.lasts());
        if self.client.script_cache {
            let by_hash = std::slice::from_ref(call.by_hash());
            match read(self.send(by_hash, lasts).await?.pop()) {
                Err(Error::Command(error)) if has_code(&error, "NOSCRIPT") => {}
                reply => return Ok(Reply::new(name, reply?)),
            }
        }
        Ok(Reply::new(name, read(self.send(&[call.by_text()], lasts).await?.pop())?))
    }

    /// Waits until the replicas that must have a key's server's writes have all of them.
    pub(crate) async fn confirm(&self, key: &str) -> Result<(), Error> {
        if self.client.wait_replicas == 0 {
            return Ok(());
        }
        let mut exists = redis::cmd("EXISTS");
        exists.arg(key);
        self.send(&[exists], true).await.map(drop)
    }

    /// Makes sure that what all daemons must agree on is still there.
    pub(crate) async fn agree(&self, schema: &Schema) -> Result<(), Error> {
        let known = self.send(&[schema.question()], false).await?;
        if !schema.learn(known)? {
            schema.learn(self.send(&schema.proposal(), false).await?)?;
        }
        Ok(())
    }

    /// Sends commands of one slot. An error among the answers is the whole answer.
    async fn send_all(
        &self,
        mut commands: Vec<Cmd>,
        atomic: bool,
        lasting: bool,
    ) -> Result<Vec<Value>, Error> {
        if atomic {
            commands.insert(0, redis::cmd("MULTI"));
            commands.push(redis::cmd("EXEC"));
        }
        let mut answers = self.send(&commands, lasting).await?;
        if atomic && !answers.iter().any(|answer| matches!(answer, Value::ServerError(_))) {
            match answers.pop() {
                Some(Value::Array(done)) => answers = done,
                _ => return Err(Error::Reply("EXEC")),
            }
        }
        read(Some(Value::Array(answers)))
    }

    async fn send(&self, commands: &[Cmd], lasting: bool) -> Result<Vec<Value>, Error> {
        let transfer = self.transfer(commands);
        let client = self.client;
        let wanted = client.wait_replicas;
        // Whoever waits for replicas leaves time for the one who comes next.
        let wait = (lasting && wanted > 0).then(|| Wait { wanted, longest: client.timeout / 2 });
        transfer.run(&client.directory, wait).await
    }

    fn transfer<'c>(&self, commands: &'c [Cmd]) -> Transfer<'c> {
        Transfer { commands, until: self.until, timeout: self.client.timeout }
    }
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn read<T: FromRedisValue>(answer: Option<Value>) -> Result<T, Error> {
    let answer = answer.unwrap_or(Value::Nil).extract_error()?;
    Ok(redis::from_redis_value(answer).map_err(RedisError::from)?)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("nodes", &self.nodes()).finish_non_exhaustive()
    }
}
