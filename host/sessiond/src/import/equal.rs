//! Whether a session is in the store as it would be written there.

use sessiond_core::event::StoredEvent;
use sessiond_core::key::SessionKey;
use sessiond_core::store::whole::Whole;
use sessiond_core::store::{SessionStore, StoreError};

/// What is different: `Some(None)` for nothing, None when there is no such session. The store may
/// have let go of the oldest entries. Times are not compared, since a store may move them.
pub(super) async fn difference(
    store: &dyn SessionStore,
    key: &SessionKey,
    whole: &Whole,
) -> Result<Option<Option<&'static str>>, StoreError> {
    let Some(there) = store.whole(key).await? else { return Ok(None) };
    Ok(Some(compare(&there, whole)))
}

fn compare(there: &Whole, whole: &Whole) -> Option<&'static str> {
    if there.last_sequence != whole.last_sequence {
        return Some("it has other events");
    }
    if there.state != whole.state {
        return Some("its state differs");
    }
    let mut summaries = whole.summaries.clone();
    summaries.sort_by(|one, other| one.filter_key.cmp(&other.filter_key));
    if there.summaries != summaries {
        return Some("its summaries differ");
    }
    if tracks(there) != tracks(whole) || there.origin != whole.origin {
        return Some("its tracks differ");
    }
    let first = there.first_sequence();
    let wanted = whole.entries().filter(|entry| entry.sequence >= first);
    let same = there.entries().map(facts).eq(wanted.map(facts));
    (!same).then_some("its events differ")
}

/// Tracks in order, with their bodies.
fn tracks(whole: &Whole) -> Vec<(&str, Vec<(u64, &str)>)> {
    let mut tracks: Vec<_> = whole
        .tracks
        .iter()
        .filter(|(_, events)| !events.is_empty())
        .map(|(name, events)| {
            let events = events.iter().map(|event| (event.sequence, event.body.as_str()));
            (name.as_str(), events.collect())
        })
        .collect();
    tracks.sort();
    tracks
}

fn facts(entry: StoredEvent) -> impl PartialEq {
    let event = entry.event;
    let texts = (event.body().to_owned(), event.state_delta().map(str::to_owned));
    (entry.sequence, event.kind(), event.dialect(), event.id().to_owned(), texts)
}
