//! Who gets in: tokens with grants, the table of what routes need, TLS, and foreign pages.

use std::path::PathBuf;

use sessiond_tests::client::{Client, Reply};
use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::wait::eventually;
use tempfile::TempDir;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";

/// A token, as `sessiond token new` makes it: its text and its line.
async fn token(name: &str, app: &str, user: &str, scopes: &[&str]) -> (String, String) {
    let mut args = vec!["token", "new", name, "--app", app, "--user", user];
    scopes.iter().for_each(|scope| args.extend(["--scope", scope]));
    let output = run(&args).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let secret = text.split_whitespace().find(|word| word.starts_with("sd_")).unwrap();
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    assert!(!line.contains(secret), "the file does not have the token itself");
    (secret.to_owned(), line.to_owned())
}

/// A daemon with tokens.
struct Guarded {
    daemon: Daemon,
    file: PathBuf,
    _folder: TempDir,
}

impl Guarded {
    async fn start(lines: &[&str], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.toml");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let daemon = Daemon::start(&format!("tokens_file = {file:?}\n{more}")).await;
        Self { daemon, file, _folder: folder }
    }
}

async fn ask(client: &Client, token: Option<&str>, method: &str, path: &str, body: &str) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
    client.send(method, path, &headers, body).await.unwrap()
}

/// The operations of the description: method, path and the scopes that it says are needed; None for
/// those that need no token.
async fn operations(client: &Client) -> Vec<(String, String, Option<Vec<String>>)> {
    let document = client.get("/openapi.json").await.expect(200).json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method == "parameters" {
                continue;
            }
            let scopes = operation["security"][0]["token"].as_array().map(|scopes| {
                scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect()
            });
            operations.push((method.to_uppercase(), path.clone(), scopes));
        }
    }
    operations
}

fn filled(path: &str, app: &str, user: &str) -> String {
    let path = path.replace("{app}", app).replace("{user}", user).replace("{session}", "s");
    let path = path.replace("{key}", "k").replace("{id}", "e").replace("{track}", "t");
    path.replace("{plugin}", "p").replace("{base}", "")
}

/// The code of a problem, also of one that is told in ADK's way.
fn code_of(reply: &Reply) -> String {
    let told = [
        ("send a token", "token_missing"),
        ("is not known: it may", "token_unknown"),
        ("does not have the scope", "scope_missing"),
        ("Session not found", "session_not_found"),
    ];
    let detail = reply.json()["detail"].as_str().unwrap_or_default().to_owned();
    match reply.code() {
        code if code.is_empty() => {
            let found = told.iter().find(|(text, _)| detail.contains(text));
            found.map(|(_, code)| (*code).to_owned()).unwrap_or_default()
        }
        code => code,
    }
}

