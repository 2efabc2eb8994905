//! The tokens file: a token a line, or a table a token.

use std::path::Path;

use super::ConfigError;
use super::reader::{Document, Section};
use crate::access::pattern::Pattern;
use crate::access::token::TokenDigest;
use crate::access::{Grant, Scope, Token};

/// Reads the text of a tokens file. `path` is for messages.
///
/// # Errors
/// [`ConfigError`], with all problems of the text.
pub fn read_tokens(path: &Path, text: &str) -> Result<Vec<Token>, ConfigError> {
    let document = Document::parse(path, text)?;
    let mut tokens = Vec::new();
    {
        let root = document.root();
        for name in root.keys() {
            tokens.extend(read_token(name.clone(), root.section(&name)));
        }
    }
    document.finish()?;
    if tokens.is_empty() {
        let message = "there is no token: add what `sessiond token new NAME` prints";
        return Err(ConfigError::whole(path, message));
    }
    Ok(tokens)
}

fn read_token(name: String, section: Section<'_>) -> Option<Token> {
    let digest = section.secret("sha256");
    let digest = digest.and_then(|hex| TokenDigest::from_hex(hex.reveal()));
    if digest.is_none() {
        section.problem("sha256", "write the 64 hex digits that `sessiond token new` prints");
    }
    let tables = section.tables("grants");
    if tables.is_empty() {
        let form = "write grants = [{ app = \"shop\", user = \"*\", scopes = [\"read\"] }]";
        section.problem("grants", form);
    }
    let grants = tables.into_iter().map(read_grant).collect();
    section.finish();
    Some(Token { name, digest: digest?, grants })
}

fn read_grant(section: Section<'_>) -> Grant {
    let pattern = |key: &str| {
        let text = section.text(key).map(|text| text.reveal().to_owned());
        if text.as_deref().unwrap_or_default().is_empty() {
            section.problem(key, "write a name, or a pattern: \"*\" stands for any text");
        }
        Pattern::new(text.unwrap_or_default())
    };
    let (app, user) = (pattern("app"), pattern("user"));
    let names = section.names("scopes");
    if names.is_empty() {
        section.problem("scopes", "write a list of \"read\", \"append\" and \"admin\"");
    }
    let mut scopes = Vec::new();
    for name in names {
        match Scope::named(&name.value) {
            Some(scope) => scopes.push(scope),
            None => {
                section.document().problem(&name, "write \"read\", \"append\" or \"admin\"");
            }
        }
    }
    if scopes.contains(&Scope::Admin) && !(app.is_all() && user.is_all()) {
        let message = "admin is for the whole daemon: write app = \"*\" and user = \"*\" with it";
        section.problem("scopes", message);
    }
    section.finish();
    Grant { app, user, scopes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        read_tokens(Path::new("tokens.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn tokens_are_read_from_lines_and_tables() {
        let hex = TokenDigest::of("sd_1").to_hex();
        let text = format!(
            "a = {{ sha256 = \"{hex}\", grants = [{{ app = \"shop\", user = \"*\", scopes = [\"read\"] }}] }}\n\
             [b]\nsha256 = \"{hex}\"\n[[b.grants]]\napp = \"*\"\nuser = \"*\"\nscopes = [\"admin\"]\n"
        );
        let tokens = read_tokens(Path::new("t"), &text).unwrap();
        let names: Vec<_> = tokens.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(tokens[1].grants[0].scopes, [Scope::Admin]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert!(problems("").contains("there is no token"));
        let told = problems(
            "[a]\nsha256 = \"12\"\ngrants = [\n{ app = \"x\", user = \"\", scopes = [\"write\"] },\n\
             { app = \"x\", user = \"*\", scopes = [\"admin\"], more = 1 },\n]\n[b]\ngrants = []\n",
        );
        for wanted in [
            "tokens.toml:2: a.sha256: write the 64 hex digits",
            "tokens.toml:4: a.grants.1.user: write a name",
            "tokens.toml:4: a.grants.1.scopes: write \"read\"",
            "tokens.toml:5: a.grants.2.scopes: admin is for the whole daemon",
            "tokens.toml:5: a.grants.2.more: there is no such key",
            "b.sha256: write the 64",
            "tokens.toml:8: b.grants: write grants",
        ] {
            assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
        }
    }
}
