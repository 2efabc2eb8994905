//! What is granted to plugins, with guests that use it: all of it denied until the configuration says
//! otherwise.

use std::path::{Path, PathBuf};

use sessiond_tests::client::{Client, Reply};
use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::wat;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const CONFIG: &str = "wasi:config/store@0.2.0-rc.1";
const LOGGING: &str = "wasi:logging/logging@0.1.0-draft";

/// Writes a guest, and returns its path.
fn write(folder: &Path, name: &str, imports: &[&str]) -> PathBuf {
    let file = folder.join(format!("{name}.wasm"));
    std::fs::write(&file, wat::granted(name, imports)).unwrap();
    file
}

/// A daemon whose only append hook is a guest, with more of its table.
async fn daemon(name: &str, imports: &[&str], more: &str) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), name, imports);
    let config = format!("[hooks]\nappend = [{name:?}]\n[plugins.{name}]\npath = {file:?}\n{more}");
    let daemon = Daemon::start(&config).await;
    daemon.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    daemon
}

async fn append(client: &Client, text: &str) -> Reply {
    let event = serde_json::json!({"role": "user", "content": text});
    client.post(&format!("{SESSIONS}/s/events"), event.to_string()).await
}

/// What a guest says, which it does by a rejection.
async fn says(daemon: &Daemon, text: &str) -> String {
    let reply = append(&daemon.client(), text).await.expect(422).json();
    reply["rejection"].as_str().unwrap_or_default().to_owned()
}

/// What `sessiond check` says of a configuration with a guest.
async fn check(name: &str, imports: &[&str], more: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), name, imports);
    let config = folder.path().join("s.toml");
    let text = format!("[hooks]\nappend = [{name:?}]\n[plugins.{name}]\npath = {file:?}\n{more}");
    std::fs::write(&config, text).unwrap();
    told(&["check", "--config", config.to_str().unwrap()]).await
}

async fn told(args: &[&str]) -> (bool, String) {
    let output = run(args).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// P57: a plugin sees its own settings and no other's, and what is secret in them is not printed.
#[tokio::test]
async fn a_plugin_reads_its_own_settings() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("greeting");
    std::fs::write(&secret, "good morning\n").unwrap();
    let settings = format!("[plugins.settings.config]\ngreeting = {{ file = {secret:?} }}\n");
    let guest = daemon("settings", &[CONFIG], &settings).await;
    assert_eq!(says(&guest, "x").await, "good morning");
    let (good, shown) = check("settings", &[CONFIG], &settings).await;
    assert!(good && shown.contains("greeting = ***"), "{shown}");
    assert!(!shown.contains("good morning") && !guest.log().contains("good morning"));

    let other = daemon("settings", &[CONFIG], "[plugins.settings.config]\nother = \"x\"\n").await;
    assert_eq!(says(&other, "x").await, "none");
    let (good, shown) =
        check("settings", &[CONFIG], "[plugins.settings.config]\n\"a.b\" = \"x\"\n").await;
    assert!(!good && shown.contains("s.toml:6: plugins.settings.config.a.b: name it"), "{shown}");
}

/// P45: what is logged through WASI is marked, clamped and escaped like any other line.
#[tokio::test]
async fn a_plugin_logs_through_wasi() {
    let guest = daemon("logs", &[LOGGING], "[plugins.logs.grants]\nlogging = true\n").await;
    append(&guest.client(), "x").await.expect(200);
    let log = guest.log();
    let line = |wanted: &str| log.lines().find(|line| line.contains(wanted)).unwrap_or_default();
    let first = line("a line\\nand a break");
    assert!(first.contains("INFO") && first.contains("plugin=\"logs\""), "{log}");
    assert!(
        first.contains("request_id=\"") && first.contains("session=\"shop\"/\"ann\"/\"s\""),
        "{log}"
    );
    assert!(line("here: a line").contains("ERROR"), "{log}");
}

/// P40, P44: what a guest prints is marked like what it logs, even where it traps in the middle of a
/// line, and it needs no grant for it.
#[tokio::test]
async fn what_a_plugin_prints_is_marked() {
    let guest = daemon("prints", &["wasi:cli/stderr@0.2.0"], "").await;
    append(&guest.client(), "x").await.expect(500);
    let log = guest.log();
    for wanted in ["\"one line\"", "\"and a half\""] {
        let line = log.lines().find(|line| line.ends_with(wanted)).unwrap_or_default();
        assert!(line.contains("WARN guest: plugin=\"prints\""), "{log}");
        assert!(line.contains("request_id=\"") && line.contains("\"shop\"/\"ann\"/\"s\""), "{log}");
    }
    assert!(log.contains("the guest's last words: one line"), "{log}");
}

/// P49, P52: what is missing is named with the line that would allow it, and so is what does nothing.
#[tokio::test]
async fn nothing_is_granted_by_default() {
    let (good, told) = check("settings", &[CONFIG], "").await;
    assert!(!good, "{told}");
    assert!(
        told.contains("which is not granted: to allow it, add a table [plugins.settings.config]"),
        "{told}"
    );
    let imports = [CONFIG, "wasi:keyvalue/store@0.2.0-draft"];
    let (good, told) = check("keeps", &imports, "").await;
    for wanted in ["a table [plugins.keeps.config]", "[plugins.keeps.grants] keyvalue = { quota"] {
        assert!(!good && told.contains(wanted), "{told}");
    }
    let (good, told) = check("logs", &[LOGGING], "[plugins.logs.config]\n").await;
    assert!(!good && told.contains("add [plugins.logs.grants] logging = true"), "{told}");
    assert!(
        told.contains("plugins.logs.config is set, and the component does not import"),
        "{told}"
    );
    let (good, told) = check("logs", &[LOGGING], "[plugins.logs.grants]\nlogin = true\n").await;
    assert!(!good && told.contains("plugins.logs.grants.login: there is no such key"), "{told}");
}

/// P79: without a configuration, the grants that a component needs are named.
#[tokio::test]
async fn an_author_learns_which_grants_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let table = "needs   config: a table [plugins.NAME.config]";
    for (name, imports, wanted) in [
        ("settings", &[CONFIG][..], &[table][..]),
        (
            "asks",
            &["sessiond:plugin/chat-model@0.1.0"],
            &["needs   grants.models: [plugins.NAME.grants] models"],
        ),
        (
            "keeps",
            &[CONFIG, "wasi:keyvalue/store@0.2.0-draft"],
            &[table, "needs   grants.keyvalue: [plugins.NAME.grants] keyvalue = {"],
        ),
        (
            "fetches",
            &[CONFIG, "wasi:http/types@0.2.0", "wasi:http/outgoing-handler@0.2.0"],
            &[table, "needs   grants.http: [plugins.NAME.grants] http = ["],
        ),
        ("logs", &[LOGGING], &["needs   grants.logging: [plugins.NAME.grants] logging = true"]),
    ] {
        let file = write(folder.path(), name, imports);
        let (good, shown) = told(&["plugin", "check", file.to_str().unwrap()]).await;
        assert!(good && wanted.iter().all(|wanted| shown.contains(wanted)), "{shown}");
    }
}
