//! What an operator and a client see of a failover.

use std::time::{Duration, Instant};

use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_sentinel::{MASTER, RedisSentinel};
use sessiond_tests::wait::eventually;

use super::PROMISE;

const SESSIONS: &str = "/v1/apps/app/users/user-0/sessions";

/// The daemon says that it is not ready, answers 503 in time, and is ready again by itself.
async fn flips(daemon: &Daemon) {
    let client = daemon.client();
    eventually("the daemon is not ready", async || {
        let begin = Instant::now();
        let reply = client.get("/readyz").await;
        assert!(begin.elapsed() < PROMISE, "{:?}", begin.elapsed());
        (reply.status == 503).then_some(())
    })
    .await;
    let begin = Instant::now();
    let reply = client.get(SESSIONS).await;
    assert!(begin.elapsed() < PROMISE, "{:?}", begin.elapsed());
    assert_eq!(reply.expect(503).code(), "store_unavailable");
}

async fn recovers(daemon: &Daemon, promoted: Instant) {
    let client = daemon.client();
    eventually("the daemon is ready again", async || {
        client.get("/readyz").await.status.is_success().then_some(())
    })
    .await;
    assert!(promoted.elapsed() < Duration::from_secs(5), "{:?}", promoted.elapsed());
    client.get(SESSIONS).await.expect(200);
}

/// R47: readiness flips and recovers, behind Sentinels.
#[tokio::test]
async fn it_flips_behind_sentinels() {
    let mut redis = RedisSentinel::start().await;
    let nodes = redis.urls();
    let config = format!("[redis.sentinel]\nmaster = {MASTER:?}\nnodes = {nodes:?}\n");
    let daemon = Daemon::start(&config).await;
    daemon.client().get("/readyz").await.expect(200);
    let old = redis.master().await;
    redis.kill(old);
    flips(&daemon).await;
    redis.promoted(old).await;
    recovers(&daemon, Instant::now()).await;
}

/// R47: and on a Cluster, when a third of the keys has no server.
#[tokio::test]
async fn it_flips_on_a_cluster() {
    let mut cluster = RedisCluster::start().await;
    let config = format!("[redis.cluster]\nnodes = {:?}\n", cluster.urls());
    let daemon = Daemon::start(&config).await;
    daemon.client().get("/readyz").await.expect(200);
    let of = "sd:{app:user-0}:x";
    let old = cluster.master_of(of).await;
    cluster.kill(old);
    flips(&daemon).await;
    cluster.promoted(of, old).await;
    recovers(&daemon, Instant::now()).await;
}
