//! Every route of the description: what comes in by it passes the append hooks, what goes out passes
//! the get hooks. A route that is new fails here until somebody has said what it carries.

use std::path::Path;

use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sessiond_tests::client::{Client, Reply};
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::sse::Stream;
use sessiond_tests::wat;

const USER: &str = "/v1/apps/shop/users/ann";
/// Where the routes of ADK's own server begin.
const ADK: &str = "/apps/{app}/users/{user}/sessions";
/// What stands in the fixtures, and must not be seen past a guard.
const STORED: &str = "was-stored";
/// What stands in requests, and must not be stored past a guard.
const ENTERING: &str = "is-entering";

/// What a route carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// Events, state or a summary, into the store. The reply may show them: as the get hooks allow.
    In,
    /// The same, out of it.
    Out,
    /// Into the store, and the reply shows it as a read would.
    InAndOut,
    /// For the operator alone: without a token with the scope `admin` it is refused.
    Operator,
    /// Neither, and why.
    Nothing(&'static str),
}

/// What every route carries. None: nobody has said.
fn carries(method: &str, path: &str) -> Option<Carries> {
    use Carries::{In, InAndOut, Nothing, Operator, Out};
    let session = "/v1/apps/{app}/users/{user}/sessions/{session}";
    if let Some(rest) = path.strip_prefix(session) {
        return Some(match (method, rest) {
            ("get", "") => Out,
            ("patch", "") => Nothing("a time to live"),
            ("delete", "") => Nothing("it removes all of a session, and shows nothing of it"),
            ("post", "/events") => In,
            ("get", "/events" | "/events/{id}") => Out,
            ("get", "/state") => Out,
            ("patch", "/state") | ("delete", "/state/{key}") => In,
            ("get", "/summaries") => Out,
            // What is summed up leaves the store, and the summary enters it.
            ("post", "/summaries") => InAndOut,
            ("post", ":pop") => Out,
            ("post", ":trim" | ":clear" | ":rewind") => {
                Nothing("it removes, and says how much; state goes back to what was stored before")
            }
            ("post", ":fork") => In,
            ("post", ":lease" | ":release") => Nothing("a lease"),
            ("get", "/tracks/{track}") => Out,
            ("post", "/tracks/{track}") => In,
            ("delete", "/tracks/{track}") => Nothing("it removes, and shows nothing"),
            ("get", ":watch") => Out,
            _ => return None,
        });
    }
    if let Some(rest) = path.strip_prefix(ADK) {
        return Some(match (method, rest) {
            ("get", "" | "/{session}") => Out,
            ("post", "" | "/{session}" | "/{session}/events") => InAndOut,
            ("patch", "/{session}") => InAndOut,
            ("delete", "/{session}") => Nothing("it removes all of a session, and shows nothing"),
            _ => return None,
        });
    }
    if path.starts_with("/v1/admin/") {
        return Some(Operator);
    }
    Some(match (method, path) {
        ("get", "/healthz" | "/readyz" | "/metrics" | "/openapi.json") => Nothing("for operators"),
        ("get", "/v1/apps/{app}/state" | "/v1/apps/{app}/users/{user}/state") => Out,
        ("patch", "/v1/apps/{app}/state" | "/v1/apps/{app}/users/{user}/state") => In,
        ("delete", "/v1/apps/{app}/state/{key}" | "/v1/apps/{app}/users/{user}/state/{key}") => In,
        ("get", "/v1/apps/{app}/users/{user}/sessions") => Nothing("names, times and counts"),
        ("post", "/v1/apps/{app}/users/{user}/sessions") => In,
        ("post", "/v1/apps/{app}/users/{user}/sessions:batch_get") => Out,
        ("get", "/v1/apps/{app}/users/{user}/sessions:watch") => Nothing("names, times and counts"),
        _ => return None,
    })
}

/// The body of a request, for a session of the fixtures.
fn body(method: &str, path: &str, session: &str) -> String {
    let text = ENTERING;
    let last = path.rsplit(['/', ':']).next().unwrap_or_default();
    let body = match (method, last) {
        ("post", "sessions") if path.starts_with(ADK) => {
            json!({"sessionId": format!("new-{session}"), "state": {"k": text}})
        }
        ("post", "{session}") => json!({"k": text}),
        ("patch", "{session}") if path.starts_with(ADK) => json!({"stateDelta": {"k": text}}),
        ("post", "events") if path.starts_with(ADK) => {
            json!({"author": "user", "content": {"role": "user", "parts": [{"text": text}]}})
        }
        ("post", "sessions") => json!({"id": format!("new-{session}"), "state": {"k": text}}),
        ("post", "batch_get") => json!({"ids": [session]}),
        ("patch", "{session}") => json!({"ttl": "1h"}),
        ("post", "events") => json!({"role": "user", "content": text}),
        ("patch", "state") => json!({"state": {"k": text}}),
        ("post", "summaries") => json!({"force": true, "wait": true}),
        ("post", "trim") => json!({"keep_last": 1}),
        ("post", "rewind") => json!({"to_seq": 1}),
        ("post", "fork") => json!({"id": format!("fork-{session}")}),
        ("post", "lease") => json!({"ttl": "1m"}),
        ("post", "{track}") => json!({"text": text}),
        _ => return String::new(),
    };
    body.to_string()
}

