//! Summary jobs of several daemons on one Redis, with a model that counts what it is asked.

mod three_daemons;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;
use sessiond_tests::web::{Answer, Asked, Web};

fn config(redis: &str, web: &Web, summary: &str) -> String {
    let (file, base) = (guest("model-summary-rust"), web.base());
    format!(
        "[redis]\n{redis}\n[summary]\nplugin = \"summarizer\"\n{summary}\n\
         [models.summary]\nurl = \"{base}/v1\"\nmodel = \"tiny-1\"\n\
         [plugins.summarizer]\npath = {file:?}\ngrants.models = [\"summary\"]\n\
         grants.model_budget = {{ calls = 100000, tokens = 100000000, per = \"1h\" }}\n\
         [plugins.summarizer.config]\n"
    )
}

fn at(server: &RedisServer) -> String {
    format!("url = {:?}", server.url())
}

fn path(number: usize) -> String {
    format!("/v1/apps/shop/users/u{number}/sessions/s")
}

/// A session with 22 events, which is due.
async fn fill(client: &Client, number: usize) {
    let create = format!("/v1/apps/shop/users/u{number}/sessions");
    client.post(&create, r#"{"id":"s"}"#).await.expect(201);
    let turns = (0..11).map(|turn| {
        format!(
            r#"{{"role":"user","content":"[s{number}] question {turn}"}},{{"role":"assistant","content":"answer"}}"#
        )
    });
    let body = format!(r#"{{"events":[{}]}}"#, turns.collect::<Vec<_>>().join(","));
    client.post(&format!("{}/events", path(number)), body).await.expect(200);
}

/// The conversation that the model is told of.
fn told(asked: &Asked) -> String {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let text = body["messages"][1]["content"].as_str().unwrap_or_default().to_owned();
    text.split("<conversation>").nth(1).unwrap_or_default().to_owned()
}

/// The session that a conversation is of.
fn session_of(asked: &Asked) -> usize {
    let told = told(asked);
    let name = told.split("[s").nth(1).and_then(|rest| rest.split(']').next());
    name.and_then(|name| name.parse().ok()).expect("a session")
}

async fn summary(client: &Client, number: usize) -> Value {
    let reply = client.get(&format!("{}/summaries", path(number))).await.expect(200).json();
    reply["summaries"][0].clone()
}

/// What `GET /v1/admin/queues` says of summaries.
async fn status(daemon: &Daemon) -> Value {
    daemon.admin("/v1/admin/queues").await["summaries"].clone()
}

/// A restart loses no job: neither those that wait nor those that were being done.
#[tokio::test]
async fn a_restart_loses_no_job() {
    let server = RedisServer::start().await;
    let awake = Arc::new(AtomicBool::new(false));
    let answers = awake.clone();
    let web = Web::start(move |_| match answers.load(Ordering::Relaxed) {
        true => Answer::chat("summary"),
        false => Answer::Silence,
    })
    .await;
    let mut daemon = Daemon::start(&config(&at(&server), &web, "queue = \"redis\"")).await;
    for number in 0..6 {
        fill(&daemon.client(), number).await;
    }
    let now = eventually("three jobs run and three wait", async || {
        let now = status(&daemon).await;
        (now["running"] == 3 && now["waiting"] == 3).then_some(now)
    })
    .await;
    assert_eq!((&now["queue"], &now["running_here"]), (&"redis".into(), &3.into()));
    assert!(now["oldest_seconds"].is_number(), "{now}");
    daemon.kill();
    awake.store(true, Ordering::Relaxed);
    let daemon = daemon.again().await;
    for number in 0..6 {
        eventually("every session is summed up", async || {
            (summary(&daemon.client(), number).await["last_seq"] == 22).then_some(())
        })
        .await;
    }
    let metrics = eventually("the gauges are set", async || {
        let metrics = daemon.client().get("/metrics").await.text;
        metrics.contains("sessiond_summary_jobs_waiting{queue=\"redis\"} 0").then_some(metrics)
    })
    .await;
    for wanted in [
        "sessiond_summary_jobs_total{outcome=\"stored\"} 6",
        "sessiond_summary_jobs_running 0",
        "sessiond_summary_oldest_job_seconds{queue=\"redis\"} 0",
        "sessiond_summary_job_wait_seconds_count",
    ] {
        assert!(metrics.contains(wanted), "{wanted:?} is not in\n{metrics}");
    }
    let now = status(&daemon).await;
    assert_eq!(now["outcomes"]["stored"], 6, "{now}");
}

/// R70: at SIGTERM what cannot be finished goes back into the queue, and another daemon does it.
#[tokio::test]
async fn what_a_stopping_daemon_cannot_finish_goes_back() {
    let server = RedisServer::start().await;
    let awake = Arc::new(AtomicBool::new(false));
    let answers = awake.clone();
    let web = Web::start(move |_| match answers.load(Ordering::Relaxed) {
        true => Answer::chat("summary"),
        false => Answer::Silence,
    })
    .await;
    let config = config(&at(&server), &web, "queue = \"redis\"");
    let mut daemon = Daemon::start(&format!("grace_period = \"1s\"\n{config}")).await;
    for number in 0..4 {
        fill(&daemon.client(), number).await;
    }
    eventually("three jobs run", async || (status(&daemon).await["running"] == 3).then_some(()))
        .await;
    daemon.terminate();
    daemon.ended().await;
    assert_eq!(server.ask::<u64>("HLEN sd:{:jobs}:names").await, 4);
    assert_eq!(server.ask::<u64>("XLEN sd:{:jobs}:ready").await, 4);
    awake.store(true, Ordering::Relaxed);
    let other = Daemon::start(&config).await;
    for number in 0..4 {
        eventually("every session is summed up", async || {
            (summary(&other.client(), number).await["last_seq"] == 22).then_some(())
        })
        .await;
    }
}

/// The queue works on a Cluster: it is one slot, and the sessions are in many.
#[tokio::test]
async fn daemons_share_a_queue_on_a_cluster() {
    let cluster = RedisCluster::start().await;
    let web = Web::start(|_| Answer::chat("summary")).await;
    let config =
        config(&format!("cluster.nodes = {:?}", cluster.urls()), &web, "queue = \"redis\"");
    let daemons = [Daemon::start(&config).await, Daemon::start(&config).await];
    for number in 0..12 {
        fill(&daemons[number % 2].client(), number).await;
    }
    for number in 0..12 {
        eventually("every session is summed up", async || {
            (summary(&daemons[0].client(), number).await["last_seq"] == 22).then_some(())
        })
        .await;
    }
    let mut calls = BTreeMap::new();
    for asked in web.asked() {
        *calls.entry(session_of(&asked)).or_insert(0) += 1;
    }
    assert!(calls.len() == 12 && calls.values().all(|count| *count == 1), "{calls:?}");
}

/// R63: 50 triggers through two daemons that share nothing but the store: one call of the plugin.
#[tokio::test]
async fn two_daemons_with_queues_of_their_own_make_one_call() {
    let server = RedisServer::start().await;
    let slow = Duration::from_millis(500);
    let web = Web::start(move |_| Answer::Later(slow, Box::new(Answer::chat("summary")))).await;
    let config = config(&at(&server), &web, "min_events = 1000\nmin_tokens = 100000");
    let daemons = [Daemon::start(&config).await, Daemon::start(&config).await];
    fill(&daemons[0].client(), 0).await;
    let mut asks = tokio::task::JoinSet::new();
    for at in 0..50 {
        let client = daemons[at % 2].client();
        asks.spawn(async move {
            let body = if at < 4 { r#"{"wait":true}"# } else { "" };
            client.post(&format!("{}/summaries", path(0)), body).await.status.as_u16()
        });
    }
    let statuses = asks.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 202)), "{statuses:?}");
    for daemon in &daemons {
        eventually("nothing is left to do", async || {
            let now = status(daemon).await;
            (now["waiting"] == 0 && now["running"] == 0).then_some(())
        })
        .await;
    }
    assert_eq!(web.asked().len(), 1);
}

