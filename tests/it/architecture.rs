//! The arrows between crates, and the sizes of files.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

fn crate_sources(name: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&root().join("host").join(name).join("src"), &mut found);
    found
}

fn dependencies(name: &str) -> Vec<String> {
    let manifest =
        std::fs::read_to_string(root().join("host").join(name).join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

const CRATES: [&str; 4] = ["sessiond-core", "sessiond-redis", "sessiond-plugin", "sessiond"];

/// Arrows: sessiond -> {sessiond-redis, sessiond-plugin} -> sessiond-core, and no other.
#[test]
fn the_arrows_between_crates_are_as_drawn() {
    let ours = |name: &str| -> Vec<String> {
        dependencies(name).into_iter().filter(|it| it.starts_with("sessiond")).collect()
    };
    assert_eq!(ours("sessiond-core"), Vec::<String>::new());
    assert_eq!(ours("sessiond-redis"), ["sessiond-core"]);
    assert_eq!(ours("sessiond-plugin"), ["sessiond-core"]);
    assert_eq!(ours("sessiond"), ["sessiond-core", "sessiond-plugin", "sessiond-redis"]);
    let crates = std::fs::read_dir(root().join("host")).unwrap().count();
    assert_eq!(crates, CRATES.len(), "there are four crates, and no fifth");
}

/// Redis is named in one crate, wasmtime in one, HTTP, TOML and anyhow in the daemon's.
#[test]
fn what_a_crate_is_about_is_named_nowhere_else() {
    let only = [
        ("redis", "sessiond-redis"),
        ("wasmtime", "sessiond-plugin"),
        ("wasmtime-wasi", "sessiond-plugin"),
        ("wasmtime-wasi-http", "sessiond-plugin"),
        ("rustls-native-certs", "sessiond"),
        ("axum", "sessiond"),
        ("hyper", "sessiond"),
        ("toml", "sessiond"),
        ("clap", "sessiond"),
        ("anyhow", "sessiond"),
    ];
    for (dependency, home) in only {
        for name in CRATES.into_iter().filter(|name| *name != home) {
            assert!(!dependencies(name).iter().any(|it| it == dependency), "{name}: {dependency}");
        }
    }
}

/// Inside core, the nouns know nothing of what works with them.
#[test]
fn the_nouns_of_core_do_not_point_back() {
    let nouns = ["key", "event", "dialect", "state", "json", "time", "digest", "window", "summary"];
    let users = ["crate::service", "crate::store", "crate::hook", "crate::workers", "crate::view"];
    for (path, text) in crate_sources("sessiond-core") {
        let inside = path.components().skip_while(|part| part.as_os_str() != "src").nth(1).unwrap();
        let noun = Path::new(inside.as_os_str()).with_extension("");
        if nouns.iter().any(|it| noun == Path::new(it)) {
            for user in users {
                assert!(!text.contains(user), "{} names {user}", path.display());
            }
        }
    }
}

/// Machine code is loaded in one place, which says why that is sound.
#[test]
fn one_file_is_unsafe() {
    let unsafe_code = |(_, text): &(PathBuf, String)| text.contains("unsafe {");
    let found: Vec<_> = CRATES.into_iter().flat_map(crate_sources).filter(unsafe_code).collect();
    let files: Vec<_> = found.iter().map(|(path, _)| path.file_name().unwrap()).collect();
    assert_eq!(files, ["artifact.rs"]);
    assert_eq!(found[0].1.matches("unsafe {").count(), 1);
    assert!(found[0].1.contains("// SAFETY: "));
}

/// A file is read in one go, says what it is, and is not named after nothing.
#[test]
fn files_are_small_and_say_what_they_are() {
    for (path, text) in CRATES.into_iter().flat_map(crate_sources) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let vague = ["util", "utils", "helper", "helpers", "manager", "common", "misc", "mod"];
        assert!(!vague.contains(&name.as_str()), "{}", path.display());
        if path.ends_with("tests.rs") {
            continue;
        }
        assert!(text.starts_with("//!"), "{} has no module documentation", path.display());
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(code <= 600, "{} has {code} lines", path.display());
    }
}
