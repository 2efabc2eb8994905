//! What `encrypt-at-rest-rust` says of those who can write to the store: a text that is moved, changed
//! or sealed with another key opens nowhere, and is never shown in another form.
//!
//! A second daemon on the same Redis, without the plugin, stands for them.

use serde_json::{Value, json};
use sessiond_tests::client::{Client, Reply};
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::redis_server::RedisServer;

use super::message;

const ANN: &str = "/v1/apps/shop/users/ann/sessions";
const BOB: &str = "/v1/apps/shop/users/bob/sessions";
const SAID: &str = "the words of ann";
const CHANGED: &str = "A stored text cannot be decrypted.";
const MISSING: &str = "The key of a stored text is not in the settings.";

/// The settings of a daemon whose current key is the last one of `keys`.
fn settings(keys: &[&str]) -> String {
    let file = guest("encrypt-at-rest-rust");
    let current = keys.last().unwrap();
    let keys: String =
        keys.iter().map(|it| format!("key-{it} = \"{}\"\n", it.repeat(64))).collect();
    format!(
        "[hooks]\nappend = [\"encrypt\"]\nget = [\"encrypt\"]\n[plugins.encrypt]\npath = {file:?}\n\
         [plugins.encrypt.config]\ncurrent = \"{current}\"\n{keys}"
    )
}

async fn daemon(redis: &RedisServer, settings: &str) -> Daemon {
    Daemon::start(&format!("[redis]\nurl = {:?}\n{settings}", redis.url())).await
}

async fn append(client: &Client, session: &str, id: &str, event: Value) {
    let body = json!({"id": id, "event": event}).to_string();
    client.post(&format!("{session}/events"), body).await.expect(200);
}

/// Makes a session with one event, the way an attacker with access to the store would.
async fn plant(store: &Client, sessions: &str, session: &str, id: &str, text: &str) {
    store.post(sessions, json!({"id": session}).to_string()).await.expect(201);
    append(store, &format!("{sessions}/{session}"), id, message(text)).await;
}

async fn texts(client: &Client, session: &str) -> Vec<String> {
    let shown = client.get(session).await.expect(200).json();
    let events = shown["events"].as_array().unwrap().iter();
    events.map(|it| it["event"]["content"].as_str().unwrap().to_owned()).collect()
}

/// That a read is refused, with the reason, and shows neither the text nor what is stored of it.
fn refused(reply: &Reply, reason: &str, case: &str) {
    assert_eq!(reply.status, 503, "{case}: {}", reply.text);
    assert_eq!(reply.code(), "hook_unavailable", "{case}");
    assert!(reply.text.contains(reason), "{case}: {}", reply.text);
    assert!(!reply.text.contains(SAID) && !reply.text.contains("enc1:"), "{case}: {}", reply.text);
}

