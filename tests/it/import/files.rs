//! Files of `sessiond export`: what went out comes in again, the same.

use base64::Engine as _;
use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::replay::planted::MAIL;
use sessiond_tests::wat;

use super::{Move, Run};

const BASE: &str = "/v1/apps/shop/users/ann";

/// The lines of an export: sessions in order of their names, without what belongs to a place.
fn compared(export: &str) -> Vec<String> {
    let mut blocks: Vec<Vec<String>> = Vec::new();
    for line in export.lines() {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = value["kind"].as_str().unwrap().to_owned();
        let line = match kind.as_str() {
            // Members that a place gives: the rest of the line is compared as text.
            "session" => {
                let members = value.as_object_mut().unwrap();
                ["generation", "revision", "expires_at"].iter().for_each(|it| {
                    members.remove(*it);
                });
                format!("session {:?} {value}", members["id"].to_string())
            }
            _ => line.to_owned(),
        };
        match kind.as_str() {
            "summary" | "track" | "event" | "state" => blocks.last_mut().unwrap().push(line),
            _ => blocks.push(vec![line]),
        }
    }
    blocks.sort();
    blocks.into_iter().flatten().collect()
}

async fn export(moved: &Move) -> String {
    moved.run(&["export", "--raw"]).await.expect(true).out
}

/// Imports text into the target.
async fn import(moved: &Move, text: &str, more: &[&str]) -> Run {
    let file = moved.path("in.ndjson");
    std::fs::write(&file, text).unwrap();
    let mut args = vec!["import", &file];
    args.extend(more);
    moved.run(&args).await
}

/// A daemon with sessions that are hard to carry.
async fn odd_daemon() -> Daemon {
    let daemon = Daemon::start("[session]\nevent_limit = 5\n").await;
    let client = daemon.client();
    let state = r#"{"id":"s1","state":{"lang":"en","null":null,"big":12345678901234567890,"b":{"$bytes":"/wA="},"line":{"a":
 1}}}"#;
    client.post(&format!("{BASE}/sessions"), state).await.expect(201);
    let events = format!("{BASE}/sessions/s1/events");
    for number in 0..8 {
        let event = format!(r#"{{"role":"user", "content":"say {number} é\u00e9\/", "n":1.50}}"#);
        client.post(&events, event).await.expect(200);
    }
    client.post(&events, "{\"role\":\"assistant\",\n\"content\":\"a\u{2028}\"}").await.expect(200);
    let item = r#"{"id":"mine","event":{"type":"message","role":"user","content":"hi"},"state_delta":{"k":[1, 2]}}"#;
    client.post(&events, item).await.expect(200);
    client
        .patch(&format!("{BASE}/sessions/s1/state"), r#"{"state":{"lang":"de"}}"#)
        .await
        .expect(200);
    client.patch(&format!("{BASE}/state"), r#"{"state":{"tier":"gold"}}"#).await.expect(204);
    client.patch("/v1/apps/shop/state", r#"{"state":{"motd":"hello\n"}}"#).await.expect(204);
    client.post(&format!("{BASE}/sessions"), r#"{"id":"a\n😀"}"#).await.expect(201);
    daemon
}

async fn text_of(daemon: &Daemon) -> String {
    let config = daemon.config();
    let args = ["export", "--raw", "--config", config.to_str().unwrap()];
    let output = sessiond_tests::daemon::run(&args).await;
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// From memory to Redis, to another Redis, and into another daemon's memory: always the same.
#[tokio::test]
async fn what_goes_out_comes_in_again_the_same() {
    let daemon = odd_daemon().await;
    let first = text_of(&daemon).await;
    assert!(first.starts_with("{\"kind\":\"sessiond-export\",\"version\":1}\n"), "{first}");
    assert!(first.ends_with("{\"kind\":\"end\",\"sessions\":2}\n"), "{first}");

    let (one, two) = (Move::new().await, Move::new().await);
    import(&one, &first, &[])
        .await
        .expect(true)
        .says("written   2 sessions with 5 entries, 2 states");
    let second = export(&one).await;
    assert_eq!(compared(&second), compared(&first));
    import(&two, &second, &[]).await.expect(true);
    assert_eq!(compared(&export(&two).await), compared(&first));
    import(&two, &second, &[]).await.expect(true).says("skipped   2 sessions and 2 states");

    let other = Daemon::start("[session]\nevent_limit = 5\n").await;
    std::fs::write(two.path("in.ndjson"), &second).unwrap();
    let config = other.config();
    let args = ["import", &two.path("in.ndjson"), "--config", config.to_str().unwrap()];
    let output = sessiond_tests::daemon::run(&args).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("written   2 sessions"), "{told}");
    assert_eq!(compared(&text_of(&other).await), compared(&first));
    let more = r#"{"role":"user","content":"on we go"}"#;
    let appended = other.client().post(&format!("{BASE}/sessions/s1/events"), more).await;
    let sequence = appended.expect(200).json()["items"][0]["seq"].as_u64();
    assert_eq!(sequence, Some(13), "sequences go on where they were");
}

/// Summaries and tracks, too, which the first daemon has none of.
#[tokio::test]
async fn what_came_from_trpc_goes_on_by_file() {
    let (one, two) = (Move::of("trpc-sessions.txt").await, Move::new().await);
    one.import(&[]).await.expect(true);
    let first = export(&one).await;
    assert!(first.contains("\"kind\":\"track\"") && first.contains("\"kind\":\"summary\""));
    import(&two, &first, &[]).await.expect(true);
    assert_eq!(compared(&export(&two).await), compared(&first));
}

/// A plugin on the way in is asked, unless the operator passes it by.
#[tokio::test]
async fn hooks_are_asked_unless_they_are_passed_by() {
    let config = "[hooks]\nappend = [\"deny\"]\n[plugins.deny]\npath = \"deny.wasm\"\n";
    let moved = Move::with_config(config).await;
    let deny = wat::component(&wat::hostile("deny"), "before-append-plugin");
    std::fs::write(moved.path("deny.wasm"), deny).unwrap();
    moved.load("trpc-sessions.txt").await;
    let run = moved.import(&["--user", "bob"]).await.expect(false);
    run.says("hashidx:meta:shop:{bob}:for a while: the plugin \"deny\" rejects it");
    run.says("written   0 sessions");
    let run = moved.import(&["--user", "bob", "--bypass-hooks"]).await.expect(true);
    run.says("written   1 sessions with 2 entries");
    let text = export(&moved).await;
    let other = Move::with_config(config).await;
    std::fs::copy(moved.path("deny.wasm"), other.path("deny.wasm")).unwrap();
    import(&other, &text, &[]).await.expect(false).says("the plugin \"deny\" rejects it");
    import(&other, &text, &["--bypass-hooks"]).await.expect(true).says("written   1 sessions");
}

/// R87, R89: an import is a way in, and what a plugin takes out is not stored: in events, state and
/// summaries, of sessions, users and apps. And when it is run again, that is no difference.
#[tokio::test]
async fn what_a_plugin_takes_out_is_not_imported() {
    let config = format!(
        "[hooks]\nappend = [\"redact\"]\n[plugins.redact]\npath = {:?}\n",
        guest("redact-secrets-rust")
    );
    let moved = Move::with_config(&config).await;
    let secret = base64::engine::general_purpose::STANDARD.encode(format!("{MAIL:?}"));
    let meta = format!(r#"{{"id":"s","appName":"a","userID":"u","state":{{"k":"{secret}"}}}}"#);
    moved.tell(&[b"SET", b"hashidx:meta:a:{u}:s", meta.as_bytes()]).await;
    let event = format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"user","content":"to {MAIL}"}}}}],"id":"e","timestamp":"2026-01-01T00:00:01Z"}}"#
    );
    moved.tell(&[b"HSET", b"hashidx:evtdata:a:{u}:s", b"e", event.as_bytes()]).await;
    moved.tell(&[b"ZADD", b"hashidx:evtidx:time:a:{u}:s", b"1", b"e"]).await;
    let sums = format!(r#"{{"":{{"summary":"{MAIL}","updated_at":"2026-01-01T00:00:01Z"}}}}"#);
    moved.tell(&[b"SET", b"hashidx:sesssum:a:{u}:s", sums.as_bytes()]).await;
    let run = moved.import(&[]).await.expect(true);
    run.says("written   1 sessions with 1 entries");
    let text = export(&moved).await;
    assert!(text.contains("[email]") && !text.contains(MAIL), "{text}");
    assert_eq!(text.matches("[email]").count(), 3, "{text}");
    moved.import(&[]).await.expect(true).says("skipped   1 sessions");
}

