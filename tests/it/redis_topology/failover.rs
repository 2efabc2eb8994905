//! A master that is lost under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sessiond_core::store::{SessionStore, StoreError, StoreRules};
use sessiond_redis::{Credentials, RedisConfig, RedisStore, Topology};
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_sentinel::{MASTER, RedisSentinel};
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;

use super::{PROMISE, append, cluster_config, key, sentinel_config};

const NAME: &str = "under-test";
const WRITERS: usize = 24;
/// How long after the promotion all must be well again.
const RECOVERY: Duration = Duration::from_secs(5);

/// One append under load.
#[derive(Debug, Clone)]
struct Tried {
    began: Instant,
    took: Duration,
    error: Option<String>,
}

/// Writers, each of a session of its own, until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    writers: tokio::task::JoinSet<Vec<Tried>>,
}

impl Load {
    async fn start(store: &Arc<RedisStore>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let (store, stop) = (store.clone(), stop.clone());
            let key = key(&format!("user-{writer}"));
            store.create(&key, &[]).await.unwrap().expect("a new session");
            writers.spawn(async move {
                let mut tried = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let result = append(&*store, &key, &format!("e{}", tried.len())).await;
                    // A replica that lagged may not have the session.
                    if matches!(result, Err(StoreError::NotFound)) {
                        let _ = store.create(&key, &[]).await;
                    }
                    let error = result.err().filter(|error| !matches!(error, StoreError::NotFound));
                    let error = error.map(|error| format!("{error:?}"));
                    tried.push(Tried { began, took: began.elapsed(), error });
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                tried
            });
        }
        Self { stop, writers }
    }

    /// Lets it go on until all writers must be well, and checks what they saw.
    async fn end(self, what: &str, lost: Instant, promoted: Instant) {
        tokio::time::sleep(RECOVERY - promoted.elapsed().min(RECOVERY)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        let (mut done, mut slowest) = (0, Duration::ZERO);
        for tried in self.writers.join_all().await {
            let last = tried.last().expect("an append");
            assert!(last.error.is_none(), "{what}: {last:?}");
            for one in tried {
                slowest = slowest.max(one.took);
                if one.error.is_some() { failed.push(one) } else { done += 1 }
            }
        }
        assert!(slowest < PROMISE, "{what}: {slowest:?}");
        failed.sort_by_key(|one| one.began);
        let (first, last) = (failed.first().expect("a failure"), failed.last().expect("one"));
        println!(
            "{what}: promoted {:?} after the loss; {done} appends done, {} failed, the first {:?} \
             and the last {:?} after the loss, and well again {:?} after the promotion",
            promoted - lost,
            failed.len(),
            (first.began + first.took).saturating_duration_since(lost),
            (last.began + last.took).saturating_duration_since(lost),
            (last.began + last.took).saturating_duration_since(promoted),
        );
        assert!(first.began + first.took >= lost, "{what}: {first:?}");
        assert!(last.began + last.took <= promoted + RECOVERY, "{what}: {last:?}");
    }
}

async fn connections(server: &RedisServer) -> usize {
    let clients: String = server.ask("CLIENT LIST").await;
    clients.lines().filter(|line| line.contains(NAME)).count()
}

async fn store(config: RedisConfig) -> Arc<RedisStore> {
    let config = RedisConfig { client_name: Some(NAME.to_owned()), ..config };
    Arc::new(RedisStore::connect(config, StoreRules::default()).await.unwrap())
}

/// R47: behind Sentinels, a master that is killed under load costs only the requests until there is
/// another. No connection is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_behind_sentinels_is_killed() {
    let mut redis = RedisSentinel::start().await;
    let store = store(sentinel_config(&redis)).await;
    let load = Load::start(&store).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let old = redis.master().await;
    let lost = Instant::now();
    redis.kill(old);
    let (new, _) = redis.promoted(old).await;
    load.end("Sentinel, killed", lost, Instant::now()).await;
    assert_eq!(connections(&redis.servers()[new]).await, 4);
    for sentinel in redis.sentinels() {
        assert_eq!(connections(sentinel).await, 0);
    }
}

