//! Where keys are in a cluster.

use std::collections::BTreeMap;

use sessiond_core::key::SessionKey;
use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_tests::redis_server::RedisServer;
use tokio::task::JoinSet;

use super::{append, create, set};

const SLOTS: usize = 16_384;

/// The slot of each key.
async fn slots(server: &RedisServer) -> BTreeMap<String, usize> {
    let names = server.keys().await;
    let mut asked = redis::pipe();
    for name in &names {
        asked.cmd("CLUSTER").arg("KEYSLOT").arg(name);
    }
    let slots: Vec<usize> = asked.query_async(&mut server.connection().await).await.unwrap();
    names.into_iter().zip(slots).collect()
}

/// R46: 10,000 sessions of the users of one app are spread over all masters, and all keys of a user
/// share one slot (R45).
#[tokio::test]
async fn users_are_spread_over_all_masters() {
    let options = ["--save", "", "--appendonly", "no", "--cluster-enabled", "yes"];
    let server = RedisServer::start_with(&options).await;
    let _: () = server.ask("CLUSTER ADDSLOTSRANGE 0 16383").await;
    sessiond_tests::wait::eventually("the cluster is whole", async || {
        let info: String = server.ask("CLUSTER INFO").await;
        info.contains("cluster_state:ok").then_some(())
    })
    .await;
    let store = std::sync::Arc::new(server.store(StoreRules::default()).await);
    let mut tasks = JoinSet::new();
    for task in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            for user in 0..500 {
                let user = format!("user-{}", task * 500 + user);
                let key = SessionKey::new("app", user, "s").unwrap();
                store.create(&key, &[]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let key = SessionKey::new("app", "user-7", "s").unwrap();
    create(&*store, &SessionKey::new("app", "user-7", "t").unwrap()).await;
    append(&*store, &key, set("1", r#"{"k":1,"user:k":2}"#)).await.unwrap();

    let slots = slots(&server).await;
    let mut of_users: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (name, slot) in &slots {
        let Some((_, rest)) = name.split_once("{app:") else { continue };
        of_users.entry(rest.split_once('}').unwrap().0).or_default().push(*slot);
    }
    assert_eq!(of_users.len(), 10_000);
    assert!(of_users["user-7"].len() > 4, "{:?}", of_users["user-7"]);
    let mut masters = [0_usize; 3];
    for (user, slots) in &of_users {
        assert!(slots.iter().all(|slot| *slot == slots[0]), "{user}: {slots:?}");
        masters[slots[0] * masters.len() / SLOTS] += 1;
    }
    let most = masters.iter().max().unwrap();
    assert!(most * masters.len() * 10 <= 10_000 * 13, "{masters:?}");
}
