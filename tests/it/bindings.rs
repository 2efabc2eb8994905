//! The bindings that are committed are those that the generators make of the WIT package.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wit_bindgen_core::wit_parser::{PackageId, Resolve};
use wit_bindgen_core::{Files, WorldGenerator};

/// Set to 1 to have the bindings written rather than compared.
const WRITE: &str = "SESSIOND_WRITE_BINDINGS";

#[derive(Clone, Copy)]
enum Generator {
    /// For C, and for Zig and Nim, which speak to C.
    C,
    Cpp,
    Go,
}

/// Where bindings are committed, below the root of the repository; for which world; and of which
/// generator. A world that is not in the package stands in `world.wit` of the example.
const BINDINGS: [(&str, &str, Generator); 8] = [
    ("guest-examples/audit-log-nim/bindings", "after-append-plugin", Generator::C),
    ("guest-examples/cap-tool-results-c/bindings", "before-append-plugin", Generator::C),
    ("guest-examples/drop-duplicates-go", "plugin", Generator::Go),
    ("guest-examples/read-guard-zig/bindings", "plugin", Generator::C),
    ("guest-examples/state-note-cpp/bindings", "after-get-plugin", Generator::Cpp),
    ("host/sessiond/templates/bindings/c", "before-append-plugin", Generator::C),
    ("host/sessiond/templates/cpp/bindings", "before-append-plugin", Generator::Cpp),
    ("host/sessiond/templates/go", "before-append-plugin", Generator::Go),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a generator makes of a world, by path. The object files that hold the type of the component
/// are not committed: `wasm-tools component embed` adds it.
fn generate(folder: &Path, world: &str, generator: Generator) -> BTreeMap<String, String> {
    let (mut resolve, package) = package(folder);
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut files = Files::default();
    let mut generator: Box<dyn WorldGenerator> = match generator {
        Generator::C => {
            let opts = wit_bindgen_c::Opts { no_object_file: true, ..Default::default() };
            opts.build()
        }
        Generator::Cpp => wit_bindgen_cpp::Opts::default().build(None),
        Generator::Go => {
            let format = wit_bindgen_go::Format::False;
            wit_bindgen_go::Opts { format, quiet: true, ..Default::default() }.build()
        }
    };
    generator.generate(&mut resolve, world, &mut files).unwrap();
    let files = files.iter().filter(|(name, _)| !name.ends_with(".o") && *name != "go.mod");
    let text = |bytes: &[u8]| mended(std::str::from_utf8(bytes).unwrap());
    files.map(|(name, bytes)| (name.to_owned(), text(bytes))).collect()
}

/// wit-bindgen's C++ takes the method `summary` of a session for the type of that name.
fn mended(text: &str) -> String {
    text.replace("std::optional<Summary> Summary(", "std::optional<types::Summary> Summary(")
        .replace("wit::vector<Summary> Summaries(", "wit::vector<types::Summary> Summaries(")
}

/// The WIT package with the world of an example in it.
fn package(folder: &Path) -> (Resolve, PackageId) {
    let copy = tempfile::tempdir().unwrap();
    copy_files(&root().join("wit"), copy.path());
    for folder in [folder, &folder.join("..")] {
        if folder.join("world.wit").is_file() {
            std::fs::copy(folder.join("world.wit"), copy.path().join("world.wit")).unwrap();
        }
    }
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(copy.path()).unwrap();
    (resolve, package)
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_files(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).unwrap();
        }
    }
}

/// What is committed matches the contract, so that no plugin is built against an older one.
#[test]
fn the_bindings_match_the_contract() {
    let write = std::env::var(WRITE).is_ok_and(|it| it == "1");
    let mut stale = Vec::new();
    for (folder, world, generator) in BINDINGS {
        let folder = root().join(folder);
        for (name, text) in generate(&folder, world, generator) {
            let path = folder.join(&name);
            if std::fs::read_to_string(&path).is_ok_and(|it| it == text) {
                continue;
            }
            if write {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, text).unwrap();
            } else {
                stale.push(path.display().to_string());
            }
        }
    }
    let stale = stale.join("\n");
    assert!(
        stale.is_empty(),
        "these do not match wit/; {WRITE}=1 cargo test -p sessiond-tests --test it -- bindings \
         writes them anew:\n{stale}"
    );
}
