//! Traces, as a collector gets them.

use serde_json::Value;
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;
use sessiond_tests::web::{Answer, Web};

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const EVENT: &str = r#"{"role":"user","content":"x"}"#;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

async fn daemon(traces: &str) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pass.wasm");
    std::fs::write(&file, wat::component(&wat::hostile("pass"), "before-append-plugin")).unwrap();
    let daemon = Daemon::start(&format!(
        "grace_period = \"1s\"\n[hooks]\nappend = [\"pass\"]\n[plugins.pass]\npath = {file:?}\n[telemetry.traces]\n{traces}\n"
    ))
    .await;
    daemon.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    daemon
}

async fn append(daemon: &Daemon, traceparent: &str) {
    let path = format!("{SESSIONS}/s/events");
    let client = daemon.client();
    let reply = client.send("POST", &path, &[("traceparent", traceparent)], EVENT).await.unwrap();
    reply.expect(200);
}

/// The spans that a collector has got.
fn spans(collector: &Web) -> Vec<Value> {
    let documents = collector.asked().into_iter().map(|it| {
        assert_eq!(
            (it.path.as_str(), &it.headers["content-type"]),
            ("/v1/traces", &"application/json".parse().unwrap())
        );
        serde_json::from_str::<Value>(&it.body).unwrap()
    });
    let spans = documents.flat_map(|it| {
        it["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default()
    });
    spans.collect()
}

fn attribute<'v>(span: &'v Value, key: &str) -> Option<&'v str> {
    let found = span["attributes"].as_array()?.iter().find(|it| it["key"] == key)?;
    let value = &found["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str())
}

