//! `sessiond plugin check FILE`

use std::path::Path;
use std::process::ExitCode;

use sessiond_plugin::grants::Grant;

pub(in crate::commands) async fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let plugin = super::load(path).await?;
    let exports = plugin.interfaces();
    let mut text = format!(
        "{}: a component of {} bytes, sha256 {}\n",
        path.display(),
        plugin.size(),
        plugin.sha256()
    );
    for import in plugin.imports() {
        text.push_str(&format!("  imports {import}\n"));
    }
    for interface in &exports {
        text.push_str(&format!("  exports {interface}\n"));
    }
    if !plugin.imports().iter().any(|import| import.starts_with("wasi:random/")) {
        text.push_str(
            "  warning it imports no wasi:random: what its language calls random (ids, tokens, the \
             order of hash tables) is the same in every instance, and can be guessed\n",
        );
    }
    for grant in Grant::needed(plugin.imports()) {
        text.push_str(&format!("  needs   {grant}: {}\n", grant.toml("NAME")));
    }
    crate::commands::print(&text)?;
    plugin.try_out(&exports).await?;
    crate::commands::print("It fits, and every hook answers a trial call.\n")?;
    Ok(ExitCode::SUCCESS)
}
