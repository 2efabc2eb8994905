//! The queue of summary jobs that daemons share.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::hook::{CallContext, Purpose};
use sessiond_core::store::StoreRules;
use sessiond_core::workers::summary::{Cause, JobQueue, JobRequest, LocalQueue, Put, Room};
use sessiond_redis::RedisQueue;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;

fn job(session: &str) -> JobRequest {
    let call = CallContext::new(Purpose::Summary, "r");
    let (cause, filter_key) = (Cause::Due, String::new());
    JobRequest { key: super::key(session), generation: 1, filter_key, cause, call }
}

async fn put(queue: &dyn JobQueue, session: &str) -> Put {
    queue.put(&job(session), Room::Bounded).await.unwrap()
}

/// R63, R69: one job for a subject waits, in order, and no more than there is room for. It is the same
/// for the queue of one daemon and for that of many.
async fn keep_to_the_rules(one: &dyn JobQueue, other: &dyn JobQueue) {
    assert_eq!(put(one, "a").await, Put::Queued);
    assert_eq!(put(other, "a").await, Put::Waiting);
    assert_eq!(put(other, "b").await, Put::Queued);
    assert_eq!(put(one, "c").await, Put::Full);
    assert!(one.is_full());
    let depth = other.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.running, depth.oldest.is_some()), (2, 0, true));

    let first = one.take().await.unwrap().unwrap();
    assert_eq!(first.job.key, super::key("a"));
    assert!(one.keep(&first.ticket).await.unwrap());
    // The next for the same session may wait meanwhile, and what follows from a job has its place.
    assert_eq!(put(other, "a").await, Put::Queued);
    assert_eq!(put(other, "c").await, Put::Full);
    assert_eq!(other.put(&job("c"), Room::Left).await.unwrap(), Put::Queued);
    one.done(&first.ticket).await.unwrap();

    let second = other.take().await.unwrap().unwrap();
    assert_eq!(second.job.key, super::key("b"));
    let mut again = second.job.clone();
    again.call.attempt = 2;
    other.again(&second.ticket, &again, Duration::from_millis(200)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let taken = one.take().await.unwrap().unwrap();
        seen.push((taken.job.key.session().to_owned(), taken.job.call.attempt));
        one.done(&taken.ticket).await.unwrap();
    }
    let wanted = [("a", 1), ("c", 1), ("b", 2)].map(|(name, attempt)| (name.to_owned(), attempt));
    assert_eq!(seen, wanted);
    let depth = one.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.running, depth.oldest), (0, 0, None));
    one.close();
    assert!(one.take().await.unwrap().is_none());
    one.leave().await;
}

#[tokio::test]
async fn the_queue_of_one_daemon_keeps_to_the_rules() {
    let queue = LocalQueue::new(2);
    keep_to_the_rules(&queue, &queue).await;
}

#[tokio::test]
async fn the_queue_of_many_daemons_keeps_to_the_rules() {
    let server = RedisServer::start().await;
    let mut queues = Vec::new();
    for _ in 0..2 {
        let store = Arc::new(server.store(StoreRules::default()).await);
        queues.push(RedisQueue::new(store, 2));
    }
    keep_to_the_rules(&queues[0], &queues[1]).await;
    // Nothing is left but the group of who is still there.
    assert_eq!(server.ask::<u64>("XLEN sd:{:jobs}:ready").await, 0);
    assert_eq!(server.ask::<u64>("EXISTS sd:{:jobs}:names sd:{:jobs}:later").await, 0);
    let consumers: redis::Value = server.ask("XINFO CONSUMERS sd:{:jobs}:ready g").await;
    let redis::Value::Array(consumers) = consumers else { panic!("{consumers:?}") };
    assert_eq!(consumers.len(), 1);
}

/// A job that cannot be read is left out, and holds nobody up.
#[tokio::test]
async fn what_cannot_be_read_is_left_out() {
    let server = RedisServer::start().await;
    let store = Arc::new(server.store(StoreRules::default()).await);
    let queue = RedisQueue::new(store, 2);
    let _: String = server.ask("XADD sd:{:jobs}:ready * s x j {}").await;
    assert_eq!(put(&queue, "a").await, Put::Queued);
    let taken = queue.take().await.unwrap().unwrap();
    assert_eq!(taken.job.key, super::key("a"));
    queue.done(&taken.ticket).await.unwrap();
    eventually("nothing is left", async || {
        (server.ask::<u64>("XLEN sd:{:jobs}:ready").await == 0).then_some(())
    })
    .await;
}
