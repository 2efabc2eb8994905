//! The daemon, run as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::client::Client;
use crate::wait::eventually;

/// A daemon that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    folder: TempDir,
    address: String,
    zone: Option<String>,
}

/// The program under test, which `cargo build` has put beside this one.
///
/// # Panics
/// When it is not there.
pub fn program() -> PathBuf {
    let this = std::env::current_exe().expect("a test has a path");
    let found = this.ancestors().map(|folder| folder.join("sessiond")).find(|path| path.is_file());
    found.expect("sessiond is not built: run `cargo build --workspace`, or scripts/test")
}

/// Where the daemons under test keep compiled plugins, unless they are told: not with the user's own.
pub fn cache() -> PathBuf {
    let target = program().parent().and_then(Path::parent).map(Path::to_owned);
    target.expect("target/PROFILE/sessiond").join("test-cache")
}

/// A plugin that `scripts/guests` has built.
///
/// # Panics
/// When it is not there.
pub fn guest(name: &str) -> PathBuf {
    let program = program();
    let target = program.parent().and_then(Path::parent).expect("target/PROFILE/sessiond");
    let path = target.join("guests").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{name} is not built: run scripts/guests {name}, or scripts/test");
    path
}

impl Daemon {
    /// Starts a daemon with a configuration, on a free port of the loopback interface.
    pub async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the daemon");
        Self::start_in(folder, config, "127.0.0.1:0", None).await
    }

    /// Starts a daemon on an address of the loopback interface.
    pub async fn start_at(config: &str, listen: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the daemon");
        Self::start_in(folder, config, listen, None).await
    }

    /// Starts a daemon in a time zone, as the variable `TZ` names it.
    pub async fn start_in_zone(config: &str, zone: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the daemon");
        Self::start_in(folder, config, "127.0.0.1:0", Some(zone.to_owned())).await
    }

    /// Starts a daemon that may have so much address space, in kB.
    pub async fn start_within(config: &str, address_space: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the daemon");
        let limit = Some(address_space);
        let (mut daemon, before) = Self::spawn_within(folder, config, "127.0.0.1:0", None, limit);
        daemon.address = daemon.wait_for_address(before, "listening address=").await;
        daemon
    }

    /// Starts a daemon, and waits only until it answers: it may still be loading plugins.
    pub async fn starting(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the daemon");
        let (mut daemon, before) = Self::spawn(folder, config, "127.0.0.1:0", None);
        daemon.address = daemon.wait_for_address(before, "starting address=").await;
        daemon
    }

    /// Starts a daemon on an address.
    async fn start_in(folder: TempDir, config: &str, listen: &str, zone: Option<String>) -> Self {
        let (mut daemon, before) = Self::spawn(folder, config, listen, zone);
        daemon.address = daemon.wait_for_address(before, "listening address=").await;
        daemon
    }

    /// Starts the process. The number is how long its log was before.
    fn spawn(folder: TempDir, config: &str, listen: &str, zone: Option<String>) -> (Self, u64) {
        Self::spawn_within(folder, config, listen, zone, None)
    }

    fn spawn_within(
        folder: TempDir,
        config: &str,
        listen: &str,
        zone: Option<String>,
        address_space: Option<u64>,
    ) -> (Self, u64) {
        let socket = folder.path().join("admin.sock");
        let config = format!("[server]\nlisten = {listen:?}\nadmin_socket = {socket:?}\n{config}");
        std::fs::write(folder.path().join("sessiond.toml"), config).expect("a configuration");
        let log = File::options().create(true).append(true).open(folder.path().join("log"));
        let log = log.expect("a log");
        let before = log.metadata().map_or(0, |log| log.len());
        let mut command = match address_space {
            Some(limit) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit -v {limit} && exec \"$0\" \"$@\"");
                shell.arg("-c").arg(limited).arg(program());
                shell
            }
            None => Command::new(program()),
        };
        let child = command
            .envs(zone.as_ref().map(|zone| ("TZ", zone)))
            .env("XDG_CACHE_HOME", cache())
            // Finding the names for the first one takes a second, and a guest's time is over.
            .env("RUST_LIB_BACKTRACE", "0")
            .args(["serve", "--config"])
            .arg(folder.path().join("sessiond.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        (Self { child, folder, address: String::new(), zone }, before)
    }

    async fn wait_for_address(&mut self, skip: u64, line: &str) -> String {
        eventually("the daemon listens", async || {
            let log = self.log();
            let log = log.get(usize::try_from(skip).ok()?..)?;
            let address = log.split(line).nth(1)?.split_whitespace().next()?;
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the daemon has ended: {status}\n{log}");
            }
            Some(address.to_owned())
        })
        .await
    }

    /// Starts another daemon where this one was: same configuration, same address, same log.
    pub async fn again(mut self) -> Self {
        self.kill();
        let config = std::fs::read_to_string(self.config()).expect("the configuration");
        let config = config.splitn(4, '\n').nth(3).unwrap_or_default().to_owned();
        let (folder, address) = (
            std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder")),
            self.address.clone(),
        );
        let zone = self.zone.take();
        Self::start_in(folder, &config, &address, zone).await
    }

    /// A client for it.
    pub fn client(&self) -> Client {
        Client::new(format!("http://{}", self.address))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The path of its configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("sessiond.toml")
    }

    /// A folder that goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The answer of one of the operator's routes.
    ///
    /// # Panics
    /// When it is no JSON with status 200.
    pub async fn admin(&self, path: &str) -> serde_json::Value {
        let socket = self.folder.path().join("admin.sock");
        let stream = tokio::net::UnixStream::connect(socket).await.expect("the admin socket");
        let stream = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.expect("HTTP");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        let request = hyper::Request::get(path).header("host", "localhost");
        let request = request.body(http_body_util::Empty::<hyper::body::Bytes>::new());
        let reply = sender.send_request(request.expect("a request")).await.expect("an answer");
        assert_eq!(reply.status().as_u16(), 200, "{path}");
        let body = http_body_util::BodyExt::collect(reply.into_body()).await.expect("a body");
        serde_json::from_slice(&body.to_bytes()).expect("JSON")
    }

    /// Sends it SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends it SIGHUP.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the daemon ends", async || self.child.try_wait().ok().flatten()).await
    }

    /// What it has stored, as `sessiond export --raw` prints it.
    pub async fn export(&self) -> Vec<serde_json::Value> {
        let run = tokio::process::Command::new(program())
            .args(["export", "--raw", "--config"])
            .arg(self.config())
            .output();
        let output = run.await.expect("the export runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("the export is text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
    }
}

/// Runs the program with arguments, to its end.
pub async fn run(args: &[&str]) -> std::process::Output {
    let mut command = tokio::process::Command::new(program());
    let run = command.args(args).env("XDG_CACHE_HOME", cache()).stdin(Stdio::null()).output();
    run.await.expect("the program runs")
}
