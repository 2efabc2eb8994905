//! Compiled plugins are kept, and compiling holds up nobody.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, guest, run};
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const HI: &str = r#"{"role":"user","content":"mail a@b.example"}"#;

/// A configuration with a small plugin and a cache of its own.
fn small(folder: &Path) -> String {
    let file = folder.join("pass.wasm");
    std::fs::write(&file, wat::component(&wat::hostile("pass"), "before-append-plugin")).unwrap();
    let cache = folder.join("cache");
    format!(
        "[plugin_cache]\ndir = {cache:?}\n[hooks]\nappend = [\"pass\"]\n[plugins.pass]\npath = {file:?}\n"
    )
}

fn cached(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("cache")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|path| !path.ends_with(".lock")).collect()
}

/// How many components were compiled, and how many came from the cache.
async fn origins(client: &Client) -> [u32; 2] {
    let metrics = client.get("/metrics").await.expect(200).text;
    ["compiled", "cache"].map(|from| {
        let series = format!("sessiond_plugin_code_total{{from=\"{from}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
        value.map_or(0, |value| value.parse().unwrap())
    })
}

async fn serves(client: &Client) {
    let session = client.post(SESSIONS, "{}").await.expect(201).json();
    let path = format!("{SESSIONS}/{}/events", session["id"].as_str().unwrap());
    client.post(&path, HI).await.expect(200);
}

/// P66, P67: the daemon lives and says so while it compiles megabytes, and lets nobody in before its
/// hooks are there. P68, P69: the next start compiles nothing.
#[tokio::test]
async fn a_second_start_compiles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = format!(
        "[plugin_cache]\ndir = {:?}\n[hooks]\nappend = [\"redact\"]\nget = [\"recent\"]\n[summary]\nplugin = \"rolling\"\n",
        folder.path().join("cache")
    );
    for (name, file) in [
        ("redact", "redact-secrets-rust"),
        ("recent", "recent-turns-javascript"),
        ("rolling", "rolling-summary-python"),
    ] {
        writeln!(config, "[plugins.{name}]\npath = {:?}", guest(file)).unwrap();
    }
    let daemon = Daemon::starting(&config).await;
    let client = daemon.client();
    let mut asked = 0;
    eventually("the daemon is ready", async || {
        client.get("/healthz").await.expect(200);
        let early = client.post(SESSIONS, "{}").await;
        let ready = client.get("/readyz").await;
        if ready.status == 200 {
            return Some(());
        }
        asked += 1;
        assert_eq!((ready.status.as_u16(), ready.code()), (503, "starting".to_owned()));
        assert!(early.code() == "starting" || early.status == 201, "{}", early.text);
        None
    })
    .await;
    assert!(asked > 1, "it was ready too soon to prove anything");
    assert_eq!(origins(&client).await, [3, 0]);
    serves(&client).await;

    let daemon = daemon.again().await;
    assert_eq!(origins(&daemon.client()).await, [0, 3]);
    serves(&daemon.client()).await;
}

