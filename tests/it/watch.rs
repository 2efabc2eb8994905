//! Watching: nothing is missed, nothing comes twice, and nobody is held up.

use std::time::{Duration, Instant};

use sessiond_tests::client::Client;
use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_cluster::RedisCluster;
use sessiond_tests::redis_sentinel::{MASTER, RedisSentinel};
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::sse::Stream;
use sessiond_tests::wait::eventually;
use tokio::task::JoinSet;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const WATCH: &str = "/v1/apps/shop/users/ann/sessions/s:watch";

fn said(text: &str) -> String {
    format!(r#"{{"role":"user","content":"{text}"}}"#)
}

async fn append(client: &Client, session: &str, text: &str) -> u64 {
    let path = format!("{SESSIONS}/{session}/events");
    let reply = client.post(&path, said(text)).await.expect(200).json();
    reply["last_seq"].as_u64().unwrap()
}

async fn create(client: &Client, session: &str) {
    client.post(SESSIONS, format!("{{\"id\":\"{session}\"}}")).await.expect(201);
}

/// Opens a stream, and takes its snapshot.
async fn watch(client: &Client, path: &str) -> Stream {
    let mut stream = Stream::open(client.base(), path, None).await.unwrap();
    stream.expect("snapshot").await;
    stream
}

/// Everything that a watcher is told, on one store.
async fn tells_all(config: &str) {
    let daemon = Daemon::start(config).await;
    let client = daemon.client();
    assert_eq!(Stream::open(client.base(), WATCH, None).await.err(), Some(404));
    create(&client, "s").await;
    append(&client, "s", "one").await;
    let mut stream = Stream::open(client.base(), WATCH, None).await.unwrap();
    let snapshot = stream.expect("snapshot").await;
    assert_eq!(snapshot.data, client.get(&format!("{SESSIONS}/s?limit=100")).await.json());
    let generation = snapshot.data["generation"].as_u64().unwrap();
    assert_eq!(snapshot.id, Some(format!("{generation}-1")));

    append(&client, "s", "two").await;
    let two = stream.expect("append").await;
    assert_eq!((two.id, two.data["seq"].as_u64()), (Some(format!("{generation}-2")), Some(2)));
    assert_eq!(two.data["event"]["content"], "two");
    client.patch(&format!("{SESSIONS}/s/state"), r#"{"state":{"k":1}}"#).await.expect(200);
    let state = stream.expect("state").await;
    assert_eq!((&state.data["state"]["k"], state.id), (&1.into(), Some(format!("{generation}-3"))));
    append(&client, "s", "four").await;
    let four = stream.expect("append").await;

    // Who comes back gets what it has not seen, and no more.
    let after = format!("{generation}-1");
    let mut back = Stream::open(client.base(), WATCH, Some(&after)).await.unwrap();
    for name in ["append", "append", "state"] {
        back.expect(name).await;
    }
    let cursor = format!("{WATCH}?cursor={generation}-3");
    let mut back = Stream::open(client.base(), &cursor, None).await.unwrap();
    assert_eq!(back.expect("append").await, four);

    client.post(&format!("{SESSIONS}/s:pop"), "").await.expect(200);
    assert_eq!(stream.expect("reset").await.data["reason"], "edited");
    let snapshot = stream.expect("snapshot").await;
    assert_eq!(snapshot.data["events"].as_array().unwrap().len(), 2);
    // It counts for those who were away too, who have an id from before the edit.
    let mut back = Stream::open(client.base(), WATCH, four.id.as_deref()).await.unwrap();
    assert_eq!(back.expect("reset").await.data["reason"], "edited");
    append(&client, "s", "five").await;
    let five = stream.expect("append").await;
    let mut back = Stream::open(client.base(), WATCH, snapshot.id.as_deref()).await.unwrap();
    assert_eq!(back.expect("append").await, five);

    client.delete(&format!("{SESSIONS}/s")).await.expect(204);
    stream.expect("delete").await;
    assert_eq!(stream.next().await, None);
    // R86: a cursor of another session of the same name leads to nothing of that.
    create(&client, "s").await;
    append(&client, "s", "anew").await;
    let mut back = Stream::open(client.base(), WATCH, five.id.as_deref()).await.unwrap();
    assert_eq!(back.expect("reset").await.data["reason"], "other_generation");
    assert_eq!(back.expect("snapshot").await.data["events"].as_array().unwrap().len(), 1);
    for bad in ["x", "1", "1-2-3-4"] {
        assert_eq!(Stream::open(client.base(), WATCH, Some(bad)).await.err(), Some(400));
    }
}

#[tokio::test]
async fn a_watcher_is_told_everything() {
    tells_all("").await;
}

#[tokio::test]
async fn a_watcher_is_told_everything_by_redis_too() {
    let redis = RedisServer::start().await;
    tells_all(&format!("[redis]\nurl = {:?}\n", redis.url())).await;
}

/// On a Cluster the news of a session come from whatever node, not from the one that it is on.
#[tokio::test]
async fn a_watcher_is_told_everything_by_a_cluster_too() {
    let cluster = RedisCluster::start().await;
    tells_all(&format!("[redis]\ncluster.nodes = {:?}\n", cluster.urls())).await;
}

/// R93: a watcher that goes away at any moment and comes back has everything once and in order, though
/// another daemon writes, and the connection that tells of it breaks all the time.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_and_nothing_comes_twice() {
    const EVENTS: u64 = 400;
    let redis = RedisServer::start().await;
    let config = format!("[redis]\nurl = {:?}\n", redis.url());
    let (writes, watches) = (Daemon::start(&config).await, Daemon::start(&config).await);
    let writer = writes.client();
    create(&writer, "s").await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for number in 1..=EVENTS {
            append(&writer, "s", &number.to_string()).await;
        }
    });
    for watcher in 0..4_usize {
        let base = watches.client().base().to_owned();
        tasks.spawn(async move {
            let (mut seen, mut last, mut goes) = (0, None::<String>, 7 * watcher + 3);
            while seen < EVENTS {
                let mut stream = Stream::open(&base, WATCH, last.as_deref()).await.unwrap();
                // Sooner or later: none of them at the same moment.
                goes = (goes * 31 + 11) % 37;
                for _ in 0..=goes {
                    let frame = stream.next().await.expect("no end");
                    let events = match frame.name.as_str() {
                        "snapshot" => frame.data["events"].as_array().unwrap().clone(),
                        "append" => vec![frame.data],
                        other => panic!("{other}"),
                    };
                    for event in events {
                        assert_eq!(event["seq"], seen + 1);
                        seen += 1;
                    }
                    if seen == EVENTS {
                        break;
                    }
                }
                last.clone_from(&stream.last_id);
            }
        });
    }
    while !tasks.is_empty() {
        let _: i64 = redis.ask("CLIENT KILL TYPE pubsub").await;
        let ended = tokio::time::timeout(Duration::from_millis(100), tasks.join_next()).await;
        if let Ok(Some(ended)) = ended {
            ended.unwrap();
        }
    }
}

