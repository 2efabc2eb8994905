//! The fields under which ids are remembered.
//!
//! Nearly all ids are UUIDs, and one is remembered for each event: as 16 bytes they cost half of what
//! their text does. Other than a hash of the id, this can be read back, which an export must.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::codec::text;
use crate::error::Error;

/// What the bytes of a UUID come after. No text has this byte, so no other id has the same field.
const UUID_MARK: u8 = 0xfe;

/// The field of an id: the bytes of a UUID in its usual form (lower case, with hyphens), and the text
/// of any other.
pub(crate) fn id_field(id: &str) -> Vec<u8> {
    let mut usual = [0; Hyphenated::LENGTH];
    let uuid = Uuid::try_parse(id).ok();
    match uuid.filter(|uuid| uuid.hyphenated().encode_lower(&mut usual) == id) {
        Some(uuid) => [&[UUID_MARK], uuid.as_bytes().as_slice()].concat(),
        None => id.as_bytes().to_vec(),
    }
}

/// The id of a field.
pub(crate) fn id_of(field: Vec<u8>) -> Result<String, Error> {
    let Some(bytes) = field.strip_prefix(&[UUID_MARK]) else { return text(field) };
    let uuid = Uuid::from_slice(bytes).map_err(|_| Error::Unreadable("an id"))?;
    Ok(uuid.hyphenated().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "0198c2a4-5b1e-7c3d-8e4f-00000000002a";

    #[test]
    fn ids_are_read_as_written() {
        let upper = USUAL.to_uppercase();
        let simple = USUAL.replace('-', "");
        let (braced, urn) = (format!("{{{USUAL}}}"), format!("urn:uuid:{USUAL}"));
        let nil = Uuid::nil().to_string();
        for id in [USUAL, &upper, &simple, &braced, &urn, &nil, "a", "\u{fe}", "0123456789abcdef"] {
            assert_eq!(id_of(id_field(id)).unwrap(), id);
        }
        assert_eq!(id_field(USUAL).len(), 17);
        assert_eq!(id_field(&upper), upper.as_bytes());
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        assert!(id_of(vec![UUID_MARK, 1, 2]).is_err());
        assert!(id_of(vec![0xff]).is_err());
    }
}
