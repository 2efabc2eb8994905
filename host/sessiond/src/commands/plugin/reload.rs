//! `sessiond plugin reload NAME`: has a daemon that runs take a plugin's new file.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::list::line;
use crate::commands::{print, socket};

pub(in crate::commands) async fn run(config: &Path, name: &str) -> anyhow::Result<ExitCode> {
    let socket = super::admin_socket(config)?;
    let answer = socket::reload_plugin(&socket, name).await?;
    let outcome = answer.get("outcome").and_then(Value::as_str).unwrap_or_default();
    print(&format!("{outcome}: {}", line(&answer)))?;
    Ok(ExitCode::SUCCESS)
}