/// R50: a thousand watchers on few connections, all of which are told, and none of which leaves
/// anything behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watchers_share_connections() {
    const WATCHERS: usize = 1_000;
    let redis = RedisServer::start().await;
    let config = format!("[redis]\nurl = {:?}\n", redis.url());
    let (writes, watches) = (Daemon::start(&config).await, Daemon::start(&config).await);
    let (writer, watcher) = (writes.client(), watches.client());
    for session in 0..20 {
        create(&writer, &session.to_string()).await;
    }
    let before = redis.ask::<String>("CLIENT LIST").await.lines().count();
    let mut streams = Vec::new();
    for number in 0..WATCHERS {
        let path = format!("{SESSIONS}/{}:watch", number % 20);
        streams.push(watch(&watcher, &path).await);
    }
    let path = format!("{SESSIONS}/0:watch");
    let clients = redis.ask::<String>("CLIENT LIST").await;
    assert!(clients.lines().count() <= before + 8, "{clients}");
    assert_eq!(redis.ask::<String>("CLIENT LIST TYPE pubsub").await.lines().count(), 1);
    for session in 0..20 {
        append(&writer, &session.to_string(), "hi").await;
    }
    for stream in &mut streams {
        stream.expect("append").await;
    }
    let gauge = async || {
        let metrics = watcher.get("/metrics").await.text;
        let line = metrics.lines().find(|line| line.starts_with("sessiond_watchers "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok())
    };
    assert_eq!(gauge().await, Some(1_000.0));
    drop(streams);
    let left = Instant::now();
    eventually("all have gone", async || (gauge().await == Some(0.0)).then_some(())).await;
    let silent = async || {
        redis.ask::<String>("CLIENT LIST TYPE pubsub").await.trim().is_empty().then_some(())
    };
    eventually("nobody listens", silent).await;
    assert!(left.elapsed() < Duration::from_secs(20), "{:?}", left.elapsed());
    // And it goes on for who comes then.
    let mut stream = watch(&watcher, &path).await;
    append(&writer, "0", "again").await;
    stream.expect("append").await;
}

