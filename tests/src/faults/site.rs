//! Two daemons and their Redis, and what is done to them.

use std::collections::BTreeSet;

use super::check::Stored;
use super::fault::{Fault, Redis, Strike};
use super::load::{Load, SESSIONS, sessions};
use crate::client::Client;
use crate::daemon::Daemon;
use crate::proxy::{Network, Proxy};
use crate::redis_cluster::RedisCluster;
use crate::redis_sentinel::{MASTER, RedisSentinel};
use crate::redis_server::RedisServer;
use crate::wait::eventually;

const IN_MEMORY: [&str; 4] = ["--save", "", "--appendonly", "no"];
/// The key of a session that is written, whose master is killed.
const A_SESSION: &str = "sd:{load:user-0}:h:s";
/// How many appends are acknowledged while replicas fall behind.
const BEHIND: usize = 100;
const ON_DISK: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// The servers that keep the sessions.
#[derive(Debug)]
enum Servers {
    One(RedisServer),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
}

/// All that a round runs on.
#[derive(Debug)]
pub(super) struct Site {
    servers: Servers,
    /// Between the daemons and the server, unless they find it themselves.
    proxy: Option<Proxy>,
    daemons: Vec<Daemon>,
}

impl Site {
    pub(super) async fn start(fault: &Fault) -> Self {
        let servers = match fault.redis {
            Redis::One => Servers::One(RedisServer::start_with(&IN_MEMORY).await),
            Redis::OneOnDisk => Servers::One(RedisServer::start_with(&ON_DISK).await),
            Redis::Followed | Redis::Sentinel => Servers::Sentinel(RedisSentinel::start().await),
            Redis::Cluster => Servers::Cluster(RedisCluster::start().await),
        };
        let (proxy, place) = match &servers {
            Servers::One(server) => behind_proxy(server.port()).await,
            Servers::Sentinel(sentinel) if fault.redis == Redis::Followed => {
                behind_proxy(sentinel.servers()[sentinel.master().await].port()).await
            }
            Servers::Sentinel(sentinel) => {
                let (master, nodes) = (MASTER, sentinel.urls());
                (None, format!("sentinel = {{ master = {master:?}, nodes = {nodes:?} }}\n"))
            }
            Servers::Cluster(cluster) => (None, format!("cluster.nodes = {:?}\n", cluster.urls())),
        };
        let config =
            format!("[session]\nevent_limit = \"unlimited\"\n[redis]\n{place}{}", fault.options);
        let daemons = vec![Daemon::start(&config).await, Daemon::start(&config).await];
        Self { servers, proxy, daemons }
    }

    pub(super) fn clients(&self) -> Vec<Client> {
        self.daemons.iter().map(Daemon::client).collect()
    }

    /// Does harm, for as long as it lasts.
    pub(super) async fn strike(&mut self, fault: &Fault, load: &Load) {
        match (fault.strike, &mut self.servers) {
            (Strike::KillDaemon, _) => {
                let daemon = self.daemons.remove(0);
                self.daemons.push(daemon.again().await);
            }
            (Strike::Network(network), _) => {
                self.set_network(network);
                tokio::time::sleep(fault.lasts).await;
                self.set_network(Network::Good);
            }
            (Strike::KillConnections, Servers::One(server)) => {
                let _: i64 = server.ask("CLIENT KILL TYPE normal").await;
            }
            (Strike::Pause, Servers::One(server)) => {
                server.freeze();
                tokio::time::sleep(fault.lasts).await;
                server.thaw();
            }
            (Strike::Restart(data), Servers::One(server)) => server.restart(data).await,
            (Strike::KillMaster { behind }, Servers::Sentinel(sentinel)) => {
                let port = kill_master(sentinel, behind, load, self.proxy.as_ref()).await;
                if let Some(proxy) = &self.proxy {
                    proxy.lead_to(port);
                    proxy.set(Network::Good);
                }
            }
            (Strike::KillMaster { .. }, Servers::Cluster(cluster)) => {
                cluster.wait_until_whole().await;
                let old = cluster.master_of(A_SESSION).await;
                cluster.kill(old);
                cluster.promoted(A_SESSION, old).await;
                cluster.restart(old).await;
            }
            (strike, servers) => panic!("{strike:?} does not go with {servers:?}"),
        }
    }

    fn set_network(&self, network: Network) {
        if let Some(proxy) = &self.proxy {
            proxy.set(network);
        }
    }

    /// What is stored, once all daemons are ready.
    pub(super) async fn stored(&self) -> Vec<Stored> {
        for client in self.clients() {
            eventually("the daemons are ready again", async || {
                let ready = client.send("GET", "/readyz", &[], "").await.ok()?;
                ready.status.is_success().then_some(())
            })
            .await;
        }
        let client = self.daemons[0].client();
        let mut stored = Vec::new();
        for number in 0..SESSIONS {
            stored.push(read(&client, number).await);
        }
        stored
    }
}

/// A proxy, and the key of the table `[redis]` that leads there.
async fn behind_proxy(port: u16) -> (Option<Proxy>, String) {
    let proxy = Proxy::start(port).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    (Some(proxy), format!("url = {url:?}\n"))
}

/// Kills the master, after so many replicas have fallen behind, and has the old one back as a
/// replica. Returns the port of the new one.
async fn kill_master(
    sentinel: &mut RedisSentinel,
    behind: usize,
    load: &Load,
    proxy: Option<&Proxy>,
) -> u16 {
    sentinel.wait_until_whole().await;
    let old = sentinel.master().await;
    let lagging: Vec<usize> = sentinel.replicas().await.into_iter().take(behind).collect();
    for replica in &lagging {
        sentinel.servers()[*replica].freeze();
    }
    if behind > 0 {
        // What the kernel holds for a replica that hangs would reach it afterwards.
        let _: i64 = sentinel.servers()[old].ask("CLIENT KILL TYPE replica").await;
        load.more(BEHIND).await;
    }
    if let Some(proxy) = proxy {
        proxy.set(Network::Cut);
    }
    sentinel.kill(old);
    for replica in &lagging {
        sentinel.servers()[*replica].thaw();
    }
    let (new, _) = sentinel.promoted(old).await;
    sentinel.restart(old).await;
    sentinel.servers()[new].port()
}

/// Reads a session, page by page.
async fn read(client: &Client, number: usize) -> Stored {
    let path = format!("{}/s", sessions(number));
    let session = client.get(&format!("{path}?limit=0")).await.expect(200).json();
    let state = session["state"].as_object().into_iter().flatten();
    let state = state
        .filter_map(|(key, value)| Some((key.strip_prefix('w')?.parse().ok()?, value.as_u64()?)));
    let mut stored = Stored {
        session: number,
        generation: session["generation"].as_u64().unwrap_or_default(),
        first: 1,
        removed: BTreeSet::new(),
        events: Vec::new(),
        state: state.collect(),
    };
    let mut after = Some(0);
    while let Some(from) = after {
        let page = format!("{path}/events?after_seq={from}&limit=1000");
        let page = client.get(&page).await.expect(200).json();
        let events = page["events"].as_array().into_iter().flatten();
        stored.events.extend(
            events.filter_map(|event| {
                Some((event["seq"].as_u64()?, event["id"].as_str()?.to_owned()))
            }),
        );
        after = page["next_after_seq"].as_u64();
    }
    stored
}
