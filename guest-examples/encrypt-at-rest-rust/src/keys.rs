//! The keys of the configuration.

use aes_gcm_siv::{Aes256GcmSiv, KeyInit as _};

use crate::sessiond::plugin::types::Rejection;
use crate::wasi::config::store::get_all;

/// The keys, by name, and the one to encrypt with.
pub(crate) struct Keys {
    keys: Vec<(String, Aes256GcmSiv)>,
    current: usize,
    /// Whether summaries may be stored as they are.
    pub(crate) summaries_in_plain_text: bool,
}

impl Keys {
    /// Reads the settings: `current = "NAME"`, and `key-NAME` for each key, of 64 hexadecimal digits.
    pub(crate) fn load() -> Result<Self, Rejection> {
        let settings = get_all().map_err(|_| wrong("The settings cannot be read."))?;
        let find = |name: &str| settings.iter().find(|(it, _)| it == name).map(|(_, it)| it);
        let mut keys = Vec::new();
        for (name, value) in &settings {
            let Some(name) = name.strip_prefix("key-") else { continue };
            let key = bytes(value.trim()).ok_or_else(|| wrong("A key is not of 64 digits."))?;
            keys.push((name.to_owned(), Aes256GcmSiv::new(&key.into())));
        }
        let current = find("current").ok_or_else(|| wrong("The setting `current` is missing."))?;
        let position = keys.iter().position(|(name, _)| name == current);
        let current = position.ok_or_else(|| wrong("The current key is missing."))?;
        let summaries_in_plain_text = find("summaries").is_some_and(|it| it == "plain");
        Ok(Self { keys, current, summaries_in_plain_text })
    }

    pub(crate) fn current(&self) -> (&str, &Aes256GcmSiv) {
        let (name, key) = &self.keys[self.current];
        (name, key)
    }

    pub(crate) fn of(&self, name: &str) -> Option<&Aes256GcmSiv> {
        self.keys.iter().find(|(it, _)| it == name).map(|(_, key)| key)
    }
}

fn wrong(text: &str) -> Rejection {
    Rejection::Unavailable(format!("The encryption is not set up. {text}"))
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}
