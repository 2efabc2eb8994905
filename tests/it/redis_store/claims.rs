//! Claims of summary jobs, in both stores.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::store::claim::{ClaimRequest, Claimed};
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{SessionStore, StoreError, StoreRules, SummaryCommit};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;
use uuid::Uuid;

use super::{append, create, key, read, said, version};

const LONG: Duration = Duration::from_secs(600);

fn request(generation: u64, token: Uuid, duration: Duration) -> ClaimRequest {
    ClaimRequest { generation, filter_key: "a/b".to_owned(), token, duration }
}

fn summary(last_sequence: u64) -> Summary {
    Summary {
        filter_key: "a/b".to_owned(),
        text: "x".to_owned(),
        topics: Vec::new(),
        first_sequence: 1,
        last_sequence,
        unseen: None,
        updated_at: Time::from_nanos(1),
    }
}

/// R63, R64: a claim is one daemon's at a time, and who has lost it stores nothing.
#[tokio::test]
async fn a_claim_fences_off_who_had_it_before() {
    let server = RedisServer::start().await;
    let rules = StoreRules::default();
    let stores: [Arc<dyn SessionStore>; 2] =
        [Arc::new(server.store(rules.clone()).await), Arc::new(EmbeddedStore::new(rules))];
    for store in stores {
        let (s, one, other) = (key("s"), Uuid::now_v7(), Uuid::now_v7());
        let missing = store.claim_summary(&s, &request(1, one, LONG)).await;
        assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
        let generation = create(&*store, &s).await.generation;
        append(&*store, &s, said("1", "x")).await.unwrap();
        let before = read(&*store, &s).await.header;
        let wrong = store.claim_summary(&s, &request(1, one, LONG)).await;
        assert!(matches!(wrong, Err(StoreError::OtherGeneration { .. })), "{wrong:?}");
        let claim = async |token, duration| {
            store.claim_summary(&s, &request(generation, token, duration)).await.unwrap()
        };
        assert_eq!(claim(one, LONG).await, Claimed::Yes);
        assert_eq!(claim(other, LONG).await, Claimed::Held);
        // Who does not have it gives nothing back, and a claim may be made to end soon.
        store.release_summary(&s, "a/b", other).await.unwrap();
        assert_eq!(claim(other, LONG).await, Claimed::Held);
        assert_eq!(claim(one, Duration::from_millis(20)).await, Claimed::Yes);
        eventually("the claim ends", async || {
            (claim(other, LONG).await == Claimed::Yes).then_some(())
        })
        .await;
        let commit = async |token, last| {
            let seen = version(generation);
            let totals = Backlog::default();
            store.commit_summary(&s, seen, &summary(last), totals, Some(token)).await.unwrap()
        };
        assert_eq!(commit(one, 1).await, SummaryCommit::Lost);
        // A claim changes nothing that a client sees.
        assert_eq!(read(&*store, &s).await.header, before);
        assert_eq!(commit(other, 1).await, SummaryCommit::Stored);
        store.release_summary(&s, "a/b", other).await.unwrap();
        assert_eq!(claim(one, LONG).await, Claimed::Yes);
        assert_eq!(commit(other, 2).await, SummaryCommit::Lost);
        store.delete(&s).await.unwrap();
        store.release_summary(&s, "a/b", one).await.unwrap();
    }
    assert_eq!(server.ask::<u64>("EXISTS sd:{app:user}:h:s").await, 0);
}
