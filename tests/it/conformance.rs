//! Every scenario under `tests/conformance`, on every store, with and without HTTP (R99).

use std::collections::HashMap;
use std::sync::Arc;

use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::scenario::http::HttpTarget;
use sessiond_tests::scenario::service::ServiceTarget;
use sessiond_tests::scenario::{Scenario, all};

fn rules(scenario: &Scenario) -> StoreRules {
    StoreRules { event_limit: Some(scenario.event_limit), ..StoreRules::default() }
}

#[tokio::test]
async fn on_the_embedded_store() {
    for scenario in all() {
        let store = EmbeddedStore::new(rules(&scenario));
        scenario.run(&ServiceTarget::new(Arc::new(store))).await;
    }
}

#[tokio::test]
async fn on_redis() {
    let redis = RedisServer::start().await;
    for scenario in all() {
        let store = redis.store(rules(&scenario)).await;
        scenario.run(&ServiceTarget::new(Arc::new(store) as Arc<dyn SessionStore>)).await;
    }
}

#[tokio::test]
async fn over_http_on_the_embedded_store() {
    over_http("", None).await;
}

/// R18: whatever the zone of the daemon is, times are the same. Two zones that are no whole hours off.
#[tokio::test]
async fn over_http_in_other_zones() {
    for zone in ["Asia/Kathmandu", "America/St_Johns"] {
        over_http("", Some(zone)).await;
    }
}

#[tokio::test]
async fn over_http_on_redis() {
    let redis = RedisServer::start().await;
    over_http(&format!("[redis]\nurl = {:?}\n", redis.url()), None).await;
}

/// Scenarios with the same rules share a daemon, each in an app of its own.
async fn over_http(store: &str, zone: Option<&str>) {
    let mut daemons: HashMap<u64, Daemon> = HashMap::new();
    for scenario in all() {
        let limit = scenario.event_limit;
        let daemon = match daemons.remove(&limit) {
            Some(daemon) => daemon,
            None => {
                let config = format!("[session]\nevent_limit = {limit}\n{store}");
                match zone {
                    Some(zone) => Daemon::start_in_zone(&config, zone).await,
                    None => Daemon::start(&config).await,
                }
            }
        };
        scenario.run(&HttpTarget(daemon.client())).await;
        daemons.insert(limit, daemon);
    }
}
