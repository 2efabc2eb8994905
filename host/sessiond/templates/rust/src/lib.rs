//! Looks at events before they are stored. What a hook can do is in `wit/`, which is the manual.

use std::sync::Once;

use exports::sessiond::plugin::before_append::{Event, Guest, Rejection, SessionKey};
use sessiond::plugin::log::{log, Level};

wit_bindgen::generate!({ world: "before-append-plugin", path: "wit" });

struct Plugin;

export!(Plugin);

impl Guest for Plugin {
    /// Returns the events that go on to the store. An event left out of the list is not stored;
    /// an error refuses the whole request, and its text goes to the client.
    fn before_append(_key: SessionKey, events: Vec<Event>) -> Result<Vec<Event>, Rejection> {
        log_panics();
        for event in &events {
            for part in event.texts() {
                if part.text.contains("forbidden") {
                    return Err(Rejection::Denied("Leave out what is forbidden.".into()));
                }
                if part.text.contains("secret") {
                    let text = part.text.replace("secret", "[removed]");
                    if let Err(error) = event.set_text(part.index, &text) {
                        log(Level::Error, &format!("{}: {}", error.code, error.message));
                        return Err(Rejection::Denied("Leave out the secret.".into()));
                    }
                }
            }
        }
        log(Level::Info, &format!("saw {} events", events.len()));
        Ok(events)
    }
}

/// Without this a panic tells nothing: the daemon sees a trap, and no text.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    });
}
