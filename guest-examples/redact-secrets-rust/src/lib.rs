//! A plugin that keeps secrets out of the store: card numbers, API keys and e-mail addresses.
//!
//! The hook is here; what a secret is, and what takes its place, is in `redact`.

mod redact;

use std::collections::BTreeMap;
use std::sync::Once;

use exports::sessiond::plugin::before_append::{Event, Guest, Rejection, SessionKey};
use redact::{redact, redact_number, Kind, Redacted};
use sessiond::plugin::log::{log, Level};
use sessiond::plugin::types::EditError;

wit_bindgen::generate!({ world: "before-append-plugin", path: "../../wit" });

struct RedactSecrets;

export!(RedactSecrets);

impl Guest for RedactSecrets {
    fn before_append(_key: SessionKey, events: Vec<Event>) -> Result<Vec<Event>, Rejection> {
        log_panics();
        let mut removed = Vec::new();
        for event in &events {
            clean(event, &mut removed)?;
        }
        if !removed.is_empty() {
            log(Level::Info, &report(&removed));
        }
        Ok(events)
    }
}

/// Takes the secrets out of all that an event says, and notes their kinds.
fn clean(event: &Event, removed: &mut Vec<Kind>) -> Result<(), Rejection> {
    let mut replace = |index: u32, redacted: Redacted| {
        let result = event.set_string(index, &redacted.text);
        removed.extend(&redacted.kinds);
        // To swallow a refusal would be to store the secret.
        result.map_err(|error| refuse(&redacted.kinds, &error))
    };
    for part in event.strings() {
        if let Some(redacted) = redact(&part.text) {
            replace(part.index, redacted)?;
        }
    }
    let mut names = Names::default();
    for part in event.names() {
        if let Some(mut redacted) = redact(&part.text) {
            redacted.text = names.tell_apart(redacted.text, part.text);
            replace(part.index, redacted)?;
        }
    }
    for part in event.numbers() {
        if let Some(redacted) = redact_number(&part.text) {
            replace(part.index, redacted)?;
        }
    }
    Ok(())
}

/// Two members of an object whose names became the same would be one to most readers, and the
/// value of the other would be lost. So the second address of an event is `[email] 2`, wherever
/// it stands.
#[derive(Default)]
struct Names {
    /// For each name without its secrets: those that became it, with their numbers.
    origins: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Names {
    fn tell_apart(&mut self, redacted: String, original: String) -> String {
        let origins = self.origins.entry(redacted.clone()).or_default();
        let next = origins.len() + 1;
        match *origins.entry(original).or_insert(next) {
            1 => redacted,
            number => format!("{redacted} {number}"),
        }
    }
}

fn refuse(kinds: &[Kind], error: &EditError) -> Rejection {
    let named: Vec<&str> =
        Kind::ALL.into_iter().filter(|kind| kinds.contains(kind)).map(Kind::name).collect();
    let named = named.join(" and ");
    log(Level::Warn, &format!("could not remove {named}: {}", error.code));
    Rejection::Denied(format!(
        "The event holds {named} where it cannot be removed. Leave it out and send the event again."
    ))
}

fn report(removed: &[Kind]) -> String {
    let counts: Vec<String> = Kind::ALL
        .into_iter()
        .map(|kind| (kind, removed.iter().filter(|other| **other == kind).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.mark()))
        .collect();
    format!("removed {}", counts.join(", "))
}

/// A panic is silent in WebAssembly unless something writes it down. Its message is left out: it
/// may quote the text that was being read.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            log(Level::Error, &format!("panicked at {place}"));
        }));
    });
}
