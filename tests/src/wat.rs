//! Guests written as WebAssembly text: they need no toolchain, and do what no compiler would.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The WIT package.
fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

/// A guest under `tests/hostile`.
pub fn hostile(name: &str) -> String {
    prepared(&read(&format!("hostile/{name}")), &read("hostile/prelude"))
}

/// A guest under `tests/hostile`, as a component of a world that imports what it wants of WASI.
pub fn hostile_component(name: &str) -> Vec<u8> {
    let text = hostile(name);
    let wanted = text.split("(import \"").skip(1).filter_map(|rest| rest.split('"').next());
    let wanted: BTreeSet<&str> = wanted.filter(|import| import.starts_with("wasi:")).collect();
    granting(&text, &Vec::from_iter(wanted))
}

/// A guest under `tests/grants`, as a component of a world that imports what is named.
pub fn granted(name: &str, imports: &[&str]) -> Vec<u8> {
    let tools = read("hostile/prelude") + &read("grants/say");
    granting(&prepared(&read(&format!("grants/{name}")), &tools), imports)
}

/// Puts what all guests have into one, and what it does when it allocates into that.
fn prepared(text: &str, tools: &str) -> String {
    let own = text.lines().find_map(|line| line.trim().strip_prefix(";; allocating: "));
    let tools = tools.replacen(";; allocating", own.unwrap_or_default(), 1);
    text.replace("  ;; prelude\n", &tools)
}

fn granting(text: &str, imports: &[&str]) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_path(wit()).expect("the WIT package");
    for name in ["io", "http", "cli", "clocks", "random", "filesystem"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("grants/wit/{name}.wit"));
        resolve.push_path(path).expect("a package of WASI");
    }
    let imports: String = imports.iter().map(|it| format!("import {it}; ")).collect();
    let world = "include sessiond:plugin/before-append-plugin@0.1.0;";
    let world = format!("package test:guest; world guest {{ {world} {imports} }}");
    let package = resolve.push_str("guest.wit", &world).expect("a world");
    encode(text, &resolve, package, "guest")
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{name}.wat"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes of a core module.
pub fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A component for a world of the package.
pub fn component(text: &str, world: &str) -> Vec<u8> {
    component_of(&wit(), text, world)
}

/// A component for a world of the package as it stands in a folder.
pub fn component_of(folder: &Path, text: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(folder).expect("a WIT package");
    encode(text, &resolve, package, world)
}

/// A component for a world of another package, given as text.
pub fn foreign_component(text: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("foreign.wit", wit).expect("a WIT package");
    encode(text, &resolve, package, world)
}

fn encode(text: &str, resolve: &Resolve, package: wit_parser::PackageId, world: &str) -> Vec<u8> {
    let mut module = module(text);
    let world = resolve.select_world(&[package], Some(world)).expect("a world");
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8, false)
        .expect("metadata");
    let mut encoder = ComponentEncoder::default();
    let encoded = encoder.validate(true).module(&module).and_then(|encoder| encoder.encode());
    encoded.unwrap_or_else(|error| panic!("{error:?}"))
}