/// R84: every route that there is, asked without a token, with an unknown one, with one for another
/// app, for another user, with too small a scope, and with the right one.
#[tokio::test]
async fn every_route_asks_for_its_token() {
    let made = [
        ("reader", "shop", "ann", &["read"][..]),
        ("writer", "shop", "ann", &["append"][..]),
        ("both", "shop", "*", &["read", "append"][..]),
        ("operator", "*", "*", &["admin"][..]),
        ("other-app", "desk", "*", &["read", "append"][..]),
        ("other-user", "shop", "bob", &["read", "append"][..]),
    ];
    let (mut secrets, mut lines) = (Vec::new(), Vec::new());
    for (name, app, user, scopes) in made {
        let (secret, line) = token(name, app, user, scopes).await;
        secrets.push(secret);
        lines.push(line);
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let guarded = Guarded::start(&lines, "").await;
    let client = guarded.daemon.client();
    let [reader, writer, both, operator, other_app, other_user] =
        [0, 1, 2, 3, 4, 5].map(|at: usize| Some(secrets[at].as_str()));
    ask(&client, both, "POST", SESSIONS, r#"{"id":"s"}"#).await.expect(201);

    let operations = operations(&client).await;
    assert!(operations.len() > 30, "{operations:?}");
    for (method, path, scopes) in &operations {
        let mut path = filled(path, "shop", "ann");
        if path.ends_with(":watch") {
            // Who is let in is told that this is no cursor, rather than shown a stream without end.
            path.push_str("?cursor=none");
        }
        let code = async |token: Option<&str>| {
            let reply = ask(&client, token, method, &path, "").await;
            let allowed = ![401, 403].contains(&reply.status.as_u16());
            (allowed, reply.status.as_u16(), code_of(&reply))
        };
        let Some(scopes) = scopes else {
            assert!(code(None).await.0, "{method} {path} is open");
            continue;
        };
        assert_eq!(code(None).await, (false, 401, "token_missing".to_owned()), "{method} {path}");
        let unknown = Some("sd_0000000000000000000000000000000000000000000000000000000000000000");
        assert_eq!(
            code(unknown).await,
            (false, 401, "token_unknown".to_owned()),
            "{method} {path}"
        );
        let hidden = (true, 404, "session_not_found".to_owned());
        let too_small = (false, 403, "scope_missing".to_owned());
        if path.contains("/admin/") {
            for token in [reader, both, other_app] {
                assert_eq!(code(token).await, too_small, "{method} {path}");
            }
            assert!(code(operator).await.0, "{method} {path}");
            continue;
        }
        if scopes.is_empty() {
            assert!(code(reader).await.0, "{method} {path}");
            continue;
        }
        for token in [other_app, other_user] {
            assert_eq!(code(token).await, hidden, "{method} {path}");
        }
        assert_eq!(code(operator).await, too_small, "{method} {path}");
        if !path.contains("/users/") {
            // What a whole app shares is not for those who may reach one user only.
            assert_eq!(code(reader).await, hidden, "{method} {path}");
        } else {
            let needs = |scope: &str| scopes.iter().any(|it| it == scope);
            if needs("append") {
                assert_eq!(code(reader).await, too_small, "{method} {path}");
            }
            if needs("read") {
                assert_eq!(code(writer).await, too_small, "{method} {path}");
            }
        }
        // The session goes away under way, so it may be missing: but then it is really missing.
        ask(&client, both, "POST", SESSIONS, r#"{"id":"s"}"#).await;
        assert!(code(both).await.0, "{method} {path}");
    }
    // What is no route needs a token too, to be told so.
    assert_eq!(ask(&client, None, "GET", "/v1/nothing", "").await.status.as_u16(), 401);
    assert_eq!(ask(&client, both, "GET", "/v1/nothing", "").await.code(), "no_route");
    assert_eq!(ask(&client, None, "PUT", SESSIONS, "").await.status.as_u16(), 401);
}

/// R84: names are compared as they are, however they are written; a fork reaches only whom its token
/// reaches; and whoever asks is known by the name of the token.
#[tokio::test]
async fn there_is_no_way_around_a_grant() {
    let (ann, line) = token("ann's", "shop", "ann", &["read", "append"]).await;
    let (all, all_line) = token("all", "*", "*", &["read", "append"]).await;
    let guarded = Guarded::start(&[&line, &all_line], "").await;
    let client = guarded.daemon.client();
    for user in ["ann", "bob", "an", "ann%2Fx"] {
        let path = format!("/v1/apps/shop/users/{user}/sessions");
        ask(&client, Some(&all), "POST", &path, r#"{"id":"s"}"#).await.expect(201);
        let path = format!("{path}/s");
        let reply = ask(&client, Some(&ann), "GET", &path, "").await;
        reply.expect(if user == "ann" { 200 } else { 404 });
    }
    for path in ["/v1/apps/shop/users/%61nn/sessions/s", "/v1/apps/%73hop/users/ann/sessions/s"] {
        ask(&client, Some(&ann), "GET", path, "").await.expect(200);
    }
    for path in [
        "/v1/apps/shop/users/%62ob/sessions/s",
        "/v1/apps/shop/users/ann/../bob/sessions/s",
        "/v1/apps/shop/users/ann%2F..%2Fbob/sessions/s",
        "/v1/apps/shop//users/bob/sessions/s",
    ] {
        let reply = ask(&client, Some(&ann), "GET", path, "").await;
        assert_eq!(reply.status.as_u16(), 404, "{path} {}", reply.text);
    }
    let fork = format!("{SESSIONS}/s:fork");
    let to = |user: &str| format!(r#"{{"id":"f","user":"{user}"}}"#);
    assert_eq!(ask(&client, Some(&ann), "POST", &fork, &to("bob")).await.status.as_u16(), 404);
    ask(&client, Some(&ann), "POST", &fork, &to("ann")).await.expect(201);
    ask(&client, Some(&all), "POST", &fork, &to("bob")).await.expect(201);
    for header in ["sd_", "Bearer", "Bearer ", "Basic c2Q6", "bearer"] {
        let headers = [("authorization", header)];
        let reply = client.send("GET", SESSIONS, &headers, "").await.unwrap().expect(401);
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }
    // With tokens, names of this machine are no protection any more, and not needed.
    let bearer = format!("Bearer {ann}");
    let headers = [("authorization", bearer.as_str()), ("host", "sessions.example.com")];
    client.send("GET", SESSIONS, &headers, "").await.unwrap().expect(200);
    let log = guarded.daemon.log();
    assert!(!log.contains(&ann) && !log.contains(&all), "{log}");
}

/// Tokens are read again at SIGHUP; a file that is wrong changes nothing.
#[tokio::test]
async fn tokens_come_and_go_without_a_restart() {
    let (old, old_line) = token("old", "*", "*", &[]).await;
    let (new, new_line) = token("new", "*", "*", &[]).await;
    let guarded = Guarded::start(&[&old_line], "").await;
    let client = guarded.daemon.client();
    let status =
        async |token: &str| ask(&client, Some(token), "GET", SESSIONS, "").await.status.as_u16();
    assert_eq!((status(&old).await, status(&new).await), (200, 401));
    std::fs::write(&guarded.file, "old = 1").unwrap();
    guarded.daemon.hang_up();
    let refused = async || guarded.daemon.log().contains("not read again").then_some(());
    eventually("the file is refused", refused).await;
    assert_eq!((status(&old).await, status(&new).await), (200, 401));
    std::fs::write(&guarded.file, &new_line).unwrap();
    guarded.daemon.hang_up();
    let turned = async || (status(&new).await == 200).then_some(());
    eventually("the new token counts", turned).await;
    assert_eq!(status(&old).await, 401);
}

/// R85: without tokens the daemon stays on the loopback interface; with them, and TLS, it need not.
#[tokio::test]
async fn what_is_not_safe_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let check = async |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = run(&["check", "--config", file.to_str().unwrap()]).await;
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    };
    let open = "[server]\nlisten = \"0.0.0.0:0\"\n";
    let (good, told) = check(open).await;
    assert!(!good && told.contains("server.tokens_file"), "{told}");
    let (_, line) = token("t", "*", "*", &["admin"]).await;
    let tokens = folder.path().join("tokens.toml");
    let with = format!("{open}tokens_file = \"tokens.toml\"\n");
    assert!(check(&with).await.1.contains("tokens.toml"));
    std::fs::write(&tokens, "").unwrap();
    assert!(check(&with).await.1.contains("there is no token"));
    std::fs::write(&tokens, &line).unwrap();
    let (good, told) = check(&with).await;
    assert!(good && told.contains("in the clear"), "{told}");
    let both = format!("{with}tokens = {:?}\n", line);
    assert!(check(&both).await.1.contains("already"));
    let (good, told) = check(&format!("{with}tls = {{ cert = \"c.pem\" }}\n")).await;
    assert!(!good && told.contains("server.tls.key"), "{told}");
    let (good, told) =
        check(&format!("{with}tls = {{ cert = \"c.pem\", key = \"k.pem\" }}\n")).await;
    assert!(!good && told.contains("c.pem"), "{told}");
    let (made, other) = (certificate(), certificate());
    std::fs::write(folder.path().join("c.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("k.pem"), other.signing_key.serialize_pem()).unwrap();
    let (good, told) =
        check(&format!("{with}tls = {{ cert = \"c.pem\", key = \"k.pem\" }}\n")).await;
    assert!(!good && told.contains("do not fit"), "{told}");
    let refused = run(&["token", "new", "x", "--app", "shop", "--scope", "admin"]).await;
    assert!(!refused.status.success());
}

/// Without tokens the operator's routes are on the socket only.
#[tokio::test]
async fn the_operators_routes_are_apart() {
    let daemon = Daemon::start("").await;
    let reply = daemon.client().get("/v1/admin/export").await.expect(403);
    assert_eq!(reply.code(), "admin_needs_token");
    assert_eq!(daemon.export().await.last().unwrap()["sessions"], 0);
}

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// TLS, as curl checks it, and the certificate replaced under way.
#[tokio::test]
async fn clients_are_served_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    };
    let (first, second) = (certificate(), certificate());
    write(&first);
    std::fs::write(path("second.pem"), second.cert.pem()).unwrap();
    std::fs::write(path("first.pem"), first.cert.pem()).unwrap();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let config = format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n");
    let daemon = Daemon::start(&config).await;
    let port = daemon.client().base().rsplit(':').next().unwrap().to_owned();
    let curl = async |authority: &str| {
        let url = format!("https://localhost:{port}/healthz");
        let mut command = tokio::process::Command::new("curl");
        command.args(["--silent", "--max-time", "20", "--cacert"]).arg(path(authority)).arg(url);
        let output = command.output().await.expect("curl runs");
        output.status.success() && output.stdout.starts_with(b"{\"status\":\"ok\"}")
    };
    assert!(curl("first.pem").await);
    assert!(!curl("second.pem").await);
    assert!(daemon.client().send("GET", "/healthz", &[], "").await.is_err(), "no plain HTTP");
    write(&second);
    daemon.hang_up();
    eventually("the new certificate", async || curl("second.pem").await.then_some(())).await;
    assert!(!curl("first.pem").await);
}
