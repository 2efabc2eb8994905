//! What sessions cost Redis, in CPU of its main thread and in memory, beside trpc-agent-go's layout
//! and beside a stream in place of the list of entries. Everything is measured in one run, in turns.

use std::sync::Arc;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use sessiond_core::digest::Digest;
use sessiond_core::event::{Event, Received};
use sessiond_core::key::SessionKey;
use sessiond_core::store::{Condition, NewEntry, Prefer, Range, SessionStore as _, StoreRules};
use sessiond_core::time::Time;
use sessiond_redis::{RedisConfig, RedisStore};
use tokio::task::JoinSet;

use crate::redis_server::RedisServer;

/// How many appends a measurement has, and from how many tasks they come.
const APPENDS: usize = 10_000;
const TASKS: usize = 50;
const ROUNDS: usize = 5;
/// How many sessions share a measurement of memory.
const SESSIONS: usize = 200;
const TTL: u64 = 3_600;

/// The scripts of trpc-agent-go, from its own source: `session/redis/internal/hashidx/lua.go`.
#[derive(Debug)]
pub struct Trpc {
    create: redis::Script,
    append: redis::Script,
    load: redis::Script,
}

impl Trpc {
    /// Finds the scripts in the text of that file.
    ///
    /// # Errors
    /// When one is not there.
    pub fn read(source: &str) -> anyhow::Result<Self> {
        let script = |name: &str| {
            let (_, rest) = source.split_once(&format!("var {name} = redis.NewScript(`"))?;
            rest.split_once('`').map(|(text, _)| redis::Script::new(text))
        };
        let find = |name| script(name).with_context(|| format!("there is no {name}"));
        Ok(Self {
            create: find("luaCreateSession")?,
            append: find("luaAppendEvent")?,
            load: find("luaLoadSessionData")?,
        })
    }
}

/// Words that messages are made of, so that they repeat themselves as much as language does.
const WORDS: &str = "the quarterly report shows that deliveries to northern customers were late in \
    about four of nine weeks because a supplier changed its schedule without notice and nobody at \
    our warehouse had read their message before Monday please check whether order 48213 is among \
    those affected then write an answer which apologises explains what happened offers free shipping \
    until March if they agree also update each ticket with current status so finance can close them";

/// A message of so many bytes, other words for each number.
fn prose(size: usize, number: usize) -> String {
    let words: Vec<&str> = WORDS.split_ascii_whitespace().collect();
    let mut random = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut text = String::with_capacity(size + 16);
    while text.len() < size {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(words[(random >> 33) as usize % words.len()]);
        text.push(' ');
    }
    text.truncate(size);
    text
}

/// An event of about that many bytes, with a change of state, in the shape that both take.
fn body(size: usize, number: usize) -> String {
    let text = prose(size.saturating_sub(190), number);
    let state = if number % 1_000 < 5 { number % 5 } else { 0 };
    format!(
        r#"{{"id":"0198c2a4-5b1e-7c3d-8e4f-{number:012}","author":"user","timestamp":"2026-01-01T00:00:00Z","choices":[{{"index":0,"message":{{"role":"user","content":"{text}"}}}}],"stateDelta":{{"key-{state}":"MTIzNDU="}}}}"#
    )
}

fn entry(size: usize, number: usize) -> NewEntry {
    let received = Received { body: body(size, number), ..Received::default() };
    let event = Event::parse(received, Time::from_nanos(0), 1 << 20).expect("an event");
    NewEntry::Event { event: Arc::new(event), digest: Digest::from_bytes([7; 16]) }
}

fn key(session: usize) -> SessionKey {
    SessionKey::new("app", "user", format!("session-{session}")).expect("a key")
}

async fn field(server: &RedisServer, section: &str, names: &[&str]) -> f64 {
    let info: String = server.ask(&format!("INFO {section}")).await;
    let value = |name: &&str| {
        let line = info.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse::<f64>().ok()).expect("a number of INFO")
    };
    names.iter().map(value).sum()
}

/// Seconds of CPU that the main thread has used.
async fn cpu(server: &RedisServer) -> f64 {
    field(server, "cpu", &["used_cpu_sys_main_thread", "used_cpu_user_main_thread"]).await
}

async fn memory(server: &RedisServer) -> f64 {
    field(server, "memory", &["used_memory"]).await
}

