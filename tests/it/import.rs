//! Moving in: from a Redis that trpc-agent-go has written, and from files of `sessiond export`.
//!
//! `tests/data/trpc-*.txt` is what the library itself has written.

mod damaged;
mod files;
mod resume;
mod trpc;

use std::path::Path;
use std::process::Stdio;

use sessiond_core::key::SessionKey;
use sessiond_core::store::whole::Whole;
use sessiond_core::store::{Prefer, Range, SessionStore as _, Snapshot, StoreRules};
use sessiond_redis::RedisStore;
use sessiond_tests::daemon::program;
use sessiond_tests::redis_server::RedisServer;

const ALL: Range =
    Range { after: 0, before: None, limit: 100_000, prefer: Prefer::Oldest, with_state: true };

/// A source, a target, and a configuration for it.
struct Move {
    source: RedisServer,
    target: RedisServer,
    folder: tempfile::TempDir,
}

/// What a run of the program came to.
struct Run {
    good: bool,
    out: String,
    told: String,
}

impl Move {
    async fn new() -> Self {
        Self::with_config("").await
    }

    async fn with_config(more: &str) -> Self {
        let (source, target) = (RedisServer::start().await, RedisServer::start().await);
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[redis]\nurl = {:?}\n{more}", target.url());
        std::fs::write(folder.path().join("s.toml"), config).unwrap();
        Self { source, target, folder }
    }

    /// With the sessions that the library has written.
    async fn of(file: &str) -> Self {
        let this = Self::new().await;
        this.load(file).await;
        this
    }

    async fn load(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
        let text = std::fs::read(path).unwrap();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let words = words(line);
            let mut command = redis::cmd(str::from_utf8(&words[0]).unwrap());
            words[1..].iter().for_each(|word| {
                command.arg(word);
            });
            let _: redis::Value =
                command.query_async(&mut self.source.connection().await).await.unwrap();
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program());
        command.args(args).args(["--config", &self.path("s.toml")]).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str]) -> Run {
        let output = self.command(args).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { good: output.status.success(), out: text(output.stdout), told: text(output.stderr) }
    }

    async fn import(&self, more: &[&str]) -> Run {
        let url = self.source.url();
        let mut args = vec!["import", "trpc", "--from", &url];
        args.extend(more);
        self.run(&args).await
    }

    async fn store(&self) -> RedisStore {
        self.target.store(StoreRules::default()).await
    }

    async fn session(&self, app: &str, user: &str, session: &str) -> (Snapshot, Whole) {
        let key = SessionKey::new(app, user, session).unwrap();
        let store = self.store().await;
        let read = store.read(&key, ALL).await.unwrap();
        let read = read.unwrap_or_else(|| panic!("{key:?} is not there"));
        (read, store.whole(&key).await.unwrap().unwrap())
    }

    /// Sends a command to the source, whose words may be anything.
    async fn tell(&self, words: &[&[u8]]) {
        let mut command = redis::cmd(str::from_utf8(words[0]).unwrap());
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        let _: redis::Value =
            command.query_async(&mut self.source.connection().await).await.unwrap();
    }
}

impl Run {
    #[track_caller]
    fn expect(self, good: bool) -> Self {
        assert_eq!(self.good, good, "{}\n{}", self.out, self.told);
        self
    }

    #[track_caller]
    fn says(&self, what: &str) {
        assert!(self.out.contains(what), "{what:?} is not in\n{}\n{}", self.out, self.told);
    }
}

/// The words of a line, as redis-cli reads them.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let (mut words, mut bytes) = (Vec::new(), line.iter().copied().peekable());
    while let Some(first) = bytes.next() {
        let mut word = Vec::new();
        if first == b'"' {
            loop {
                match bytes.next().expect("a quote ends") {
                    b'"' => break,
                    b'\\' => word.push(match bytes.next().expect("an escape ends") {
                        b'n' => b'\n',
                        b'x' => {
                            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                            u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                        }
                        other => other,
                    }),
                    byte => word.push(byte),
                }
            }
        } else {
            word.push(first);
            while let Some(byte) = bytes.next_if(|byte| *byte != b' ') {
                word.push(byte);
            }
        }
        bytes.next_if(|byte| *byte == b' ');
        words.push(word);
    }
    words
}
