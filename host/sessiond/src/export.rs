//! What is stored, as NDJSON, byte for byte: for the operator. No hook looks on.
//!
//! A session is a line `{"kind":"session", ...}`, followed by a line for each entry and each summary
//! of it. The members `event` and `state_delta` are what the store holds.

use sessiond_core::event::StoredEvent;
use sessiond_core::key::SessionKey;
use sessiond_core::store::{KeyFilter, Prefer, Range, SessionStore, Snapshot};
use sessiond_core::view::json::{ObjectText, header_json, state_json, summary_json};

/// How many entries are read at once.
const PAGE: usize = 1_000;

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
    let mut cursor = None;
    loop {
        let (keys, next) = store.keys(filter, cursor).await?;
        for key in keys {
            session(store, &key, &mut write).await?;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

async fn session<W, F>(
    store: &dyn SessionStore,
    key: &SessionKey,
    write: &mut W,
) -> anyhow::Result<()>
where
    W: FnMut(String) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let mut after = 0;
    loop {
        let range =
            Range { after, before: None, limit: PAGE, prefer: Prefer::Oldest, with_state: true };
        // A session that went meanwhile needs no export.
        let Some(snapshot) = store.read(key, range).await? else { return Ok(()) };
        let mut lines = if after == 0 { head(key, &snapshot) } else { String::new() };
        for entry in &snapshot.entries {
            lines.push_str(&entry_line(entry));
        }
        write(lines).await?;
        match snapshot.entries.last() {
            Some(last) if snapshot.entries.len() == PAGE => after = last.sequence,
            _ => return Ok(()),
        }
    }
}

fn head(key: &SessionKey, snapshot: &Snapshot) -> String {
    let names = ObjectText::default()
        .string("kind", "session")
        .string("app", key.app())
        .string("user", key.user());
    let session = header_json(names, key.session(), &snapshot.header)
        .raw("state", &state_json(&snapshot.state.merged()))
        .end();
    let summaries = snapshot.summaries.iter().map(|summary| {
        let line = ObjectText::default().string("kind", "summary");
        line.raw("summary", &summary_json(summary)).end() + "\n"
    });
    session + "\n" + &summaries.collect::<String>()
}

/// A line must not break in the middle, and a body may: its line breaks stand between tokens, where
/// they mean nothing, but they are part of its bytes. Such a body goes out as a string, `event_text`.
fn entry_line(entry: &StoredEvent) -> String {
    let event = &entry.event;
    let object = ObjectText::default()
        .string("kind", event.kind().name())
        .plain("seq", entry.sequence)
        .string("id", event.id())
        .string("time", &event.time().to_string())
        .string("dialect", event.dialect().name());
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let object = match event.body() {
        body if breaks(body) => object.string("event_text", body),
        body => object.raw("event", body),
    };
    let object = object.optional(event.state_delta(), |object, delta| match breaks(delta) {
        true => object.string("state_delta_text", delta),
        false => object.raw("state_delta", delta),
    });
    object.end() + "\n"
}