#[tokio::test]
async fn a_moved_or_changed_text_is_refused() {
    let redis = RedisServer::start().await;
    let encrypting = daemon(&redis, &settings(&["a", "b"])).await;
    let plain = daemon(&redis, "").await;
    let (reader, store) = (encrypting.client(), plain.client());
    reader.post(ANN, r#"{"id":"s"}"#).await.expect(201);
    append(&reader, &format!("{ANN}/s"), "e1", message(SAID)).await;
    assert_eq!(texts(&reader, &format!("{ANN}/s")).await, [SAID]);
    let sealed = texts(&store, &format!("{ANN}/s")).await.remove(0);
    assert!(sealed.starts_with("enc1:b:") && !sealed.contains(SAID), "{sealed}");

    // In its own place what was copied opens, so that the refusals below are about the place.
    store.delete(&format!("{ANN}/s")).await.expect(204);
    plant(&store, ANN, "s", "e1", &sealed).await;
    assert_eq!(texts(&reader, &format!("{ANN}/s")).await, [SAID]);

    plant(&store, ANN, "event", "e2", &sealed).await;
    refused(&reader.get(&format!("{ANN}/event")).await, CHANGED, "another event and session");
    append(&store, &format!("{ANN}/s"), "e2", message(&sealed)).await;
    refused(&reader.get(&format!("{ANN}/s")).await, CHANGED, "another event");
    plant(&store, ANN, "t", "e1", &sealed).await;
    refused(&reader.get(&format!("{ANN}/t")).await, CHANGED, "another session");
    plant(&store, BOB, "s", "e1", &sealed).await;
    refused(&reader.get(&format!("{BOB}/s")).await, CHANGED, "another user");

    // Of the base64: the nonce is the first 16 characters, the tag the last 21.
    let (head, base64) = sealed.split_at("enc1:b:".len());
    let other = |at: usize| {
        let mut base64 = base64.to_owned();
        let letter = if base64.as_bytes()[at] == b'A' { "B" } else { "A" };
        base64.replace_range(at..=at, letter);
        format!("{head}{base64}")
    };
    let changes = [
        ("the key", sealed.replace("enc1:b:", "enc1:a:"), CHANGED),
        ("a key that nobody has", sealed.replace("enc1:b:", "enc1:c:"), MISSING),
        ("the nonce", other(3), CHANGED),
        ("the text", other(20), CHANGED),
        ("the tag", other(base64.len() - 5), CHANGED),
        ("the length", head.to_owned() + &base64[..40], CHANGED),
        ("no base64", format!("{head}!{base64}"), CHANGED),
        ("nothing", head.to_owned(), CHANGED),
    ];
    for (case, changed, reason) in changes {
        store.delete(&format!("{ANN}/s")).await.expect(204);
        plant(&store, ANN, "s", "e1", &changed).await;
        refused(&reader.get(&format!("{ANN}/s")).await, reason, case);
    }
}

#[tokio::test]
async fn a_key_is_changed_for_another() {
    let redis = RedisServer::start().await;
    let session = format!("{ANN}/s");
    let old = daemon(&redis, &settings(&["a"])).await;
    old.client().post(ANN, r#"{"id":"s"}"#).await.expect(201);
    append(&old.client(), &session, "e1", message("before")).await;
    drop(old);

    let both = daemon(&redis, &settings(&["a", "b"])).await;
    append(&both.client(), &session, "e2", message("after")).await;
    assert_eq!(texts(&both.client(), &session).await, ["before", "after"]);
    let stored = texts(&daemon(&redis, "").await.client(), &session).await;
    assert!(stored[0].starts_with("enc1:a:") && stored[1].starts_with("enc1:b:"), "{stored:?}");
    drop(both);

    // Too early: there is still an event of the old key.
    let new = daemon(&redis, &settings(&["b"])).await;
    refused(&new.client().get(&session).await, MISSING, "the old key is gone");
    let newest = new.client().get(&format!("{session}?limit=1&window=exact")).await.expect(200);
    assert!(newest.text.contains("after"), "{}", newest.text);
}

/// R90: windows, pairs of calls and results, and reads around an event come out as without encryption,
/// though no text that is stored can be read.
#[tokio::test]
async fn what_is_encrypted_is_read_like_any_other() {
    let redis = RedisServer::start().await;
    let daemons = [daemon(&redis, &settings(&["a"])).await, Daemon::start("").await];
    let call = json!({"id": "c1", "type": "function",
        "function": {"name": "f", "arguments": format!("{{\"q\":\"{SAID}\"}}")}});
    let events = [
        message(SAID),
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": "c1", "content": SAID}),
        json!({"role": "assistant", "content": SAID}),
        message("and then?"),
        json!({"role": "assistant", "content": "nothing"}),
    ];
    let session = format!("{ANN}/s");
    for daemon in &daemons {
        daemon.client().post(ANN, r#"{"id":"s"}"#).await.expect(201);
        for (number, event) in events.iter().enumerate() {
            append(&daemon.client(), &session, &format!("e{number}"), event.clone()).await;
        }
    }
    let stored = daemon(&redis, "").await.export().await;
    assert!(!Value::Array(stored).to_string().contains(SAID));
    let limits = (1..=6).flat_map(|limit| {
        ["turn", "exact"].map(|window| format!("{session}?limit={limit}&window={window}"))
    });
    let around = (0..6).map(|at| format!("{session}/events/e{at}?before=1&after=1"));
    for path in limits.chain(around) {
        let mut shown = Vec::new();
        for daemon in &daemons {
            let reply = daemon.client().get(&path).await.expect(200).json();
            let events = reply["events"].as_array().unwrap().iter();
            shown.push(events.map(|it| it["event"].clone()).collect::<Vec<_>>());
        }
        assert!(!shown[1].is_empty(), "{path}");
        assert_eq!(shown[0], shown[1], "{path}");
    }
}
