//! A private redis-server, for the time of a test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sessiond_core::store::StoreRules;
use sessiond_redis::{RedisConfig, RedisStore};
use tempfile::TempDir;

use crate::redis_keys::RedisKeys;
use crate::wait::eventually;

/// Names another server than the one on the path.
const BINARY: &str = "SESSIOND_TEST_REDIS_SERVER";

/// A server that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Option<Child>,
    frozen: AtomicBool,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    /// The text of a file that the server reads and writes. A Sentinel needs one.
    file: Option<String>,
}

/// What a server that starts again still knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// What it has saved, if its options let it.
    Kept,
    /// Nothing.
    Wiped,
}

impl RedisServer {
    /// Starts a server on a free port of the loopback interface, that keeps its data in memory.
    ///
    /// # Panics
    /// When there is no redis-server, or it does not start.
    pub async fn start() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "no"]).await
    }

    /// Starts a server with these options, as on its command line.
    ///
    /// # Panics
    /// When there is no redis-server, or it does not start.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_as(options, None).await
    }

    /// Starts a Sentinel with this configuration.
    ///
    /// # Panics
    /// When there is no redis-server, or it does not start.
    pub async fn start_sentinel(file: String) -> Self {
        Self::start_as(&["--sentinel"], Some(file)).await
    }

    async fn start_as(options: &[&str], file: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for redis-server");
        let options = options.iter().map(ToString::to_string).collect();
        let mut server =
            Self { child: None, frozen: AtomicBool::default(), folder, port: 0, options, file };
        // Another process may take the port between the look and the start.
        for _ in 0..10 {
            server.port = free_port();
            if server.try_run().await {
                return server;
            }
        }
        panic!("redis-server does not start: {}", server.log());
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its data and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it can answer: it was neither killed nor frozen.
    pub fn is_running(&self) -> bool {
        self.child.is_some() && !self.frozen.load(Ordering::Relaxed)
    }

    /// A store on it.
    ///
    /// # Panics
    /// When it cannot be connected.
    pub async fn store(&self, rules: StoreRules) -> RedisStore {
        self.store_with(RedisConfig::new(self.url()), rules).await
    }

    /// A store on it, with other settings than the defaults.
    ///
    /// # Panics
    /// When it cannot be connected.
    pub async fn store_with(&self, config: RedisConfig, rules: StoreRules) -> RedisStore {
        RedisStore::connect(config, rules).await.expect("a store on redis-server")
    }

    /// A connection for what a test asks the server itself.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("the URL of redis-server");
        let config =
            redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
        let made = client.get_multiplexed_async_connection_with_config(&config).await;
        made.expect("a connection to redis-server")
    }

    /// Sends one command, its words separated by spaces, and returns the reply.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut asked = redis::cmd(words.next().unwrap_or_default());
        words.for_each(|word| {
            asked.arg(word);
        });
        let reply = asked.query_async(&mut self.connection().await).await;
        reply.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// How many replicas it has that have said what they have: a second goes by until a new one does.
    pub async fn replicas(&self) -> usize {
        let told: String = self.ask("INFO replication").await;
        let replicas = told.lines().filter(|line| line.contains("state=online"));
        replicas.filter(|line| !line.contains(",offset=0,")).count()
    }

    /// The names of all keys, in order.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask("KEYS *").await;
        keys.sort();
        keys
    }

    /// The keys that begin with this.
    ///
    /// # Panics
    /// When the server cannot be connected.
    pub async fn keys_under(&self, prefix: impl AsRef<str>) -> RedisKeys {
        RedisKeys::new(self.connection().await, prefix.as_ref())
    }

    /// Kills the server.
    pub fn stop(&mut self) {
        self.frozen.store(false, Ordering::Relaxed);
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the server again, on the same port, after killing it if it runs.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self, data: Data) {
        self.stop();
        if data == Data::Wiped {
            let entries = std::fs::read_dir(self.folder.path()).expect("the server's folder");
            for entry in entries.flatten().filter(|entry| entry.file_name() != "log") {
                let path = entry.path();
                let removed = if path.is_dir() {
                    std::fs::remove_dir_all(path)
                } else {
                    std::fs::remove_file(path)
                };
                removed.expect("an empty folder");
            }
        }
        assert!(self.try_run().await, "redis-server does not start again: {}", self.log());
    }

    /// Stops the server's process without ending it: connections stay, and nobody answers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
        self.signal("STOP");
    }

    /// Lets the process go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        self.signal("CONT");
        self.frozen.store(false, Ordering::Relaxed);
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("redis-server runs");
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Runs the server until it answers. False: it has ended.
    async fn try_run(&mut self) -> bool {
        let binary = std::env::var(BINARY).unwrap_or_else(|_| "redis-server".to_owned());
        let mut command = Command::new(&binary);
        if let Some(text) = &self.file {
            let path = self.folder.path().join("server.conf");
            if !path.exists() {
                std::fs::write(&path, text).expect("the server's file");
            }
            command.arg(path);
        }
        let child = command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--logfile", "log", "--daemonize", "no", "--dir"])
            .arg(self.folder.path())
            .args(&self.options)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{binary}: {error}: install redis-server 6.2 or later, or name it in {BINARY}")
        });
        self.child = Some(child);
        let client = redis::Client::open(self.url()).expect("the URL of redis-server");
        eventually("redis-server answers or ends", async || {
            let ended = self
                .child
                .as_mut()
                .is_none_or(|child| child.try_wait().is_ok_and(|it| it.is_some()));
            if ended {
                return Some(false);
            }
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let pong: Option<String> = redis::cmd("PING").query_async(&mut connection).await.ok();
            pong.filter(|pong| pong == "PONG").map(|_| true)
        })
        .await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Finds a free port whose sister, 10,000 above it, is free as well: nodes of a cluster talk on that.
pub fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let sister = port.checked_add(10_000).map(|port| TcpListener::bind(("127.0.0.1", port)));
        if sister.is_some_and(|bound| bound.is_ok()) {
            return port;
        }
    }
}
