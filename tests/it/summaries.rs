//! Summaries: when they are due, what they cover, and what they never do.

use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, guest, run};
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;

const SESSION: &str = "/v1/apps/shop/users/ann/sessions/s";

async fn daemon(options: &str) -> Daemon {
    let file = guest("rolling-summary-python");
    let daemon = Daemon::start(&format!(
        "[summary]\nplugin = \"rolling\"\n{options}\n[plugins.rolling]\npath = {file:?}\n"
    ))
    .await;
    daemon.client().post("/v1/apps/shop/users/ann/sessions", r#"{"id":"s"}"#).await.expect(201);
    daemon
}

async fn say(client: &Client, turns: std::ops::Range<usize>) {
    for turn in turns {
        let body = format!(
            r#"{{"events":[{{"role":"user","content":"question {turn}"}},{{"role":"assistant","content":"answer {turn}"}}]}}"#
        );
        client.post(&format!("{SESSION}/events"), body).await.expect(200);
    }
}

async fn boundary(client: &Client) -> u64 {
    let summaries = client.get(&format!("{SESSION}/summaries")).await.expect(200).json();
    summaries["summaries"][0]["last_seq"].as_u64().unwrap_or(0)
}

/// R61, R62, R74: due above 20 events, carried on from boundary to boundary, and no event is deleted.
#[tokio::test]
async fn a_summary_is_made_when_it_is_due_and_carried_on() {
    let daemon = daemon("").await;
    let client = daemon.client();
    say(&client, 0..10).await;
    assert_eq!(boundary(&client).await, 0);
    say(&client, 10..11).await;
    eventually("a summary", async || (boundary(&client).await == 22).then_some(())).await;
    say(&client, 11..21).await;
    assert_eq!(boundary(&client).await, 22);
    say(&client, 21..22).await;
    eventually("the next", async || (boundary(&client).await == 44).then_some(())).await;

    let session = client.get(&format!("{SESSION}?summary=include")).await.json();
    assert_eq!(session["events"].as_array().unwrap().len(), 44);
    let text = session["summaries"][0]["text"].as_str().unwrap();
    assert!(text.contains("question 0") && text.contains("question 21"), "{text}");
    assert_eq!(session["summaries"][0]["first_seq"], 1);
    let replaced = client.get(&format!("{SESSION}?summary=replace")).await.json();
    // Nothing is left but the turn that a window begins with.
    assert_eq!(replaced["events"].as_array().unwrap().len(), 1);
    let metrics = client.get("/metrics").await.text;
    assert!(metrics.contains("sessiond_summary_jobs_total{outcome=\"stored\"} 2"), "{metrics}");
}

/// R68: without a plugin there are neither workers nor a queue, and who asks is told; and no number
/// stands for another.
#[tokio::test]
async fn without_a_plugin_nobody_sums_up() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    client.post("/v1/apps/shop/users/ann/sessions", r#"{"id":"s"}"#).await.expect(201);
    say(&client, 0..15).await;
    for ask in ["", r#"{"wait":true,"force":true}"#] {
        let refused = client.post(&format!("{SESSION}/summaries"), ask).await.expect(409);
        assert_eq!(refused.code(), "no_summarizer");
    }
    let metrics = client.get("/metrics").await.text;
    assert!(!metrics.contains("sessiond_summary"), "{metrics}");
    assert!(daemon.admin("/v1/admin/queues").await["summaries"].is_null());
    for (key, sentence) in [
        ("workers = 0", "summary.workers: write a number from 1 to 1000"),
        ("queue_size = 0", "summary.queue_size: write a number from 1 to 1000000"),
        ("job_timeout = \"0s\"", "summary.job_timeout: write a duration above zero"),
    ] {
        let file = daemon.folder().join("zero.toml");
        std::fs::write(&file, format!("[summary]\n{key}\n")).unwrap();
        let output = run(&["check", "--config", file.to_str().unwrap()]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(sentence), "{key}: {told}");
    }
}

/// R72: what tools are called with and answer counts, in every dialect.
#[tokio::test]
async fn a_large_payload_of_a_tool_makes_a_summary_due() {
    let daemon =
        daemon("min_events = 1000\nmin_turns = 1\n[session]\nmax_event_size = \"2MiB\"").await;
    let client = daemon.client();
    let large = "x".repeat(1 << 20);
    let turns = [
        format!(
            r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":"{large}"}}}}]}},
               {{"role":"tool","tool_call_id":"c","content":"ok"}}"#
        ),
        format!(
            r#"{{"type":"function_call","call_id":"c","name":"f","arguments":"{{}}"}},
               {{"type":"function_call_output","call_id":"c","output":"{large}"}}"#
        ),
        format!(
            r#"{{"id":"a1","author":"bot","invocationId":"i","timestamp":1.0,"content":{{"role":"model","parts":[
                 {{"functionCall":{{"id":"c","name":"f","args":{{"x":"{large}"}}}}}}]}}}},
               {{"id":"a2","author":"bot","invocationId":"i","timestamp":2.0,"content":{{"role":"user","parts":[
                 {{"functionResponse":{{"id":"c","name":"f","response":{{}}}}}}]}}}}"#
        ),
    ];
    let sessions = "/v1/apps/shop/users/ann/sessions";
    let summaries = async |id: &str| {
        let reply = client.get(&format!("{sessions}/{id}/summaries")).await.expect(200).json();
        reply["summaries"].as_array().unwrap().len()
    };
    for (number, calls) in turns.iter().enumerate() {
        for (id, calls) in [
            (format!("small{number}"), &calls.replace(&large, "x")),
            (format!("large{number}"), calls),
        ] {
            client.post(sessions, format!("{{\"id\":\"{id}\"}}")).await.expect(201);
            let events = format!("{sessions}/{id}/events");
            client.post(&events, r#"{"role":"user","content":"look"}"#).await.expect(200);
            client.post(&events, format!("{{\"events\":[{calls}]}}")).await.expect(200);
        }
        let large = format!("large{number}");
        eventually("a summary", async || (summaries(&large).await == 1).then_some(())).await;
        assert_eq!(summaries(&format!("small{number}")).await, 0);
    }
}

