//! `sessiond plugin new --lang LANGUAGE NAME`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use include_dir::{Dir, include_dir};

use crate::cli::Language;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The end of the names of files that would upset tools in our own tree.
const TEMPLATE: &str = ".tmpl";

pub(in crate::commands) fn run(language: Language, name: &str) -> anyhow::Result<ExitCode> {
    check_name(name)?;
    let folder = Path::new(name);
    anyhow::ensure!(!folder.exists(), "{name} is there already: choose another name, or remove it");
    for (part, place) in parts(language) {
        let part = TEMPLATES.get_dir(part).with_context(|| format!("no template {part}"))?;
        write(part, part, &folder.join(place), name)?;
    }
    super::wit::write(&folder.join("wit"))?;
    crate::commands::print(&format!(
        "The project is in {name}/. {name}/README.md says how to build it.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The folders that a project is made of, and where in it they go.
fn parts(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Rust => &[("rust", "")],
        Language::Javascript => &[("javascript", ""), ("bindings/javascript", "")],
        Language::Typescript => &[("typescript", ""), ("bindings/javascript", "")],
        Language::Python => &[("python", "")],
        Language::C => &[("c", ""), ("bindings/c", "bindings")],
        Language::Cpp => &[("cpp", ""), ("bindings/wasi", "")],
        Language::Go => &[("go", ""), ("bindings/go", "runtime"), ("bindings/wasi", "")],
        Language::Zig => &[("zig", ""), ("bindings/c", "bindings")],
        Language::Nim => &[("nim", ""), ("bindings/c", "bindings"), ("bindings/wasi", "")],
    }
}

/// Names become names of packages.
fn check_name(name: &str) -> anyhow::Result<()> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let plain =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    anyhow::ensure!(
        starts_well && plain && !name.ends_with('-') && name.len() <= 64,
        "{name:?} is no name for a project: use lower-case letters, digits and dashes, like redact-names"
    );
    Ok(())
}

/// Writes what is in a folder of a template, whose paths begin at that of `root`.
fn write(dir: &Dir<'_>, root: &Dir<'_>, folder: &Path, name: &str) -> anyhow::Result<()> {
    for file in dir.files() {
        let path = file.path().strip_prefix(root.path())?.to_string_lossy();
        let path = folder.join(path.strip_suffix(TEMPLATE).unwrap_or(&path));
        let text = file.contents_utf8().context("a template is not text")?;
        let text =
            text.replace("{{name}}", name).replace("{{name_snake}}", &name.replace('-', "_"));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    dir.dirs().try_for_each(|dir| write(dir, root, folder, name))
}
