//! Several writers of one session, over HTTP.

use std::time::Instant;

use sessiond_tests::client::Client;
use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_server::RedisServer;
use tokio::task::JoinSet;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const EVENTS: &str = "/v1/apps/shop/users/ann/sessions/s/events";
const HI: &str = r#"{"role":"user","content":"hi"}"#;

/// R1: whoever has read before a hundred others wrote is not too late.
#[tokio::test]
async fn an_append_without_a_condition_is_never_too_late() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    client.get(&format!("{SESSIONS}/s")).await.expect(200);
    for _ in 0..100 {
        daemon.client().post(EVENTS, HI).await.expect(200);
    }
    let reply = client.post(EVENTS, HI).await.expect(200).json();
    assert_eq!(reply["items"][0]["seq"], 101);
}

/// R2: a session that was just created has the revision that it was created with, in every zone: a
/// thousand times in each.
#[tokio::test]
async fn the_tag_of_a_creation_holds() {
    let redis = RedisServer::start().await;
    let config = format!("[redis]\nurl = {:?}\n", redis.url());
    for zone in ["UTC", "Asia/Shanghai"] {
        let daemon = Daemon::start_in_zone(&config, zone).await;
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let client = daemon.client();
            writers.spawn(create_and_append(client, format!("{zone}-{writer}"), 125));
        }
        writers.join_all().await;
    }
}

async fn create_and_append(client: Client, user: String, times: usize) {
    let sessions =
        format!("/v1/apps/shop/users/{}/sessions", sessiond_tests::client::encode(&user));
    for at in 0..times {
        let created = client.post(&sessions, format!(r#"{{"id":"{at}"}}"#)).await.expect(201);
        let events = format!("{sessions}/{at}/events");
        let tag = created.etag();
        let appended = client.send("POST", &events, &[("if-match", &tag)], HI).await.unwrap();
        assert_ne!(appended.expect(200).etag(), tag);
    }
}

/// R7, R9: 16 writers of one session lose nothing, each one's events in its own order. The throughput
/// is printed; `scripts/bench-openai` compares it with another store's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_lose_nothing() {
    const WRITERS: usize = 16;
    const EACH: usize = 50;
    let redis = RedisServer::start().await;
    let daemon = Daemon::start(&format!("[redis]\nurl = {:?}\n", redis.url())).await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let begin = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let client = client.clone();
        writers.spawn(async move {
            for at in 0..EACH {
                let item = format!(r#"{{"id":"{writer}-{at}","event":{HI}}}"#);
                let reply = client.post(EVENTS, item).await.expect(200).json();
                assert_eq!(reply["items"][0]["duplicate"], false);
            }
        });
    }
    writers.join_all().await;
    let took = begin.elapsed();
    let all = WRITERS * EACH;
    println!("{all} appends of {WRITERS} writers: {:.0} a second", all as f64 / took.as_secs_f64());
    let page = client.get(&format!("{EVENTS}?limit=1000&after_seq=0")).await.expect(200).json();
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len(), all);
    let mut next = [0; WRITERS];
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], at as u64 + 1);
        let (writer, number) = event["id"].as_str().unwrap().split_once('-').unwrap();
        let wanted = &mut next[writer.parse::<usize>().unwrap()];
        assert_eq!(number.parse(), Ok(*wanted));
        *wanted += 1;
    }
}

/// R22: sessions that are created at once are listed in one order, whatever the size of the pages.
#[tokio::test]
async fn a_list_has_one_order() {
    let redis = RedisServer::start().await;
    let daemon = Daemon::start(&format!("[redis]\nurl = {:?}\n", redis.url())).await;
    let client = daemon.client();
    let mut writers = JoinSet::new();
    for at in 0..60 {
        let client = client.clone();
        writers.spawn(async move {
            client.post(SESSIONS, format!(r#"{{"id":"s{at}"}}"#)).await.expect(201);
        });
    }
    writers.join_all().await;
    let whole = listed(&client, 200).await;
    assert_eq!(whole.len(), 60);
    for size in [1, 7, 20, 60] {
        assert_eq!(listed(&client, size).await, whole, "pages of {size}");
    }
}

async fn listed(client: &Client, size: usize) -> Vec<String> {
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = format!("{SESSIONS}?page_size={size}{token}");
        let page = client.get(&page).await.expect(200).json();
        let sessions = page["sessions"].as_array().into_iter().flatten();
        names.extend(sessions.filter_map(|session| session["id"].as_str().map(str::to_owned)));
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => return names,
        }
    }
}
