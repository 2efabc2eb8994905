//! An import that was cut off is run again, and nothing is there twice or half.

use sessiond_core::key::UserKey;
use sessiond_core::store::SessionStore as _;
use sessiond_tests::wait::eventually;

use super::Move;

const SESSIONS: usize = 1_000;
const EVENTS: usize = 10;

/// Sessions as the library writes them, of ten users.
async fn many(moved: &Move) {
    let mut connection = moved.source.connection().await;
    for user in 0..10 {
        let mut pipe = redis::pipe();
        for session in (user..SESSIONS).step_by(10) {
            let name = |kind: &str| format!("hashidx:{kind}:a:{{u{user}}}:s{session}");
            let meta = format!(
                r#"{{"id":"s{session}","appName":"a","userID":"u{user}","state":{{"k":"MQ=="}},"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}}"#
            );
            pipe.set(name("meta"), meta).ignore();
            for event in 0..EVENTS {
                let id = format!("e{event}");
                let body = format!(
                    r#"{{"choices":[{{"index":0,"message":{{"role":"user","content":"{}"}}}}],"id":"{id}","invocationId":"i","author":"user","timestamp":"2026-01-01T00:00:0{event}Z"}}"#,
                    "x".repeat(1_000)
                );
                pipe.hset(name("evtdata"), &id, body).ignore();
                pipe.zadd(name("evtidx:time"), &id, event).ignore();
            }
        }
        let _: () = pipe.query_async(&mut connection).await.unwrap();
    }
}

async fn count(moved: &Move) -> usize {
    let keys = moved.target.keys().await;
    keys.iter().filter(|key| key.contains(":h:s")).count()
}

/// Starts an import and kills it when some of it is done.
async fn cut_off(moved: &Move, more: &[&str]) {
    let url = moved.source.url();
    let mut args = vec!["import", "trpc", "--from", &url];
    args.extend(more);
    let mut child = moved.command(&args).spawn().unwrap();
    eventually("some sessions are there", async || (count(moved).await > 50).then_some(())).await;
    child.kill().await.unwrap();
    let done = count(moved).await;
    assert!(done < SESSIONS, "it was over before it could be killed");
}

async fn assert_whole(moved: &Move) {
    assert_eq!(count(moved).await, SESSIONS);
    let store = moved.store().await;
    for user in 0..10 {
        let user = UserKey::new("a", format!("u{user}")).unwrap();
        let page = store.list(&user, SESSIONS, None).await.unwrap();
        assert_eq!(page.sessions.len(), SESSIONS / 10);
        for (name, header) in page.sessions {
            assert_eq!(header.totals.events, EVENTS as u64, "{name}");
        }
    }
}

#[tokio::test]
async fn a_killed_import_is_run_again() {
    let moved = Move::new().await;
    many(&moved).await;
    cut_off(&moved, &[]).await;
    let there = count(&moved).await;
    let run = moved.import(&[]).await.expect(true);
    run.says(&format!("written   {} sessions", SESSIONS - there));
    run.says(&format!("skipped   {there} sessions"));
    assert_whole(&moved).await;
    moved.import(&[]).await.expect(true).says(&format!("skipped   {SESSIONS} sessions"));
}

/// With a checkpoint it goes on where it was, and the report is of both runs.
#[tokio::test]
async fn a_checkpoint_spares_what_is_done() {
    let moved = Move::new().await;
    many(&moved).await;
    let file = moved.path("checkpoint");
    cut_off(&moved, &["--checkpoint", &file]).await;
    let other = moved.import(&["--checkpoint", &file, "--app", "b"]).await;
    if std::path::Path::new(&file).exists() {
        assert!(!other.good && other.told.contains("is of another import"), "{}", other.told);
    }
    let run = moved.import(&["--checkpoint", &file]).await.expect(true);
    run.says("could not be imported: 0");
    assert_whole(&moved).await;
    assert!(!std::path::Path::new(&file).exists(), "it is of no use any more");
}

/// A file, too, may be gone on with: with a checkpoint from a session on, without one from the start.
#[tokio::test]
async fn a_killed_import_of_a_file_is_run_again() {
    let (one, two) = (Move::new().await, Move::new().await);
    many(&one).await;
    one.import(&[]).await.expect(true);
    let (file, checkpoint) = (two.path("in.ndjson"), two.path("checkpoint"));
    std::fs::write(&file, one.run(&["export", "--raw"]).await.expect(true).out).unwrap();
    let args = ["import", &file, "--checkpoint", &checkpoint];
    let mut child = two.command(&args).spawn().unwrap();
    let noted = || std::path::Path::new(&checkpoint).exists();
    eventually("something is noted", async || noted().then_some(())).await;
    child.kill().await.unwrap();
    assert!(noted(), "it was over before it could be killed");
    let again = two.run(&args).await.expect(true);
    again.says(&format!("read      {SESSIONS} sessions"));
    assert_whole(&two).await;
    let run = two.run(&["import", &file]).await.expect(true);
    run.says(&format!("skipped   {SESSIONS} sessions"));
}

/// The store keeps the newest entries only, and that is no difference the next time.
#[tokio::test]
async fn what_the_store_let_go_of_is_no_difference() {
    let moved = Move::with_config("[session]\nevent_limit = 4\n").await;
    many(&moved).await;
    moved.import(&["--user", "u1"]).await.expect(true).says("written   100 sessions");
    let (there, _) = moved.session("a", "u1", "s1").await;
    let sequences: Vec<_> = there.entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [7, 8, 9, 10]);
    moved.import(&["--user", "u1"]).await.expect(true).says("skipped   100 sessions");
}

/// A thousand sessions are in memory one at a time.
#[tokio::test]
async fn memory_does_not_grow_with_the_source() {
    let moved = Move::new().await;
    many(&moved).await;
    let url = moved.source.url();
    let mut child = moved.command(&["import", "trpc", "--from", &url]).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let mut peak = 0;
    let ended = eventually("the import ends", async || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kb.unwrap_or(0));
        child.try_wait().unwrap()
    })
    .await;
    assert!(ended.success());
    assert!(peak < 100 * 1024, "it took {peak} kB for sessions of 10 kB");
    assert_whole(&moved).await;
}

/// What is there and differs is left alone, and told.
#[tokio::test]
async fn a_session_that_differs_is_left_alone() {
    let moved = Move::of("trpc-sessions.txt").await;
    moved.import(&["--user", "ann"]).await.expect(true);
    let patched = br#"{"id":"nothing said","appName":"shop","userID":"ann","state":{"k":"Mg=="}}"#;
    moved.tell(&[b"SET", b"hashidx:meta:shop:{ann}:nothing said", patched]).await;
    moved.tell(&[b"HSET", b"hashidx:userstate:shop:{ann}", b"tier", b"\"none\""]).await;
    let run = moved.import(&["--user", "ann"]).await.expect(false);
    run.says("could not be imported: 2\n");
    run.says("nothing said: a session of that name is in the store already, and its state differs");
    run.says("(state \"tier\"): it has another value in the store already: left alone");
    run.says("skipped   2 sessions");
    let (there, _) = moved.session("shop", "ann", "nothing said").await;
    assert_eq!(there.state.session["k"].to_json(), "1");
}
