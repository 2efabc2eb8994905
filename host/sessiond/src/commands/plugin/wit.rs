//! `sessiond plugin wit DIR`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use sessiond_plugin::wit::FILES;

pub(in crate::commands) fn run(dir: &Path) -> anyhow::Result<ExitCode> {
    write(dir)?;
    crate::commands::print(&format!("The WIT package is in {}.\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the package, and the drafts of WASI that can be granted. What else a plugin imports is WASI,
/// which toolchains bring along.
pub(super) fn write(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (name, text) in FILES {
        let path = dir.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
