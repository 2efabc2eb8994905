//! Hooks on every way in and out, with real plugins.

use serde_json::Value;
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::replay::planted::{MAIL, SECRETS};

const USER: &str = "/v1/apps/shop/users/ann";

async fn with_plugins() -> Daemon {
    Daemon::start(&sessiond_tests::replay::plugins()).await
}

/// R87, R89: every way in passes the append hooks: create, append, batch, the state of a session, a
/// user and an app, and a summary on its way to the store.
#[tokio::test]
async fn every_way_in_is_screened() {
    let daemon = with_plugins().await;
    let client = daemon.client();
    let state =
        format!(r#"{{"state":{{"mail":"{MAIL}","user:u":["{MAIL}"],"app:a":{{"{MAIL}":1}}}}}}"#);
    client
        .post(&format!("{USER}/sessions"), state.replacen('{', r#"{"id":"s","#, 1))
        .await
        .expect(201);
    client.patch(&format!("{USER}/sessions/s/state"), state.clone()).await.expect(200);
    let own = format!(r#"{{"state":{{"k":"{MAIL}"}}}}"#);
    client.patch(&format!("{USER}/state"), own.clone()).await.expect(204);
    client.patch("/v1/apps/shop/state", own).await.expect(204);
    let event = format!(r#"{{"role":"user","content":"{MAIL}"}}"#);
    let events = format!("{USER}/sessions/s/events");
    client.post(&events, event.clone()).await.expect(200);
    client
        .post(
            &events,
            format!(r#"{{"events":[{event},{{"event":{event},"state_delta":{{"d":"{MAIL}"}}}}]}}"#),
        )
        .await
        .expect(200);
    let summaries = format!("{USER}/sessions/s/summaries");
    let made = client.post(&summaries, r#"{"force":true,"wait":true}"#).await.expect(200).json();
    assert_eq!(made["outcome"], "stored", "{made}");

    for path in [
        "sessions/s?summary=include",
        "sessions/s/events",
        "sessions/s/state",
        "state",
        "sessions/s/summaries",
    ] {
        let text = client.get(&format!("{USER}/{path}")).await.expect(200).text;
        assert!(text.contains("[email]") && !text.contains("planted"), "{path}: {text}");
    }
    let export = daemon.export().await;
    let export = Value::Array(export).to_string();
    assert!(SECRETS.iter().all(|secret| !export.contains(secret)), "{export}");
    let state = client.get(&format!("{USER}/sessions/s/state")).await.json();
    assert_eq!(state["state"]["app:a"]["[email]"], 1);
    assert_eq!(state["state"]["user:u"][0], "[email]");
}

/// R10: a retry is answered without a call to any hook.
#[tokio::test]
async fn a_retry_is_not_screened_again() {
    let daemon = with_plugins().await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    let item = format!(r#"{{"id":"e","event":{{"role":"user","content":"{MAIL}"}}}}"#);
    let events = format!("{USER}/sessions/s/events");
    for duplicate in [false, true, true] {
        let reply = client.post(&events, item.clone()).await.expect(200).json();
        assert_eq!(
            (&reply["items"][0]["duplicate"], &reply["items"][0]["seq"]),
            (&duplicate.into(), &1.into())
        );
    }
    let other = client.post(&events, item.replace(MAIL, "x@y.example")).await;
    assert_eq!(other.expect(409).code(), "id_conflict");
    let metrics = client.get("/metrics").await.text;
    assert!(
        metrics.contains("plugin=\"redact\",interface=\"before-append\",outcome=\"ok\"} 1"),
        "{metrics}"
    );
}

/// R88: a get hook changes what is shown, and nothing of what is stored.
#[tokio::test]
async fn a_get_hook_changes_only_what_is_shown() {
    let daemon = with_plugins().await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    for turn in 1..=6 {
        let body = format!(
            r#"{{"events":[{{"role":"user","content":"q{turn}"}},{{"role":"assistant","content":"a{turn}"}}]}}"#
        );
        client.post(&format!("{USER}/sessions/s/events"), body).await.expect(200);
    }
    let before = daemon.export().await;
    let session = client.get(&format!("{USER}/sessions/s")).await.expect(200).json();
    let shown: Vec<_> =
        session["events"].as_array().unwrap().iter().map(|event| event["seq"].clone()).collect();
    assert_eq!(shown, [5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(daemon.export().await, before);
}

/// The hook in C: the fourth language of the examples.
#[tokio::test]
async fn a_hook_in_c_caps_what_tools_answer() {
    let file = guest("cap-tool-results-c");
    let daemon =
        Daemon::start(&format!("[hooks]\nappend = [\"cap\"]\n[plugins.cap]\npath = {file:?}\n"))
            .await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    let long = "ü".repeat(20_000);
    let bodies = [
        format!(r#"{{"role":"tool","tool_call_id":"c","content":"{long}"}}"#),
        format!(
            r#"{{"author":"a","content":{{"role":"user","parts":[{{"functionResponse":{{"id":"c","name":"f","response":{{"r":"{long}"}}}}}}]}}}}"#
        ),
        format!(r#"{{"role":"user","content":"{long}"}}"#),
    ];
    for body in &bodies {
        client.post(&format!("{USER}/sessions/s/events"), body.clone()).await.expect(200);
    }
    let session = client.get(&format!("{USER}/sessions/s?window=exact")).await.expect(200).json();
    let size = |at: usize| session["events"][at]["event"].to_string().len();
    assert!(size(0) < 17_000 && size(1) < 20_000, "{} {}", size(0), size(1));
    assert_eq!(session["events"][2]["event"].to_string().len(), bodies[2].len());
}
