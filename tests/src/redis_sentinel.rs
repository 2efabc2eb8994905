//! A private Redis with Sentinels, for the time of a test: a master, two replicas, three Sentinels.

use std::time::{Duration, Instant};

use crate::redis_server::{Data, RedisServer};
use crate::wait::eventually;

/// What the Sentinels call the master.
pub const MASTER: &str = "sessions";

const REPLICAS: usize = 2;
const SENTINELS: usize = 3;

/// Servers and Sentinels that run. They are killed when this is dropped.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts all on free ports of the loopback interface. The servers keep their data in memory.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn start() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "no"]).await
    }

    /// Starts all, the servers with these further options.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn start_with(options: &[&str]) -> Self {
        let shared = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
        let options = [&shared[..], options].concat();
        let master = RedisServer::start_with(&options).await;
        let port = master.port().to_string();
        let of_master = [&["--replicaof", "127.0.0.1", &port][..], &options].concat();
        let mut servers = vec![master];
        for _ in 0..REPLICAS {
            servers.push(RedisServer::start_with(&of_master).await);
        }
        let file = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 3000\n"
        );
        let mut sentinels = Vec::new();
        for _ in 0..SENTINELS {
            sentinels.push(RedisServer::start_sentinel(file.clone()).await);
        }
        let all = Self { servers, sentinels };
        all.wait_until_whole().await;
        all
    }

    /// Waits until every Sentinel that runs knows all, and the replicas that run are in step with
    /// the master.
    pub async fn wait_until_whole(&self) {
        let replicas = self.servers.iter().filter(|server| server.is_running()).count() - 1;
        eventually("the replicas are in step, and the Sentinels know all", async || {
            let master = self.seen_master().await?;
            let replication: String = self.servers[master].ask("INFO replication").await;
            let in_step = self.servers[master].replicas().await;
            let mut whole = replication.contains("role:master") && in_step == replicas;
            for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.is_running()) {
                let told: String = sentinel.ask("INFO sentinel").await;
                let known = format!("slaves={REPLICAS},sentinels={SENTINELS}");
                whole &= told.contains("status=ok") && told.contains(&known);
            }
            whole.then_some(())
        })
        .await;
    }

    /// The addresses of the Sentinels.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The servers, those that were killed included. Their numbers are what other methods take.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The Sentinels.
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// The number of the server that the Sentinels call the master.
    ///
    /// # Panics
    /// When no Sentinel runs, or it names another server.
    pub async fn master(&self) -> usize {
        self.seen_master().await.expect("a master")
    }

    async fn seen_master(&self) -> Option<usize> {
        let sentinel = self.sentinels.iter().find(|it| it.is_running()).expect("a Sentinel");
        let asked = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {MASTER}");
        let (_, port): (String, u16) = sentinel.ask(&asked).await;
        let found = self.servers.iter().position(|server| server.port() == port);
        found.filter(|at| self.servers[*at].is_running())
    }

    /// The numbers of the servers that run and are not the master.
    ///
    /// # Panics
    /// When no Sentinel runs.
    pub async fn replicas(&self) -> Vec<usize> {
        let master = self.seen_master().await;
        let all = 0..self.servers.len();
        all.filter(|at| Some(*at) != master && self.servers[*at].is_running()).collect()
    }

    /// Kills a server.
    pub fn kill(&mut self, server: usize) {
        self.servers[server].stop();
    }

    /// Kills a Sentinel.
    pub fn kill_sentinel(&mut self, sentinel: usize) {
        self.sentinels[sentinel].stop();
    }

    /// Starts a server that was killed again. The Sentinels make it a replica.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self, server: usize) {
        self.servers[server].restart(Data::Kept).await;
    }

    /// Waits until another server than that is the master. Returns which, and how long it took.
    ///
    /// # Panics
    /// When that does not happen.
    pub async fn promoted(&self, old: usize) -> (usize, Duration) {
        let begin = Instant::now();
        let new = eventually("a replica is promoted", async || {
            let master = self.seen_master().await.filter(|master| *master != old)?;
            let told: String = self.servers[master].ask("INFO replication").await;
            told.contains("role:master").then_some(master)
        })
        .await;
        (new, begin.elapsed())
    }
}
