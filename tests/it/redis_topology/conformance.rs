//! Every scenario under `tests/conformance`, where Redis is more than one server.

use std::sync::Arc;

use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_redis::{RedisConfig, RedisStore};
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_sentinel::RedisSentinel;
use sessiond_tests::scenario::all;
use sessiond_tests::scenario::service::ServiceTarget;

use super::{cluster_config, sentinel_config};

async fn run_all(config: RedisConfig) {
    for scenario in all() {
        let rules = StoreRules { event_limit: Some(scenario.event_limit), ..StoreRules::default() };
        let store = RedisStore::connect(config.clone(), rules).await.unwrap();
        scenario.run(&ServiceTarget::new(Arc::new(store) as Arc<dyn SessionStore>)).await;
    }
}

/// R45: all scenarios hold on a Cluster of three masters.
#[tokio::test]
async fn on_a_cluster() {
    let cluster = RedisCluster::start().await;
    run_all(cluster_config(&cluster)).await;
}

/// R45: and with replicas that must have every write.
#[tokio::test]
async fn on_a_cluster_that_waits_for_replicas() {
    let cluster = RedisCluster::start().await;
    run_all(RedisConfig { wait_replicas: 1, ..cluster_config(&cluster) }).await;
}

#[tokio::test]
async fn behind_sentinels() {
    let redis = RedisSentinel::start().await;
    run_all(sentinel_config(&redis)).await;
}
