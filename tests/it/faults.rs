//! Crashes and outages: what was acknowledged is there, once, and the daemon comes back by itself.

mod rounds;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::redis_server::{Data, RedisServer};
use sessiond_tests::replay::{self, Conversation};
use sessiond_tests::wait::eventually;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";

/// The sample conversations, several times over.
fn conversations(copies: usize) -> Vec<Conversation> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversations.ndjson");
    let sample = replay::read(&sample).unwrap();
    let copy = |number: usize| {
        sample.clone().into_iter().map(move |mut conversation| {
            conversation.id = format!("{}-{number}", conversation.id);
            conversation
        })
    };
    (0..copies).flat_map(copy).collect()
}

/// R11: the daemon is killed in the middle of a replay, again and again, and started again. No event
/// that was acknowledged is missing, and none is there twice after the client's retry.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_and_doubles_nothing() {
    let redis = RedisServer::start().await;
    let redact = guest("redact-secrets-rust");
    let config = format!(
        "[redis]\nurl = {:?}\n[hooks]\nappend = [\"redact\"]\n[plugins.redact]\npath = {redact:?}\n",
        redis.url()
    );
    let mut daemon = Daemon::start(&config).await;
    let conversations = conversations(12);
    let events: usize = conversations.iter().map(|conversation| conversation.items.len()).sum();
    let (sender, mut acknowledged) = tokio::sync::mpsc::channel(events);
    let client = daemon.client();
    let mut players = tokio::task::JoinSet::new();
    for conversation in conversations.clone() {
        let (client, sender) = (client.clone(), sender.clone());
        players.spawn(async move {
            let name = &conversation.id;
            let note = |item: &replay::Item| {
                sender.try_send((name.clone(), item.id.clone())).expect("room for all");
            };
            replay::play(&client, &conversation, note).await
        });
    }
    drop(sender);
    let mut seen = HashSet::new();
    for kill in 1..=4 {
        while seen.len() < events * kill / 5 {
            seen.insert(acknowledged.recv().await.expect("more events"));
        }
        daemon = daemon.again().await;
    }
    while let Some(played) = players.join_next().await {
        played.unwrap().unwrap_or_else(|error| panic!("{error:#}"));
    }
    let export = daemon.export().await;
    let export: String = export.iter().map(|line| format!("{line}\n")).collect();
    let stored = events_of(&export);
    assert_eq!(stored.len(), events);
    for conversation in &conversations {
        for (at, item) in conversation.items.iter().enumerate() {
            let key = (conversation.id.clone(), at as u64 + 1);
            assert_eq!(stored.get(&key), Some(&item.id), "{key:?}");
        }
    }
}

/// The ids of events, by session and sequence.
fn events_of(export: &str) -> std::collections::HashMap<(String, u64), String> {
    let mut session = String::new();
    let mut events = std::collections::HashMap::new();
    for line in export.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        match line["kind"].as_str() {
            Some("session") => session = line["id"].as_str().unwrap().to_owned(),
            Some("event") => {
                let key = (session.clone(), line["seq"].as_u64().unwrap());
                let before = events.insert(key, line["id"].as_str().unwrap().to_owned());
                assert_eq!(before, None);
            }
            _ => {}
        }
    }
    events
}

/// R52: while Redis is away, a clear 503 within two seconds; when it is back, with its data or
/// without, the daemon goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_is_told_and_survived() {
    let mut redis = RedisServer::start().await;
    let daemon = Daemon::start(&format!("[redis]\nurl = {:?}\n", redis.url())).await;
    let client = daemon.client();
    let event = r#"{"id":"e1","event":{"role":"user","content":"hi"}}"#;
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    client.post(&format!("{SESSIONS}/s/events"), event).await.expect(200);

    redis.stop();
    for (method, path, body) in [
        ("POST", format!("{SESSIONS}/s/events"), event),
        ("GET", format!("{SESSIONS}/s"), ""),
        ("GET", SESSIONS.to_owned(), ""),
        ("GET", "/readyz".to_owned(), ""),
    ] {
        let begin = Instant::now();
        let reply = client.send(method, &path, &[], body).await.unwrap().expect(503);
        assert_eq!(reply.code(), "store_unavailable");
        assert_eq!(reply.headers["retry-after"], "1");
        assert!(begin.elapsed() < Duration::from_secs(2), "{method} {path}: {:?}", begin.elapsed());
    }
    client.get("/healthz").await.expect(200);

    // Started again, without its data.
    redis.restart(Data::Wiped).await;
    eventually("the daemon is ready again", async || {
        client.get("/readyz").await.status.is_success().then_some(())
    })
    .await;
    assert_eq!(client.get(&format!("{SESSIONS}/s")).await.expect(404).code(), "session_not_found");
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    for duplicate in [false, true] {
        let reply = client.post(&format!("{SESSIONS}/s/events"), event).await.expect(200).json();
        assert_eq!(reply["items"][0]["duplicate"], duplicate);
    }
}

/// R52: a server that is not there is told at start, in one line.
#[tokio::test]
async fn a_wrong_address_is_told_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("s.toml");
    std::fs::write(&config, "[redis]\nurl = \"redis://127.0.0.1:1\"\n").unwrap();
    let run = sessiond_tests::daemon::run(&["serve", "--config", config.to_str().unwrap()]).await;
    assert!(!run.status.success());
    let told = String::from_utf8(run.stderr).unwrap();
    let last = told.lines().last().unwrap_or_default();
    assert!(last.starts_with("sessiond: ") && last.contains("127.0.0.1:1"), "{told}");
}
