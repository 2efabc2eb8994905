//! Data that is broken: told, key by key, never fatal, never silently left out.

use super::Move;
use crate::import::Run;

const META: &str = r#"{"id":"s","appName":"a","userID":"u","state":{"k":"MQ=="},"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}"#;

fn event(id: &str) -> String {
    format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"user","content":"hi"}}}}],"id":"{id}","invocationId":"i","author":"user","timestamp":"2026-01-01T00:00:01Z"}}"#
    )
}

async fn good_session(moved: &Move) {
    moved.tell(&[b"SET", b"hashidx:meta:a:{u}:s", META.as_bytes()]).await;
    let event = event("e1");
    moved.tell(&[b"HSET", b"hashidx:evtdata:a:{u}:s", b"e1", event.as_bytes()]).await;
    moved.tell(&[b"ZADD", b"hashidx:evtidx:time:a:{u}:s", b"1", b"e1"]).await;
}

#[track_caller]
fn told(run: &Run, count: u64, lines: &[&str]) {
    run.says(&format!("could not be imported: {count}\n"));
    lines.iter().for_each(|line| run.says(&format!("  {line}")));
}

/// The rest of a session comes along without what cannot be read of it.
#[tokio::test]
async fn events_that_cannot_be_read_are_told_one_by_one() {
    let moved = Move::new().await;
    good_session(&moved).await;
    let (data, index) = (b"hashidx:evtdata:a:{u}:s", b"hashidx:evtidx:time:a:{u}:s");
    moved.tell(&[b"HSET", data, b"bad", b"{\"choices\":"]).await;
    moved.tell(&[b"HSET", data, b"raw", b"\xff"]).await;
    moved.tell(&[b"HSET", data, b"stray", event("stray").as_bytes()]).await;
    moved.tell(&[b"ZADD", index, b"2", b"bad", b"3", b"raw", b"4", b"missing", b"5", b"e5"]).await;
    moved.tell(&[b"HSET", data, b"e5", event("e5").as_bytes()]).await;
    let run = moved.import(&[]).await.expect(false);
    told(
        &run,
        4,
        &[
            "hashidx:evtdata:a:{u}:s (event \"bad\"): the event is not JSON",
            "hashidx:evtdata:a:{u}:s (event \"raw\"): it is not UTF-8",
            "hashidx:evtdata:a:{u}:s (event \"missing\"): it is in the index",
            "hashidx:evtdata:a:{u}:s (event \"stray\"): it is not in the index",
        ],
    );
    let (there, _) = moved.session("a", "u", "s").await;
    let ids: Vec<_> = there.entries.iter().map(|entry| entry.event.id()).collect();
    assert_eq!(ids, ["e1", "e5"]);
}

