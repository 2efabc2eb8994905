//! Plugins are replaced under way, and nobody notices but by what they do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sessiond_tests::client::Client;
use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;
use tempfile::TempDir;
use tokio::task::JoinSet;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const HI: &str = r#"{"role":"user","content":"hi"}"#;

/// A hook that lets everything pass, in a build of its own.
fn pass(build: u32) -> Vec<u8> {
    let marked = format!("(module\n  (data (i32.const 640) \"build {build}\")");
    let text = wat::hostile("pass").replacen("(module", &marked, 1);
    wat::component(&text, "before-append-plugin")
}

fn deny() -> Vec<u8> {
    wat::component(&wat::hostile("deny"), "before-append-plugin")
}

/// A daemon with one hook, and where its file is.
struct Subject {
    daemon: Daemon,
    file: PathBuf,
    _folder: TempDir,
}

impl Subject {
    async fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hook.wasm");
        std::fs::write(&file, pass(0)).unwrap();
        let config =
            format!("[hooks]\nappend = [\"hook\"]\n[plugins.hook]\npath = {file:?}\n{more}\n");
        let daemon = Daemon::start(&config).await;
        daemon.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
        Self { daemon, file, _folder: folder }
    }

    /// Puts another file in its place, as a deployment does.
    fn deploy(&self, bytes: &[u8]) {
        deploy(&self.file, bytes);
    }

    async fn reload(&self) -> (bool, String) {
        self.plugin(&["reload", "hook"]).await
    }

    async fn plugin(&self, args: &[&str]) -> (bool, String) {
        let config = self.daemon.config();
        let config = ["--config", config.to_str().unwrap()];
        let output = run(&[&["plugin"], args, &config].concat()).await;
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    }

    async fn append(&self) -> (u16, String) {
        let reply = self.daemon.client().post(&format!("{SESSIONS}/s/events"), HI).await;
        (reply.status.as_u16(), reply.code())
    }

    async fn appends_are(&self, status: u16) {
        let is = async || (self.append().await.0 == status).then_some(());
        eventually(&format!("appends are answered {status}"), is).await;
    }

    async fn metric(&self, series: &str) -> u64 {
        metric(&self.daemon.client(), series).await
    }
}

fn deploy(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn metric(client: &Client, series: &str) -> u64 {
    let text = client.get("/metrics").await.expect(200).text;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or_default()
}

const RELOADED: &str = "sessiond_plugin_reloads_total{plugin=\"hook\",outcome=\"reloaded\"}";
const UNCHANGED: &str = "sessiond_plugin_reloads_total{plugin=\"hook\",outcome=\"unchanged\"}";
const REFUSED: &str = "sessiond_plugin_reloads_total{plugin=\"hook\",outcome=\"refused\"}";
const GENERATIONS: &str = "sessiond_plugin_generations{plugin=\"hook\"}";
const INSTANCES: &str = "sessiond_plugin_instances{plugin=\"hook\"}";

/// A new file serves after a command of the operator, and after SIGHUP.
#[tokio::test]
async fn a_new_file_is_taken_into_service() {
    let subject = Subject::start("").await;
    assert_eq!(subject.append().await.0, 200);
    let (good, told) = subject.reload().await;
    assert!(good && told.starts_with("unchanged: hook: "), "{told}");

    subject.deploy(&deny());
    assert_eq!(subject.append().await.0, 200, "nothing changes by itself");
    let (good, told) = subject.reload().await;
    assert!(good && told.starts_with("reloaded: hook: "), "{told}");
    assert_eq!(subject.append().await, (422, "hook_denied".to_owned()));
    let (good, listed) = subject.plugin(&["list"]).await;
    assert!(good && told.ends_with(&listed), "{listed}");

    subject.deploy(&pass(1));
    subject.daemon.hang_up();
    subject.appends_are(200).await;
    assert_eq!(subject.metric(RELOADED).await, 2);
    assert_eq!(subject.metric(GENERATIONS).await, 1);
    let (good, told) = subject.plugin(&["reload", "hock"]).await;
    assert!(!good && told.contains("plugin_not_found"), "{told}");
}

/// P34, P39, P62: whatever is wrong with a new file, the old one serves on, and it is said aloud.
#[tokio::test]
async fn a_bad_new_file_keeps_the_old() {
    let subject = Subject::start("").await;
    let good = pass(1);
    let other = r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
        (func (export "sessiond:plugin/after-append@0.1.0#after-append")
            (param i32 i32 i32 i32 i32 i32 i32 i32)))"#;
    let cases = [
        (good[..good.len() / 2].to_vec(), "cannot be compiled"),
        (b"<html>".to_vec(), "is no WebAssembly component but something else"),
        (wat::module("(module)"), "a core module"),
        (
            wat::component(other, "after-append-plugin"),
            "it exports after-append, and the plugin that serves exports before-append",
        ),
    ];
    let mut refused = 0;
    for (bytes, wanted) in cases {
        subject.deploy(&bytes);
        let (done, told) = subject.reload().await;
        refused += 1;
        assert!(!done && told.contains(wanted), "{wanted:?} is not in\n{told}");
        assert!(told.contains("loaded before serves on"), "{told}");
        assert_eq!(subject.append().await.0, 200);
        assert_eq!(subject.metric(REFUSED).await, refused);
        let (_, listed) = subject.plugin(&["list"]).await;
        assert!(listed.contains("its file was not taken when it changed"), "{listed}");
    }
    assert!(subject.daemon.log().contains("plugin not reloaded"), "{}", subject.daemon.log());
    std::fs::remove_file(&subject.file).unwrap();
    assert!(!subject.reload().await.0);
    assert_eq!(subject.append().await.0, 200);

    subject.deploy(&good);
    assert!(subject.reload().await.0);
    assert_eq!((subject.append().await.0, subject.metric(GENERATIONS).await), (200, 1));
    let (_, listed) = subject.plugin(&["list"]).await;
    assert!(!listed.contains("was not taken"), "{listed}");
}

