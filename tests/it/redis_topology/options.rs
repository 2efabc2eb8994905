//! Options that the server can be asked about.

use std::sync::Arc;

use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_redis::{RedisConfig, RedisStore};
use sessiond_tests::redis_server::RedisServer;
use tokio::task::JoinSet;

use super::{append, key};

async fn work(config: RedisConfig) -> Arc<RedisStore> {
    let store = Arc::new(RedisStore::connect(config, StoreRules::default()).await.unwrap());
    let mut all = JoinSet::new();
    for user in 0..500 {
        let store = store.clone();
        all.spawn(async move {
            let key = key(&format!("u{user}"));
            store.create(&key, &[]).await.unwrap();
            append(&*store, &key, "1").await.unwrap();
            store.list(key.user_key(), 10, None).await.unwrap();
        });
    }
    all.join_all().await;
    store
}

/// R51: what does not let EVALSHA through gets the text of each script.
#[tokio::test]
async fn without_a_script_cache_only_texts_are_sent() {
    let server = RedisServer::start().await;
    work(RedisConfig { script_cache: false, ..RedisConfig::new(server.url()) }).await;
    let told: String = server.ask("INFO commandstats").await;
    assert!(told.contains("cmdstat_eval:") && !told.contains("cmdstat_evalsha:"), "{told}");
}

/// R49, R50: so many connections and no more, however many ask at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_has_its_size() {
    let server = RedisServer::start().await;
    for pool_size in [1, 7] {
        let name = format!("pool-of-{pool_size}");
        let client_name = Some(name.clone());
        let store =
            work(RedisConfig { pool_size, client_name, ..RedisConfig::new(server.url()) }).await;
        let clients: String = server.ask("CLIENT LIST").await;
        assert_eq!(clients.matches(&name).count(), pool_size, "{clients}");
        store.ping().await.unwrap();
    }
}