#[tokio::test]
async fn records_that_are_missing_or_broken_are_told() {
    let moved = Move::new().await;
    good_session(&moved).await;
    moved.tell(&[b"SET", b"hashidx:meta:a:{u}:bad", b"{"]).await;
    moved.tell(&[b"SET", b"hashidx:meta:a:{u}:other", META.as_bytes()]).await;
    moved.tell(&[b"HSET", b"hashidx:evtdata:a:{u}:left", b"e", event("e").as_bytes()]).await;
    moved.tell(&[b"SET", b"hashidx:sesssum:a:{u}:left", b"{}"]).await;
    moved.tell(&[b"HSET", b"sess:{a}:u", b"z", b"[]", b"z2", b"{\"id\":\"z3\"}"]).await;
    moved.tell(&[b"ZADD", b"event:{a}:u:gone", b"1", event("e").as_bytes()]).await;
    moved
        .tell(&[b"SET", b"hashidx:meta:a:{u}:..", META.replace(r#""s""#, r#""..""#).as_bytes()])
        .await;
    let run = moved.import(&[]).await.expect(false);
    told(
        &run,
        8,
        &[
            "hashidx:meta:a:{u}:bad: the record is not JSON",
            "hashidx:meta:a:{u}:other: the names in the record are not those of its key",
            "hashidx:evtdata:a:{u}:left: its session has no record",
            "hashidx:sesssum:a:{u}:left: its session has no record",
            "event:{a}:u:gone: its session has no record",
            "sess:{a}:u (session \"z\"): the record is not JSON",
            "sess:{a}:u (session \"z2\"): the name in the record is another",
            "hashidx:meta:a:{u}:..: the session must not be `.` or `..`",
        ],
    );
    run.says("written   1 sessions");
}

#[tokio::test]
async fn keys_of_another_type_are_told() {
    let moved = Move::new().await;
    good_session(&moved).await;
    for key in ["hashidx:sesssum:a:{u}:s", "hashidx:trkidx:names:a:{u}:s", "userstate:{a}:u"] {
        moved.tell(&[b"LPUSH", key.as_bytes(), b"x"]).await;
    }
    for key in ["sess:{a}:v", "appstate:{a}", "hashidx:userstate:a:{v}"] {
        moved.tell(&[b"SET", key.as_bytes(), b"x"]).await;
    }
    moved.tell(&[b"HSET", b"hashidx:meta:a:{u}:hash", b"x", b"y"]).await;
    let run = moved.import(&[]).await.expect(false);
    let what = "the key has another type than trpc-agent-go gives it";
    for key in ["hashidx:sesssum:a:{u}:s", "sess:{a}:v", "appstate:{a}", "hashidx:meta:a:{u}:hash"]
    {
        run.says(&format!("  {key}: {what}"));
    }
    told(&run, 7, &[]);
    let (there, _) = moved.session("a", "u", "s").await;
    assert_eq!(there.entries.len(), 1);
}

/// What is in a session's state, but would be everybody's here, is not made so.
#[tokio::test]
async fn state_that_does_not_fit_is_told() {
    let moved = Move::new().await;
    let meta = META.replace(
        r#"{"k":"MQ=="}"#,
        r#"{"k":"MQ==","user:x":"MQ==","bad":"???","temp:t":"MQ==","tracks":"AAAA"}"#,
    );
    moved.tell(&[b"SET", b"hashidx:meta:a:{u}:s", meta.as_bytes()]).await;
    let sums = r#"{"":{"summary":"old","updated_at":"2025-01-01T00:00:00Z","topics":{}},"x":7}"#;
    moved.tell(&[b"SET", b"hashidx:sesssum:a:{u}:s", sums.as_bytes()]).await;
    let run = moved.import(&[]).await.expect(false);
    told(
        &run,
        3,
        &[
            "hashidx:meta:a:{u}:s (state \"user:x\"): the key would make it the state of all",
            "hashidx:meta:a:{u}:s (state \"bad\"): the value is not base64",
            "hashidx:sesssum:a:{u}:s (summary \"x\"): it cannot be read",
        ],
    );
    run.says("not quite as it was: 3\n");
    run.says("(summary \"\"): none of the events that it covers is there");
    let (there, _) = moved.session("a", "u", "s").await;
    assert_eq!(there.state.session.keys().collect::<Vec<_>>(), ["k"]);
    assert_eq!((there.summaries[0].text.as_str(), there.summaries[0].last_sequence), ("old", 0));
}

/// trpc-agent-go reads the older of two sessions of one name, so that one is the session.
#[tokio::test]
async fn of_two_layouts_the_one_counts_that_is_read_there() {
    let moved = Move::new().await;
    good_session(&moved).await;
    moved.tell(&[b"HSET", b"sess:{a}:u", b"s", br#"{"id":"s","state":{"from":"enNldA=="}}"#]).await;
    let run = moved.import(&[]).await.expect(false);
    told(
        &run,
        1,
        &["hashidx:meta:a:{u}:s: left out: trpc-agent-go reads the session \"s\" of sess:{a}:u"],
    );
    let (there, _) = moved.session("a", "u", "s").await;
    assert!(there.state.session.contains_key("from"));
}

/// A source that is gone ends the import, with a sentence.
#[tokio::test]
async fn a_source_that_is_gone_is_an_error() {
    let mut moved = Move::new().await;
    moved.source.stop();
    let run = moved.import(&[]).await.expect(false);
    assert!(run.told.contains("the Redis to import from cannot be used"), "{}", run.told);
}
