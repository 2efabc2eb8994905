//! A short round of each fault. `scripts/soak` runs long ones.

use std::time::Duration;

use sessiond_tests::faults::{deletion, named, run};

/// Some strikes of a fault, each as soon as the writers have recovered from the one before.
async fn round(name: &str, strikes: usize) {
    let fault = named(name).unwrap();
    let round = run(fault, strikes, Duration::from_millis(100)).await;
    round.verdict(fault).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// R11: whoever retries with the daemon that is left, or that comes again, finds what was stored.
#[tokio::test(flavor = "multi_thread")]
async fn daemons_are_killed() {
    round("daemon-killed", 6).await;
}

/// R48: no request is lost after a retry, and none stored twice.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_killed() {
    round("connections-killed", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_slow() {
    round("network-slow", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_cut() {
    round("network-cut", 5).await;
}

/// R11: the connection dies after the server has committed.
#[tokio::test(flavor = "multi_thread")]
async fn answers_vanish() {
    round("network-half-open", 5).await;
}

/// R52: what was sent to a server that hangs may be done later.
#[tokio::test(flavor = "multi_thread")]
async fn redis_hangs() {
    round("redis-hangs", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed() {
    round("redis-killed", 4).await;
}

/// R52: all is gone, and all that is acknowledged afterwards is there.
#[tokio::test(flavor = "multi_thread")]
async fn redis_is_wiped() {
    round("redis-wiped", 3).await;
}

/// What is not waited for can be lost: here the checker must see that it is. Both replicas lag when the
/// master is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_seen() {
    round("master-killed-lagging", 1).await;
}

/// R47: what one of two replicas has is not lost, though the other lags and the master is gone.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_waited_for_is_lost() {
    round("master-killed-waiting", 1).await;
}

/// R47: of a Cluster, one master is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_of_a_cluster_is_killed() {
    round("cluster-master-killed", 1).await;
}

/// R31: of a session that is deleted under way nothing is left, and nothing comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_meet_writes() {
    let done = deletion::run(400).await;
    assert_eq!((done.orphans, done.resurrected, done.repeated), (0, 0, 0), "{done:?}");
    assert!(done.written > 0 && done.refused > 0, "nothing met anything: {done:?}");
}
