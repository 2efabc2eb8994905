//! The store on every topology: one server, Sentinel, Cluster.

mod conformance;
mod failover;
mod login;
mod options;
mod production;
mod readiness;
mod replication;
mod servers;
mod slots;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::digest::Digest;
use sessiond_core::event::{Event, Received};
use sessiond_core::key::SessionKey;
use sessiond_core::store::{Appended, Condition, NewEntry, SessionStore, StoreError};
use sessiond_core::time::Time;
use sessiond_redis::{Credentials, RedisConfig, Topology};
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_sentinel::{MASTER, RedisSentinel};

/// What the daemon promises to its clients.
const PROMISE: Duration = Duration::from_secs(2);

fn key(user: &str) -> SessionKey {
    SessionKey::new("app", user, "s").unwrap()
}

/// An append of one message.
fn said(id: &str) -> NewEntry {
    let received = Received {
        body: r#"{"role":"user","content":"x"}"#.to_owned(),
        id: Some(id.to_owned()),
        ..Received::default()
    };
    let event = Arc::new(Event::parse(received, Time::from_nanos(1), 1 << 20).unwrap());
    NewEntry::Event { event, digest: Digest::from_bytes([7; 16]) }
}

async fn append(
    store: &dyn SessionStore,
    key: &SessionKey,
    id: &str,
) -> Result<Appended, StoreError> {
    store.append(key, Condition::default(), &[said(id)]).await
}

fn cluster_config(cluster: &RedisCluster) -> RedisConfig {
    RedisConfig::at(Topology::Cluster { nodes: cluster.urls() })
}

fn sentinel_config(redis: &RedisSentinel) -> RedisConfig {
    let (master, nodes) = (MASTER.to_owned(), redis.urls());
    RedisConfig::at(Topology::Sentinel { master, nodes, credentials: Credentials::default() })
}