/// A client's trace is joined: the request is below the client's span, and the calls of the plugin
/// and of the store below the request.
#[tokio::test]
async fn a_request_is_a_tree_of_spans() {
    let collector = Web::start(|_| Answer::json(200, "{}")).await;
    let mut daemon = daemon(&format!(
        "endpoint = \"{}/v1/traces\"\nservice_name = \"mine\"\nheaders.authorization = \"Bearer me\"",
        collector.base()
    ))
    .await;
    append(&daemon, &format!("00-{TRACE}-{CLIENT}-00")).await;
    append(&daemon, "00-nonsense").await;
    append(&daemon, &format!("00-{TRACE}-{CLIENT}-01")).await;
    let arrived = async || {
        let spans = spans(&collector);
        let last = spans.iter().any(|it| it["name"] == "request" && it["traceId"] == TRACE);
        last.then_some(spans)
    };
    let spans = eventually("the spans arrive", arrived).await;
    let joined: Vec<_> = spans.iter().filter(|it| it["traceId"] == TRACE).collect();
    let of = |name: &str| -> Vec<&Value> {
        joined.iter().copied().filter(|it| it["name"] == name).collect()
    };
    // The client that decided against its trace has none of it kept.
    let [request] = of("request")[..] else { panic!("{joined:?}") };
    assert_eq!((&request["parentSpanId"], &request["kind"]), (&CLIENT.into(), &2.into()));
    assert_eq!(attribute(request, "http.response.status_code"), Some("200"));
    assert_eq!(attribute(request, "traceparent"), None);
    let route = "/v1/apps/{app}/users/{user}/sessions/{session}/events";
    assert_eq!(attribute(request, "http.route"), Some(route));
    let [guest] = of("plugin call")[..] else { panic!("{joined:?}") };
    assert_eq!(guest["parentSpanId"], request["spanId"]);
    for (key, value) in [("plugin", "pass"), ("interface", "before-append"), ("outcome", "ok")] {
        assert_eq!(attribute(guest, key), Some(value), "{guest}");
    }
    for key in ["sha256", "wait_us", "call_us"] {
        assert!(attribute(guest, key).is_some(), "{key}: {guest}");
    }
    let stored = of("store call");
    assert!(stored.iter().all(|it| it["parentSpanId"] == request["spanId"]), "{joined:?}");
    let operations: Vec<_> = stored.iter().filter_map(|it| attribute(it, "operation")).collect();
    assert!(operations.contains(&"append"), "{operations:?}");
    let begin = |span: &Value| span["startTimeUnixNano"].as_str().unwrap().parse::<u128>().unwrap();
    let end = |span: &Value| span["endTimeUnixNano"].as_str().unwrap().parse::<u128>().unwrap();
    assert!(begin(request) <= begin(guest) && end(guest) <= end(request), "{joined:?}");
    // What is no traceparent is not there: such a request has a trace of its own.
    let appends = spans.iter().filter(|it| attribute(it, "http.route") == Some(route));
    assert!(appends.filter(|it| it["traceId"] != TRACE).count() == 1, "{spans:?}");
    let asked = collector.asked();
    assert_eq!(asked[0].headers["authorization"], "Bearer me");
    assert!(asked[0].body.contains(r#""stringValue":"mine""#), "{}", asked[0].body);
    // At the end, what has not been sent yet is sent.
    append(&daemon, "00-cccccccccccccccccccccccccccccccc-b7ad6b7169203331-01").await;
    daemon.terminate();
    assert!(daemon.ended().await.success(), "{}", daemon.log());
    assert!(self::spans(&collector).iter().any(|it| it["traceId"] == "c".repeat(32)));
}

/// R71: a summary job, in the daemon's queue and in that of Redis, is in the trace of the request that
/// caused it, and the calls of the summarizer are below the job.
#[tokio::test]
async fn a_summary_job_joins_the_trace_of_its_request() {
    let redis = RedisServer::start().await;
    let file = guest("rolling-summary-python");
    for queue in ["local", "redis"] {
        let collector = Web::start(|_| Answer::json(200, "{}")).await;
        let daemon = Daemon::start(&format!(
            "[redis]\nurl = {:?}\n[summary]\nplugin = \"rolling\"\nqueue = {queue:?}\nmin_events = 1\n\
             min_turns = 1\n[plugins.rolling]\npath = {file:?}\n[telemetry.traces]\n\
             endpoint = \"{}/v1/traces\"",
            redis.url(),
            collector.base()
        ))
        .await;
        let client = daemon.client();
        client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
        client.post(&format!("{SESSIONS}/s/events"), EVENT).await.expect(200);
        append(&daemon, &format!("00-{TRACE}-{CLIENT}-01")).await;
        let joined = async || {
            let spans = spans(&collector);
            let joined = spans.into_iter().filter(|it| it["traceId"] == TRACE);
            let joined: Vec<_> = joined.collect();
            joined.iter().any(|it| it["name"] == "summary job").then_some(joined)
        };
        let joined = eventually("the job is in the trace", joined).await;
        let job = joined.iter().find(|it| it["name"] == "summary job").unwrap();
        assert_eq!(job["parentSpanId"], CLIENT, "{joined:?}");
        assert_eq!(attribute(job, "traceparent"), None);
        let calls = joined.iter().filter(|it| it["name"] == "plugin call");
        assert!(calls.clone().count() > 0, "{joined:?}");
        assert!(calls.clone().all(|it| it["parentSpanId"] == job["spanId"]), "{joined:?}");
        daemon.client().delete(&format!("{SESSIONS}/s")).await.expect(204);
    }
}

/// A collector that is away costs spans, and no request; the daemon still ends in time.
#[tokio::test]
async fn a_collector_that_is_away_holds_up_nobody() {
    let silent = Web::start(|_| Answer::Silence).await;
    let mut daemon = daemon(&format!("endpoint = \"{}/v1/traces\"", silent.base())).await;
    for _ in 0..5 {
        append(&daemon, "").await;
    }
    let asked = async || (!silent.asked().is_empty()).then_some(());
    eventually("the collector is asked", asked).await;
    daemon.client().get("/healthz").await.expect(200);
    daemon.terminate();
    daemon.ended().await;
    let log = daemon.log();
    assert!(log.contains("traces"), "{log}");
}
