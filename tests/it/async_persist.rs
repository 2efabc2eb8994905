//! Appends that are answered before they are written.

mod journal;

use std::collections::BTreeMap;

use serde_json::Value;
use sessiond_tests::client::{Client, Reply};
use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;
use tokio::task::JoinSet;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";

fn config(redis: &RedisServer, more: &str) -> String {
    format!(
        "[redis]\nurl = {:?}\ncommand_timeout = \"500ms\"\n[async_persist]\nenabled = true\n{more}",
        redis.url()
    )
}

async fn create(client: &Client, session: &str) {
    client.post(SESSIONS, format!(r#"{{"id":{session:?}}}"#)).await.expect(201);
}

fn said(id: &str) -> String {
    format!(r#"{{"id":"{id}","event":{{"role":"user","content":"this is {id}"}}}}"#)
}

async fn say(client: &Client, session: &str, id: &str) -> Reply {
    client.post(&format!("{SESSIONS}/{session}/events"), said(id)).await
}

/// The ids of a session's events, in order.
async fn ids(client: &Client, session: &str) -> Vec<String> {
    let page = client.get(&format!("{SESSIONS}/{session}/events?after_seq=0&limit=1000")).await;
    let page = page.expect(200).json();
    let events = page["events"].as_array().unwrap().iter();
    events.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// The answer of `/v1/admin/queues`.
async fn queues(daemon: &Daemon) -> Value {
    daemon.admin("/v1/admin/queues").await
}

/// An append is answered with ids, and a read through the same daemon shows it at once: all events,
/// each session's in the order in which they were acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_written_in_order_and_seen_by_reads() {
    let redis = RedisServer::start().await;
    let daemon = Daemon::start(&config(&redis, "lanes = 3\n")).await;
    let client = daemon.client();
    let mut writers = JoinSet::new();
    for session in 0..8 {
        let client = client.clone();
        writers.spawn(async move {
            let session = format!("s{session}");
            create(&client, &session).await;
            for number in 0..50 {
                let reply = say(&client, &session, &format!("e{number}")).await.expect(202);
                let told = reply.json();
                assert_eq!(told["items"][0]["id"], format!("e{number}"));
                assert_eq!(told["items"][0]["queued"], true);
                assert_eq!(told["items"][0]["seq"], Value::Null);
                assert!(told["generation"].as_u64().unwrap() > 0);
                if number % 10 == 0 {
                    assert_eq!(ids(&client, &session).await.len(), number + 1);
                }
            }
            let wanted: Vec<String> = (0..50).map(|number| format!("e{number}")).collect();
            assert_eq!(ids(&client, &session).await, wanted);
        });
    }
    writers.join_all().await;
    let lanes = queues(&daemon).await["lanes"].clone();
    let lanes = lanes.as_array().unwrap();
    assert_eq!(lanes.len(), 3);
    let written: u64 = lanes.iter().map(|lane| lane["written"].as_u64().unwrap()).sum();
    assert_eq!(written, 400);
    assert!(lanes.iter().all(|lane| lane["depth"] == 0));
    let metrics = client.get("/metrics").await.text;
    for name in ["sessiond_lane_depth{", "sessiond_lane_oldest_seconds{"] {
        assert!(metrics.contains(name), "{metrics}");
    }
}

/// What cannot be acknowledged is refused at once, and a state PATCH, a pop and a delete come after
/// what was queued before them.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_queued_is_refused_and_other_writes_keep_their_place() {
    let redis = RedisServer::start().await;
    let daemon = Daemon::start(&config(&redis, "")).await;
    let client = daemon.client();
    assert_eq!(say(&client, "none", "e").await.expect(404).code(), "session_not_found");
    create(&client, "s").await;
    let events = format!("{SESSIONS}/s/events");
    let session = client.get(&format!("{SESSIONS}/s")).await.expect(200);
    let tag = session.etag();
    let matched = client.send("POST", &events, &[("if-match", &tag)], said("e")).await.unwrap();
    assert_eq!(matched.expect(400).code(), "if_match_refused");
    let other = r#"{"generation":1,"events":[{"role":"user","content":"x"}]}"#;
    assert_eq!(client.post(&events, other).await.expect(409).code(), "other_generation");

    for round in 0..20 {
        say(&client, "s", &format!("e{round}")).await.expect(202);
        let state = client
            .patch(&format!("{SESSIONS}/s/state"), format!("{{\"state\":{{\"k\":{round}}}}}"))
            .await;
        let last = state.expect(200).json()["last_seq"].as_u64().unwrap();
        assert_eq!(last, 2 * (round + 1), "the change of state comes after the event");
    }
    say(&client, "s", "popped").await.expect(202);
    let pop = client.post(&format!("{SESSIONS}/s:pop"), "{}").await.expect(200).json();
    assert_eq!(pop["events"][0]["id"], "popped", "{pop}");
    for number in 0..20 {
        say(&client, "s", &format!("late{number}")).await.expect(202);
    }
    client.delete(&format!("{SESSIONS}/s")).await.expect(204);
    assert_eq!(say(&client, "s", "gone").await.expect(404).code(), "session_not_found");
    assert_eq!(queues(&daemon).await["dead_letters"]["total"], 0);
}

/// What Redis refuses later is kept to be looked at, and holds nobody up.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_later_is_a_dead_letter() {
    let redis = RedisServer::start().await;
    let daemon = Daemon::start(&config(&redis, "dead_letters = 2\n")).await;
    let client = daemon.client();
    create(&client, "s").await;
    say(&client, "s", "e1").await.expect(202);
    for number in 0..3 {
        let other =
            format!(r#"{{"id":"e1","event":{{"role":"user","content":"other {number}"}}}}"#);
        client.post(&format!("{SESSIONS}/s/events"), other).await.expect(202);
    }
    say(&client, "s", "e2").await.expect(202);
    assert_eq!(ids(&client, "s").await, ["e1", "e2"]);
    let dead = queues(&daemon).await["dead_letters"].clone();
    assert_eq!(dead["total"], 3, "{dead}");
    let latest = dead["latest"].as_array().unwrap();
    assert_eq!(latest.len(), 2);
    assert_eq!(latest[1]["code"], "id_conflict");
    assert_eq!(latest[1]["events"][0]["event"]["content"], "other 2");
    let metrics = client.get("/metrics").await.text;
    assert!(metrics.contains("sessiond_dead_letters_total{code=\"id_conflict\"} 3"), "{metrics}");
}

/// While Redis hangs a lane fills up and then says so; reads say that they would be stale. Once it is
/// back all that was acknowledged is there, once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_fills_the_lane_and_loses_nothing() {
    let redis = RedisServer::start().await;
    let more = "queue_size = 20\nqueue_wait = \"50ms\"\nread_wait = \"50ms\"\n";
    let daemon = Daemon::start(&config(&redis, more)).await;
    let client = daemon.client();
    create(&client, "s").await;
    say(&client, "s", "first").await.expect(202);
    assert_eq!(ids(&client, "s").await, ["first"]);
    redis.freeze();
    let mut wanted = vec!["first".to_owned()];
    let refused = loop {
        let id = format!("e{}", wanted.len());
        let reply = say(&client, "s", &id).await;
        if reply.status != 202 {
            break reply;
        }
        wanted.push(id);
        assert!(wanted.len() <= 21, "the lane is bounded");
    };
    assert_eq!(wanted.len(), 21);
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.expect(503).code(), "queue_full");
    let read = client.get(&format!("{SESSIONS}/s")).await.expect(503);
    assert_eq!(read.code(), "writes_pending");
    let depth = queues(&daemon).await["lanes"].clone();
    let depth = depth.as_array().unwrap().iter().map(|lane| lane["depth"].as_u64().unwrap());
    assert_eq!(depth.sum::<u64>(), 20);
    redis.thaw();
    let written = eventually("the lane is empty", async || {
        let page = client.get(&format!("{SESSIONS}/s/events?after_seq=0&limit=1000")).await;
        page.status.is_success().then_some(())
    });
    written.await;
    assert_eq!(ids(&client, "s").await, wanted);
}

