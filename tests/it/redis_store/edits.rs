//! Taking entries out of histories that are longer than what a plan begins with.

use sessiond_core::store::edit::{Edit, Keep};
use sessiond_core::store::{Condition, SessionStore, StoreRules};
use sessiond_tests::redis_server::RedisServer;

use super::{append, create, key, read, said};

/// What goes is counted, however much it is.
#[tokio::test]
async fn all_that_goes_is_counted() {
    let server = RedisServer::start().await;
    let store = server.store(StoreRules::default()).await;
    create(&store, &key("s")).await;
    for at in 0..200 {
        append(&store, &key("s"), said(&at.to_string(), "x")).await.unwrap();
    }
    for (edit, gone, left) in [(Edit::Trim(Keep::Events(150)), 50, 150), (Edit::Clear, 150, 0)] {
        let edited = store.edit(&key("s"), Condition::default(), &edit).await.unwrap();
        assert_eq!(edited.removed, gone);
        assert_eq!(read(&store, &key("s")).await.entries.len(), left);
    }
}
