//! An encrypted text, as it is stored: `enc1:KEY-ID:BASE64(NONCE CIPHERTEXT)`.

use aes_gcm_siv::aead::{Aead as _, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::Engine as _;

use crate::sessiond::plugin::types::SessionKey;

const MARK: &str = "enc1:";

/// The length of a nonce, in bytes.
pub(crate) const NONCE: usize = 12;

/// Where a text belongs. It opens nowhere else: nobody with access to the store can move one.
pub(crate) struct Place<'a> {
    pub(crate) session: &'a SessionKey,
    pub(crate) event: &'a str,
    pub(crate) position: usize,
}

impl Place<'_> {
    /// The place as bytes: each part after its length, so that no two places are the same.
    fn bytes(&self, key_id: &str) -> Vec<u8> {
        let key = self.session;
        let position = self.position.to_string();
        let parts = [&key.app, &key.user, &key.session, self.event, key_id, &position];
        let parts = parts.iter().flat_map(|it| {
            let len = (it.len() as u64).to_be_bytes();
            len.into_iter().chain(it.bytes())
        });
        parts.collect()
    }
}

/// An encrypted text.
pub(crate) struct Envelope<'a> {
    pub(crate) key_id: &'a str,
    sealed: Vec<u8>,
}

impl<'a> Envelope<'a> {
    /// Encrypts a text. A nonce that came twice would tell whether two texts are the same, and no more.
    pub(crate) fn seal(
        key: &Aes256GcmSiv,
        key_id: &str,
        nonce: &[u8],
        place: &Place<'_>,
        text: &str,
    ) -> Option<String> {
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let payload = Payload { msg: text.as_bytes(), aad: &place.bytes(key_id) };
        let sealed = key.encrypt(Nonce::from_slice(&nonce), payload).ok()?;
        let bytes = [&nonce[..], &sealed].concat();
        Some(format!("{MARK}{key_id}:{}", STANDARD_NO_PAD.encode(bytes)))
    }

    /// Reads a stored text. None if it is not an encrypted one.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix(JSON_BEGIN).and_then(|it| it.strip_suffix(JSON_END)).unwrap_or(text);
        let (key_id, sealed) = text.strip_prefix(MARK)?.rsplit_once(':')?;
        Some(Self { key_id, sealed: STANDARD_NO_PAD.decode(sealed).ok()? })
    }

    /// Decrypts it. None if the key or the place is another, or a bit has changed.
    pub(crate) fn open(&self, key: &Aes256GcmSiv, place: &Place<'_>) -> Option<String> {
        let (nonce, sealed) = self.sealed.split_at_checked(NONCE)?;
        let payload = Payload { msg: sealed, aad: &place.bytes(self.key_id) };
        let text = key.decrypt(Nonce::from_slice(nonce), payload).ok()?;
        String::from_utf8(text).ok()
    }
}

const JSON_BEGIN: &str = "{\"encrypted\":\"";
const JSON_END: &str = "\"}";

/// An encrypted text in the place of a JSON value. The names of keys need no escaping: the operator
/// keeps to letters, digits, dashes and dots.
pub(crate) fn as_json(sealed: &str) -> String {
    format!("{JSON_BEGIN}{sealed}{JSON_END}")
}