/// R70: the end writes what is queued; what it cannot write it counts, and the exit code says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_drains_the_lanes_or_gives_an_account() {
    let mut redis = RedisServer::start().await;
    let text = config(&redis, "queue_size = 1000\n");
    let mut daemon = Daemon::start(&text).await;
    let client = daemon.client();
    create(&client, "s").await;
    let mut writers = JoinSet::new();
    for number in 0..200 {
        let client = client.clone();
        writers.spawn(async move { say(&client, "s", &format!("e{number}")).await.expect(202) });
    }
    writers.join_all().await;
    daemon.terminate();
    assert!(daemon.ended().await.success(), "{}", daemon.log());
    let mut daemon = Daemon::start(&format!("grace_period = \"1s\"\n{text}")).await;
    let client = daemon.client();
    assert_eq!(ids(&client, "s").await.len(), 200);

    say(&client, "s", "known").await.expect(202);
    assert_eq!(ids(&client, "s").await.len(), 201);
    redis.stop();
    for number in 0..7 {
        say(&client, "s", &format!("lost{number}")).await.expect(202);
    }
    daemon.terminate();
    assert!(!daemon.ended().await.success(), "{}", daemon.log());
    let told = "appends that were acknowledged could not be written, and are lost";
    assert!(daemon.log().contains(told), "{}", daemon.log());
    assert!(daemon.log().contains("appends=7 sessions=1"), "{}", daemon.log());
}

