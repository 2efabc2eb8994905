//! Whether a component fits the contract: everything that does not, listed at once.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::grants::Grant;
use crate::plugin::Interface;

/// The package of the contract, and its version here.
pub(crate) const PACKAGE: &str = "sessiond:plugin";
/// The version of the contract that this host speaks.
pub const VERSION: &str = "0.1.0";

/// The interfaces that every plugin may import.
const OFFERED: [&str; 3] = ["types", "log", "call"];
/// The parts of WASI that are there, with nothing behind them.
const WASI: [&str; 6] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

/// What a component imports and exports, by the names in its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// The names of its imports.
    pub imports: Vec<String>,
    /// The names of its exports.
    pub exports: Vec<String>,
}

impl Surface {
    pub(crate) fn of(component: &Component, engine: &Engine) -> Self {
        let component = component.component_type();
        Self {
            imports: component.imports(engine).map(|(name, _)| name.to_owned()).collect(),
            exports: component.exports(engine).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// The interfaces of the contract that it exports in a version that fits.
    pub fn interfaces(&self) -> Vec<Interface> {
        let exports = |interface: &Interface| {
            self.exports.iter().any(|name| {
                let name = Name::parse(name);
                name.package == PACKAGE && name.interface == interface.name() && name.fits()
            })
        };
        Interface::ALL.into_iter().filter(exports).collect()
    }

    /// What does not fit, with what was wanted, what is offered, and the fix. Exports of other
    /// packages are no problem: toolchains add their own.
    pub fn problems(&self) -> Vec<String> {
        let imports = self.imports.iter().filter_map(|import| import_problem(import));
        let exports = self.exports.iter().filter_map(|export| export_problem(export));
        let mut problems: Vec<String> = imports.chain(exports).collect();
        if self.interfaces().is_empty() {
            let known = Interface::ALL.map(Interface::name).join(", ");
            let found = match self.exports.as_slice() {
                [] => "nothing".to_owned(),
                exports => exports.join(", "),
            };
            problems.push(format!(
                "it exports none of the interfaces of {PACKAGE}@{VERSION} ({known}) but {found}: \
                 build it for one of the worlds INTERFACE-plugin"
            ));
        }
        problems
    }
}

/// `namespace:package/interface@version`, taken apart.
struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: &'a str,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Self {
        let (path, version) = name.split_once('@').unwrap_or((name, ""));
        let (package, interface) = path.split_once('/').unwrap_or((path, ""));
        Self { package, interface, version }
    }

    /// Versions of 0.1 fit each other, whichever is newer.
    fn fits(&self) -> bool {
        self.version.starts_with("0.1.")
    }
}

fn import_problem(import: &str) -> Option<String> {
    if let Some(grant) = Grant::of(import) {
        return grant.version_problem(import);
    }
    let Name { package, interface, version } = Name::parse(import);
    let offered = || OFFERED.map(|name| format!("{PACKAGE}/{name}@{VERSION}")).join(", ");
    if package == PACKAGE {
        return match (OFFERED.contains(&interface), Name::parse(import).fits()) {
            (true, true) => None,
            (true, false) => Some(format!(
                "it imports {import}, and this host speaks {VERSION}: build it against \
                 `sessiond plugin wit`"
            )),
            (false, _) => Some(format!("it imports {import}, and the host offers {}", offered())),
        };
    }
    if WASI.contains(&package) {
        let known = version.starts_with("0.2.");
        return (!known).then(|| {
            format!("it imports {import}, and the host has WASI 0.2: build it for wasm32-wasip2")
        });
    }
    if package.starts_with("wasi:") {
        return Some(format!(
            "it imports {import}, which the host does not have: it has {}, and grants {}",
            WASI.join(", "),
            Grant::ALL.map(|grant| grant.key()).join(", ")
        ));
    }
    Some(format!("it imports {import}, which the host does not know: it offers {}", offered()))
}

fn export_problem(export: &str) -> Option<String> {
    let name = Name::parse(export);
    if name.package != PACKAGE {
        return None;
    }
    let known = Interface::ALL.iter().any(|interface| interface.name() == name.interface);
    if !known {
        return Some(format!("it exports {export}, which is no interface of {PACKAGE}@{VERSION}"));
    }
    (!name.fits()).then(|| {
        format!("it exports {export}, and this host speaks {VERSION}: build it against `sessiond plugin wit`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(imports: &[&str], exports: &[&str]) -> Surface {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Surface { imports: owned(imports), exports: owned(exports) }
    }

    #[test]
    fn later_patch_versions_and_foreign_exports_fit() {
        let surface = surface(
            &["sessiond:plugin/types@0.1.3", "sessiond:plugin/log@0.1.0", "wasi:io/streams@0.2.12"],
            &["sessiond:plugin/before-append@0.1.2", "exports", "init"],
        );
        assert_eq!(surface.problems(), Vec::<String>::new());
        assert_eq!(surface.interfaces(), [Interface::BeforeAppend]);
    }

    /// P33: every mismatch is listed, not the first alone.
    #[test]
    fn every_mismatch_is_listed() {
        let surface = surface(
            &["sessiond:plugin/types@0.2.0", "wasi:http/incoming-handler@0.2.0", "acme:x/y"],
            &["sessiond:plugin/before-append@0.2.0", "sessiond:plugin/befor-append@0.1.0"],
        );
        assert_eq!(surface.problems().len(), 6, "{:#?}", surface.problems());
    }
}
