//! Bodies of events, as Redis keeps them: packed where that saves room.
//!
//! Redis never looks into a body, and bodies are JSON of conversations, which repeats itself. LZ4 takes
//! a few microseconds for one, less than Redis saves by handling fewer bytes.

use std::borrow::Cow;

/// Shorter texts are not worth it.
const LEAST: usize = 128;

/// LZ4 never makes more than this of a byte, so a longer claim is wrong.
const MOST_OF_A_BYTE: usize = 255;

/// A body and what stands beside it, as they are stored.
#[derive(Debug)]
pub(crate) struct Packed {
    /// How many bytes it was before; 0 if it was left as it is.
    pub(crate) unpacked: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Packed {
    /// Packs both, one after the other, if that saves an eighth at least.
    pub(crate) fn of(body: &str, delta: &str) -> Self {
        let plain = [body.as_bytes(), delta.as_bytes()].concat();
        if plain.len() >= LEAST {
            let bytes = lz4_flex::block::compress(&plain);
            if bytes.len() <= plain.len() - plain.len() / 8 {
                return Self { unpacked: plain.len(), bytes };
            }
        }
        Self { unpacked: 0, bytes: plain }
    }
}

/// What was packed. None: the bytes are not of a [`Packed`].
pub(crate) fn unpack(bytes: &[u8], unpacked: usize) -> Option<Cow<'_, [u8]>> {
    if unpacked == 0 {
        return Some(Cow::Borrowed(bytes));
    }
    if unpacked > bytes.len().saturating_mul(MOST_OF_A_BYTE) {
        return None;
    }
    let plain = lz4_flex::block::decompress(bytes, unpacked).ok()?;
    (plain.len() == unpacked).then_some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(body: &str, delta: &str) -> Packed {
        let packed = Packed::of(body, delta);
        let plain = unpack(&packed.bytes, packed.unpacked).expect("what was packed");
        assert_eq!(plain, [body, delta].concat().as_bytes());
        packed
    }

    #[test]
    fn what_was_packed_comes_back_to_the_byte() {
        assert_eq!(round("", "").unpacked, 0);
        assert_eq!(round("{}", "{\"a\":1}").unpacked, 0);
        let long = r#"{"role":"user","content":"again and again and again"}"#.repeat(20);
        let packed = round(&long, "{}");
        assert!(packed.unpacked > 4 * packed.bytes.len(), "{packed:?}");
        // Nothing repeats, so nothing is gained.
        let noise: String =
            (0..400_u32).filter_map(|at| char::from_u32(0x4e00 + at * 37)).collect();
        assert_eq!(round(&noise, "").unpacked, 0);
    }

    #[test]
    fn damaged_bytes_are_not_believed() {
        let long = "word ".repeat(100);
        let packed = Packed::of(&long, "");
        let cut = packed.bytes.split_last().expect("bytes").1;
        assert_eq!(unpack(cut, packed.unpacked), None);
        assert_eq!(unpack(&packed.bytes, packed.unpacked + 1), None);
        assert_eq!(unpack(&packed.bytes, usize::MAX), None);
        assert_eq!(unpack(&[], 1), None);
    }
}
