//! The interface to clients: what is refused, and how.

use sessiond_tests::client::Client;
use sessiond_tests::daemon::Daemon;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";

async fn code(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let reply = client.send(method, path, headers, body).await.unwrap();
    assert_eq!(reply.headers["content-type"], "application/problem+json", "{}", reply.text);
    let json = reply.json();
    assert_eq!(json["status"], reply.status.as_u16());
    assert!(json["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{json}");
    (reply.status.as_u16(), reply.code())
}

/// Method, path, headers and body; status and code.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

/// R98, and every other way to ask for what there is not: a code of its own, and nothing stored.
#[tokio::test]
async fn bad_requests_are_told_apart_and_change_nothing() {
    let daemon = Daemon::start(
        "max_body = \"64KiB\"\nmax_batch = 3\n[session]\nmax_event_size = \"1KiB\"\n",
    )
    .await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let events = format!("{SESSIONS}/s/events");
    let ok = r#"{"role":"user","content":"hi"}"#;
    let large = format!(r#"{{"role":"user","content":"{}"}}"#, "x".repeat(2_000));
    let huge = format!(r#"{{"role":"user","content":"{}"}}"#, "x".repeat(70_000));
    let four = format!(r#"{{"events":[{ok},{ok},{ok},{ok}]}}"#);
    let cases: &[Case] = &[
        ("GET", "/v2/none", &[], "", 404, "no_route"),
        ("PUT", SESSIONS, &[], ok, 405, "wrong_method"),
        ("GET", &format!("{SESSIONS}/s?limt=3"), &[], "", 400, "unknown_parameter"),
        ("GET", &format!("{SESSIONS}/s?limit=many"), &[], "", 400, "bad_parameter"),
        ("GET", &format!("{SESSIONS}/s?limit=-1"), &[], "", 400, "bad_parameter"),
        ("GET", &format!("{SESSIONS}/s?limit=99999"), &[], "", 400, "limit_too_high"),
        ("GET", &format!("{SESSIONS}/s?window=user"), &[], "", 400, "bad_parameter"),
        ("GET", &format!("{SESSIONS}?page_size=0"), &[], "", 400, "bad_parameter"),
        ("GET", &format!("{SESSIONS}?page_token=x"), &[], "", 400, "bad_parameter"),
        ("GET", &format!("{SESSIONS}/s:pop"), &[], "", 405, "wrong_method"),
        ("GET", &format!("{SESSIONS}/s:drop"), &[], "", 404, "unknown_verb"),
        ("POST", &format!("{SESSIONS}/s:drop"), &[], "", 404, "unknown_verb"),
        ("PUT", &format!("{SESSIONS}/s:drop"), &[], "", 404, "no_route"),
        ("GET", &format!("{SESSIONS}/%ff"), &[], "", 400, "bad_name"),
        ("GET", &format!("{SESSIONS}/{}", "x".repeat(513)), &[], "", 400, "bad_name"),
        ("POST", SESSIONS, &[], r#"{"id":"t","stat":{}}"#, 400, "unknown_field"),
        ("POST", SESSIONS, &[], r#"{"id":5}"#, 400, "wrong_type"),
        ("POST", SESSIONS, &[], r#"{"id":"t","state":[]}"#, 400, "wrong_type"),
        ("POST", SESSIONS, &[], "{\"id\":", 400, "malformed_json"),
        ("POST", &events, &[], "", 400, "body_missing"),
        ("POST", &events, &[], "[]", 400, "wrong_type"),
        ("POST", &events, &[], r#"{"role":"user""#, 400, "malformed_json"),
        ("POST", &events, &[], r#"{"text":"hi"}"#, 400, "unknown_dialect"),
        (
            "POST",
            &events,
            &[],
            r#"{"event":{"role":"user"},"dialect":"latin"}"#,
            400,
            "unknown_dialect",
        ),
        ("POST", &events, &[], r#"{"event":{"role":"user"},"extra":1}"#, 400, "unknown_field"),
        ("POST", &events, &[], r#"{"event":{"role":"user"},"id":""}"#, 400, "bad_event"),
        (
            "POST",
            &events,
            &[],
            r#"{"event":{"role":"user"},"state_delta":{"user:":1}}"#,
            400,
            "bad_state",
        ),
        ("POST", &events, &[], r#"{"events":[]}"#, 400, "batch_size"),
        ("POST", &events, &[], &four, 400, "batch_size"),
        ("POST", &events, &[], &large, 413, "event_too_large"),
        ("POST", &events, &[], &huge, 413, "body_too_large"),
        ("POST", &events, &[("content-type", "text/plain")], ok, 415, "not_json"),
        ("POST", &events, &[("if-match", "W/\"1\"")], ok, 400, "bad_if_match"),
        ("PATCH", &format!("{SESSIONS}/s/state"), &[], "{}", 400, "wrong_type"),
        ("POST", &format!("{SESSIONS}/s/summaries"), &[], "", 409, "no_summarizer"),
    ];
    for (method, path, headers, body, status, wanted) in cases {
        let found = code(&client, method, path, headers, body).await;
        assert_eq!(found, (*status, (*wanted).to_owned()), "{method} {path} {body:.60}");
    }
    let session = client.get(&format!("{SESSIONS}/s")).await.expect(200).json();
    assert_eq!((&session["revision"], &session["last_seq"]), (&1.into(), &0.into()));
    assert_eq!(client.get(&format!("{SESSIONS}/t")).await.code(), "session_not_found");
}

/// R85: a page of another origin cannot reach the daemon, whatever it calls it.
#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    for (headers, wanted) in [
        ([("host", "evil.example")], "foreign_host"),
        ([("origin", "http://evil.example")], "foreign_origin"),
        ([("origin", "null")], "foreign_origin"),
    ] {
        assert_eq!(code(&client, "GET", SESSIONS, &headers, "").await, (403, wanted.to_owned()));
        assert_eq!(code(&client, "GET", "/healthz", &headers, "").await, (403, wanted.to_owned()));
    }
    for headers in [[("host", "localhost:1")], [("origin", "http://localhost:3000")]] {
        assert!(client.send("GET", SESSIONS, &headers, "").await.unwrap().status.is_success());
    }
}

/// R76, R77, R78: what a client sends comes back byte for byte, whatever JSON it is.
#[tokio::test]
async fn bodies_come_back_byte_for_byte() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let bodies = [
        "{ \"role\" : \"user\" ,\n\t\"content\":\"\\u0041\\/ \\ud83d\\ude00 \\u0000\", \"n\":[-0.0,1E400,12345678901234567890123,1.10]}",
        r#"{"role":"user","content":"x","content":"y","nested":[[[[[[[[[[1]]]]]]]]]],"lone":"\ud800"}"#,
        "{\"role\":\"user\",\"content\":\"\u{2028} \u{202e}rtl ünïcødé 😀\"}",
    ];
    for body in bodies {
        client.post(&format!("{SESSIONS}/s/events"), body).await.expect(200);
    }
    let text = client.get(&format!("{SESSIONS}/s")).await.expect(200).text;
    for body in bodies {
        assert!(text.contains(&format!("\"event\":{body}")), "{body}");
    }
}

#[tokio::test]
async fn operations_and_headers() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert!(client.get(path).await.expect(200).json().is_object());
    }
    let created = client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let tag = created.etag();
    let headers = [("if-match", tag.as_str()), ("x-request-id", "mine-1")];
    let event = r#"{"role":"user","content":"hi"}"#;
    let path = format!("{SESSIONS}/s/events");
    let appended = client.send("POST", &path, &headers, event).await.unwrap().expect(200);
    assert_eq!(appended.headers["x-request-id"], "mine-1");
    assert_ne!(appended.etag(), tag);
    let late = client.send("POST", &path, &headers, event).await.unwrap().expect(412);
    assert_eq!((late.code(), &late.json()["revision"]), ("other_revision".to_owned(), &2.into()));
    assert_eq!(client.post(SESSIONS, "").await.expect(201).json()["last_seq"], 0);
    let metrics = client.get("/metrics").await.expect(200).text;
    assert!(metrics.contains("sessiond_events_appended_total 1"), "{metrics}");
    assert!(
        metrics.contains("route=\"/v1/apps/{app}/users/{user}/sessions\",status=\"201\"} 2"),
        "{metrics}"
    );
}

/// R98: a method that a path does not have is refused with those that it has (RFC 9110, 15.5.6), and
/// what is done to a session has its own beside those of the session.
#[tokio::test]
async fn a_refused_method_comes_with_those_that_there_are() {
    let daemon = Daemon::start("").await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let session = format!("{SESSIONS}/s");
    let cases = [
        ("POST", session.clone(), "GET, HEAD, PATCH, DELETE"),
        ("PUT", session.clone(), "GET, HEAD, PATCH, DELETE"),
        ("DELETE", format!("{session}:pop"), "POST"),
        ("POST", format!("{session}:watch"), "GET, HEAD"),
        ("PATCH", SESSIONS.to_owned(), "GET, HEAD, POST"),
        ("OPTIONS", format!("{SESSIONS}:batch_get"), "POST"),
        ("PUT", "/apps/shop/users/ann/sessions/s".to_owned(), "GET, HEAD, POST, PATCH, DELETE"),
        ("POST", "/healthz".to_owned(), "GET, HEAD"),
    ];
    for (method, path, allowed) in cases {
        let reply = client.send(method, &path, &[], "").await.unwrap();
        assert_eq!(reply.status.as_u16(), 405, "{method} {path}");
        assert_eq!(reply.headers["allow"], allowed, "{method} {path}");
    }
    client.get(&session).await.expect(200);
}
