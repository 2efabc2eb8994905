//! Asking models, with a guest that does and a server that speaks their protocol.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Value, json};
use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::wat;
use sessiond_tests::web::{Answer, Web};

const MODEL: &str = "sessiond:plugin/chat-model@0.1.0";
const KEY: &str = "sk-very-secret";

fn chat(text: &str) -> Answer {
    Answer::json(
        200,
        json!({
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }),
    )
}

fn config(file: &std::path::Path, base: &str, grants: &str, more: &str) -> String {
    format!(
        "[hooks]\nappend = [\"asks\"]\n[models.small]\nurl = \"{base}/v1/\"\nmodel = \"tiny-1\"\n\
         api_key = {KEY:?}\nmax_tokens = 40\n{more}[plugins.asks]\npath = {file:?}\n{grants}"
    )
}

/// A daemon whose append hook asks a model.
async fn daemon(base: &str, grants: &str, more: &str) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asks.wasm");
    std::fs::write(&file, wat::granted("asks", &[MODEL])).unwrap();
    let daemon = Daemon::start(&config(&file, base, grants, more)).await;
    for app in ["shop", "club"] {
        let sessions = format!("/v1/apps/{app}/users/ann/sessions");
        daemon.client().post(&sessions, r#"{"id":"s"}"#).await.expect(201);
    }
    daemon
}

const GRANT: &str = "grants.models = [\"small\"]\n";