#[tokio::test]
async fn a_summary_is_made_on_demand() {
    let daemon = daemon("min_events = 1000\nmin_tokens = 100000").await;
    let client = daemon.client();
    let summaries = format!("{SESSION}/summaries");
    let ask = async |body: &str| client.post(&summaries, body.to_owned()).await;
    assert_eq!(ask(r#"{"wait":true}"#).await.expect(200).json()["outcome"], "nothing_new");
    say(&client, 0..2).await;
    let made = ask(r#"{"wait":true,"force":true}"#).await.expect(200).json();
    assert_eq!((&made["outcome"], &made["last_seq"]), (&"stored".into(), &4.into()));
    assert_eq!(
        ask(r#"{"wait":true,"force":true}"#).await.expect(200).json()["outcome"],
        "nothing_new"
    );
    say(&client, 2..3).await;
    ask("").await.expect(202);
    eventually("a summary", async || (boundary(&client).await == 6).then_some(())).await;
    let missing = client.post("/v1/apps/shop/users/ann/sessions/none/summaries", "").await;
    assert_eq!(missing.expect(404).code(), "session_not_found");
}

/// A summary says which events it never saw.
#[tokio::test]
async fn what_was_trimmed_before_a_summary_saw_it_is_told() {
    let file = guest("rolling-summary-python");
    let config = format!(
        "[session]\nevent_limit = 4\n[summary]\nplugin = \"rolling\"\n[plugins.rolling]\npath = {file:?}\n"
    );
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();
    client.post("/v1/apps/shop/users/ann/sessions", r#"{"id":"s"}"#).await.expect(201);
    say(&client, 0..5).await;
    client.post(&format!("{SESSION}/summaries"), r#"{"wait":true,"force":true}"#).await.expect(200);
    let summary = client.get(&format!("{SESSION}/summaries")).await.json()["summaries"][0].clone();
    assert_eq!(summary["unseen"]["first_seq"], 1);
    assert_eq!(summary["unseen"]["last_seq"], 6);
    assert_eq!((&summary["first_seq"], &summary["last_seq"]), (&7.into(), &10.into()));
}

/// R89: a summarizer reads past the get hooks like anybody else; what they hide is covered all the
/// same, and stays stored.
#[tokio::test]
async fn what_a_get_hook_hides_is_in_no_summary() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hide.wasm");
    let hook = wat::component(&wat::hostile("hide_early"), "after-get-plugin");
    std::fs::write(&file, hook).unwrap();
    let more = format!("[hooks]\nget = [\"hide\"]\n[plugins.hide]\npath = {file:?}");
    let daemon = daemon(&more).await;
    let client = daemon.client();
    say(&client, 0..1).await;
    let summaries = format!("{SESSION}/summaries");
    let ask = async || {
        let asked = client.post(&summaries, r#"{"wait":true,"force":true}"#).await;
        asked.expect(200).json()
    };
    assert_eq!(ask().await["outcome"], "empty");
    say(&client, 1..3).await;
    let made = ask().await;
    assert_eq!((&made["outcome"], &made["last_seq"]), (&"stored".into(), &6.into()));
    let summary = client.get(&summaries).await.json()["summaries"][0].clone();
    let text = summary["text"].as_str().unwrap();
    assert!(text.contains("question 1") && text.contains("question 2"), "{text}");
    assert!(!text.contains("question 0"), "{text}");
    assert_eq!((&summary["first_seq"], &summary["last_seq"]), (&1.into(), &6.into()));
    assert_eq!(ask().await["outcome"], "nothing_new");
    assert_eq!(client.get(SESSION).await.expect(200).json()["last_seq"], 6);
}
