//! The plugin conformance run: whatever its language, a plugin takes what the daemon passes it, and
//! holds nothing of it afterwards.
//!
//! | scenario | for whom |
//! |---|---|
//! | `every_guest_takes_what_there_is`, `no_guest_keeps_what_it_was_given` | all examples with hooks, all templates (`GUESTS`) |
//! | `every_template_edits_and_rejects` | all templates |
//! | `summarizers::*` | `rolling-summary-python`, and `model-summary-rust` with a model that is played (more of it in `model_summary`) |
//! | `encryption::*`, `nonces_differ_in_fresh_instances` | `encrypt-at-rest-rust` |
//! | the others, one each | what the example is for |

mod encryption;
mod summarizers;

use serde_json::{Value, json};
use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, guest, run};
use tokio::sync::OnceCell;

const USER: &str = "/v1/apps/shop/users/ann";
/// Calls on one instance.
const CALLS: usize = 2_000;
/// Every how many calls one reads the whole session.
const WHOLE: usize = 20;

/// A plugin under test: its component, the hooks that name it, and the rest of its table.
struct Guest {
    name: &'static str,
    hooks: &'static str,
    table: &'static str,
}

const APPEND: &str = "append = [\"it\"]";
const GET: &str = "get = [\"it\"]";
const BOTH: &str = "append = [\"it\"]\nget = [\"it\"]";
const KEY: &str = "[plugins.it.config]\ncurrent = \"a\"\nsummaries = \"plain\"\n\
    key-a = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"\n";

const fn plain(name: &'static str, hooks: &'static str) -> Guest {
    Guest { name, hooks, table: "" }
}

const GUESTS: [Guest; 19] = [
    plain("redact-secrets-rust", APPEND),
    Guest { name: "encrypt-at-rest-rust", hooks: BOTH, table: KEY },
    plain("recent-turns-javascript", GET),
    plain("hide-tool-payloads-typescript", GET),
    Guest {
        name: "moderate-words-python",
        hooks: APPEND,
        table: "[plugins.it.config]\nwords = \"forbidden\"\n",
    },
    plain("cap-tool-results-c", APPEND),
    plain("state-note-cpp", GET),
    Guest {
        name: "read-guard-zig",
        hooks: GET,
        table: "[plugins.it.config]\nanonymous = \"allow\"\n",
    },
    plain("audit-log-nim", APPEND),
    Guest { name: "drop-duplicates-go", hooks: APPEND, table: "grants.keyvalue = {}\n" },
    plain("template-rust", APPEND),
    plain("template-javascript", APPEND),
    plain("template-typescript", APPEND),
    plain("template-python", APPEND),
    plain("template-c", APPEND),
    plain("template-cpp", APPEND),
    plain("template-go", APPEND),
    plain("template-zig", APPEND),
    plain("template-nim", APPEND),
];

impl Guest {
    async fn daemon(&self, more: &str) -> Daemon {
        COMPILED.get_or_init(compile).await;
        let file = guest(self.name);
        let Self { hooks, table, .. } = self;
        let table = format!("[hooks]\n{hooks}\n[plugins.it]\npath = {file:?}\n{more}{table}");
        Daemon::start(&table).await
    }
}

/// Whether all components are in the cache. A large one takes longer to compile, on a busy machine,
/// than a test waits for its daemon.
static COMPILED: OnceCell<()> = OnceCell::const_new();

