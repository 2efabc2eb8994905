//! The text of a token, and what it is recognized by.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What all tokens begin with, so that one that leaks is found.
const PREFIX: &str = "sd_";

/// A new text: `sd_` and 256 random bits, in hex.
pub fn new_text() -> String {
    format!("{PREFIX}{}", hex(&rand::random::<[u8; 32]>()))
}

/// The SHA-256 of a token's text. The text has 256 random bits, so nobody finds it by trying.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Reads 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// It in hex.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Whether it is the same, in a time that does not tell how far they agree.
    pub fn is(&self, other: &Self) -> bool {
        let differ = self.0.iter().zip(&other.0).fold(0, |differ, (a, b)| differ | (a ^ b));
        std::hint::black_box(differ) == 0
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_one_text() {
        let text = new_text();
        assert_eq!(text.len(), 67);
        assert_ne!(text, new_text());
        let digest = TokenDigest::of(&text);
        assert!(TokenDigest::from_hex(&digest.to_hex()).unwrap().is(&digest));
        assert!(!TokenDigest::of("sd_other").is(&digest));
        for bad in ["", "0", &digest.to_hex()[1..], &"g".repeat(64), &"é".repeat(32)] {
            assert!(TokenDigest::from_hex(bad).is_none(), "{bad}");
        }
    }
}
