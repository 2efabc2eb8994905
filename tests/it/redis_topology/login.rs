//! Users, passwords and databases.

use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_redis::{Credentials, Error, RedisConfig, RedisStore, Topology};
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_server::RedisServer;

use super::{append, cluster_config, key};

async fn works(config: RedisConfig) {
    let store = RedisStore::connect(config, StoreRules::default()).await.unwrap();
    store.create(&key("u"), &[]).await.unwrap();
    append(&store, &key("u"), "1").await.unwrap();
    store.sweep().await.unwrap();
}

fn login(username: &str, password: &str) -> Credentials {
    Credentials { username: Some(username.to_owned()), password: Some(password.to_owned()) }
}

/// What a user of the access list needs: the keys that begin with the prefix, and these commands.
const RULES: &str = "on >secret ~sd:* +@all -@admin -@dangerous +info +keys";

#[tokio::test]
async fn a_user_of_the_access_list_may_do_all_that_is_needed() {
    let server = RedisServer::start().await;
    let _: () = server.ask(&format!("ACL SETUSER sessiond {RULES}")).await;
    let credentials = login("sessiond", "secret");
    works(RedisConfig { credentials, ..RedisConfig::new(server.url()) }).await;
    let inline = server.url().replace("://", "://sessiond:secret@");
    works(RedisConfig::new(inline)).await;
    let wrong =
        RedisConfig { credentials: login("sessiond", "guess"), ..RedisConfig::new(server.url()) };
    let refused = RedisStore::connect(wrong, StoreRules::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Connect { .. }), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains("guess"), "{refused:?}");
}

#[tokio::test]
async fn a_password_goes_to_every_node_of_a_cluster() {
    let cluster = RedisCluster::start().await;
    for node in cluster.nodes() {
        let _: () = node.ask(&format!("ACL SETUSER sessiond {RULES} +cluster")).await;
    }
    let credentials = login("sessiond", "secret");
    works(RedisConfig { credentials, ..cluster_config(&cluster) }).await;
    let numbered = RedisConfig { database: Some(1), ..cluster_config(&cluster) };
    let refused = RedisStore::connect(numbered, StoreRules::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Database), "{refused:?}");
}

#[tokio::test]
async fn a_database_has_a_number() {
    let server = RedisServer::start().await;
    works(RedisConfig::new(format!("{}/3", server.url()))).await;
    works(RedisConfig { database: Some(5), ..RedisConfig::new(server.url()) }).await;
    let keyspace: String = server.ask("INFO keyspace").await;
    assert!(keyspace.contains("db3:") && keyspace.contains("db5:"), "{keyspace}");
    assert!(!keyspace.contains("db0:"), "{keyspace}");
}

/// Whoever names a server of another kind is told what to write.
#[tokio::test]
async fn servers_of_another_kind_are_told_apart() {
    let cluster = RedisCluster::start().await;
    let one = RedisConfig::new(cluster.urls().remove(0));
    let told = RedisStore::connect(one, StoreRules::default()).await.unwrap_err().to_string();
    assert!(told.ends_with("a node of a Redis Cluster: write redis.cluster.nodes"), "{told}");
    let server = RedisServer::start().await;
    let nodes = vec![server.url()];
    let none = RedisConfig::at(Topology::Cluster { nodes });
    let refused = RedisStore::connect(none, StoreRules::default()).await;
    assert!(refused.is_err());
}
