//! The production guide is true.

use std::path::Path;

use sessiond_tests::daemon::Daemon;
use sessiond_tests::redis_sentinel::RedisSentinel;

/// The part of the guide between a line that opens it and the line that closes it.
fn block(guide: &str, kind: &str) -> String {
    let opening = format!("```{kind}\n");
    let (_, rest) = guide.split_once(&opening).unwrap_or_else(|| panic!("{opening} is not there"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// The servers and the daemon start as the guide sets them up, and keep a session.
#[tokio::test]
async fn the_guide_is_what_runs() {
    const SESSIONS: &str = "/v1/apps/a/users/u/sessions";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/production.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let of_servers = block(&guide, "text");
    let lines = of_servers.lines().filter_map(|line| line.split_once(' '));
    let options: Vec<String> =
        lines.flat_map(|(name, value)| [format!("--{name}"), value.to_owned()]).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let redis = RedisSentinel::start_with(&options).await;
    let rule = guide.lines().find_map(|line| line.strip_prefix("    ACL SETUSER ")).unwrap();
    let rule = rule
        .replace("~sd:", "~prod:sd:")
        .replace("&sd:", "&prod:sd:")
        .replace("PASSWORD", "a-secret");
    for server in redis.servers() {
        let _: () = server.ask(&format!("ACL SETUSER {rule}")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("redis.password");
    std::fs::write(&password, "a-secret\n").unwrap();
    let mut config = block(&guide, "toml")
        .replace("[server]\nlisten = \"127.0.0.1:7717\"\n", "")
        .replace("\"redis.password\"", &format!("{password:?}"))
        // The test looks for the address in lines of text.
        .replace("log_format = \"json\"", "log_format = \"text\"");
    for (at, url) in redis.urls().iter().enumerate() {
        config = config.replace(&format!("redis://10.0.0.{}:26379", at + 1), url);
    }
    assert!(!config.contains("10.0.0.") && !config.contains("[server]"), "{config}");
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let event = r#"{"role":"user","content":"hi"}"#;
    client.post(&format!("{SESSIONS}/s/events"), event).await.expect(200);
    client.get("/readyz").await.expect(200);
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
}
