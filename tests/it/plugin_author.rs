//! What authors of plugins do: new, wit, check, test.

use std::path::Path;

use sessiond_tests::daemon::{guest, program, run};

async fn text(args: &[&str]) -> (bool, String) {
    let output = run(args).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// P79: a plugin is looked at without a daemon.
#[tokio::test]
async fn a_plugin_is_checked() {
    let (good, told) =
        text(&["plugin", "check", guest("redact-secrets-rust").to_str().unwrap()]).await;
    assert!(good, "{told}");
    for wanted in [
        "exports before-append",
        "imports sessiond:plugin/types@0.1.0",
        "sha256",
        "every hook answers",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
}

/// P80: hooks are run on recorded events, and what they change is shown.
#[tokio::test]
async fn hooks_are_tried_on_recorded_events() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.ndjson");
    let lines = [
        r#"{"role":"user","content":"write to a@b.example"}"#,
        r#"{"id":"x","event":{"role":"assistant","content":"done"}}"#,
    ];
    std::fs::write(&events, lines.join("\n")).unwrap();
    let events = events.to_str().unwrap();
    let (good, told) = text(&[
        "plugin",
        "test",
        guest("redact-secrets-rust").to_str().unwrap(),
        "--events",
        events,
    ])
    .await;
    assert!(good, "{told}");
    assert!(
        told.contains("-  \"content\": \"write to a@b.example\"")
            || told.contains("-  \"content\""),
        "{told}"
    );
    assert!(
        told.contains("+")
            && told.contains("[email]")
            && told.contains("event 2 (before-append): unchanged"),
        "{told}"
    );

    let turns: String = (0..6)
        .map(|turn| format!("{{\"role\":\"user\",\"content\":\"question {turn}\"}}\n"))
        .collect();
    std::fs::write(events, turns).unwrap();
    let (good, told) = text(&[
        "plugin",
        "test",
        guest("recent-turns-javascript").to_str().unwrap(),
        "--events",
        events,
    ])
    .await;
    assert!(good && told.contains("a read (after-get):") && told.contains("question 1"), "{told}");
    let (good, told) = text(&[
        "plugin",
        "test",
        guest("rolling-summary-python").to_str().unwrap(),
        "--events",
        events,
    ])
    .await;
    assert!(
        good && told.contains("should-summarize: true") && told.contains("question 5"),
        "{told}"
    );
    std::fs::write(events, "{\"no\":").unwrap();
    let (good, told) = text(&[
        "plugin",
        "test",
        guest("redact-secrets-rust").to_str().unwrap(),
        "--events",
        events,
    ])
    .await;
    assert!(!good && told.contains("events.ndjson:1: "), "{told}");
}

#[tokio::test]
async fn the_contract_is_written_out() {
    let folder = tempfile::tempdir().unwrap();
    let (good, told) = text(&["plugin", "wit", folder.path().join("wit").to_str().unwrap()]).await;
    assert!(good, "{told}");
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(folder.path().join("wit")).unwrap();
    assert_eq!(resolve.packages[package].name.to_string(), "sessiond:plugin@0.1.0");
}

/// A new project has what its language needs, and its name in the right places.
#[tokio::test]
async fn new_projects_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (language, files) in [
        ("rust", &["Cargo.toml", "src/lib.rs", "README.md", "wit/types.wit"][..]),
        ("javascript", &["package.json", "README.md", "wit/types.wit"]),
        ("typescript", &["package.json", "plugin.ts", "sessiond.js", "README.md", "wit/types.wit"]),
        ("python", &["plugin.py", "README.md", "wit/types.wit"]),
        ("c", &["Makefile", "hook.c", "bindings/before_append_plugin.h", "README.md"]),
        ("cpp", &["Makefile", "hook.cpp", "bindings/wit.h", "wasi-stub.wat", "README.md"]),
        ("go", &["go.mod", "runtime/go.mod", "wit_exports.go", "wasi-stub.wat", "README.md"]),
        ("zig", &["Makefile", "hook.zig", "bindings/before_append_plugin.c", "README.md"]),
        ("nim", &["Makefile", "hook.nim", "bindings/before_append_plugin.c", "README.md"]),
    ] {
        let name = format!("my-{language}-hook");
        let run = tokio::process::Command::new(program())
            .args(["plugin", "new", "--lang", language, &name])
            .current_dir(folder.path())
            .output()
            .await
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        for file in files {
            assert!(folder.path().join(&name).join(file).is_file(), "{language}: {file}");
        }
        assert_no_placeholder(&folder.path().join(&name));
    }
    let (good, told) = text(&["plugin", "new", "--lang", "rust", "../Escape"]).await;
    assert!(!good && told.contains("is no name for a project"), "{told}");
}

fn assert_no_placeholder(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_placeholder(&path);
        } else {
            assert!(!path.to_string_lossy().ends_with(".tmpl"), "{}", path.display());
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("{{name"), "{}", path.display());
        }
    }
}

/// What a component cannot have is said before anybody relies on it: a hash or a token that is random
/// in its language is not, without wasi:random.
#[tokio::test]
async fn a_plugin_without_randomness_is_warned_of() {
    let check = async |name: &str| text(&["plugin", "check", guest(name).to_str().unwrap()]).await;
    let (good, told) = check("redact-secrets-rust").await;
    assert!(good && told.contains("warning it imports no wasi:random"), "{told}");
    let (good, told) = check("rolling-summary-python").await;
    assert!(good && told.contains("imports wasi:random/") && !told.contains("warning"), "{told}");
}

/// P80: the diff is of lines, with what was there and what is there now.
#[tokio::test]
async fn a_diff_shows_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.ndjson");
    std::fs::write(&events, r#"{"role":"user","content":"write to a@b.example"}"#).unwrap();
    let hook = guest("redact-secrets-rust");
    let args = ["plugin", "test", hook.to_str().unwrap(), "--events", events.to_str().unwrap()];
    let (good, told) = text(&args).await;
    let wanted = "event 1 (before-append):\n--- before\n+++ after\n@@ -1,4 +1,4 @@\n {\n\
                  -  \"content\": \"write to a@b.example\",\n\
                  +  \"content\": \"write to [email]\",\n   \"role\": \"user\"\n }\n";
    assert!(good && told.contains(wanted), "{told}");
}

/// P80: what a component costs, for people and for tables.
#[tokio::test]
async fn a_plugin_is_measured() {
    let hook = guest("redact-secrets-rust");
    let hook = hook.to_str().unwrap();
    let (good, told) = text(&["plugin", "bench", hook]).await;
    assert!(good && told.contains("before-append") && told.contains("calls/s"), "{told}");
    let output = run(&["plugin", "bench", "--json", hook]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let size = std::fs::metadata(hook).unwrap().len();
    assert_eq!((&json["size_bytes"], &json["events"]), (&size.into(), &1.into()), "{json}");
    for kind in ["warm", "fresh"] {
        let figures = &json["interfaces"]["before-append"][kind];
        let (median, p99) = (&figures["median_us"], &figures["p99_us"]);
        assert!(median.as_f64().unwrap() > 0.0 && p99.as_f64() >= median.as_f64(), "{json}");
        assert!(figures["calls"].as_u64().unwrap() >= 20, "{json}");
    }
    for figure in ["compile_ms", "start_from_cache_ms", "instance_memory_bytes"] {
        assert!(json[figure].as_f64().unwrap() > 0.0, "{figure}: {json}");
    }
    let (good, told) = text(&["plugin", "bench", hook, "--events", "/does/not/exist"]).await;
    assert!(!good && told.contains("cannot read"), "{told}");
}