fn rules() -> StoreRules {
    let session_ttl = Some(std::time::Duration::from_secs(TTL));
    StoreRules { session_ttl, ..StoreRules::default() }
}

/// Appends in batches of a size, from many tasks at once. Microseconds of CPU an event.
async fn ours(server: &RedisServer, store: &Arc<RedisStore>, from: usize, batch: usize) -> f64 {
    let begin = cpu(server).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, each) = (store.clone(), APPENDS / TASKS);
        tasks.spawn(async move {
            let first = from + task * each;
            let entries: Vec<NewEntry> = (first..first + each).map(|at| entry(1_000, at)).collect();
            for batch in entries.chunks(batch) {
                store.append(&key(0), Condition::default(), batch).await.expect("an append");
            }
        });
    }
    tasks.join_all().await;
    (cpu(server).await - begin) / APPENDS as f64 * 1e6
}

async fn append(
    trpc: &redis::Script,
    to: &mut MultiplexedConnection,
    session: usize,
    text: &str,
    at: usize,
) {
    let keys =
        ["meta", "evtdata", "evtidx"].map(|kind| format!("hashidx:{kind}:{{user}}:{session}"));
    let id = format!("0198c2a4-5b1e-7c3d-8e4f-{at:012}");
    let mut call = trpc.prepare_invoke();
    for key in keys {
        call.key(key);
    }
    call.arg(id).arg(text).arg(1_700_000_000_000_000_000_u64 + at as u64).arg(TTL).arg(1);
    let stored: i64 = call.invoke_async(to).await.expect("an append");
    assert_eq!(stored, 1);
}

async fn create(trpc: &Trpc, to: &mut MultiplexedConnection, session: usize) {
    let meta = format!(
        r#"{{"id":"{session}","appName":"app","userID":"user","state":{{}},"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}}"#
    );
    let mut call = trpc.create.prepare_invoke();
    call.key(format!("hashidx:meta:{{user}}:{session}")).key("hashidx:idx:{user}");
    let made: i64 =
        call.arg(meta).arg(session).arg(TTL).arg("{}").invoke_async(to).await.expect("a session");
    assert_eq!(made, 1);
}

async fn theirs(server: &RedisServer, trpc: &Trpc, from: usize) -> f64 {
    let connection = server.connection().await;
    let begin = cpu(server).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (mut to, each, script) = (connection.clone(), APPENDS / TASKS, trpc.append.clone());
        tasks.spawn(async move {
            for at in from + task * each..from + (task + 1) * each {
                append(&script, &mut to, 0, &body(1_000, at), at).await;
            }
        });
    }
    tasks.join_all().await;
    (cpu(server).await - begin) / APPENDS as f64 * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Prints CPU an append and a read, and memory a session, as ratios to trpc-agent-go's.
///
/// # Errors
/// When Redis does not answer.
pub async fn compare(trpc: &Trpc) -> anyhow::Result<()> {
    let (one, other) = (RedisServer::start().await, RedisServer::start().await);
    // One connection, like the other: what comes over more of them is read in smaller pieces.
    let config = RedisConfig { pool_size: 1, ..RedisConfig::new(one.url()) };
    let store = Arc::new(one.store_with(config, rules()).await);
    store.create(&key(0), &[]).await?;
    create(trpc, &mut other.connection().await, 0).await;
    let mut all: [Vec<f64>; 3] = Default::default();
    let mut from = 0;
    for round in 0..=ROUNDS {
        let single = ours(&one, &store, from, 1).await;
        let sixteen = ours(&one, &store, from + APPENDS, 16).await;
        let base = theirs(&other, trpc, from).await;
        from += 2 * APPENDS;
        // The first fills the session up to its limit.
        if round > 0 {
            for (all, value) in all.iter_mut().zip([single, sixteen, base]) {
                all.push(value);
            }
        }
    }
    let [single, sixteen, base] = all.map(median);
    println!("append of 1 kB with a change of state, at the limit: us of CPU, median of {ROUNDS}");
    println!(
        "  trpc-agent-go {base:.1}   sessiond {single:.1} ({:.2})   in batches of 16 {sixteen:.1} ({:.2})",
        single / base,
        sixteen / base
    );
    reads(trpc).await?;
    println!(
        "memory a session, in kB: trpc-agent-go, sessiond (ratio), entries in a list, in a stream"
    );
    for (count, size) in [
        (1, 300),
        (1, 1_000),
        (10, 300),
        (10, 1_000),
        (100, 300),
        (100, 1_000),
        (200, 300),
        (1_000, 300),
        (1_000, 1_000),
    ] {
        let [base, own, list, stream] = sizes(trpc, count, size).await?;
        println!(
            "  {count:>5} of {size:>4} B: {base:>7.1} {own:>7.1} ({:.2}) {list:>7.1} {stream:>7.1}",
            own / base
        );
    }
    Ok(())
}

