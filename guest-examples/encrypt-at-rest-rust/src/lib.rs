//! Encrypts what is said before it is stored, and decrypts it for readers: a `before-append` and an
//! `after-get` hook in one component.

mod envelope;
mod keys;

use std::sync::Once;

use envelope::{Envelope, Place};
use exports::sessiond::plugin::{after_get, before_append};
use keys::Keys;
use sessiond::plugin::call::purpose;
use sessiond::plugin::log::{log, Level};
use sessiond::plugin::types::{Event, Rejection, Session, SessionKey, TextPart};
use wasi::random::random::get_random_bytes;

wit_bindgen::generate!({
    inline: "
        package plugin:encrypt-at-rest;
        world plugin {
            include sessiond:plugin/before-append-plugin@0.1.0;
            include sessiond:plugin/after-get-plugin@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:random/random@0.2.0;
        }
    ",
    path: ["wit", "../../wit"],
    world: "plugin:encrypt-at-rest/plugin",
    generate_all,
});

/// How many events are asked for at a time: each is a handle that the host keeps.
const PAGE: u32 = 100;

struct Plugin;

export!(Plugin);

impl before_append::Guest for Plugin {
    /// Encrypts the content of each event. What cannot be encrypted is not stored.
    fn before_append(key: SessionKey, events: Vec<Event>) -> Result<Vec<Event>, Rejection> {
        log_panics();
        match purpose().as_str() {
            // There are no settings to read the key from, and nothing will be stored.
            "trial" => return Ok(events),
            // The events are encrypted already, for the session that they come from.
            "fork" => return denied("An encrypted session cannot be forked."),
            _ => {}
        }
        let keys = Keys::load()?;
        for event in &events {
            if event.kind() == "summary" && !keys.summaries_in_plain_text {
                return denied("Summaries cannot be encrypted: see the plugin's README.");
            }
            if event.kind() != "summary" {
                encrypt(&keys, &key, event)?;
            }
        }
        Ok(events)
    }
}

impl after_get::Guest for Plugin {
    /// Decrypts the events of a reply. What cannot be decrypted refuses the read.
    fn after_get(key: SessionKey, session: Session) -> Result<(), Rejection> {
        log_panics();
        if purpose() == "trial" {
            return Ok(());
        }
        let keys = Keys::load()?;
        let count = session.event_count();
        for start in (0..count).step_by(PAGE as usize) {
            for event in session.events(start, PAGE) {
                decrypt(&keys, &key, &event)?;
            }
        }
        Ok(())
    }
}

fn encrypt(keys: &Keys, session: &SessionKey, event: &Event) -> Result<(), Rejection> {
    let id = event.id();
    for (position, part) in event.texts().iter().enumerate() {
        let place = Place { session, event: &id, position };
        let (key_id, cipher) = keys.current();
        let nonce = get_random_bytes(envelope::NONCE as u64);
        let sealed = Envelope::seal(cipher, key_id, &nonce, &place, &part.text);
        let sealed = sealed.ok_or_else(|| failed("A text could not be encrypted."))?;
        // What the client sent as a JSON value must stay JSON.
        let taken = event.set_text(part.index, &sealed).is_ok()
            || event.set_text(part.index, &envelope::as_json(&sealed)).is_ok();
        if !taken {
            return denied("A text of this event cannot be encrypted.");
        }
    }
    Ok(())
}

fn decrypt(keys: &Keys, session: &SessionKey, event: &Event) -> Result<(), Rejection> {
    let id = event.id();
    for (position, part) in event.texts().iter().enumerate() {
        // What was stored before the plugin was there is not encrypted.
        let Some(envelope) = Envelope::parse(&part.text) else { continue };
        let place = Place { session, event: &id, position };
        let text = open(keys, &envelope, &place).inspect_err(|_| {
            log(Level::Error, &format!("event {id:?} cannot be decrypted"));
        })?;
        show(event, part, &text)?;
    }
    Ok(())
}

fn open(keys: &Keys, envelope: &Envelope<'_>, place: &Place<'_>) -> Result<String, Rejection> {
    let missing = || failed("The key of a stored text is not in the settings.");
    let key = keys.of(envelope.key_id).ok_or_else(missing)?;
    envelope.open(key, place).ok_or_else(|| failed("A stored text cannot be decrypted."))
}

fn show(event: &Event, part: &TextPart, text: &str) -> Result<(), Rejection> {
    let shown = event.set_text(part.index, text);
    shown.map_err(|error| {
        log(Level::Error, &format!("{}: {}", error.code, error.message));
        failed("A stored text cannot be shown.")
    })
}

fn denied<T>(text: &str) -> Result<T, Rejection> {
    Err(Rejection::Denied(text.into()))
}

fn failed(text: &str) -> Rejection {
    Rejection::Unavailable(text.into())
}

/// Without this a panic tells nothing: the daemon sees a trap, and no text. The texts of events and
/// the key are in no message of a panic.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    });
}