/// Group commit: 64 clients on one session, among them some whose id is taken, and some whose
/// `If-Match` is old. Each gets its own answer, and fewer scripts run than appends are made, although
/// what meets a conflict is written apart.
#[tokio::test(flavor = "multi_thread")]
async fn appends_that_meet_are_written_together_and_answered_apart() {
    let redis = RedisServer::start().await;
    let daemon = Daemon::start(&format!("[redis]\nurl = {:?}\n", redis.url())).await;
    let client = daemon.client();
    create(&client, "s").await;
    let old = client.get(&format!("{SESSIONS}/s")).await.expect(200).etag();
    say(&client, "s", "taken").await.expect(200);
    let before = scripts(&redis).await;
    let mut writers = JoinSet::new();
    for writer in 0..64 {
        let (client, old) = (client.clone(), old.clone());
        writers.spawn(async move {
            let events = format!("{SESSIONS}/s/events");
            let mut sequences = Vec::new();
            for number in 0..20 {
                let id = format!("w{writer}-{number}");
                match writer {
                    0 => {
                        let body = r#"{"id":"taken","event":{"role":"user","content":"other"}}"#;
                        let reply = client.post(&events, body).await.expect(409);
                        assert_eq!(reply.code(), "id_conflict");
                    }
                    1 => {
                        let head = [("if-match", old.as_str())];
                        let reply = client.send("POST", &events, &head, said(&id)).await.unwrap();
                        assert_eq!(reply.expect(412).code(), "other_revision");
                    }
                    _ => {
                        let told = say(&client, "s", &id).await.expect(200).json();
                        assert_eq!(told["items"][0]["duplicate"], false);
                        let sequence = told["items"][0]["seq"].as_u64().unwrap();
                        assert_eq!(told["last_seq"], sequence);
                        sequences.push((told["revision"].as_u64().unwrap(), sequence, id));
                    }
                }
            }
            sequences
        });
    }
    let mut told: Vec<(u64, u64, String)> =
        writers.join_all().await.into_iter().flatten().collect();
    told.sort();
    assert_eq!(told.len(), 62 * 20);
    // Each append has a revision and a sequence of its own, as if it had been made alone.
    let rising = told.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1);
    assert!(rising, "{told:?}");
    let mut stored = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = format!("{SESSIONS}/s/events?after_seq={after}&limit=1000");
        let page = client.get(&page).await.expect(200).json();
        let events = page["events"].as_array().unwrap();
        for event in events {
            let sequence = event["seq"].as_u64().unwrap();
            stored.insert(sequence, event["id"].as_str().unwrap().to_owned());
            after = sequence;
        }
        if page["next_after_seq"].is_null() {
            break;
        }
    }
    let kept = told.iter().filter(|(_, sequence, _)| stored.contains_key(sequence));
    assert!(kept.clone().all(|(_, sequence, id)| stored[sequence] == *id));
    assert!(kept.count() >= 999);
    let ran = scripts(&redis).await - before;
    assert!(ran < 62 * 20, "{ran} scripts for {} appends", 62 * 20);
    // The tag of the newest is that of the session now.
    let tag = client.get(&format!("{SESSIONS}/s")).await.expect(200).json();
    assert_eq!(tag["revision"], told.last().unwrap().0);
}

/// How many scripts the server has run.
async fn scripts(redis: &RedisServer) -> u64 {
    let stats: String = redis.ask("INFO commandstats").await;
    let calls = stats.lines().filter_map(|line| {
        line.strip_prefix("cmdstat_evalsha:calls=")?.split(',').next()?.parse::<u64>().ok()
    });
    calls.sum()
}

/// What one append is refused for costs those beside it a few steps of the store, not one each; they
/// are all written, in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_costs_the_others_little() {
    const COUNT: u64 = 64;
    let redis = RedisServer::start().await;
    let config = config(&redis, "").replace("500ms", "30s");
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();
    create(&client, "s").await;
    say(&client, "s", "first").await.expect(202);
    assert_eq!(ids(&client, "s").await, ["first"]);
    let before = scripts(&redis).await;
    // Nothing is written until all of them are queued.
    redis.freeze();
    for number in 0..COUNT {
        say(&client, "s", &format!("e{number}")).await.expect(202);
        if number == 40 {
            let other = r#"{"id":"first","event":{"role":"user","content":"another"}}"#;
            client.post(&format!("{SESSIONS}/s/events"), other).await.expect(202);
        }
    }
    redis.thaw();
    let written = async || {
        let told = queues(&daemon).await;
        let lanes = told["lanes"].as_array().unwrap();
        let done: u64 = lanes.iter().map(|lane| lane["written"].as_u64().unwrap()).sum();
        (done == COUNT + 1 && told["dead_letters"]["total"] == 1).then_some(())
    };
    eventually("all is written", written).await;
    let calls = scripts(&redis).await - before;
    assert!(calls < COUNT / 2, "{calls} calls of a script");
    let numbered = (0..COUNT).map(|number| format!("e{number}"));
    let wanted: Vec<String> = ["first".to_owned()].into_iter().chain(numbered).collect();
    assert_eq!(ids(&client, "s").await, wanted);
}
