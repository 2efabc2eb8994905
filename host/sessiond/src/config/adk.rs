//! `[adk]`: the routes of ADK's own server.

use super::reader::Section;

/// `[adk]`
#[derive(Debug, Clone)]
pub struct AdkConfig {
    /// What comes before `/apps` in their paths. None: there are no such routes.
    pub base_path: Option<String>,
}

pub(super) fn read(section: Section<'_>) -> AdkConfig {
    let enabled = section.flag("enabled", true);
    let base_path = section.parsed("base_path", "", |text| {
        let plain = |part: &str| {
            let known =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !part.is_empty() && !["v1", "apps"].contains(&part) && part.bytes().all(known)
        };
        let good = text.is_empty()
            || text.strip_prefix('/').is_some_and(|parts| parts.split('/').all(plain));
        let form = "write a path like \"/adk\", without v1 and apps in it, or \"\"";
        if good { Ok(text.to_owned()) } else { Err(form.to_owned()) }
    });
    section.finish();
    AdkConfig { base_path: base_path.filter(|_| enabled) }
}
