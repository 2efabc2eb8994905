//! What the host's interfaces have, function by function: to tell a component that wants more what
//! that is. The linker names the first thing alone.

use std::collections::BTreeSet;

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::contract::{PACKAGE, VERSION};
use crate::wit::FILES;

/// For each interface of the contract: the functions that a component imports of it and that the
/// host does not have, with both versions and the fix.
pub(crate) fn missing(component: &Component, engine: &Engine) -> Vec<String> {
    let offered = functions();
    let mut problems = Vec::new();
    for (import, wanted) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = wanted.ty else { continue };
        let path = import.split_once('@').map_or(import, |(path, _)| path);
        let Some(("", interface)) =
            path.split_once(PACKAGE).map(|(before, after)| (before, after.trim_start_matches('/')))
        else {
            continue;
        };
        let functions = instance.exports(engine).filter_map(|(name, item)| {
            matches!(item.ty, ComponentItem::ComponentFunc(_)).then_some(name)
        });
        let unknown: Vec<_> = functions
            .filter(|name| !offered.contains(&format!("{interface} {name}")))
            .map(|name| name.rsplit_once(']').map_or(name, |(_, name)| name))
            .collect();
        if !unknown.is_empty() {
            problems.push(format!(
                "it imports {} of {import}, and this host speaks {VERSION}, which does not have \
                 that: build it against `sessiond plugin wit`, or run a newer sessiond",
                unknown.join(", ")
            ));
        }
    }
    problems
}

/// `INTERFACE NAME` of every function, by the names that components import them under. Taken from
/// the text of the package, which has a function a line.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // The drafts of WASI beside the package are not of its versions.
    for (_, text) in FILES.into_iter().filter(|(path, _)| !path.contains('/')) {
        let (mut interface, mut resource) = ("", None);
        for line in text.lines() {
            let declared = line.trim();
            if let Some(name) = opens(declared, "interface ") {
                (interface, resource) = (name, None);
            } else if let Some(name) = opens(declared, "resource ") {
                resource = Some(name);
            } else if line == "  }" {
                resource = None;
            } else if let Some(name) = function(declared, resource) {
                found.insert(format!("{interface} {name}"));
            }
        }
    }
    found
}

fn opens<'a>(line: &'a str, what: &str) -> Option<&'a str> {
    line.strip_prefix(what)?.strip_suffix('{').map(str::trim)
}

fn function(line: &str, resource: Option<&str>) -> Option<String> {
    if let (true, Some(resource)) = (line.starts_with("constructor("), resource) {
        return Some(format!("[constructor]{resource}"));
    }
    let (name, rest) = line.split_once(": ")?;
    match (resource, rest.starts_with("func("), rest.starts_with("static func(")) {
        (Some(resource), true, _) => Some(format!("[method]{resource}.{name}")),
        (Some(resource), _, true) => Some(format!("[static]{resource}.{name}")),
        (None, true, _) => Some(name.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text was read as a parser reads it.
    #[test]
    fn every_function_is_found() {
        let mut resolve = wit_parser::Resolve::default();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let (package, _) = resolve.push_path(folder).unwrap();
        let mut parsed = BTreeSet::new();
        for (name, id) in &resolve.packages[package].interfaces {
            for function in resolve.interfaces[*id].functions.keys() {
                parsed.insert(format!("{name} {function}"));
            }
        }
        assert_eq!(functions(), parsed);
    }
}
