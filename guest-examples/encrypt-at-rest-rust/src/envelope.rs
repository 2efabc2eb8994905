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

    /// Reads a stored text. None if it does not say that it is an encrypted one. A damaged one is
    /// read as well, and does not open: it must not pass for what was never encrypted.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix(JSON_BEGIN).and_then(|it| it.strip_suffix(JSON_END)).unwrap_or(text);
        let text = text.strip_prefix(MARK)?;
        let (key_id, sealed) = text.rsplit_once(':').unwrap_or((text, ""));
        Some(Self { key_id, sealed: STANDARD_NO_PAD.decode(sealed).unwrap_or_default() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm_siv::KeyInit as _;

    const EVENT: &str = "e1";

    fn key(byte: u8) -> Aes256GcmSiv {
        Aes256GcmSiv::new(&[byte; 32].into())
    }

    fn session(app: &str, user: &str, session: &str) -> SessionKey {
        SessionKey { app: app.into(), user: user.into(), session: session.into() }
    }

    fn open(stored: &str, session: &SessionKey, event: &str, position: usize) -> Option<String> {
        Envelope::parse(stored)?.open(&key(1), &Place { session, event, position })
    }

    fn sealed(session: &SessionKey, text: &str) -> String {
        let place = Place { session, event: EVENT, position: 0 };
        Envelope::seal(&key(1), "a", &[7; NONCE], &place, text).unwrap()
    }

    #[test]
    fn it_opens_in_its_place() {
        let home = session("shop", "ann", "s");
        for text in ["", "hello", "\u{1F600} \u{10FFFF}", &"x".repeat(100_000)] {
            let stored = sealed(&home, text);
            assert_eq!(open(&stored, &home, EVENT, 0).as_deref(), Some(text));
            assert_eq!(open(&as_json(&stored), &home, EVENT, 0).as_deref(), Some(text));
        }
    }

    #[test]
    fn it_opens_in_no_other_place() {
        let home = session("shop", "ann", "s");
        let stored = sealed(&home, "hello");
        let others = [
            session("shops", "ann", "s"),
            session("shop", "bob", "s"),
            session("shop", "ann", "t"),
            // The same letters, cut otherwise.
            session("shopa", "nn", "s"),
        ];
        for other in &others {
            assert_eq!(open(&stored, other, EVENT, 0), None, "{other:?}");
        }
        assert_eq!(open(&stored, &home, "e2", 0), None);
        assert_eq!(open(&stored, &home, EVENT, 1), None);
    }

    /// Each bit of the nonce, of the text and of the tag counts, and so does each byte that is missing.
    #[test]
    fn it_does_not_open_when_changed() {
        let home = session("shop", "ann", "s");
        let stored = sealed(&home, "hello");
        let bytes = STANDARD_NO_PAD.decode(&stored["enc1:a:".len()..]).unwrap();
        assert_eq!(bytes.len(), NONCE + "hello".len() + 16);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = format!("enc1:a:{}", STANDARD_NO_PAD.encode(changed));
            assert_eq!(open(&changed, &home, EVENT, 0), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            let cut = format!("enc1:a:{}", STANDARD_NO_PAD.encode(&bytes[..len]));
            assert_eq!(open(&cut, &home, EVENT, 0), None, "{len} bytes");
        }
    }

    /// The name of the key is bound too: the same key under another name does not open it.
    #[test]
    fn it_does_not_open_under_another_key() {
        let home = session("shop", "ann", "s");
        let stored = sealed(&home, "hello");
        let place = Place { session: &home, event: EVENT, position: 0 };
        assert_eq!(Envelope::parse(&stored).unwrap().open(&key(2), &place), None);
        assert_eq!(open(&stored.replace("enc1:a:", "enc1:b:"), &home, EVENT, 0), None);
    }

    #[test]
    fn a_damaged_one_is_not_taken_for_plain_text() {
        let home = session("shop", "ann", "s");
        for text in ["enc1:", "enc1:a", "enc1:a:", "enc1:a:!!!", "enc1:a:AAAA=", "enc1:a:b:AAAA"] {
            assert!(Envelope::parse(text).is_some(), "{text}");
            assert_eq!(open(text, &home, EVENT, 0), None, "{text}");
        }
        for text in ["", "hello", "enc2:a:AAAA", "see enc1:a:AAAA", "{\"encrypted\":\"no\"}"] {
            assert!(Envelope::parse(text).is_none(), "{text}");
        }
    }
}