/// P37: a file that is damaged, cut off, of something else or open to others is told and compiled
/// anew, and what comes of that serves the next start.
#[tokio::test]
async fn what_cannot_be_trusted_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(folder.path());
    let mut daemon = Daemon::start(&config).await;
    assert_eq!(origins(&daemon.client()).await, [1, 0]);
    let [file] = cached(folder.path()).try_into().unwrap();
    let code = std::fs::read(&file).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let mut damaged = code.clone();
    damaged[code.len() / 2] ^= 1;
    let (half, foreign) = (code[..code.len() / 2].to_vec(), b"\x7fELF, and so on".to_vec());
    for (bytes, wanted) in [
        (damaged, "it is damaged"),
        (half, "it is not whole"),
        (foreign, "it is not whole"),
        (Vec::new(), "it is not whole"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        daemon = daemon.again().await;
        assert_eq!(origins(&daemon.client()).await, [1, 0], "{wanted}");
        assert!(daemon.log().contains(wanted), "{wanted:?} is not in\n{}", daemon.log());
        assert_eq!(std::fs::read(&file).unwrap().len(), code.len());
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
    daemon = daemon.again().await;
    assert_eq!(origins(&daemon.client()).await, [1, 0]);
    assert!(daemon.log().contains("others may write it"), "{}", daemon.log());
    daemon = daemon.again().await;
    assert_eq!(origins(&daemon.client()).await, [0, 1]);
    serves(&daemon.client()).await;
}

/// P56: daemons that start at once share a cache: one of them compiles, and nothing unfinished is
/// left.
#[tokio::test]
async fn several_daemons_share_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(folder.path());
    let start = || Daemon::start(&config);
    let (one, two, three) = tokio::join!(start(), start(), start());
    let mut found = [0, 0];
    for daemon in [&one, &two, &three] {
        serves(&daemon.client()).await;
        let [compiled, cached] = origins(&daemon.client()).await;
        found = [found[0] + compiled, found[1] + cached];
    }
    assert_eq!(found, [1, 2]);
    assert_eq!(cached(folder.path()).len(), 1, "{:?}", cached(folder.path()));
}

/// P69: the cache may be filled before the daemon starts.
#[tokio::test]
async fn a_cache_is_filled_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(folder.path());
    let path = folder.path().join("sessiond.toml");
    std::fs::write(&path, &config).unwrap();
    let precompile = async |files: &[&str]| {
        let command = ["plugin", "precompile", "--config", path.to_str().unwrap()];
        let output = run(&[&command, files].concat()).await;
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    for wanted in ["compiled", "cache"] {
        let (good, told) = precompile(&[]).await;
        assert!(good && told.ends_with(&format!("pass.wasm: {wanted}\n")), "{told}");
    }
    let daemon = Daemon::start(&config).await;
    assert_eq!(origins(&daemon.client()).await, [0, 1]);

    let cut = folder.path().join("cut.wasm");
    let bytes = std::fs::read(folder.path().join("pass.wasm")).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let (good, told) = precompile(&[cut.to_str().unwrap()]).await;
    assert!(!good && told.contains("cannot be compiled: "), "{told}");
}

/// What holds native code is nobody else's; and it can be done without.
#[tokio::test]
async fn a_cache_is_private_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(folder.path());
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o755)).unwrap();
    let path = folder.path().join("sessiond.toml");
    std::fs::write(&path, &config).unwrap();
    let output = run(&["serve", "--config", path.to_str().unwrap()]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("`chmod 700` it"), "{told}");

    let config = config.replacen(&format!("{cache:?}"), "\"none\"", 1);
    let daemon = Daemon::start(&config).await;
    assert_eq!(origins(&daemon.client()).await, [1, 0]);
    serves(&daemon.client()).await;
    let daemon = daemon.again().await;
    assert_eq!(origins(&daemon.client()).await, [1, 0]);
    assert!(cached(folder.path()).is_empty());
    assert!(!daemon.log().contains("process apart; compiling in this one"), "{}", daemon.log());
}

/// A daemon that is told to stop while it compiles does, and leaves no compiler behind.
#[tokio::test]
async fn compiling_does_not_outlive_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let file = guest("rolling-summary-python");
    let mut daemon = Daemon::starting(&format!(
        "[plugin_cache]\ndir = {cache:?}\n[summary]\nplugin = \"rolling\"\n[plugins.rolling]\npath = {file:?}\n"
    ))
    .await;
    let id = daemon.id();
    let child = eventually("a child compiles", async || children(id).pop()).await;
    daemon.terminate();
    assert!(daemon.ended().await.success(), "{}", daemon.log());
    assert!(daemon.log().contains("stopped before it had started"), "{}", daemon.log());
    let gone = async || (!Path::new(&format!("/proc/{child}")).exists()).then_some(());
    eventually("the child ends", gone).await;
}

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let children = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    children
        .flat_map(|it| it.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}
