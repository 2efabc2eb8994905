//! `sessiond plugin new --lang LANGUAGE NAME`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use include_dir::{Dir, include_dir};

use crate::cli::Language;

static RUST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/rust");
static JAVASCRIPT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/javascript");
static PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/python");

/// The end of the names of files that would upset tools in our own tree.
const TEMPLATE: &str = ".tmpl";

pub(in crate::commands) fn run(language: Language, name: &str) -> anyhow::Result<ExitCode> {
    check_name(name)?;
    let folder = Path::new(name);
    anyhow::ensure!(!folder.exists(), "{name} is there already: choose another name, or remove it");
    let template = match language {
        Language::Rust => &RUST,
        Language::Javascript => &JAVASCRIPT,
        Language::Python => &PYTHON,
    };
    write(template, folder, name)?;
    super::wit::write(&folder.join("wit"))?;
    crate::commands::print(&format!(
        "The project is in {name}/. {name}/README.md says how to build it.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Names become names of packages in three languages.
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

fn write(template: &Dir<'_>, folder: &Path, name: &str) -> anyhow::Result<()> {
    for file in template.files() {
        let path = file.path().to_string_lossy();
        let path = folder.join(path.strip_suffix(TEMPLATE).unwrap_or(&path));
        let text = file.contents_utf8().context("a template is not text")?;
        let text =
            text.replace("{{name}}", name).replace("{{name_snake}}", &name.replace('-', "_"));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    template.dirs().try_for_each(|dir| write(dir, folder, name))
}