/// P59: a pin holds for a new file too.
#[tokio::test]
async fn a_pinned_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook.wasm");
    std::fs::write(&file, pass(0)).unwrap();
    let checked = run(&["plugin", "check", file.to_str().unwrap()]).await;
    let told = String::from_utf8(checked.stdout).unwrap();
    let sha256 = told.split("sha256 ").nth(1).unwrap().split_whitespace().next().unwrap();
    let subject = Subject::start(&format!("sha256 = {sha256:?}")).await;
    subject.deploy(&deny());
    let (done, told) = subject.reload().await;
    assert!(!done && told.contains(&format!("the configuration wants {sha256}")), "{told}");
    assert_eq!(subject.append().await.0, 200);
}

/// P20, P62: a storm of reloads loses no append, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reloads_loses_nothing() {
    let subject = Subject::start("limits.queue_wait = \"20s\"\nlimits.time = \"20s\"").await;
    let builds: Vec<_> = (1..=4).map(pass).collect();
    for build in &builds {
        subject.deploy(build);
        assert!(subject.reload().await.0);
    }
    let before = resident(subject.daemon.id());
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..6 {
        writers.spawn(write(subject.daemon.client(), writer, done.clone()));
    }
    for at in 0..50 {
        subject.deploy(&builds[at % builds.len()]);
        let (good, told) = subject.reload().await;
        assert!(good, "{told}");
    }
    done.store(true, Ordering::SeqCst);
    let acknowledged: u64 = writers.join_all().await.into_iter().sum();
    assert!(acknowledged > 100, "{acknowledged} appends prove little");
    let session = subject.daemon.client().get(&format!("{SESSIONS}/s")).await.expect(200).json();
    assert_eq!(session["last_seq"], acknowledged);
    assert_eq!(subject.metric(RELOADED).await, 54);
    let one_left = async || {
        let left = (subject.metric(GENERATIONS).await, subject.metric(INSTANCES).await);
        (left.0 == 1 && left.1 <= 4).then_some(())
    };
    eventually("the old plugins and their instances are gone", one_left).await;
    let after = resident(subject.daemon.id());
    assert!(after < before + before / 4 + 32_768, "{before} kB before, {after} kB after");
}

/// Appends until it is told to stop. Every append is acknowledged. Returns how many there were.
async fn write(client: Client, writer: u32, done: Arc<AtomicBool>) -> u64 {
    let mut count = 0;
    while !done.load(Ordering::SeqCst) {
        let item = format!(r#"{{"id":"{writer}-{count}","event":{HI}}}"#);
        client.post(&format!("{SESSIONS}/s/events"), item).await.expect(200);
        count += 1;
    }
    count
}

/// The memory of a process, in kB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// P63: a file that is watched is reloaded once when it has come to rest, however slowly it is
/// written, and not when it is deleted.
#[tokio::test]
async fn a_watched_file_is_reloaded_at_rest() {
    let subject = Subject::start("watch = true").await;
    eventually("the file was looked at", async || {
        (subject.metric(UNCHANGED).await == 1).then_some(())
    })
    .await;
    let new = deny();
    let mut file = std::fs::File::create(&subject.file).unwrap();
    for piece in new.chunks(new.len() / 10) {
        std::io::Write::write_all(&mut file, piece).unwrap();
        // A slow copy is what this is about.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(file);
    subject.appends_are(422).await;
    std::fs::remove_file(&subject.file).unwrap();
    subject.deploy(&pass(1));
    subject.appends_are(200).await;
    let counts = [
        subject.metric(RELOADED).await,
        subject.metric(REFUSED).await,
        subject.metric(UNCHANGED).await,
    ];
    assert_eq!(counts, [2, 0, 1]);
}
