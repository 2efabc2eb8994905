//! Three daemons, one of which dies in the middle of its work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;
use sessiond_tests::web::{Answer, Web};

use super::{at, config, fill, session_of, status, summary};

/// How many sessions, unless this says otherwise.
const VARIABLE: &str = "SESSIOND_TEST_SESSIONS";
const SESSIONS: usize = 60;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn sessions() -> usize {
    let given = std::env::var(VARIABLE).ok();
    given.map_or(SESSIONS, |text| text.parse().expect("a number of sessions"))
}

/// R61, R63, R70: sessions past their threshold, three daemons on one queue, and one of them killed
/// in the middle: every session is summed up, once, and no model is asked again for what was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_leaves_its_jobs_to_the_others() {
    let count = sessions();
    let server = RedisServer::start().await;
    let calls = AtomicUsize::new(0);
    let web = Web::start(move |_| {
        let number = calls.fetch_add(1, Ordering::Relaxed);
        let answer = Answer::chat(&format!("call {number}"));
        Answer::Later(Duration::from_millis(300), Box::new(answer))
    })
    .await;
    let options = format!("queue = \"redis\"\nqueue_size = {count}");
    let config = config(&at(&server), &web, &options);
    let mut daemons = Vec::new();
    for _ in 0..3 {
        daemons.push(Daemon::start(&config).await);
    }
    let begin = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for (writer, daemon) in daemons.iter().enumerate() {
        let client = daemon.client();
        writers.spawn(async move {
            for number in (writer..count).step_by(3) {
                fill(&client, number).await;
            }
        });
    }
    writers.join_all().await;
    let filled = begin.elapsed();
    eventually("a third is being done", async || (web.asked().len() > count / 3).then_some(()))
        .await;
    let mut victim = daemons.remove(0);
    victim.kill();
    let killed_at = web.asked().len();

    let client = daemons[0].client();
    let mut stored = BTreeMap::new();
    while stored.len() < count {
        assert!(begin.elapsed() < PATIENCE, "{} of {count} sessions are summed up", stored.len());
        for number in 0..count {
            if stored.contains_key(&number) {
                continue;
            }
            let summary = summary(&client, number).await;
            if let Some(text) = summary["text"].as_str() {
                let call: usize = text.strip_prefix("call ").unwrap().parse().unwrap();
                stored.insert(number, (call, summary["last_seq"].as_u64().unwrap()));
            }
        }
    }
    for daemon in &daemons {
        eventually("nothing is left to do", async || {
            let now = status(daemon).await;
            (now["waiting"] == 0 && now["running"] == 0).then_some(())
        })
        .await;
    }
    let mut by_session: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (call, asked) in web.asked().iter().enumerate() {
        by_session.entry(session_of(asked)).or_default().push(call);
    }
    for (number, (call, boundary)) in &stored {
        assert_eq!(*boundary, 22, "session {number}");
        // The call that was stored is the last one: nobody was asked again.
        assert_eq!(by_session[number].last(), Some(call), "session {number}: {by_session:?}");
    }
    let repeated = by_session.values().filter(|calls| calls.len() > 1).count();
    let total: usize = by_session.values().map(Vec::len).sum();
    println!(
        "{count} sessions: filled in {filled:?}, killed at call {killed_at}, {total} calls, {repeated} \
         of them again since the daemon that made them died; all in {:?}",
        begin.elapsed()
    );
    // What the dead daemon was doing, and no more: it had three workers.
    assert!(repeated <= 3 && total == count + repeated, "{by_session:?}");
    assert_eq!(server.ask::<u64>("XLEN sd:{:jobs}:ready").await, 0);
    assert_eq!(server.ask::<u64>("EXISTS sd:{:jobs}:names sd:{:jobs}:later").await, 0);
}
