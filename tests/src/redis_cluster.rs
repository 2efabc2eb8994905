//! A private Redis Cluster, for the time of a test: three masters, each with a replica.

use std::time::{Duration, Instant};

use crate::redis_server::{Data, RedisServer};
use crate::wait::eventually;

/// How many nodes there are; the first half begin as masters.
const NODES: usize = 6;
const SLOTS: usize = 16_384;
/// How long the nodes wait for one that is silent, before they call it dead. In milliseconds.
const NODE_TIMEOUT: &str = "1000";

/// A cluster that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

/// A node, as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name in the cluster.
    pub id: String,
    /// Its port.
    pub port: u16,
    /// Whether it is taken for alive.
    pub alive: bool,
    /// The name of its master, if it is a replica.
    pub master: Option<String>,
    /// The slots that it serves: first and last of each range.
    pub slots: Vec<(u16, u16)>,
}

impl RedisCluster {
    /// Starts a cluster on free ports of the loopback interface, that keeps its data in memory.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "no"]).await
    }

    /// Starts a cluster whose nodes have these further options.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(options: &[&str]) -> Self {
        let shared = [
            &["--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT][..],
            &["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"],
            options,
        ];
        let options = shared.concat();
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            nodes.push(RedisServer::start_with(&options).await);
        }
        let cluster = Self { nodes };
        cluster.join().await;
        cluster
    }

    /// Makes a cluster of the nodes.
    async fn join(&self) {
        let masters = NODES / 2;
        for (at, node) in self.nodes.iter().enumerate() {
            let _: () = node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1)).await;
        }
        for (at, node) in self.nodes.iter().enumerate() {
            for other in &self.nodes[at + 1..] {
                let _: () = node.ask(&format!("CLUSTER MEET 127.0.0.1 {}", other.port())).await;
            }
        }
        for (at, node) in self.nodes[..masters].iter().enumerate() {
            let slots = (at * SLOTS / masters)..((at + 1) * SLOTS / masters);
            let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
            let _: () = node.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await;
        }
        eventually("all nodes know each other", async || {
            for node in &self.nodes {
                let known = seen_by(node).await.iter().filter(|it| it.alive).count();
                if known != NODES {
                    return None;
                }
            }
            Some(())
        })
        .await;
        for (at, node) in self.nodes[masters..].iter().enumerate() {
            let id: String = self.nodes[at].ask("CLUSTER MYID").await;
            let _: () = node.ask(&format!("CLUSTER REPLICATE {id}")).await;
        }
        self.wait_until_whole().await;
    }

    /// Waits until every node that runs finds the cluster in order, with all replicas in step.
    pub async fn wait_until_whole(&self) {
        eventually("the cluster is whole", async || {
            let running: Vec<_> = self.nodes.iter().filter(|node| node.is_running()).collect();
            let (mut known, mut in_step) = (true, 0);
            for node in &running {
                let state: String = node.ask("CLUSTER INFO").await;
                let seen = seen_by(node).await;
                let replicas = seen.iter().filter(|it| it.alive && it.master.is_some()).count();
                known &= state.contains("cluster_state:ok");
                known &= replicas == running.len() - NODES / 2;
                in_step += node.replicas().await;
            }
            (known && in_step == running.len() - NODES / 2).then_some(())
        })
        .await;
    }

    /// The addresses of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The nodes, those that were killed included. Their numbers are what other methods take.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// What the cluster looks like, to a node that runs.
    ///
    /// # Panics
    /// When none runs.
    pub async fn seen(&self) -> Vec<Seen> {
        let node = self.nodes.iter().find(|node| node.is_running());
        seen_by(node.expect("a node that runs")).await
    }

    /// The numbers of the nodes that serve slots.
    ///
    /// # Panics
    /// When no node runs.
    pub async fn masters(&self) -> Vec<usize> {
        let seen = self.seen().await;
        let masters = seen.iter().filter(|it| it.alive && !it.slots.is_empty());
        masters.map(|it| self.number(it.port)).collect()
    }

    /// The number of the node that serves the slot of a key.
    ///
    /// # Panics
    /// When no node runs, or none serves it.
    pub async fn master_of(&self, key: &str) -> usize {
        self.master(key).await.expect("a node that serves the slot")
    }

    async fn master(&self, key: &str) -> Option<usize> {
        let node = self.nodes.iter().find(|node| node.is_running()).expect("a node that runs");
        let slot: u16 = node.ask(&format!("CLUSTER KEYSLOT {key}")).await;
        let seen = seen_by(node).await;
        let serves = |it: &&Seen| {
            it.alive && it.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
        };
        seen.iter().find(serves).map(|it| self.number(it.port))
    }

    /// The numbers of the replicas of a node.
    ///
    /// # Panics
    /// When no node runs.
    pub async fn replicas_of(&self, master: usize) -> Vec<usize> {
        let (seen, port) = (self.seen().await, self.nodes[master].port());
        let id = seen.iter().find(|it| it.port == port).map(|it| it.id.clone());
        let replicas = seen.iter().filter(|it| it.master.is_some() && it.master == id);
        replicas.map(|it| self.number(it.port)).collect()
    }

    /// Kills a node.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].stop();
    }

    /// Starts a node that was killed again, as whatever the cluster takes it for.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self, node: usize) {
        self.nodes[node].restart(Data::Kept).await;
    }

    /// Waits until another node than that serves the slot of a key. Returns which, and how long it
    /// took.
    ///
    /// # Panics
    /// When that does not happen.
    pub async fn promoted(&self, key: &str, old: usize) -> (usize, Duration) {
        let begin = Instant::now();
        let new = eventually("a replica is promoted", async || {
            let master = self.master(key).await.filter(|master| *master != old)?;
            let state: String = self.nodes[master].ask("CLUSTER INFO").await;
            state.contains("cluster_state:ok").then_some(master)
        })
        .await;
        (new, begin.elapsed())
    }

    fn number(&self, port: u16) -> usize {
        self.nodes.iter().position(|node| node.port() == port).expect("a node of the cluster")
    }
}

async fn seen_by(node: &RedisServer) -> Vec<Seen> {
    let told: String = node.ask("CLUSTER NODES").await;
    told.lines().filter_map(read_line).collect()
}

/// A line of `CLUSTER NODES`: id, address, flags, master, three numbers, state of the link, slots.
fn read_line(line: &str) -> Option<Seen> {
    let words: Vec<&str> = line.split(' ').collect();
    let [id, address, flags, master, _, _, _, link, slots @ ..] = &words[..] else { return None };
    let (address, _) = address.split_once('@')?;
    let flags: Vec<&str> = flags.split(',').collect();
    let dead = ["fail", "fail?", "handshake", "noaddr"].iter().any(|flag| flags.contains(flag));
    let range = |slots: &&str| {
        let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    Some(Seen {
        id: (*id).to_owned(),
        port: address.rsplit_once(':')?.1.parse().ok()?,
        alive: !dead && (flags.contains(&"myself") || *link == "connected"),
        master: (*master != "-").then(|| (*master).to_owned()),
        slots: slots.iter().filter_map(range).collect(),
    })
}
