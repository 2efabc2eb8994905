//! `[models.NAME]`: the language models that plugins may be granted.

use std::time::Duration;

use hyper::Uri;

use super::reader::{Located, Secret, Section};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TOKENS: u64 = 1_024;
const FORM: &str = "write where its API is, like \"https://api.openai.com/v1\"";

/// `[models.NAME]`
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The name, and where the table says which model it is.
    pub name: Located<String>,
    /// Where its API is. Requests go to `URL/chat/completions`.
    pub url: Uri,
    /// Its name in that API.
    pub model: String,
    /// The key of the API.
    pub(crate) api_key: Option<Secret>,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
}

pub(super) fn read(root: &Section<'_>, warnings: &mut Vec<String>) -> Vec<ModelConfig> {
    let sections = root.sections("models");
    sections.into_iter().filter_map(|(name, section)| read_one(name, section, warnings)).collect()
}

fn read_one(name: String, section: Section<'_>, warnings: &mut Vec<String>) -> Option<ModelConfig> {
    let url = section.address("url");
    let model = section.name("model");
    let api_key = section.secret("api_key");
    let timeout = section.duration("timeout", TIMEOUT);
    let max_tokens = section.count("max_tokens", MAX_TOKENS, 1 << 20);
    let parsed = match url.as_ref().map(|url| parse(url.reveal())) {
        Some(Ok(url)) => Some(url),
        Some(Err(message)) => {
            section.problem("url", message);
            None
        }
        None => {
            let at = Located { value: (), line: None, key: section.dotted("url") };
            section.document().problem(&at, FORM);
            None
        }
    };
    if model.is_none() {
        let at = Located { value: (), line: None, key: section.dotted("model") };
        section.document().problem(&at, "write its name in the API: model = \"NAME\"");
    }
    let open = parsed.as_ref().is_some_and(|url| {
        url.scheme_str() == Some("http") && !url.host().is_some_and(is_this_machine)
    });
    if open && api_key.is_some() {
        warnings.push(format!("models.{name}.api_key goes over the network unencrypted (http://)"));
    }
    let config = parsed.zip(model).map(|(url, model)| ModelConfig {
        name: Located { value: name, line: model.line, key: model.key.clone() },
        url,
        model: model.value,
        api_key,
        timeout,
        max_tokens: u32::try_from(max_tokens).unwrap_or(u32::MAX),
    });
    section.finish();
    config
}

fn parse(text: &str) -> Result<Uri, String> {
    let url: Uri = text.trim_end_matches('/').parse().map_err(|_| FORM.to_owned())?;
    let known = matches!(url.scheme_str(), Some("http" | "https"));
    if !known || url.host().is_none_or(str::is_empty) {
        return Err(FORM.to_owned());
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("put the key into api_key, not into the url".to_owned());
    }
    if url.query().is_some() {
        return Err(format!("{FORM}, without a query"));
    }
    Ok(url)
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