async fn compile() {
    let names = GUESTS.iter().map(|it| it.name).chain(summarizers::SUMMARIZERS.map(|it| it.0));
    let files: Vec<_> = names.map(|it| guest(it).display().to_string()).collect();
    let files = files.iter().map(String::as_str);
    let output = run(&["plugin", "precompile"].into_iter().chain(files).collect::<Vec<_>>()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn message(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

/// A text with a character of every plane of Unicode, and those that trouble C and JSON.
fn planes() -> String {
    let planes = (0..=16).filter_map(|plane| char::from_u32((plane << 16) | 0x0100));
    "\u{1}\u{8}\"\\/\u{7f}é\u{feff}\u{2028}".chars().chain(planes).collect()
}

/// Events of every dialect.
fn dialects() -> [Value; 5] {
    [
        json!({"id": "t1", "invocationId": "i", "author": "user", "timestamp": "2025-01-01T00:00:00Z",
            "object": "", "created": 0, "model": "", "done": false, "is_partial": false,
            "choices": [{"index": 0, "message": {"role": "user", "content": "hi"}, "delta": {"role": ""}}]}),
        json!({"id": "a1", "author": "bot", "invocationId": "i", "timestamp": 5.25,
            "content": {"role": "model", "parts": [{"functionCall":
                {"id": "c", "name": "f", "args": {"x": [1, null, "y"]}}}]}}),
        json!({"role": "assistant", "content": "well", "tool_calls": [
            {"id": "d", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]}),
        json!({"type": "function_call", "call_id": "e", "name": "f", "arguments": "{}"}),
        json!({"type": "function_call_output", "call_id": "e", "output": "done"}),
    ]
}

async fn append(client: &Client, name: &str, body: Value) {
    let reply = client.post(&format!("{USER}/sessions/s/events"), body.to_string()).await;
    assert_eq!(reply.status, 200, "{name}: {}", reply.text);
}

/// The newest events of the session, as the plugin shows them.
async fn read(client: &Client, name: &str, limit: usize) -> Vec<Value> {
    let path = format!("{USER}/sessions/s?limit={limit}&window=exact");
    let reply = client.get(&path).await;
    assert_eq!(reply.status, 200, "{name}: {}", reply.text);
    let events = reply.json()["events"].as_array().cloned().unwrap_or_default();
    events.into_iter().map(|it| it["event"].clone()).collect()
}

async fn comes_back(client: &Client, name: &str, body: Value) {
    append(client, name, body.clone()).await;
    let newest = read(client, name, 1).await.pop();
    assert!(newest == Some(body), "{name}: {:.300}", newest.unwrap_or_default().to_string());
}

/// Texts of every kind, events of every dialect and size, batches and state pass through
/// every plugin, and what it has no business with comes back as it was sent.
#[tokio::test]
async fn every_guest_takes_what_there_is() {
    for guest in &GUESTS {
        let name = guest.name;
        let daemon = guest.daemon("").await;
        let client = daemon.client();
        let state = r#"{"id":"s","state":{"k":{"n":1},"user:u":"v","app:a":null}}"#;
        let made = client.post(&format!("{USER}/sessions"), state).await;
        assert_eq!(made.status, 201, "{name}: {}", made.text);
        comes_back(&client, name, message(&planes())).await;
        comes_back(&client, name, message("")).await;
        comes_back(&client, name, message(&"ü😀".repeat(100_000))).await;
        for body in dialects() {
            match name {
                "hide-tool-payloads-typescript" => append(&client, name, body).await,
                _ => comes_back(&client, name, body).await,
            }
        }
        let batch: Vec<_> = (0..100).map(|at| message(&format!("message {at}"))).collect();
        append(&client, name, json!({"events": batch})).await;
        assert_eq!(read(&client, name, 1).await.last(), batch.last(), "{name}");
        for (path, status) in [("sessions/s/state", 200), ("state", 204)] {
            let state = r#"{"state":{"k":"😀","gone":null}}"#;
            let reply = client.patch(&format!("{USER}/{path}"), state).await;
            assert_eq!(reply.status, status, "{name}: {}", reply.text);
        }
        let state = client.get(&format!("{USER}/sessions/s/state")).await.expect(200).json();
        assert_eq!(state["state"]["k"], "😀", "{name}: {state}");
    }
}

/// R87: a rejection reaches the client with its text, an edit the store, and both in each of the
/// nine languages.
#[tokio::test]
async fn every_template_edits_and_rejects() {
    let templates: Vec<_> = GUESTS.iter().filter(|it| it.name.starts_with("template-")).collect();
    assert_eq!(templates.len(), 9);
    for template in templates {
        let name = template.name;
        let daemon = template.daemon("").await;
        let client = daemon.client();
        client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
        let batch = json!({"events": [message("good"), message("a forbidden thing")]});
        let reply = client.post(&format!("{USER}/sessions/s/events"), batch.to_string()).await;
        assert_eq!(reply.status, 422, "{name}: {}", reply.text);
        assert_eq!(reply.code(), "hook_denied", "{name}");
        assert!(reply.text.contains("Leave out what is forbidden."), "{name}: {}", reply.text);
        assert_eq!(read(&client, name, 10).await, [] as [Value; 0], "{name}");
        append(&client, name, message("a secret, a secret 😀")).await;
        assert_eq!(
            read(&client, name, 10).await,
            [message("a [removed], a [removed] 😀")],
            "{name}"
        );
        assert!(daemon.log().contains("saw 1 events"), "{name}");
    }
}

/// 2,000 calls and a session of 1,000 events leave nothing behind. A plugin that kept memory or
/// handles would have its instance retired, and another one started.
#[tokio::test]
async fn no_guest_keeps_what_it_was_given() {
    for guest in &GUESTS {
        let name = guest.name;
        let daemon = guest.daemon("").await;
        let client = daemon.client();
        // The trial at load has an instance of its own for each call.
        let tried = started(&client.get("/metrics").await.text);
        client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
        let text = "a secret of a kilobyte ".repeat(45);
        for batch in 0..10 {
            let events: Vec<_> =
                (0..100).map(|at| message(&format!("{batch} {at} {text}"))).collect();
            append(&client, name, json!({"events": events})).await;
        }
        for call in 0..CALLS {
            if guest.hooks == GET {
                read(&client, name, if call % WHOLE == 0 { 1_000 } else { 10 }).await;
                continue;
            }
            let text = if call % 2 == 0 { "forbidden" } else { &text };
            let body = message(&format!("{call} {text}")).to_string();
            let reply = client.post(&format!("{USER}/sessions/s/events"), body).await;
            assert!([200, 422].contains(&reply.status.as_u16()), "{name}: {}", reply.text);
        }
        if guest.hooks == BOTH {
            read(&client, name, 1_000).await;
        }
        let metrics = client.get("/metrics").await.text;
        assert_eq!(started(&metrics) - tried, 1, "{name}: one instance takes all calls");
    }
}

fn started(metrics: &str) -> usize {
    let line = "sessiond_plugin_instances_started_total{plugin=\"it\"} ";
    let line = metrics.lines().find_map(|it| it.strip_prefix(line));
    line.expect("the counter").parse().expect("a number")
}

/// The guard lets nobody read who has no name, unless it is told to.
#[tokio::test]
async fn a_guard_in_zig_refuses_a_read() {
    let guest = Guest { name: "read-guard-zig", hooks: GET, table: "[plugins.it.config]\n" };
    let daemon = guest.daemon("").await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    let reply = client.get(&format!("{USER}/sessions/s")).await.expect(422);
    assert_eq!(reply.code(), "hook_denied");
    assert!(reply.text.contains("your own sessions"), "{}", reply.text);
}

#[tokio::test]
async fn a_hook_in_go_drops_what_comes_twice() {
    let guest = GUESTS.iter().find(|it| it.name == "drop-duplicates-go").unwrap();
    let daemon = guest.daemon("").await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    for text in ["yes", "yes", "no", "yes"] {
        append(&client, guest.name, message(text)).await;
    }
    let twice = json!({"events": [message("again"), message("again")]});
    append(&client, guest.name, twice).await;
    let shown = read(&client, guest.name, 10).await;
    assert_eq!(shown, ["yes", "no", "yes", "again"].map(message));
}

#[tokio::test]
async fn a_hook_in_nim_tells_what_was_stored() {
    let guest = GUESTS.iter().find(|it| it.name == "audit-log-nim").unwrap();
    let daemon = guest.daemon("").await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    append(&client, guest.name, json!({"id": "e1", "event": message("quiet please")})).await;
    let log = daemon.log();
    assert!(
        log.contains("stored event 1") && log.contains("e1") && log.contains("bytes=12"),
        "{log}"
    );
    assert!(!log.contains("quiet"), "{log}");
}

#[tokio::test]
async fn a_hook_in_typescript_hides_payloads() {
    let guest = GUESTS.iter().find(|it| it.name == "hide-tool-payloads-typescript").unwrap();
    let daemon = guest.daemon("").await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    for body in dialects() {
        append(&client, guest.name, body).await;
    }
    let shown = Value::Array(read(&client, guest.name, 10).await).to_string();
    let payload = "\"output\":\"done\"";
    assert!(shown.contains("hidden: 4 characters") && !shown.contains(payload), "{shown}");
    let stored = Value::Array(daemon.export().await).to_string();
    assert!(stored.contains(payload) && !stored.contains("hidden:"), "{stored}");
}

#[tokio::test]
async fn a_hook_in_cpp_tells_the_state_of_the_user() {
    let guest = GUESTS.iter().find(|it| it.name == "state-note-cpp").unwrap();
    let daemon = guest.daemon("").await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    append(&client, guest.name, message("hello")).await;
    assert_eq!(read(&client, guest.name, 10).await, [message("hello")]);
    let state = r#"{"state":{"language":"n\"b","plan":{"gold":true}}}"#;
    client.patch(&format!("{USER}/state"), state).await.expect(204);
    let shown = read(&client, guest.name, 10).await;
    let note = "What is known about the user:\nlanguage: \"n\\\"b\"\nplan: {\"gold\":true}\n";
    assert_eq!(shown, [json!({"role": "system", "content": note}), message("hello")]);
}

/// What is stored says nothing, and no nonce comes twice in 1,000 fresh instances.
#[tokio::test]
async fn nonces_differ_in_fresh_instances() {
    let guest = GUESTS.iter().find(|it| it.name == "encrypt-at-rest-rust").unwrap();
    let daemon = guest.daemon("isolation = \"call\"\n").await;
    let client = daemon.client();
    client.post(&format!("{USER}/sessions"), r#"{"id":"s"}"#).await.expect(201);
    for _ in 0..1_000 {
        append(&client, guest.name, message("the same words")).await;
    }
    let shown = read(&client, guest.name, 1_000).await;
    assert!(shown.len() == 1_000 && shown.iter().all(|it| *it == message("the same words")));
    assert!(started(&client.get("/metrics").await.text) > 1_000);
    let stored = Value::Array(daemon.export().await).to_string();
    assert!(!stored.contains("the same words"));
    // The nonce is the first 12 bytes: 16 characters of base64.
    let nonces: Vec<_> = stored.split("enc1:a:").skip(1).map(|it| it.get(..16).unwrap()).collect();
    let different: std::collections::BTreeSet<_> = nonces.iter().collect();
    assert_eq!((nonces.len(), different.len()), (1_000, 1_000));
}