/// Sends a request to a route, about a session of its own that `open` has made.
async fn ask(open: &Client, to: &Client, method: &str, path: &str, session: &str) -> Reply {
    let state = json!({"id": session, "state": {"k": STORED, "user:k": STORED, "app:k": STORED}});
    open.post(&format!("{USER}/sessions"), state.to_string()).await.expect(201);
    let own = format!("{USER}/sessions/{session}");
    for id in ["first", "second"] {
        let event = json!({"id": id, "event": {"role": "user", "content": STORED}});
        open.post(&format!("{own}/events"), event.to_string()).await.expect(200);
    }
    let noted = json!({"text": STORED}).to_string();
    open.post(&format!("{own}/tracks/notes"), noted).await.expect(200);
    let mut headers = Vec::new();
    let token = if path.ends_with(":release") {
        let lease = open.post(&format!("{own}:lease"), r#"{"ttl":"1m"}"#).await.expect(200).json();
        lease["lease"].as_str().unwrap().to_owned()
    } else {
        String::new()
    };
    if !token.is_empty() {
        headers.push(("session-lease", token.as_str()));
    }
    // ADK's clients name a session that is to be made in the path.
    let named = match (method, path.strip_prefix(ADK)) {
        ("post", Some("/{session}")) => format!("new-{session}"),
        _ => session.to_owned(),
    };
    let names = [
        ("{app}", "shop"),
        ("{user}", "ann"),
        ("{session}", named.as_str()),
        ("{id}", "first"),
        ("{key}", "k"),
        ("{track}", "notes"),
    ];
    let target = names.iter().fold(path.to_owned(), |path, (name, it)| path.replace(name, it));
    let body = body(method, path, session);
    if target.ends_with(":watch")
        && let Ok(mut stream) = Stream::open(to.base(), &target, None).await
    {
        // Such a reply does not end by itself.
        let text = stream.expect("snapshot").await.data.to_string();
        return Reply { status: StatusCode::OK, headers: HeaderMap::new(), text };
    }
    to.send(&method.to_uppercase(), &target, &headers, body).await.unwrap()
}

/// A daemon with one hook, which refuses.
async fn guarded(redis: &RedisServer, list: &str, file: &Path, more: &str) -> Daemon {
    let sum = guest("rolling-summary-python");
    Daemon::start(&format!(
        "[redis]\nurl = {:?}\n[hooks]\n{list} = [\"guard\"]\n[plugins.guard]\npath = {file:?}\n\
         [summary]\nplugin = \"rolling\"\n[plugins.rolling]\npath = {sum:?}\n{more}",
        redis.url()
    ))
    .await
}

/// ADK's routes have only a sentence to say it with.
fn refused_by_guard(reply: &Reply) -> bool {
    let told = reply.json();
    let detail = told["detail"].as_str().unwrap_or_default();
    reply.status == 422 && (told["plugin"] == "guard" || detail.contains("\"guard\""))
}

/// R89: the routes are those of the description, so that none is forgotten.
#[tokio::test]
async fn every_route_passes_the_hooks() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, world: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, wat::component(&wat::hostile(name), world)).unwrap();
        file
    };
    let redis = RedisServer::start().await;
    let open = Daemon::start(&format!("[redis]\nurl = {:?}\n", redis.url())).await;
    let inward = guarded(&redis, "append", &write("deny", "before-append-plugin"), "").await;
    let outward = guarded(&redis, "get", &write("deny-read", "before-get-plugin"), "").await;
    let (open, inward, outward) = (open.client(), inward.client(), outward.client());
    let description: Value = open.get("/openapi.json").await.expect(200).json();
    let mut tried = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let route = format!("{method} {path}");
            let carried = carries(method, path);
            let carried = carried.unwrap_or_else(|| panic!("say what {route} carries"));
            tried += 1;
            let entered = ask(&open, &inward, method, path, &format!("in-{tried}")).await;
            let left = ask(&open, &outward, method, path, &format!("out-{tried}")).await;
            assert!(!left.text.contains(STORED), "{route}: {}", left.text);
            let refused = (refused_by_guard(&entered), refused_by_guard(&left));
            let wanted = match carried {
                Carries::In => (true, false),
                Carries::Out => (false, true),
                Carries::InAndOut => (true, true),
                Carries::Nothing(_) | Carries::Operator => (false, false),
            };
            assert_eq!(refused, wanted, "{route} ({carried:?}): {} {}", entered.text, left.text);
            if carried == Carries::Operator {
                assert_eq!((entered.status.as_u16(), left.status.as_u16()), (403, 403), "{route}");
            } else if wanted == (false, false) {
                let good = entered.status.is_success() && left.status.is_success();
                assert!(good, "{route}: {} {}", entered.text, left.text);
            }
        }
    }
    assert!(tried > 30, "{tried}");
    // On the way in nothing got past the guard, the reply aside: what is stored came from `open`,
    // or by a daemon without a hook on that side.
    for session in
        open.get(&format!("{USER}/sessions?page_size=100")).await.expect(200).json()["sessions"]
            .as_array()
            .unwrap()
    {
        let id = session["id"].as_str().unwrap_or_default();
        if id.starts_with("in-") || id.starts_with("new-in-") || id.starts_with("fork-in-") {
            let text = open.get(&format!("{USER}/sessions/{id}")).await.expect(200).text;
            assert!(
                !text.contains(ENTERING) && !id.contains("new-") && !id.contains("fork-"),
                "{text}"
            );
        }
    }
}