/// R47: and so does one that falls silent. When it is back, nobody talks to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_behind_sentinels_falls_silent() {
    let redis = RedisSentinel::start().await;
    let store = store(sentinel_config(&redis)).await;
    let load = Load::start(&store).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let old = redis.master().await;
    let lost = Instant::now();
    redis.servers()[old].freeze();
    let (new, _) = redis.promoted(old).await;
    load.end("Sentinel, silent", lost, Instant::now()).await;
    assert_eq!(connections(&redis.servers()[new]).await, 4);
    redis.servers()[old].thaw();
    eventually("connections to the old master are closed", async || {
        (connections(&redis.servers()[old]).await == 0).then_some(())
    })
    .await;
}

/// R47: a Sentinel that has not heard of a failover names a server that takes itself for the master
/// still, and has nothing. It is asked first, and not believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_missed_a_failover_is_not_believed() {
    let mut redis = RedisSentinel::start().await;
    let key = key("user");
    let before = store(sentinel_config(&redis)).await;
    before.create(&key, &[]).await.unwrap().expect("a new session");
    let old = redis.master().await;
    redis.kill(old);
    redis.promoted(old).await;
    let past = RedisServer::start().await;
    let port = past.port();
    let ignorant = format!("sentinel monitor {MASTER} 127.0.0.1 {port} 2\n");
    let ignorant = RedisServer::start_sentinel(ignorant).await;
    let nodes = [vec![ignorant.url()], redis.urls()].concat();
    let (master, credentials) = (MASTER.to_owned(), Credentials::default());
    let after = store(RedisConfig::at(Topology::Sentinel { master, nodes, credentials })).await;
    append(&*after, &key, "e").await.unwrap();
    assert_eq!(connections(&past).await, 0);
}

/// R52: Sentinels that do not answer are named, and not told to be missing.
#[tokio::test]
async fn sentinels_that_are_silent_are_named() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let nodes = vec![format!("redis://{address}")];
    let (master, credentials) = (MASTER.to_owned(), Credentials::default());
    let config = RedisConfig::at(Topology::Sentinel { master, nodes, credentials });
    let error = RedisStore::connect(config, StoreRules::default()).await.unwrap_err();
    let told = format!("{:#}", anyhow::Error::from(error));
    assert!(told.contains(&address) && told.contains("answer"), "{told}");
}

/// R47: on a Cluster, a master that is killed under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_is_killed() {
    let mut cluster = RedisCluster::start().await;
    let store = store(cluster_config(&cluster)).await;
    let load = Load::start(&store).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let of = "sd:{app:user-0}:u";
    let old = cluster.master_of(of).await;
    let lost = Instant::now();
    cluster.kill(old);
    let (new, _) = cluster.promoted(of, old).await;
    load.end("Cluster, killed", lost, Instant::now()).await;
    assert_eq!(connections(&cluster.nodes()[new]).await, 4);
    for master in cluster.masters().await {
        assert!(connections(&cluster.nodes()[master]).await <= 4);
    }
}

/// R47: and one that falls silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_falls_silent() {
    let cluster = RedisCluster::start().await;
    let store = store(cluster_config(&cluster)).await;
    let load = Load::start(&store).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let of = "sd:{app:user-0}:u";
    let old = cluster.master_of(of).await;
    let lost = Instant::now();
    cluster.nodes()[old].freeze();
    let (new, _) = cluster.promoted(of, old).await;
    load.end("Cluster, silent", lost, Instant::now()).await;
    assert_eq!(connections(&cluster.nodes()[new]).await, 4);
    cluster.nodes()[old].thaw();
    eventually("connections to the old master are closed", async || {
        (connections(&cluster.nodes()[old]).await == 0).then_some(())
    })
    .await;
}