/// R60 to R64: a model that hangs, that answers too late, that fails every third time, while sessions
/// are appended to, cleared, deleted and created again. No event is lost, and no summary tells of
/// events that are gone, or comes from an answer that was late.
#[tokio::test]
async fn a_bad_model_harms_nobody() {
    let server = RedisServer::start().await;
    let calls = AtomicUsize::new(0);
    let web = Web::start(move |asked| {
        let told = told(asked);
        let mut epochs: Vec<&str> = told.split("epoch ").skip(1).collect();
        epochs.iter_mut().for_each(|rest| *rest = rest.split('.').next().unwrap_or_default());
        epochs.dedup();
        match calls.fetch_add(1, Ordering::Relaxed) % 9 {
            0 | 3 | 6 => Answer::json(500, "{}"),
            1 => Answer::Silence,
            5 => Answer::Later(Duration::from_millis(1_500), Box::new(Answer::chat("too late"))),
            _ => Answer::chat(&format!("of {}", epochs.join(" and "))),
        }
    })
    .await;
    let rules =
        "queue = \"redis\"\njob_timeout = \"1s\"\nmin_events = 2\nmin_turns = 1\nworkers = 4";
    let config = config(&at(&server), &web, rules);
    let daemons = [Daemon::start(&config).await, Daemon::start(&config).await];
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let clients = [daemons[0].client(), daemons[1].client()];
        writers.spawn(async move { write(&clients, number).await });
    }
    let written = writers.join_all().await;
    let mut stored = 0;
    for (number, epoch, events) in written {
        let client = daemons[number % 2].client();
        let session = client.get(&format!("{}?summary=include", path(number))).await.json();
        let seen: Vec<&str> = session["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["event"]["content"].as_str().unwrap())
            .collect();
        assert_eq!(seen, events, "{number}");
        if let Some(text) = session["summaries"][0]["text"].as_str() {
            assert_eq!(text, format!("of {epoch}"), "{number}");
            stored += 1;
        }
    }
    let metrics = daemons[0].client().get("/metrics").await.text;
    assert!(stored > 0, "no session has a summary\n{metrics}");
}

/// Appends, clears, deletes and creates a session again, through both daemons in turn. Returns in
/// which epoch that ended, and what was appended in it.
async fn write(clients: &[Client; 2], number: usize) -> (usize, usize, Vec<String>) {
    let sessions = format!("/v1/apps/shop/users/u{number}/sessions");
    let (mut epoch, mut events) = (0, Vec::new());
    clients[0].post(&sessions, r#"{"id":"s"}"#).await.expect(201);
    for step in 0..120 {
        let client = &clients[step % 2];
        match step {
            30 | 90 => {
                client.post(&format!("{}:clear", path(number)), "").await.expect(200);
                (epoch, events) = (epoch + 1, Vec::new());
            }
            60 => {
                client.delete(&path(number)).await.expect(204);
                client.post(&sessions, r#"{"id":"s"}"#).await.expect(201);
                (epoch, events) = (epoch + 1, Vec::new());
            }
            _ => {
                let text = format!("epoch {epoch}. step {step}");
                let body = format!(r#"{{"role":"user","content":"{text}"}}"#);
                client.post(&format!("{}/events", path(number)), body).await.expect(200);
                events.push(text);
            }
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    (number, epoch, events)
}
