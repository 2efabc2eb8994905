//! The daemon's own entries: `{"state_delta": {...}, "state_removed": [...]}` for a change of state
//! that came without an event, and `{"text": ..., "topics": [...]}` for a summary.

use super::{ContentKind, DeltaPlace, Found};
use crate::json::Value;

pub(super) const DELTA: DeltaPlace = DeltaPlace { paths: &[&["state_delta"]], base64: false };

pub(super) fn content(body: Value<'_>, found: &mut Found) {
    found.text(ContentKind::Message, body.get("text"));
    for topic in body.member("topics").into_iter().flat_map(|topics| topics.items()) {
        found.text(ContentKind::Message, Some(topic));
    }
}