/// What the guest says, which it does by a rejection.
async fn says(client: &Client, app: &str) -> String {
    let path = format!("/v1/apps/{app}/users/ann/sessions/s/events");
    let reply = client.post(&path, r#"{"role":"user","content":"x"}"#).await.expect(422).json();
    reply["rejection"].as_str().unwrap_or_default().to_owned()
}

/// P24: the model is asked with the operator's key, which the guest never sees.
#[tokio::test]
async fn a_guest_asks_a_model() {
    let web = Web::start(|_| chat("The opposite of \"down\".")).await;
    let daemon = daemon(&web.base(), GRANT, "").await;
    assert_eq!(says(&daemon.client(), "shop").await, "The opposite of \"down\".");
    // Not at the trial, which has no grants.
    assert_eq!(web.asked().len(), 1);
    let asked = web.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(asked.headers["host"], web.address().to_string());
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let wanted = json!({
        "model": "tiny-1", "messages": [{"role": "user", "content": "What is \"up\"?"}],
        "max_tokens": 40, "temperature": 0.5, "stream": false,
    });
    assert_eq!(body, wanted);
    let metrics = daemon.client().get("/metrics").await.text;
    for wanted in [
        "sessiond_model_calls_total{plugin=\"asks\",model=\"small\",outcome=\"ok\"} 1",
        "sessiond_model_tokens_total{plugin=\"asks\",model=\"small\"} 10",
    ] {
        assert!(metrics.contains(wanted), "{metrics}");
    }
    let shown = run(&["check", "--config", daemon.config().to_str().unwrap()]).await.stdout;
    assert!(!String::from_utf8_lossy(&shown).contains(KEY) && !daemon.log().contains(KEY));
}

/// P24: errors are data, and say nothing of the key nor of what a server says of it.
#[tokio::test]
async fn what_goes_wrong_is_data() {
    let replies = Mutex::new(Vec::new());
    let quoting = json!({"error": {"message": format!("Incorrect API key: {KEY}")}});
    replies.lock().unwrap().extend([
        Answer::json(401, &quoting),
        Answer::json(429, &quoting),
        Answer::json(500, &quoting),
        Answer::json(200, "{\"choices\":[]}"),
        Answer::json(200, format!("\"{}\"", "x".repeat(2 << 20))),
    ]);
    let web = Web::start(move |_| replies.lock().unwrap().remove(0)).await;
    let daemon = daemon(&web.base(), GRANT, "").await;
    for wanted in [
        "refused: the server of the model \"small\" refuses the request: HTTP 401 Unauthorized",
        "unavailable: the server of the model \"small\" is overloaded: HTTP 429 Too Many Requests",
        "unavailable: the server of the model \"small\" has failed: HTTP 500 Internal Server Error",
        "bad-answer: the answer is not of the shape of chat completions",
        "bad-answer: the answer is too large",
    ] {
        assert_eq!(says(&daemon.client(), "shop").await, wanted);
    }
    drop(web);
    let told = says(&daemon.client(), "shop").await;
    assert_eq!(told, "unavailable: the model \"small\" cannot be reached");
    let log = daemon.log();
    assert!(
        log.contains("no answer of the model \\\"small\\\": unavailable") && !log.contains(KEY),
        "{log}"
    );
}

/// P2, P3: a server that does not answer costs the guest no more than its deadline, nor than the
/// time of the model; and the guest may go on.
#[tokio::test]
async fn a_silent_model_is_given_up() {
    let web = Web::start(|_| Answer::Silence).await;
    for (more, limits) in
        [("", "limits.time = \"600ms\"\n"), ("timeout = \"300ms\"\n", "limits.time = \"20s\"\n")]
    {
        let daemon = daemon(&web.base(), &format!("{GRANT}{limits}"), more).await;
        let begin = Instant::now();
        let told = says(&daemon.client(), "shop").await;
        assert!(told.starts_with("time-out: there was no answer within "), "{told}");
        assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    }
}

/// A budget is counted for each app, and settled by what the model's server counts.
#[tokio::test]
async fn a_budget_is_kept() {
    let web = Web::start(|_| chat("yes")).await;
    let budget =
        format!("{GRANT}grants.model_budget = {{ calls = 2, tokens = 100, per = \"1h\" }}\n");
    let daemon = daemon(&web.base(), &budget, "").await;
    let client = daemon.client();
    // Each reserves about 50 tokens, and spends 10.
    assert_eq!(says(&client, "shop").await, "yes");
    assert_eq!(says(&client, "shop").await, "yes");
    let told = says(&client, "shop").await;
    assert!(told.starts_with("over-budget: all 2 calls of `model_budget.calls`"), "{told}");
    assert_eq!(says(&client, "club").await, "yes");
    assert_eq!(web.asked().len(), 3);

    let small = format!("{GRANT}grants.model_budget.tokens = 45\n");
    let other = self::daemon(&web.base(), &small, "").await;
    let told = says(&other.client(), "shop").await;
    assert!(
        told.contains("may take 48 tokens, and 45 of the 45 of `model_budget.tokens`"),
        "{told}"
    );
    assert_eq!(web.asked().len(), 3);
}

/// P54: what does not go together is told with line, key and fix.
#[tokio::test]
async fn models_and_grants_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asks.wasm");
    std::fs::write(&file, wat::granted("asks", &[MODEL])).unwrap();
    let check = async |text: String| {
        let config = folder.path().join("s.toml");
        std::fs::write(&config, text).unwrap();
        let output = run(&["check", "--config", config.to_str().unwrap()]).await;
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told =
        check(config(&file, "http://127.0.0.1:1", "grants.models = [\"large\"]\n", "")).await;
    assert!(told.contains("there is no model \"large\": add a table [models.large]"), "{told}");
    assert!(told.contains("no plugin may ask this model"), "{told}");
    let told =
        check(config(&file, "ftp://h", "grants.model_budget.calls = 0\n", "timeout = \"0s\"\n"))
            .await;
    for wanted in [
        "models.small.url: write where its API is",
        "models.small.timeout: write a duration above zero",
        "grants.model_budget.calls: write a number from 1",
        "grants.model_budget: this is for a plugin with models",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    let none = format!("[hooks]\nappend = [\"asks\"]\n[plugins.asks]\npath = {file:?}\n");
    let told = check(none).await;
    assert!(
        told.contains("add [plugins.asks.grants] models = [\"MODEL\"] and a table [models.MODEL]"),
        "{told}"
    );
}
