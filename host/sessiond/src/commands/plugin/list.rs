//! `sessiond plugin list`: the plugins of a daemon that runs.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::commands::{print, socket};

pub(in crate::commands) async fn run(config: &Path) -> anyhow::Result<ExitCode> {
    let socket = super::admin_socket(config)?;
    let answer = socket::plugins(&socket).await?;
    let plugins = answer.get("plugins").and_then(Value::as_array);
    let mut text = String::new();
    for plugin in plugins.into_iter().flatten() {
        text.push_str(&line(plugin));
    }
    if text.is_empty() {
        text.push_str("the daemon has no plugins\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A plugin in a line, and why its newer file was not taken in another.
pub(super) fn line(plugin: &Value) -> String {
    let text = |name: &str| plugin.get(name).and_then(Value::as_str).unwrap_or_default();
    let size = plugin.get("size").and_then(Value::as_u64).unwrap_or_default();
    let mut line =
        format!("{}: {}, {size} bytes, sha256 {}\n", text("name"), text("path"), text("sha256"));
    let error = text("reload_error");
    if !error.is_empty() {
        line.push_str(&format!("  its file was not taken when it changed: {error}\n"));
    }
    line
}
