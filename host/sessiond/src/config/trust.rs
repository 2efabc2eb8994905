//! `[trust]`: whose plugins are loaded.

use sessiond_plugin::signature::TrustedKeys;

use super::reader::Section;

pub(super) fn read(section: Section<'_>) -> TrustedKeys {
    let keys = section.names("keys");
    let parsed = TrustedKeys::parse(keys.iter().map(|key| key.value.as_str()));
    let document = section.document();
    section.finish();
    parsed.unwrap_or_else(|at| {
        if let Some(key) = keys.get(at) {
            let message = format!(
                "{:?} is no public key of minisign: write the second line of its .pub file, which \
                 begins with RW",
                key.value
            );
            document.problem(key, message);
        }
        TrustedKeys::default()
    })
}
