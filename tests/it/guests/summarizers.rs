//! The part of the conformance run for summarizers: they read what there is, in sessions of 1,000
//! events, and hold nothing of it afterwards.

use serde_json::{Value, json};
use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::web::{Answer, Web};

use super::{COMPILED, USER, append, compile, dialects, message, planes, started};

/// Jobs on one instance, each of two calls: whether to sum up, and the summary.
const JOBS: usize = 200;

/// The plugins, and a line that the summary of one turn has.
pub(super) const SUMMARIZERS: [(&str, &str); 2] =
    [("rolling-summary-python", "which way"), ("model-summary-rust", "What a model said.")];

async fn daemon(name: &str, web: &Web) -> Daemon {
    COMPILED.get_or_init(compile).await;
    let (file, base) = (guest(name), web.base());
    // Only for who may ask it: a model that no plugin has is refused.
    let model = match name {
        "model-summary-rust" => format!(
            "grants.models = [\"small\"]\n\
             grants.model_budget = {{ calls = 10000, tokens = 1000000000, per = \"1h\" }}\n\
             [plugins.it.config]\nmodel = \"small\"\n\
             [models.small]\nurl = \"{base}/v1\"\nmodel = \"tiny-1\"\n"
        ),
        _ => String::new(),
    };
    // Nothing is due by itself, so that a job is made by each request for one, and by nothing else.
    let daemon = Daemon::start(&format!(
        "[summary]\nplugin = \"it\"\nmin_events = 100000\nmin_tokens = 100000000\ninput_tokens = 1000000\n\
         [plugins.it]\npath = {file:?}\n{model}"
    ))
    .await;
    daemon.client().post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    daemon
}

/// Has everything new summed up, and answers the summary.
async fn sum_up(client: &Client, name: &str) -> Value {
    let summaries = format!("{USER}/sessions/s/summaries");
    let reply = client.post(&summaries, r#"{"wait":true,"force":true}"#).await;
    assert_eq!(reply.status, 200, "{name}: {}", reply.text);
    assert_eq!(reply.json()["outcome"], "stored", "{name}: {}", reply.text);
    client.get(&summaries).await.expect(200).json()["summaries"][0].clone()
}

fn said(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// Appends questions and answers in turns, a kilobyte each, that begin with the number of the round.
async fn talk(client: &Client, name: &str, round: usize, count: usize) {
    let text = "a kilobyte of words ".repeat(50);
    let turn = |at: usize| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        said(role, &format!("{round} {at} {text}"))
    };
    let events: Vec<_> = (0..count).map(turn).collect();
    append(client, name, json!({"events": events})).await;
}

#[tokio::test]
async fn every_summarizer_takes_what_there_is() {
    for (name, line) in SUMMARIZERS {
        let web = Web::start(|_| Answer::chat("What a model said.")).await;
        let daemon = daemon(name, &web).await;
        let client = daemon.client();
        let mut last = 0;
        let huge = "ü😀".repeat(100_000);
        let texts = [planes(), String::new(), huge].map(|it| said("assistant", &it));
        for body in texts.into_iter().chain(dialects()) {
            append(&client, name, message("which way?")).await;
            let call = body.clone();
            append(&client, name, body).await;
            // A call that is open holds the summary back.
            let result = if call["tool_calls"].is_array() {
                Some(json!({"role": "tool", "tool_call_id": "d", "content": "ok"}))
            } else if call["type"] == "function_call" {
                Some(json!({"type": "function_call_output", "call_id": "e", "output": "done"}))
            } else {
                None
            };
            if let Some(result) = result {
                append(&client, name, result).await;
                last += 1;
            }
            // What is not answered yet is left to the next job.
            append(&client, name, said("assistant", "This way.")).await;
            last += 3;
            let summary = sum_up(&client, name).await;
            assert_eq!(summary["last_seq"], last, "{name}: {summary}");
            let text = summary["text"].as_str().unwrap();
            assert!(text.contains(line), "{name}: {text:.300}");
        }
    }
}

#[tokio::test]
async fn a_summarizer_keeps_nothing_of_1000_events() {
    for (name, _) in SUMMARIZERS {
        let web = Web::start(|_| Answer::chat("What a model said.")).await;
        let daemon = daemon(name, &web).await;
        let client = daemon.client();
        let tried = started(&client.get("/metrics").await.text);
        for round in 0..10 {
            talk(&client, name, round, 100).await;
        }
        // A job has whole turns only, so the first may end a turn before the last event.
        let first = sum_up(&client, name).await["last_seq"].as_u64().unwrap();
        assert!((998..=1_000).contains(&first), "{name}: {first}");
        for job in 1..=JOBS {
            talk(&client, name, job, 10).await;
            assert_eq!(sum_up(&client, name).await["last_seq"], 1_000 + 10 * job, "{name}");
        }
        let metrics = client.get("/metrics").await.text;
        assert_eq!(started(&metrics) - tried, 1, "{name}: one instance takes all calls");
    }
}
