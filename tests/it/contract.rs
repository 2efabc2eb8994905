//! The promise of the WIT package: what was built for an earlier version of 0.1 runs, and what wants
//! a later one is told so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::wat;
use tempfile::TempDir;
use wit_parser::{Function, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId};

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
/// The interfaces that guests export. A function more, and no guest would fit.
const EXPORTED: [&str; 5] =
    ["before-append", "after-append", "before-get", "after-get", "summarizer"];

fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Everything that an interface has, spelt out: types to their last field, functions with their
/// parameters and result. By `INTERFACE.NAME`.
fn spelt(folder: &Path) -> BTreeMap<String, String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(folder).unwrap();
    let mut found = BTreeMap::new();
    for (name, id) in &resolve.packages[package].interfaces {
        interface(&resolve, name, *id, &mut found);
    }
    found
}

fn interface(resolve: &Resolve, name: &str, id: InterfaceId, found: &mut BTreeMap<String, String>) {
    for (type_name, id) in &resolve.interfaces[id].types {
        found.insert(format!("{name}.{type_name}"), definition(resolve, *id));
    }
    for (function_name, function) in &resolve.interfaces[id].functions {
        found.insert(format!("{name}.{function_name}"), signature(resolve, function));
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params =
        function.params.iter().map(|it| format!("{}: {}", it.name, spell(resolve, &it.ty)));
    let result = function.result.as_ref().map(|it| spell(resolve, it));
    format!("func({}) -> {}", params.collect::<Vec<_>>().join(", "), result.unwrap_or_default())
}

fn definition(resolve: &Resolve, id: TypeId) -> String {
    let list = |items: Vec<String>| items.join(", ");
    let maybe = |it: &Option<Type>| it.as_ref().map(|it| spell(resolve, it)).unwrap_or_default();
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let fields = fields.map(|it| format!("{}: {}", it.name, spell(resolve, &it.ty)));
            format!("record {{ {} }}", list(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|it| format!("{}({})", it.name, maybe(&it.ty)));
            format!("variant {{ {} }}", list(cases.collect()))
        }
        TypeDefKind::Enum(it) => {
            format!("enum {{ {} }}", list(it.cases.iter().map(|it| it.name.clone()).collect()))
        }
        TypeDefKind::Flags(it) => {
            format!("flags {{ {} }}", list(it.flags.iter().map(|it| it.name.clone()).collect()))
        }
        TypeDefKind::Tuple(it) => {
            format!("tuple<{}>", list(it.types.iter().map(|it| spell(resolve, it)).collect()))
        }
        TypeDefKind::Option(it) => format!("option<{}>", spell(resolve, it)),
        TypeDefKind::List(it) => format!("list<{}>", spell(resolve, it)),
        TypeDefKind::Result(it) => format!("result<{}, {}>", maybe(&it.ok), maybe(&it.err)),
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", named(resolve, *id)),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", named(resolve, *id)),
        TypeDefKind::Type(it) => spell(resolve, it),
        other => other.as_str().to_owned(),
    }
}

fn named(resolve: &Resolve, id: TypeId) -> String {
    resolve.types[id].name.clone().unwrap_or_else(|| definition(resolve, id))
}

fn spell(resolve: &Resolve, it: &Type) -> String {
    match it {
        Type::Id(id) => named(resolve, *id),
        plain => format!("{plain:?}"),
    }
}

/// P28, P31: within 0.1.x nothing that is there changes or goes away, and exported interfaces do not
/// grow either.
#[test]
fn the_contract_keeps_what_it_promised() {
    let present = spelt(&tests("../wit"));
    for version in std::fs::read_dir(tests("frozen")).unwrap() {
        let folder = version.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let frozen = spelt(&folder);
        assert!(frozen.len() > 50, "{} of {}", frozen.len(), folder.display());
        for (name, wanted) in &frozen {
            assert_eq!(present.get(name), Some(wanted), "{name} of {}", folder.display());
        }
        for name in present.keys() {
            let (interface, _) = name.split_once('.').unwrap();
            let grown = EXPORTED.contains(&interface) && !frozen.contains_key(name);
            assert!(!grown, "{name} is not in {}", folder.display());
        }
    }
}

/// The frozen package in another version, with `more` methods of `event`.
fn package(version: &str, more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(tests("frozen/0.1.0")).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let text = text.replace("sessiond:plugin@0.1.0;", &format!("sessiond:plugin@{version};"));
        let text = text.replacen("resource event {", &format!("resource event {{ {more}"), 1);
        std::fs::write(folder.path().join(file.file_name()), text).unwrap();
    }
    folder
}

/// A hook for that package, with `more` in its module.
fn hook(folder: &TempDir, version: &str, more: &str) -> Vec<u8> {
    let text = wat::hostile("pass").replacen("(module", &format!("(module {more}"), 1);
    let text = text.replace("@0.1.0", &format!("@{version}"));
    wat::component_of(folder.path(), &text, "before-append-plugin")
}

async fn check(bytes: &[u8]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook.wasm");
    std::fs::write(&file, bytes).unwrap();
    let output = run(&["plugin", "check", file.to_str().unwrap()]).await;
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

/// A method that every version has, called for every list that comes: the types must agree too.
const KNOWN: &str = r#"(import "sessiond:plugin/types@0.1.0" "[method]event.is-user-turn"
    (func (param i32) (result i32)))"#;

/// P34, P36: a component that was built against a released version runs, and so does one that names
/// a later version of which it uses nothing new.
#[tokio::test]
async fn what_was_built_for_another_version_of_0_1_runs() {
    let folder = tempfile::tempdir().unwrap();
    let released = std::fs::read(tests("signed/pass.wasm")).unwrap();
    let mut components = vec![("released".to_owned(), released)];
    for version in ["0.1.0", "0.1.7"] {
        components.push((version.to_owned(), hook(&package(version, ""), version, KNOWN)));
    }
    for (name, bytes) in components {
        let file = folder.path().join("hook.wasm");
        std::fs::write(&file, bytes).unwrap();
        let config = format!("[hooks]\nappend = [\"hook\"]\n[plugins.hook]\npath = {file:?}\n");
        let daemon = Daemon::start(&config).await;
        let client = daemon.client();
        client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
        let body = r#"{"role":"user","content":"hi"}"#;
        let reply = client.post(&format!("{SESSIONS}/s/events"), body).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text);
    }
}

/// P32, P33: what wants more than there is, is refused with both versions, what is missing, and the
/// fix.
#[tokio::test]
async fn what_wants_a_later_version_is_told_so() {
    let newer = package("0.1.9", "frobnicate: func(); unfrobnicate: func(); ");
    let uses = ["frobnicate", "unfrobnicate"].map(|name| {
        format!(
            "(import \"sessiond:plugin/types@0.1.9\" \"[method]event.{name}\" (func (param i32)))"
        )
    });
    let (good, told) = check(&hook(&newer, "0.1.9", &uses.concat())).await;
    assert!(!good);
    for wanted in [
        "sessiond:plugin/types@0.1.9",
        "speaks 0.1.0",
        "event.frobnicate",
        "event.unfrobnicate",
        "sessiond plugin wit",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    let (good, told) = check(&hook(&package("0.2.0", ""), "0.2.0", KNOWN)).await;
    assert!(!good);
    for wanted in [
        "imports sessiond:plugin/types@0.2.0",
        "exports sessiond:plugin/before-append@0.2.0",
        "speaks 0.1.0",
        "sessiond plugin wit",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
}
