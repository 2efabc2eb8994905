//! The replay of the sample conversations. `scripts/replay FILE` does the same with others.

use std::path::Path;

use sessiond_tests::replay;

/// R76, R87: every event is stored in order, byte for byte but for what the hook removed; secrets are
/// found nowhere; a read shows what `recent-turns` says; long sessions are summed up; no error.
#[tokio::test]
async fn conversations_pass_through_three_plugins() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversations.ndjson");
    let report = replay::run(&sample, |_| {}).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(report.sessions, 3 + 4);
    assert_eq!(report.summaries, 2);
}