/// Reads of 1,000 events.
async fn reads(trpc: &Trpc) -> anyhow::Result<()> {
    const READS: usize = 100;
    let (one, other) = (RedisServer::start().await, RedisServer::start().await);
    let store = one.store(rules()).await;
    store.create(&key(0), &[]).await?;
    let mut to = other.connection().await;
    create(trpc, &mut to, 0).await;
    for at in 0..1_000 {
        store.append(&key(0), Condition::default(), &[entry(1_000, at)]).await?;
        append(&trpc.append, &mut to, 0, &body(1_000, at), at).await;
    }
    let range =
        Range { after: 0, before: None, limit: 1_000, prefer: Prefer::Newest, with_state: false };
    let (mut own, mut base) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = cpu(&one).await;
        for _ in 0..READS {
            let read = store.read(&key(0), range).await?.context("the session")?;
            assert_eq!(read.entries.len(), 1_000);
        }
        own.push((cpu(&one).await - begin) / READS as f64 * 1e3);
        let begin = cpu(&other).await;
        for _ in 0..READS {
            let mut call = trpc.load.prepare_invoke();
            for kind in ["evtdata", "evtidx", "meta", "sesssum", "userstate"] {
                call.key(format!("hashidx:{kind}:{{user}}:0"));
            }
            let text: String = call.invoke_async(&mut to).await?;
            assert!(text.len() > 900_000);
        }
        base.push((cpu(&other).await - begin) / READS as f64 * 1e3);
    }
    let (own, base) = (median(own), median(base));
    println!("read of 1,000 events of 1 kB: ms of CPU, median of {ROUNDS}");
    println!("  trpc-agent-go {base:.2}   sessiond {own:.2} ({:.2})", own / base);
    Ok(())
}

/// Kilobytes a session: trpc-agent-go's, ours, and the entries alone in a list and in a stream.
async fn sizes(trpc: &Trpc, count: usize, size: usize) -> anyhow::Result<[f64; 4]> {
    let sessions = if count == 1_000 { SESSIONS / 10 } else { SESSIONS };
    let kilobytes = |begin: f64, end: f64| (end - begin) / sessions as f64 / 1_000.0;
    let server = RedisServer::start().await;
    let mut to = server.connection().await;
    let begin = memory(&server).await;
    for session in 0..sessions {
        create(trpc, &mut to, session).await;
        for at in 0..count {
            append(&trpc.append, &mut to, session, &body(size, at), at).await;
        }
    }
    let base = kilobytes(begin, memory(&server).await);
    let server = RedisServer::start().await;
    let store = server.store(rules()).await;
    let begin = memory(&server).await;
    for session in 0..sessions {
        store.create(&key(session), &[]).await?;
        for at in 0..count {
            store.append(&key(session), Condition::default(), &[entry(size, at)]).await?;
        }
    }
    let own = kilobytes(begin, memory(&server).await);
    let (mut list, mut stream) = (0.0, 0.0);
    for (command, sum) in [("RPUSH", &mut list), ("XADD", &mut stream)] {
        let server = RedisServer::start().await;
        let mut to = server.connection().await;
        let begin = memory(&server).await;
        for session in 0..sessions {
            for at in 0..count {
                let NewEntry::Event { event, .. } = entry(size, at) else { continue };
                let mut push = redis::cmd(command);
                push.arg(format!("entries:{session}"));
                if command == "XADD" {
                    push.arg(format!("{}-0", at + 1)).arg("e").arg(event.envelope());
                    push.arg("d").arg(event.body());
                } else {
                    let envelope = event.envelope();
                    let entry =
                        ["sequenceundo".as_bytes(), envelope.as_slice(), event.body().as_bytes()];
                    push.arg(entry.concat());
                }
                push.exec_async(&mut to).await?;
            }
        }
        *sum = kilobytes(begin, memory(&server).await);
    }
    Ok([base, own, list, stream])
}
