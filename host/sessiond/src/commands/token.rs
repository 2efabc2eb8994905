//! `sessiond token new`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::access::token::{TokenDigest, new_text};
use crate::cli::NewTokenArgs;
use crate::config::read_tokens;

/// What a token may do that is not told.
const SCOPES: [&str; 2] = ["read", "append"];

pub(super) fn run(args: &NewTokenArgs) -> anyhow::Result<ExitCode> {
    let text = new_text();
    let mut scopes: Vec<&str> = args.scope.iter().map(String::as_str).collect();
    if scopes.is_empty() {
        scopes = SCOPES.to_vec();
    }
    let line = format!(
        "{} = {{ sha256 = \"{}\", grants = [{{ app = {}, user = {}, scopes = [{}] }}] }}",
        quoted(&args.name),
        TokenDigest::of(&text).to_hex(),
        quoted(&args.app),
        quoted(&args.user),
        scopes.iter().map(|scope| quoted(scope)).collect::<Vec<_>>().join(", "),
    );
    read_tokens(Path::new("the new token"), &line).context("there is no such token")?;
    super::print(&format!(
        "# The token, which is shown this once:\n#   {text}\n# The line for server.tokens_file:\n{line}\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
