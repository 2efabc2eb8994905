//! The routes of ADK's own server: its members to the letter, and no others.

use serde_json::{Value, json};
use sessiond_tests::daemon::Daemon;

const SESSIONS: &str = "/apps/hello/users/u1/sessions";

fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A session as ADK's server has it, from creation to deletion.
#[tokio::test]
async fn a_session_is_as_adks_own_server_has_it() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    let body = json!({ "sessionId": "s1", "state": { "locale": "en", "app:tier": "gold", "user:name": "Zoë" } });
    let created = client.post(SESSIONS, body.to_string()).await.expect(200);
    assert!(created.headers.contains_key("etag") && created.headers.contains_key("x-session-seq"));
    let session = created.json();
    let all = ["appName", "events", "id", "lastUpdateTime", "state", "userId"];
    assert_eq!(names(&session), all);
    assert_eq!((&session["appName"], &session["userId"]), (&json!("hello"), &json!("u1")));
    let state = json!({ "locale": "en", "app:tier": "gold", "user:name": "Zoë" });
    assert_eq!((&session["state"], &session["events"]), (&state, &json!([])));
    assert!(session["lastUpdateTime"].as_f64().unwrap() > 1.7e9);

    let again = client.post(SESSIONS, body.to_string()).await.expect(409);
    assert_eq!(again.json(), json!({ "detail": "Session already exists: s1" }));
    let named = format!("{SESSIONS}/s:2");
    assert_eq!(client.post(&named, r#"{"a":1}"#).await.expect(200).json()["state"]["a"], 1);
    assert_eq!(client.get(&named).await.expect(200).json()["id"], "s:2");
    client.post(SESSIONS, "").await.expect(200);

    let one = format!("{SESSIONS}/s1");
    let event = json!({
        "id": "e1", "invocationId": "i1", "author": "hello", "timestamp": 1795590559.664356,
        "content": { "role": "model", "parts": [
            { "text": "hi" }, { "functionCall": { "id": "c1", "name": "f", "args": { "x": 1 } } } ] },
        "turn_complete": true, "errorCode": null, "unheardOf": 1,
        "actions": { "stateDelta": { "n": 1, "temp:t": 2, "gone": null }, "unheardOf": 2, "escalate": true },
    });
    let events = format!("{one}/events");
    let stored = client.post(&events, event.to_string()).await.expect(200).json();
    let kept = json!({
        "id": "e1", "invocationId": "i1", "author": "hello", "timestamp": 1795590559.664356,
        "content": event["content"], "turnComplete": true,
        "actions": { "stateDelta": { "n": 1, "gone": null }, "escalate": true },
    });
    assert_eq!(stored, kept);
    // A retry is answered in the same way, and stored once.
    assert_eq!(client.post(&events, event.to_string()).await.expect(200).json(), kept);
    let partial =
        r#"{"id":"p","author":"hello","partial":true,"content":{"parts":[{"text":"h"}]}}"#;
    assert_eq!(client.post(&events, partial).await.expect(200).json(), Value::Null);
    let session = client.get(&one).await.expect(200).json();
    assert_eq!(session["events"], json!([kept]));
    assert_eq!((&session["state"]["n"], &session["state"]["temp:t"]), (&json!(1), &Value::Null));

    let changed = client.patch(&one, r#"{"stateDelta":{"locale":"de"}}"#).await.expect(200).json();
    assert_eq!(changed["state"]["locale"], "de");
    let last = changed["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["author"], &last["content"]), (&json!("user"), &Value::Null));
    assert!(last["invocationId"].as_str().unwrap().starts_with("p-"), "{last}");

    // R17: filters that ADK has, over HTTP.
    let read = async |query: &str| {
        let session = client.get(&format!("{one}?{query}")).await.expect(200).json();
        session["events"].as_array().unwrap().len()
    };
    assert_eq!(read("numRecentEvents=0").await, 0);
    assert_eq!(read("numRecentEvents=1").await, 1);
    assert_eq!(read("afterTimestamp=1795590559.664356").await, 2);
    assert_eq!(read("afterTimestamp=1795590559.664357").await, 1);
    assert_eq!(read("afterTimestamp=0").await, 2);

    client.post(&format!("{SESSIONS}/___eval___session___1"), "").await.expect(200);
    let list = client.get(SESSIONS).await.expect(200).json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!((&list[2]["id"], &list[2]["events"]), (&json!("s1"), &json!([])));
    assert_eq!(list[2]["state"]["locale"], "de");
    let page = client.get(&format!("{SESSIONS}?pageSize=1")).await.expect(200);
    assert_eq!(page.json().as_array().unwrap().len(), 1);
    assert!(page.headers.contains_key("x-next-page-token"));

    for _ in 0..2 {
        assert_eq!(client.delete(&one).await.expect(200).text, "null");
    }
    let missing = client.get(&one).await.expect(404);
    assert_eq!(missing.json(), json!({ "detail": "Session not found" }));
    assert_eq!(client.post(&events, event.to_string()).await.expect(404).json(), missing.json());
}

/// A session may begin with events; if one of them is refused there is no session.
#[tokio::test]
async fn a_session_may_begin_with_events() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    let events = r#"[{"id":"1","author":"user","content":{"role":"user","parts":[{"text":"a"}]}},
        {"id":"2","author":"hello","actions":{"stateDelta":{"k":1}}}]"#;
    let body = format!(r#"{{"sessionId":"s","events":{events}}}"#);
    let session = client.post(SESSIONS, body).await.expect(200).json();
    assert_eq!(
        (session["events"].as_array().unwrap().len(), &session["state"]["k"]),
        (2, &json!(1))
    );
    let clash = r#"{"sessionId":"t","events":[{"id":"1","author":"a"},{"id":"1","author":"b"}]}"#;
    let refused = client.post(SESSIONS, clash).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    assert!(refused.json()["detail"].is_string());
    client.get(&format!("{SESSIONS}/t")).await.expect(404);
}

/// What other dialects have stored is shown as ADK would have it, and their own routes show what came
/// by ADK's.
#[tokio::test]
async fn dialects_meet() {
    let daemon = Daemon::start("[adk]\nbase_path = \"/adk/x\"\n").await;
    let client = daemon.client();
    let ours = "/v1/apps/hello/users/u1/sessions";
    client.post(ours, r#"{"id":"s"}"#).await.expect(201);
    for body in [
        r#"{"role":"user","content":"weather?"}"#,
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}"#,
        r#"{"role":"tool","tool_call_id":"c","content":"sunny"}"#,
    ] {
        client.post(&format!("{ours}/s/events"), body).await.expect(200);
    }
    let session = client.get(&format!("/adk/x{SESSIONS}/s")).await.expect(200).json();
    let contents: Vec<_> =
        session["events"].as_array().unwrap().iter().map(|event| &event["content"]).collect();
    assert_eq!(contents[0], &json!({ "role": "user", "parts": [{ "text": "weather?" }] }));
    let call = json!({ "id": "c", "name": "f", "args": { "x": 1 } });
    assert_eq!(contents[1]["parts"][0]["functionCall"], call);
    let response = &contents[2]["parts"][0]["functionResponse"];
    assert_eq!(
        (&response["id"], &response["response"]),
        (&json!("c"), &json!({ "result": "sunny" }))
    );
    for event in session["events"].as_array().unwrap() {
        assert_eq!(
            names(event),
            ["actions", "author", "content", "id", "invocationId", "timestamp"]
        );
    }
    let posted = r#"{"id":"a","author":"user","content":{"role":"user","parts":[{"text":"x"}]}}"#;
    client.post(&format!("/adk/x{SESSIONS}/s/events"), posted).await.expect(200);
    assert!(client.get(&format!("{ours}/s")).await.text.contains(posted));
    client.get(&format!("{SESSIONS}/s")).await.expect(404);
    let off = Daemon::start("[adk]\nenabled = false\n").await;
    off.client().get(SESSIONS).await.expect(404);
}
