//! What trpc-agent-go keeps comes along: byte for byte, in its order, in both layouts.

use std::time::Duration;

use sessiond_core::dialect::Dialect;
use sessiond_core::key::{AppKey, UserKey};
use sessiond_core::state::StateValue;
use sessiond_core::store::SessionStore as _;
use sessiond_core::store::whole::SessionTtl;

use super::Move;

fn json(text: &str) -> StateValue {
    StateValue::Json(text.to_owned())
}

/// R80 and the interop checklist: events, state, summaries and tracks of both layouts are the same
/// here as there.
#[tokio::test]
async fn a_session_comes_along_whole() {
    let moved = Move::of("trpc-sessions.txt").await;
    let run = moved.import(&[]).await.expect(true);
    run.says("written   7 sessions with 20 entries, 3 states");
    run.says("could not be imported: 0");
    for (session, key) in
        [("new", "hashidx:evtdata:shop:{ann}:new"), ("old", "event:{shop}:ann:old")]
    {
        let (there, rest) = moved.session("shop", "ann", session).await;
        let ids: Vec<_> = there.entries.iter().map(|entry| entry.event.id().to_owned()).collect();
        assert_eq!(ids, ["e-e01", "e-e02", "e-e03", "e-e05", "e-e06", "e-e07"]);
        let stored: Vec<String> = match session {
            "new" => {
                let mut bodies = Vec::new();
                for id in &ids {
                    bodies.push(moved.source.ask::<String>(&format!("HGET {key} {id}")).await);
                }
                bodies
            }
            _ => moved.source.ask(&format!("ZRANGE {key} 0 -1")).await,
        };
        for (entry, stored) in there.entries.iter().zip(&stored) {
            assert_eq!(entry.event.dialect(), Dialect::Trpc);
            // `temp:` state is the one thing that is left out.
            let wanted = stored.replace(r#","temp:scratch":"OQ==""#, "");
            assert_eq!(entry.event.body(), wanted);
        }
        assert_eq!(there.entries[4].event.facts().filter_key.as_deref(), Some("weather/day"));

        let state = &there.state.session;
        let wanted = [
            ("asked/often", json("1")),
            ("empty", StateValue::Bytes(Vec::new())),
            ("gone", StateValue::Null),
            ("lang", json("\"zh\"")),
            ("none", StateValue::Null),
            ("patched", json(r#"{"deep":[1,2,{"a":"/"}]}"#)),
            ("plain", StateValue::Bytes(b"no JSON".to_vec())),
            ("raw", StateValue::Bytes(vec![0xff, 0])),
            ("typing", json("true")),
        ];
        let found: Vec<_> =
            state.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        assert_eq!(found, wanted);

        let boundaries: Vec<_> =
            there.summaries.iter().map(|it| (it.filter_key.as_str(), it.last_sequence)).collect();
        assert_eq!(boundaries, [("", 5), ("weather/day", 5)]);
        assert!(there.summaries[0].text.starts_with("They talked, in 5 events. \"Quotes\""));

        let tracks: Vec<_> =
            rest.tracks.iter().map(|(name, it)| (name.as_str(), it.len())).collect();
        // A layout zset cannot keep two entries that are the same.
        assert_eq!(tracks, [("log:1", 1), ("ui", 12)]);
        if session == "new" {
            let steps: Vec<_> = rest.tracks[1].1.iter().map(|it| it.body.clone()).collect();
            let html = r"\u003cp\u003e";
            let wanted: Vec<_> =
                (1..=12).map(|step| format!(r#"{{"step":{step},"html":"{html}"}}"#)).collect();
            assert_eq!(steps, wanted, "in the order in which they were written");
        }
        assert_eq!(rest.tracks[0].1[0].body, "null");
    }
}

#[tokio::test]
async fn states_of_users_and_apps_come_along() {
    let moved = Move::of("trpc-sessions.txt").await;
    moved.import(&[]).await.expect(true);
    let store = moved.store().await;
    let app = store.app_state(&AppKey::new("shop").unwrap()).await.unwrap();
    assert_eq!(app["motd"], json("\"hello\""));
    assert_eq!(app["raw"], StateValue::Bytes(vec![0xfe]));
    assert_eq!(app["void"], StateValue::Bytes(Vec::new()));
    let user = store.user_state(&UserKey::new("shop", "ann").unwrap()).await.unwrap();
    assert_eq!((&user["tier"], &user["seen"]), (&json("\"gold\""), &json("12")));
    let old = store.user_state(&UserKey::new("shop", "old-timer").unwrap()).await.unwrap();
    assert_eq!(old["tier"], json("\"tin\""));
}

/// Names may be anything; time that was left is left.
#[tokio::test]
async fn odd_names_and_times_to_live_come_along() {
    let moved = Move::of("trpc-sessions.txt").await;
    moved.import(&[]).await.expect(true);
    let (there, _) = moved.session("a:b{c}", "u:{x}:*?[%]\\", "s:1 {y}:*\n😀").await;
    assert_eq!(there.entries.len(), 2);
    assert_eq!(there.header.expires_at, None);
    let (there, _) = moved.session("z:b", "u:x:*?[%]\\", "s:2").await;
    assert_eq!(there.entries.len(), 2);
    for (user, session, hours) in [("bob", "for a while", 36), ("eve", "for a while, too", 48)] {
        let (there, _) = moved.session("shop", user, session).await;
        let left = there.header.expires_at.unwrap().millis() - now();
        let hours = hours * 3_600_000;
        assert!((hours - 120_000..=hours).contains(&left), "{left} ms are left");
    }
    assert_eq!(SessionTtl::default(), SessionTtl::Default);
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap()
}

/// A name that can be read in two ways is not guessed, but may be named.
#[tokio::test]
async fn a_name_that_is_not_clear_is_imported_when_it_is_named() {
    let moved = Move::new().await;
    moved.tell(&[b"HSET", b"sess:{a}:b}:u", b"s", br#"{"id":"s","state":{}}"#]).await;
    let run = moved.import(&[]).await.expect(false);
    run.says(
        r#"sess:{a}:b}:u: it may be of "a"/"b}:u" or "a}:b"/"u": import it with --app and --user"#,
    );
    moved.import(&["--app", "a}:b", "--user", "u"]).await.expect(true).says("written   1 sessions");
    moved.session("a}:b", "u", "s").await;
}

/// A prefix chooses: what is beside it is not touched, and neither are others' keys.
#[tokio::test]
async fn only_what_has_the_prefix_and_the_names_is_read() {
    let moved = Move::of("trpc-prefix.txt").await;
    let run = moved.import(&[]).await.expect(true);
    run.says("read      0 sessions");
    let run = moved.import(&["--prefix", "team:a*", "--app", "shop", "--user", "ann"]).await;
    run.expect(true).says("written   3 sessions with 12 entries, 1 states");
    let run = moved.import(&["--prefix", "team:a*"]).await.expect(true);
    run.says("written   4 sessions with 8 entries, 2 states");
    run.says("skipped   3 sessions and 1 states");
}

/// The source is only read: Redis itself says which commands it saw.
#[tokio::test]
async fn nothing_is_written_to_the_source() {
    let moved = Move::of("trpc-sessions.txt").await;
    let changes = async || {
        let told: String = moved.source.ask("INFO persistence").await;
        let line = told.lines().find(|line| line.starts_with("rdb_changes_since_last_save"));
        line.unwrap().to_owned()
    };
    let before = changes().await;
    moved.source.ask::<String>("CONFIG RESETSTAT").await;
    moved.import(&[]).await.expect(true);
    let stats: String = moved.source.ask("INFO commandstats").await;
    let reads = [
        "scan",
        "hscan",
        "get",
        "hget",
        "hgetall",
        "hmget",
        "hlen",
        "zrange",
        "smembers",
        "exists",
        "hexists",
        "pttl",
        "dbsize",
        "info",
        "client|setinfo",
        "hello",
        "config|resetstat",
        "ping",
        "select",
        "client|setname",
    ];
    for line in stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")) {
        let name = line.split(':').next().unwrap();
        assert!(reads.contains(&name), "{name} was sent to the source");
    }
    assert_eq!(changes().await, before);
}

/// Before the real run one wants to know what it would do.
#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let moved = Move::of("trpc-sessions.txt").await;
    let run = moved.import(&["--dry-run"]).await.expect(true);
    run.says("to write  7 sessions with 20 entries, 3 states");
    assert_eq!(moved.target.keys().await, ["sd:schema"]);
}

/// What is imported into the embedded store would be gone at once.
#[tokio::test]
async fn the_embedded_store_is_refused_with_the_way_out() {
    let moved = Move::new().await;
    std::fs::write(moved.path("s.toml"), "").unwrap();
    let run = moved.import(&[]).await.expect(false);
    assert!(run.told.contains("Add a [redis] table"), "{}", run.told);
}
