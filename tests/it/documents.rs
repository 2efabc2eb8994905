//! Documents that must stay true: the WIT package, the example configuration, the README's commands.

use std::path::{Path, PathBuf};

use sessiond_tests::daemon::{Daemon, run};
use tokio::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The package parses, has the worlds that it promises, and documents all that it has.
#[test]
fn the_wit_package_is_whole_and_documented() {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(root().join("wit")).unwrap();
    for interface in ["before-append", "after-append", "before-get", "after-get", "summarizer"] {
        let world = format!("{interface}-plugin");
        resolve.select_world(&[package], Some(&world)).unwrap();
    }
    let package = &resolve.packages[package];
    assert_eq!(package.name.to_string(), "sessiond:plugin@0.1.0");
    for (name, id) in &package.interfaces {
        let interface = &resolve.interfaces[*id];
        assert!(interface.docs.contents.is_some(), "{name} is not documented");
        for (function, it) in &interface.functions {
            assert!(it.docs.contents.is_some(), "{name}.{function} is not documented");
        }
        for (type_name, id) in &interface.types {
            let used = matches!(resolve.types[*id].kind, wit_parser::TypeDefKind::Type(_));
            assert!(
                used || resolve.types[*id].docs.contents.is_some(),
                "{name}.{type_name} is not documented"
            );
        }
    }
}

/// The example lists every key with its default, is accepted as it is, and has no key that is not.
#[tokio::test]
async fn the_example_configuration_is_true() {
    let example = read("sessiond.example.toml");
    let folder = tempfile::tempdir().unwrap();
    let check = async |text: &str| {
        let file = folder.path().join("s.toml");
        std::fs::write(&file, text).unwrap();
        let output = run(&["check", "--config", file.to_str().unwrap()]).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (good, defaults, told) = check("").await;
    assert!(good, "{told}");
    let lines: Vec<&str> = example.lines().map(|line| line.trim_start_matches("# ")).collect();
    for line in defaults.lines().filter(|line| line.contains(" = ") || line.starts_with('[')) {
        assert!(lines.contains(&line), "{line} is not in sessiond.example.toml");
    }
    let (good, shown, told) = check(&example).await;
    assert!(good, "{told}");
    assert_eq!(shown, defaults);
    let set = lines.iter().filter(|line| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    });
    let set: String = set.map(|line| format!("{line}\n")).collect();
    let (good, _, told) = check(&set).await;
    assert!(!good && !told.contains("no such key") && !told.contains("this key yet"), "{told}");
}

/// What the README has one type after the start, at a daemon without any configuration.
#[tokio::test]
async fn the_readmes_first_session_is_as_it_says() {
    const ADDRESS: &str = "http://127.0.0.1:7717";
    let readme = read("README.md");
    let lines = readme.lines().map(str::trim).skip_while(|line| !line.starts_with("B=http"));
    let typed: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let daemon = Daemon::start("").await;
    let script = typed.join("\n").replace(ADDRESS, daemon.client().base());
    assert_ne!(script, typed.join("\n"));
    let output = Command::new("sh").args(["-ec", &script]).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let said = serde_json::Deserializer::from_str(&said).into_iter::<serde_json::Value>();
    let answers: Vec<_> = said.collect::<Result<_, _>>().unwrap();
    assert_eq!(answers.len(), 3, "{answers:?}");
    assert_eq!((&answers[0]["id"], &answers[0]["state"]["lang"]), (&"s1".into(), &"en".into()));
    // The first entry is the state that the session was created with.
    assert_eq!(answers[1]["last_seq"], 2);
    let read = &answers[2]["events"][0]["event"];
    assert_eq!(read, &serde_json::json!({"role": "user", "content": "hello"}), "{answers:?}");
}

/// The README's first two commands exist, and come early.
#[test]
fn the_readme_begins_with_two_commands() {
    let readme = read("README.md");
    let early: Vec<&str> = readme.lines().take(40).collect();
    for command in ["scripts/demo", "scripts/test"] {
        assert!(early.iter().any(|line| line.trim() == command), "{command} does not come early");
        assert!(root().join(command).is_file());
    }
    for document in ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"] {
        assert!(root().join(document).is_file(), "{document}");
    }
}

/// The author's guide shows the very hooks of the templates, which are built and run by the tests.
#[test]
fn the_guide_shows_the_hooks_of_the_templates() {
    let guide = read("docs/authors.md");
    let hooks = [
        "rust/src/lib.rs",
        "javascript/plugin.js",
        "typescript/plugin.ts",
        "python/plugin.py",
        "c/hook.c",
        "cpp/hook.cpp",
        "go/export_sessiond_plugin_before_append/hook.go",
        "zig/hook.zig",
        "nim/hook.nim",
    ];
    for hook in hooks {
        let code = read(&format!("host/sessiond/templates/{hook}"));
        assert!(guide.contains(code.trim_end()), "docs/authors.md does not have {hook} as it is");
    }
}
