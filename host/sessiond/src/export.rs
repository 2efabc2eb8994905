//! What is stored, as NDJSON, byte for byte: for the operator. No hook looks on.
//!
//! The first line says what it is and of which version, the last that it is whole. In between, a
//! session is a line `{"kind":"session", ...}`, followed by a line for each summary, track entry and
//! entry of its history; the state of its app and its user come before the first session of theirs.
//! The members `event` and `state_delta` are what the store holds. `import/block.rs` reads it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sessiond_core::event::StoredEvent;
use sessiond_core::key::SessionKey;
use sessiond_core::state::{StateMap, StateValue};
use sessiond_core::store::edit::Place;
use sessiond_core::store::whole::{SessionTtl, TrackEvent, Whole};
use sessiond_core::store::{KeyFilter, SessionHeader, SessionStore};
use sessiond_core::view::json::{ObjectText, header_json, summary_json};

/// The version of the lines.
pub(crate) const VERSION: u64 = 1;
/// How many entries go out at once.
const PAGE: usize = 1_000;

/// Whose state has gone out, as hashes: there may be millions.
#[derive(Default)]
struct Owners {
    seen: HashSet<(u64, u64)>,
    sessions: u64,
}

impl Owners {
    fn is_new(&mut self, app: &str, user: Option<&str>) -> bool {
        let hash = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, app, user).hash(&mut hasher);
            hasher.finish()
        };
        self.seen.insert((hash(0), hash(1)))
    }
}

/// Writes all sessions that the filter admits. `write` gets whole lines, some at a time.
pub(crate) async fn raw<W, F>(
    store: &dyn SessionStore,
    filter: &KeyFilter,
    mut write: W,
) -> anyhow::Result<()>
where
    W: FnMut(String) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let line = ObjectText::default().string("kind", "sessiond-export").plain("version", VERSION);
    write(line.end() + "\n").await?;
    let (mut cursor, mut owners) = (None, Owners::default());
    loop {
        let (keys, next) = store.keys(filter, cursor).await?;
        for key in keys {
            session(store, &key, &mut owners, &mut write).await?;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let line = ObjectText::default().string("kind", "end").plain("sessions", owners.sessions);
    write(line.end() + "\n").await
}

async fn session<W, F>(
    store: &dyn SessionStore,
    key: &SessionKey,
    owners: &mut Owners,
    write: &mut W,
) -> anyhow::Result<()>
where
    W: FnMut(String) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    // A session that went meanwhile needs no export.
    let Ok((header, _)) = store.seen(key, &[]).await else { return Ok(()) };
    let Some(whole) = store.whole(key).await? else { return Ok(()) };
    owners.sessions += 1;
    write(owner_lines(store, key, owners).await? + &head(key, &header, &whole)).await?;
    for places in whole.places.chunks(PAGE) {
        write(places.iter().filter_map(Place::stored).map(|entry| entry_line(&entry)).collect())
            .await?;
    }
    Ok(())
}

fn names(kind: &str, key: &SessionKey) -> ObjectText {
    ObjectText::default().string("kind", kind).string("app", key.app()).string("user", key.user())
}

async fn owner_lines(
    store: &dyn SessionStore,
    key: &SessionKey,
    owners: &mut Owners,
) -> anyhow::Result<String> {
    let mut lines = String::new();
    if owners.is_new(key.app(), None) {
        let values = store.app_state(key.app_key()).await?;
        let line = ObjectText::default().string("kind", "app_state").string("app", key.app());
        if !values.is_empty() {
            lines.push_str(&(state(line, &values).end() + "\n"));
        }
    }
    if owners.is_new(key.app(), Some(key.user())) {
        let values = store.user_state(key.user_key()).await?;
        if !values.is_empty() {
            lines.push_str(&(state(names("user_state", key), &values).end() + "\n"));
        }
    }
    Ok(lines)
}

fn head(key: &SessionKey, header: &SessionHeader, whole: &Whole) -> String {
    let line = header_json(names("session", key), key.session(), header);
    let line = match whole.ttl {
        SessionTtl::Default => line,
        SessionTtl::Never => line.string("ttl", "never"),
        SessionTtl::After(ttl) => line.plain("ttl_ms", ttl.as_millis()),
    };
    let line = line.optional(whole.origin.as_ref(), |line, origin| {
        let from = ObjectText::default().string("user", &origin.user);
        let from = from.string("session", &origin.session);
        line.raw("origin", &from.plain("seq", origin.sequence).end())
    });
    let mut lines = state(line, &whole.state).end() + "\n";
    for summary in &whole.summaries {
        let line = ObjectText::default().string("kind", "summary");
        lines.push_str(&(line.raw("summary", &summary_json(summary)).end() + "\n"));
    }
    for (name, entries) in &whole.tracks {
        lines.extend(entries.iter().map(|entry| track_line(name, entry)));
    }
    lines
}

fn track_line(name: &str, entry: &TrackEvent) -> String {
    let line = ObjectText::default()
        .string("kind", "track")
        .string("track", name)
        .plain("seq", entry.sequence)
        .string("time", &entry.time.to_string());
    text(line, "body", &entry.body).end() + "\n"
}

fn entry_line(entry: &StoredEvent) -> String {
    let event = &entry.event;
    let line = ObjectText::default()
        .string("kind", event.kind().name())
        .plain("seq", entry.sequence)
        .string("id", event.id())
        .string("time", &event.time().to_string())
        .string("dialect", event.dialect().name());
    let line = text(line, "event", event.body());
    line.optional(event.state_delta(), |line, delta| text(line, "state_delta", delta)).end() + "\n"
}

/// A line must not break in the middle, and a body may: its line breaks stand between tokens, where
/// they mean nothing, but they are part of its bytes. Such a body goes out as a string, `NAME_text`.
fn text(line: ObjectText, name: &str, json: &str) -> ObjectText {
    match json.contains(['\n', '\r']) {
        true => line.string(&format!("{name}_text"), json),
        false => line.raw(name, json),
    }
}

/// State, in `state`; values with line breaks in them as strings, in `state_text`.
fn state(line: ObjectText, state: &StateMap) -> ObjectText {
    let breaks =
        |value: &StateValue| matches!(value, StateValue::Json(json) if json.contains(['\n', '\r']));
    let plain = state.iter().filter(|(_, value)| !breaks(value));
    let plain =
        plain.fold(ObjectText::default(), |object, (key, value)| object.raw(key, &value.to_json()));
    let line = line.raw("state", &plain.end());
    let mut broken = state.iter().filter(|(_, value)| breaks(value)).peekable();
    if broken.peek().is_none() {
        return line;
    }
    let broken = broken
        .fold(ObjectText::default(), |object, (key, value)| object.string(key, &value.to_json()));
    line.raw("state_text", &broken.end())
}
