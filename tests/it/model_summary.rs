//! Summaries by a model, with a server that speaks the protocol of models.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::wait::eventually;
use sessiond_tests::web::{Answer, Asked, Web};

const SESSION: &str = "/v1/apps/shop/users/ann/sessions/s";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn daemon(web: &Web, model: &str) -> Daemon {
    let file = guest("model-summary-rust");
    let base = web.base();
    let daemon = Daemon::start(&format!(
        "[summary]\nplugin = \"summarizer\"\n\
         [models.small]\nurl = \"{base}/v1\"\nmodel = \"tiny-1\"\n{model}\n\
         [plugins.summarizer]\npath = {file:?}\ngrants.models = [\"small\"]\n\
         [plugins.summarizer.config]\nmodel = \"small\"\nmax_words = \"99\"\n\
         instructions = \"Keep order numbers.\"\n"
    ))
    .await;
    daemon.client().post("/v1/apps/shop/users/ann/sessions", r#"{"id":"s"}"#).await.expect(201);
    daemon
}

async fn say(client: &Client, turns: std::ops::Range<usize>) {
    let turns = turns.map(|turn| {
        format!(
            r#"{{"role":"user","content":"question {turn}."}},{{"role":"assistant","content":"answer {turn}."}}"#
        )
    });
    let body = format!(r#"{{"events":[{}]}}"#, turns.collect::<Vec<_>>().join(","));
    let headers = [("x-request-id", "cause-1"), ("traceparent", TRACE)];
    let reply = client.send("POST", &format!("{SESSION}/events"), &headers, body).await.unwrap();
    reply.expect(200);
}

async fn summary(client: &Client) -> Value {
    client.get(&format!("{SESSION}/summaries")).await.expect(200).json()["summaries"][0].clone()
}

fn said_to_model(asked: &Asked) -> String {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    body["messages"][1]["content"].as_str().unwrap().to_owned()
}

/// The model gets the summary so far and what is new; an overloaded one is asked again; and the log
/// tells which request the job was for (R71).
#[tokio::test]
async fn a_model_sums_up_and_carries_on() {
    let answers = Mutex::new(vec![
        Answer::json(503, "{}"),
        Answer::Later(Duration::from_millis(300), Box::new(Answer::chat(" First summary. "))),
        Answer::chat("Second summary."),
    ]);
    let web = Web::start(move |_| answers.lock().unwrap().remove(0)).await;
    let daemon = daemon(&web, "").await;
    let client = daemon.client();
    say(&client, 0..11).await;
    let first = eventually("a summary", async || {
        let summary = summary(&client).await;
        summary["text"].is_string().then_some(summary)
    })
    .await;
    assert_eq!((&first["text"], &first["last_seq"]), (&"First summary.".into(), &22.into()));
    say(&client, 11..22).await;
    eventually("the next", async || {
        (summary(&client).await["text"] == "Second summary.").then_some(())
    })
    .await;

    let asked = web.asked();
    assert_eq!(asked.len(), 3);
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    let task = body["messages"][0]["content"].as_str().unwrap();
    assert!(task.contains("at most 99 words") && task.ends_with("Keep order numbers."), "{task}");
    assert_eq!(said_to_model(&asked[0]), said_to_model(&asked[1]));
    let next = said_to_model(&asked[2]);
    assert!(next.contains("First summary.") && next.contains("answer 21."), "{next}");
    assert!(!next.contains("question 10."), "{next}");

    let log = daemon.log();
    let jobs: Vec<&str> = log.lines().filter(|line| line.contains("summary job")).collect();
    assert_eq!(jobs.len(), 3, "{log}");
    for line in jobs {
        assert!(line.contains("cause-1") && line.contains(TRACE), "{line}");
    }
    assert!(!log.contains("question 1"), "a conversation is in the log");
}

/// What will not pass is told at once; what may pass, and a model that is silent, end in time.
#[tokio::test]
async fn a_model_that_fails_is_told() {
    let answers = Mutex::new(vec![
        Answer::json(401, "{}"),
        Answer::chat("  "),
        Answer::json(200, "{}"),
        Answer::Silence,
        Answer::chat("At last."),
    ]);
    let web = Web::start(move |_| answers.lock().unwrap().remove(0)).await;
    let daemon = daemon(&web, "timeout = \"500ms\"").await;
    let client = daemon.client();
    say(&client, 0..2).await;
    let ask = async |status| {
        let body = r#"{"force":true,"wait":true}"#;
        let reply = client.post(&format!("{SESSION}/summaries"), body).await.expect(status).json();
        reply["rejection"].as_str().unwrap_or_default().to_owned()
    };
    assert!(ask(422).await.contains("(refused)"));
    assert!(ask(503).await.contains("said nothing"));
    assert!(ask(503).await.contains("(bad-answer)"));
    assert!(ask(503).await.contains("(time-out)"));
    assert!(summary(&client).await.is_null());
    ask(200).await;
    assert_eq!(summary(&client).await["text"], "At last.");
}
