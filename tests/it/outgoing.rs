//! Requests of guests to other servers: only where the configuration says, and never back.

use std::time::Instant;

use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::wat;
use sessiond_tests::web::{Answer, Web};

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const IMPORTS: [&str; 3] =
    ["wasi:config/store@0.2.0-rc.1", "wasi:http/types@0.2.0", "wasi:http/outgoing-handler@0.2.0"];
const EVENT: &str = r#"{"role":"user","content":"x"}"#;

fn config(file: &std::path::Path, authority: &str, path: &str, grants: &str) -> String {
    format!(
        "[hooks]\nappend = [\"fetches\"]\n[plugins.fetches]\npath = {file:?}\n{grants}\
         [plugins.fetches.config]\nauthority = {authority:?}\npath = {path:?}\n"
    )
}

fn write(folder: &std::path::Path) -> std::path::PathBuf {
    let file = folder.join("fetches.wasm");
    std::fs::write(&file, wat::granted("fetches", &IMPORTS)).unwrap();
    file
}

/// A daemon whose append hook sends a GET to an authority, and says what came of it.
async fn daemon(authority: &str, path: &str, grants: &str) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&config(&write(folder.path()), authority, path, grants)).await;
    daemon.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    daemon
}

async fn says(daemon: &Daemon) -> String {
    let events = format!("{SESSIONS}/s/events");
    let reply = daemon.client().post(&events, EVENT).await.expect(422).json();
    reply["rejection"].as_str().unwrap_or_default().to_owned()
}

fn grant(authority: &str) -> String {
    format!("grants.http = [\"http://{authority}\"]\n")
}

/// A redirect is the guest's to follow, and the next request is checked like the first.
fn answer(asked: &sessiond_tests::web::Asked) -> Answer {
    match asked.path.as_str() {
        "/elsewhere" => {
            let to = ("location", "http://127.0.0.1:1/".to_owned());
            Answer::Reply(302, vec![to], String::new())
        }
        "/large" => Answer::Reply(200, Vec::new(), "x".repeat(17 << 20)),
        "/silent" => Answer::Silence,
        "/drip" => Answer::Drip,
        _ => Answer::Reply(200, Vec::new(), "x".repeat(1 << 20)),
    }
}

/// P24, P76: a destination that is listed is reached, with a Host, and with the mark of a plugin.
#[tokio::test]
async fn a_guest_reaches_what_is_listed() {
    let web = Web::start(answer).await;
    let authority = web.address().to_string();
    let guest = daemon(&authority, "/a?b=c", &grant(&authority)).await;
    assert_eq!(says(&guest).await, "200");
    // Not at the trial, which has no grants.
    assert_eq!(web.asked().len(), 1);
    let asked = web.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/a?b=c"));
    assert_eq!(asked.headers["host"], authority);
    assert_eq!(asked.headers["sessiond-hop"], "1");
    let guest = daemon(&authority, "/elsewhere", &grant(&authority)).await;
    assert_eq!(says(&guest).await, "302");
}

/// P49, P58: what is not listed is denied, and the log says what would allow it; a name that stands for
/// this machine is denied unless that is allowed as well.
#[tokio::test]
async fn a_guest_reaches_nothing_else() {
    let web = Web::start(answer).await;
    let (authority, port) = (web.address().to_string(), web.address().port());
    let by_name = format!("localhost:{port}");
    let private = format!("{}grants.http_private = true\n", grant(&by_name));
    for (to, grants, wanted, logged) in [
        (&authority, grant("127.0.0.1:1"), "error 15", "to plugins.fetches.grants.http"),
        (&authority, grant(&by_name), "error 15", "to plugins.fetches.grants.http"),
        (&format!("{authority}@{authority}"), grant(&authority), "error 19", ""),
        (&by_name, grant(&by_name), "error 04", "no public address"),
        (&by_name, private, "200", ""),
        (&"no-such-name.invalid".to_owned(), grant("no-such-name.invalid"), "error 01", "resolved"),
        (&"127.0.0.1:1".to_owned(), grant("127.0.0.1:1"), "error 06", "there is no connection"),
    ] {
        let guest = daemon(to, "/", &grants).await;
        assert_eq!(says(&guest).await, wanted, "{to} with {grants}");
        assert!(guest.log().contains(logged), "{}", guest.log());
    }
    assert_eq!(web.asked().len(), 1);
}

/// Never back to the daemon itself, whatever is listed, and not in circles through another server.
#[tokio::test]
async fn no_request_comes_back() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    let own = free.to_string();
    let guest = Daemon::start_at(&config(&file, &own, "/healthz", &grant(&own)), &own).await;
    guest.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    assert_eq!(says(&guest).await, "error 04");
    assert!(guest.log().contains("is the daemon's own"), "{}", guest.log());

    let web = Web::start(answer).await;
    let authority = web.address().to_string();
    let guest = daemon(&authority, "/", &grant(&authority)).await;
    let events = format!("{SESSIONS}/s/events");
    let headers = [("sessiond-hop", "1"), ("content-type", "application/json")];
    let reply = guest.client().send("POST", &events, &headers, EVENT).await;
    assert_eq!(reply.unwrap().expect(422).json()["rejection"], "error 36");
    assert_eq!(web.asked().len(), 0);
}

/// P2, P3: a server that is silent costs the guest no more than its deadline, and a body has an end.
#[tokio::test]
async fn answers_are_bounded() {
    let web = Web::start(answer).await;
    let authority = web.address().to_string();
    let guest = daemon(&authority, "/large", &grant(&authority)).await;
    assert_eq!(says(&guest).await, "cut");
    let limits = format!("{}limits.time = \"500ms\"\n", grant(&authority));
    for path in ["/silent", "/drip"] {
        let guest = daemon(&authority, path, &limits).await;
        let begin = Instant::now();
        let reply = guest.client().post(&format!("{SESSIONS}/s/events"), EVENT).await.expect(504);
        assert_eq!(reply.code(), "plugin_time_out");
        assert!(begin.elapsed().as_secs() < 10);
    }
}

/// P53, P54: what is no destination is refused with line, key and form.
#[tokio::test]
async fn destinations_have_a_form() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    for bad in [
        "api.example.com",
        "https://*.example.com",
        "https://h/v1",
        "ftp://h",
        "https://u@h",
        "https://h?x",
    ] {
        let path = folder.path().join("s.toml");
        let grants = format!("grants.http = [\"https://good.example\", {bad:?}]\n");
        std::fs::write(&path, config(&file, "h", "/", &grants)).unwrap();
        let output = run(&["check", "--config", path.to_str().unwrap()]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let wanted = format!("s.toml:5: plugins.fetches.grants.http: {bad:?}: write a scheme");
        assert!(!output.status.success() && told.contains(&wanted), "{told}");
    }
}