/// A file that breaks off, is damaged, or is something else is told from a good one.
#[tokio::test]
async fn damaged_files_are_told_from_good_ones() {
    let one = Move::of("trpc-sessions.txt").await;
    one.import(&["--user", "ann"]).await.expect(true);
    let text = export(&one).await;
    let lines: Vec<&str> = text.lines().collect();

    let two = Move::new().await;
    let last = lines.iter().rposition(|line| line.contains("\"kind\":\"event\"")).unwrap();
    let run = import(&two, &lines[..last].join("\n"), &[]).await.expect(false);
    run.says("the file breaks off within the session");
    import(&two, &text, &[]).await.expect(true);
    assert_eq!(compared(&export(&two).await), compared(&text));

    let three = Move::new().await;
    let event = lines.iter().position(|line| line.contains("\"kind\":\"event\"")).unwrap();
    let mut damaged = lines.clone();
    damaged[event] = "{\"kind\":\"event\",\"seq\":1";
    let run = import(&three, &damaged.join("\n"), &[]).await.expect(false);
    run.says(&format!("  line {}: it is not JSON", event + 1));
    run.says("written   3 sessions");

    let run = import(&three, "{\"role\":\"user\"}\n", &[]).await.expect(false);
    assert!(run.told.contains("this is no file of `sessiond export`"), "{}", run.told);
    let later = text.replacen("\"version\":1", "\"version\":2", 1);
    let run = import(&three, &later, &[]).await.expect(false);
    assert!(run.told.contains("the file is of version 2"), "{}", run.told);
}

/// The standard input will do, and so will a file that goes on after an interruption.
#[tokio::test]
async fn a_checkpoint_goes_on_within_a_file() {
    let one = Move::of("trpc-sessions.txt").await;
    one.import(&[]).await.expect(true);
    let text = export(&one).await;
    let two = Move::new().await;
    let file = two.path("checkpoint");
    let run = import(&two, &text, &["--checkpoint", &file]).await.expect(true);
    run.says("written   7 sessions");
    let run = two.run(&["import", "-", "--checkpoint", &file]).await.expect(false);
    assert!(run.told.contains("a checkpoint needs a file"), "{}", run.told);
}