/// After a failover watchers read on, without having to come back.
#[tokio::test(flavor = "multi_thread")]
async fn watchers_survive_a_failover() {
    let mut redis = RedisSentinel::start().await;
    let config = format!(
        "[redis]\nwait_replicas = 1\nsentinel = {{ master = {MASTER:?}, nodes = {:?} }}\n",
        redis.urls()
    );
    let (writes, watches) = (Daemon::start(&config).await, Daemon::start(&config).await);
    let (writer, watcher) = (writes.client(), watches.client());
    create(&writer, "s").await;
    let mut stream = watch(&watcher, WATCH).await;
    append(&writer, "s", "before").await;
    stream.expect("append").await;
    let old = redis.master().await;
    redis.kill(old);
    redis.promoted(old).await;
    let path = format!("{SESSIONS}/s/events");
    let after = r#"{"id":"after","event":{"role":"user","content":"after"}}"#;
    let written = async || {
        let reply = writer.send("POST", &path, &[], after).await.ok()?;
        // With one replica left to come back, the write is made and not confirmed.
        (reply.status.is_success() || reply.code() == "not_replicated").then_some(())
    };
    eventually("a write after the failover", written).await;
    assert_eq!(stream.expect("append").await.data["id"], "after");
}

/// On a Cluster watchers of one daemon hear of what another writes, on all masters, and go on when one
/// of them is gone.
#[tokio::test(flavor = "multi_thread")]
async fn watchers_of_a_cluster_survive_the_loss_of_a_master() {
    const USERS: usize = 12;
    let mut cluster = RedisCluster::start().await;
    let config = format!("[redis]\nwait_replicas = 1\ncluster.nodes = {:?}\n", cluster.urls());
    let (writes, watches) = (Daemon::start(&config).await, Daemon::start(&config).await);
    let (writer, watcher) = (writes.client(), watches.client());
    let path = |user: usize| format!("/v1/apps/shop/users/u{user}/sessions");
    let say = async |user: usize, text: &str| {
        let body = format!(r#"{{"id":"{text}","event":{}}}"#, said(text));
        let sent = writer.send("POST", &format!("{}/s/events", path(user)), &[], body).await;
        // With no replica left, the write is made and not confirmed.
        let made = sent.ok().filter(|it| it.status.is_success() || it.code() == "not_replicated");
        made.map(drop)
    };
    let mut streams = Vec::new();
    for user in 0..USERS {
        writer.post(&path(user), r#"{"id":"s"}"#).await.expect(201);
        streams.push(watch(&watcher, &format!("{}/s:watch", path(user))).await);
    }
    for (user, stream) in streams.iter_mut().enumerate() {
        say(user, "before").await.expect("an append");
        assert_eq!(stream.expect("append").await.data["id"], "before");
    }
    let lost = cluster.masters().await[0];
    cluster.kill(lost);
    for (user, stream) in streams.iter_mut().enumerate() {
        eventually("an append after the loss", async || say(user, "after").await).await;
        assert_eq!(stream.expect("append").await.data["id"], "after");
    }
}

/// A client that does not read holds up nobody, and begins anew when it has fallen too far behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_watcher_holds_up_nobody() {
    let daemon = Daemon::start("[session]\nevent_limit = 50\n").await;
    let client = daemon.client();
    create(&client, "s").await;
    let mut slow = watch(&client, WATCH).await;
    let mut quick = watch(&client, WATCH).await;
    let text = "x".repeat(64 * 1024);
    let mut last = 0;
    for _ in 0..300 {
        last = append(&client, "s", &text).await;
        assert_eq!(quick.expect("append").await.data["seq"], last);
    }
    let (mut resets, mut seen) = (0, 0);
    while seen < last {
        let frame = slow.next().await.unwrap();
        match frame.name.as_str() {
            "append" => seen = frame.data["seq"].as_u64().unwrap(),
            "reset" => {
                assert_eq!(frame.data["reason"], "too_old");
                resets += 1;
            }
            _ => seen = frame.data["last_seq"].as_u64().unwrap(),
        }
    }
    assert!(resets > 0);
}

/// A user's sessions, as they come, change and go.
#[tokio::test]
async fn a_users_sessions_are_watched() {
    let redis = RedisServer::start().await;
    for config in [String::new(), format!("[redis]\nurl = {:?}\n", redis.url())] {
        let daemon = Daemon::start(&config).await;
        let client = daemon.client();
        create(&client, "a").await;
        let path = format!("{SESSIONS}:watch");
        let mut stream = Stream::open(client.base(), &path, None).await.unwrap();
        let first = stream.expect("snapshot").await;
        assert_eq!(first.data["sessions"][0]["id"], "a");
        // A snapshot may come again, when deletions may have been missed: here, at the beginning.
        create(&client, "b").await;
        let sees = async |stream: &mut Stream, name: &str, id: &str| loop {
            let frame = stream.next().await.unwrap();
            let listed = frame.data["sessions"].as_array().is_some_and(|sessions| {
                name == "session" && sessions.iter().any(|session| session["id"] == id)
            });
            if listed || (frame.name == name && frame.data["id"] == id) {
                break;
            }
            assert_ne!(frame.name, "delete", "{frame:?}");
        };
        sees(&mut stream, "session", "b").await;
        append(&client, "a", "hi").await;
        let mut frame = stream.next().await.unwrap();
        while frame.data["last_seq"] != 1 && frame.data["sessions"][0]["last_seq"] != 1 {
            frame = stream.next().await.unwrap();
        }
        client.delete(&format!("{SESSIONS}/b")).await.expect(204);
        sees(&mut stream, "delete", "b").await;
        client.post("/v1/apps/shop/users/bob/sessions", r#"{"id":"c"}"#).await.expect(201);
        let mut back = Stream::open(client.base(), &path, first.id.as_deref()).await.unwrap();
        sees(&mut back, "session", "a").await;
    }
}

/// A watcher hears something now and then, learns that a session has expired, and ends with the
/// daemon.
#[tokio::test]
async fn streams_live_and_end_with_what_they_show() {
    let mut daemon =
        Daemon::start("watch_keep_alive = \"50ms\"\nmax_watchers = 2\n[session]\nttl = \"5s\"\n")
            .await;
    let client = daemon.client();
    create(&client, "s").await;
    create(&client, "t").await;
    let mut expires = watch(&client, WATCH).await;
    let (_, comment) = expires.next_or_comment().await.unwrap();
    assert!(comment);
    let other = format!("{SESSIONS}/t:watch");
    let mut stays = watch(&client, &other).await;
    assert_eq!(Stream::open(client.base(), WATCH, None).await.err(), Some(503));
    client.patch(&format!("{SESSIONS}/t"), r#"{"ttl":"none"}"#).await.expect(200);
    expires.expect("delete").await;
    assert_eq!(expires.next().await, None);
    let begin = Instant::now();
    daemon.terminate();
    assert_eq!(stays.next().await, None);
    assert!(daemon.ended().await.success(), "{}", daemon.log());
    assert!(begin.elapsed() < Duration::from_secs(9), "before the grace period is over");
}
