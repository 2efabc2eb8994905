//! The journal: what is acknowledged outlives the daemon and an outage of Redis.

use std::path::Path;

use super::{SESSIONS, config, create, ids, queues, said, say};
use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::wait::eventually;

const JOURNAL: &str = "journal = \"journal\"\n";

/// Waits until no lane has anything to write.
async fn empty(daemon: &Daemon) {
    eventually("the lanes are empty", async || {
        let lanes = queues(daemon).await["lanes"].clone();
        lanes.as_array()?.iter().all(|lane| lane["depth"] == 0).then_some(())
    })
    .await;
}

/// Redis hangs, far more is acknowledged than a lane would hold in memory, and the daemon is killed.
/// The next one, which has other lanes, writes all of it, once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_an_outage_loses_nothing() {
    let redis = RedisServer::start().await;
    let more = format!("{JOURNAL}queue_size = 5\nlanes = 4\n");
    let mut daemon = Daemon::start(&config(&redis, &more)).await;
    let client = daemon.client();
    let mut wanted = vec![Vec::new(); 5];
    for (session, wanted) in wanted.iter_mut().enumerate() {
        create(&client, &format!("s{session}")).await;
        say(&client, &format!("s{session}"), "first").await.expect(202);
        wanted.push("first".to_owned());
        assert_eq!(ids(&client, &format!("s{session}")).await, *wanted);
    }
    redis.freeze();
    for number in 0..60 {
        for (session, wanted) in wanted.iter_mut().enumerate() {
            let id = format!("e{number}");
            say(&client, &format!("s{session}"), &id).await.expect(202);
            wanted.push(id);
        }
    }
    daemon.kill();
    redis.thaw();
    let text = std::fs::read_to_string(daemon.config()).unwrap().replace("lanes = 4", "lanes = 7");
    std::fs::write(daemon.config(), text).unwrap();
    let daemon = daemon.again().await;
    let client = daemon.client();
    // A read waits for what was queued before the crash.
    for (session, wanted) in wanted.iter().enumerate() {
        assert_eq!(ids(&client, &format!("s{session}")).await, *wanted);
    }
    empty(&daemon).await;
    assert_eq!(queues(&daemon).await["dead_letters"]["total"], 0);
}

/// A crash between the write to Redis and the journal's taking note of it, and then so many events of
/// others that no id is remembered: the journal's are not written again.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_right_when_no_id_is_remembered_any_more() {
    let redis = RedisServer::start().await;
    let limit = "[session]\nevent_limit = 10\n";
    let mut daemon = Daemon::start(&format!("{limit}{}", config(&redis, JOURNAL))).await;
    let other = Daemon::start(&format!("{limit}[redis]\nurl = {:?}\n", redis.url())).await;
    let client = daemon.client();
    create(&client, "s").await;
    create(&client, "t").await;
    say(&client, "s", "first").await.expect(202);
    assert_eq!(ids(&client, "s").await, ["first"]);
    say(&client, "t", "first").await.expect(202);
    assert_eq!(ids(&client, "t").await, ["first"]);
    redis.freeze();
    for number in 0..5 {
        say(&client, "s", &format!("e{number}")).await.expect(202);
    }
    daemon.kill();
    // As the journal is now it will be after the crash.
    let journal = daemon.config().with_file_name("journal");
    let kept = daemon.config().with_file_name("kept");
    copy(&journal, &kept);
    redis.thaw();
    daemon = daemon.again().await;
    assert_eq!(ids(&daemon.client(), "s").await.len(), 6);
    empty(&daemon).await;
    daemon.kill();
    let client = other.client();
    for number in 0..40 {
        say(&client, "s", &format!("other{number}")).await.expect(200);
    }
    let last = client.get(&format!("{SESSIONS}/s")).await.expect(200).json()["last_seq"].clone();
    assert_eq!(last, 46);
    let duplicate = client.post(&format!("{SESSIONS}/s/events"), said("e0")).await.expect(200);
    assert_eq!(duplicate.json()["items"][0]["duplicate"], false, "the id must be forgotten");
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::rename(&kept, &journal).unwrap();
    let daemon = daemon.again().await;
    let client = daemon.client();
    let last = client.get(&format!("{SESSIONS}/s")).await.expect(200).json()["last_seq"].clone();
    assert_eq!(last, 47, "nothing was written again");
    empty(&daemon).await;
    // And what comes now is written.
    say(&client, "s", "now").await.expect(202);
    let last = client.get(&format!("{SESSIONS}/s")).await.expect(200).json()["last_seq"].clone();
    assert_eq!(last, 48);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A full journal says so and takes more when there is room; at the end, what it holds is left for the
/// next start. One daemon has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_bounded_and_has_one_owner() {
    let redis = RedisServer::start().await;
    let more = format!("{JOURNAL}journal_max_size = \"16KiB\"\njournal_fsync = \"100ms\"\n");
    let text = format!("grace_period = \"500ms\"\n{}", config(&redis, &more));
    let mut daemon = Daemon::start(&text).await;
    let client = daemon.client();
    create(&client, "s").await;
    say(&client, "s", "e0").await.expect(202);
    assert_eq!(ids(&client, "s").await, ["e0"]);

    let second = daemon.config().with_file_name("second.toml");
    std::fs::write(
        &second,
        config(&redis, JOURNAL).replace("[redis]", "[server]\nlisten = \"127.0.0.1:0\"\n[redis]"),
    )
    .unwrap();
    let run = sessiond_tests::daemon::run(&["serve", "--config", second.to_str().unwrap()]).await;
    assert!(!run.status.success());
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.contains("another daemon uses it"), "{told}");

    redis.freeze();
    let mut wanted = vec!["e0".to_owned()];
    let refused = loop {
        let id = format!("e{}", wanted.len());
        let reply = say(&client, "s", &id).await;
        if reply.status != 202 {
            break reply;
        }
        wanted.push(id);
        assert!(wanted.len() < 100, "the journal is bounded");
    };
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.expect(503).code(), "journal_full");
    assert!(wanted.len() > 10);
    daemon.terminate();
    assert!(daemon.ended().await.success(), "{}", daemon.log());
    let told = "queued appends are left in the journal; the next start writes them";
    assert!(daemon.log().contains(told), "{}", daemon.log());
    redis.thaw();
    let daemon = daemon.again().await;
    let client = daemon.client();
    assert_eq!(ids(&client, "s").await, wanted);
    empty(&daemon).await;
    say(&client, "s", "more").await.expect(202);
    assert_eq!(ids(&client, "s").await.len(), wanted.len() + 1);
}

/// A short run of what `scripts/soak --journal` does at length.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_and_an_outage_lose_nothing() {
    let found = sessiond_tests::faults::queued::run(3, std::time::Duration::from_secs(1)).await;
    assert!(found.is_good(), "{found:#?}");
    assert!(found.in_outage > 0, "{found:#?}");
}
