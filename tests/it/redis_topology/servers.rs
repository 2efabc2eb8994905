//! The servers that the other tests use do what those tests need.

use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_sentinel::RedisSentinel;

#[tokio::test]
async fn a_cluster_replaces_a_master_that_is_killed() {
    let mut cluster = RedisCluster::start().await;
    let masters = cluster.masters().await;
    assert_eq!(masters.len(), 3);
    for master in masters {
        assert_eq!(cluster.replicas_of(master).await.len(), 1);
    }
    let old = cluster.master_of("key").await;
    let replica = cluster.replicas_of(old).await[0];
    cluster.kill(old);
    let (new, _) = cluster.promoted("key", old).await;
    assert_eq!(new, replica);
    cluster.restart(old).await;
    cluster.wait_until_whole().await;
    assert_eq!(cluster.replicas_of(new).await, [old]);
}

#[tokio::test]
async fn sentinels_replace_a_master_that_is_killed() {
    let mut redis = RedisSentinel::start().await;
    let old = redis.master().await;
    assert_eq!(redis.replicas().await.len(), 2);
    redis.kill(old);
    let (new, _) = redis.promoted(old).await;
    redis.restart(old).await;
    redis.wait_until_whole().await;
    assert_eq!(redis.master().await, new);
}
