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

/// A plugin in a line, and what is wrong with it in others.
pub(super) fn line(plugin: &Value) -> String {
    let text = |name: &str| plugin.get(name).and_then(Value::as_str).unwrap_or_default();
    if plugin.get("loaded").and_then(Value::as_bool) == Some(false) {
        return format!(
            "{}: {}, not loaded\n  {}\n",
            text("name"),
            text("path"),
            text("load_error")
        );
    }
    let size = plugin.get("size").and_then(Value::as_u64).unwrap_or_default();
    let mut line =
        format!("{}: {}, {size} bytes, sha256 {}\n", text("name"), text("path"), text("sha256"));
    let error = text("reload_error");
    if !error.is_empty() {
        line.push_str(&format!("  its file was not taken when it changed: {error}\n"));
    }
    let interfaces = plugin.get("interfaces").and_then(Value::as_array);
    for interface in interfaces.into_iter().flatten() {
        let text = |name: &str| interface.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("breaker") != "closed" {
            let (name, breaker, last) = (text("name"), text("breaker"), text("last_failure"));
            let last = last.lines().next().unwrap_or_default();
            line.push_str(&format!("  {name}: breaker {breaker}; the last failure: {last}\n"));
        }
    }
    line
}
