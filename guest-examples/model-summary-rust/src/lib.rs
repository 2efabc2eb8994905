//! A plugin that has a language model sum up conversations.
//!
//! The calls are here; what the model is told is in `prompt`.

mod prompt;

use std::sync::Once;

use exports::sessiond::plugin::summarizer::{
    Guest, Rejection, Session, SessionKey, Summary, SummaryJob,
};
use sessiond::plugin::chat_model::{send, ChatError, Request};
use sessiond::plugin::log::{log, Level};
use wasi::config::store;

wit_bindgen::generate!({
    inline: "
        package example:model-summary;

        world guest {
            include sessiond:plugin/summarizer-plugin@0.1.0;
            import sessiond:plugin/chat-model@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
        }
    ",
    path: "../../wit",
    world: "example:model-summary/guest",
    generate_all,
});

/// The most that is asked at once, in bytes: `summary.input_tokens` of the daemon is meant to be
/// less. It leaves room for the task and the summary so far.
const MAX_BYTES: u32 = 3 * 1024 * 1024;

/// The model that is asked, unless the operator names another one of [models].
const MODEL: &str = "summary";

struct ModelSummary;

export!(ModelSummary);

impl Guest for ModelSummary {
    /// The thresholds of the daemon are enough.
    fn should_summarize(_: SessionKey, _: Session, _: SummaryJob) -> Result<bool, Rejection> {
        log_panics();
        Ok(true)
    }

    fn summarize(_: SessionKey, session: Session, job: SummaryJob) -> Result<Summary, Rejection> {
        log_panics();
        let previous = job.previous().map(|summary| summary.text());
        let said = session.transcript(MAX_BYTES);
        let text = ask(&prompt::material(previous.as_deref(), job.unseen(), &said))?;
        Ok(Summary::new(text.trim()))
    }
}

fn ask(material: &str) -> Result<String, Rejection> {
    let max_words = setting("max_words")?.map(|text| text.parse());
    let max_words = max_words.transpose().map_err(|_| {
        Rejection::Invalid("The setting max_words is a number, like \"250\".".to_owned())
    })?;
    let wishes = setting("instructions")?.unwrap_or_default();
    let model = setting("model")?.unwrap_or_else(|| MODEL.to_owned());
    let request = Request::new(&model);
    let task = prompt::task(max_words.unwrap_or(prompt::MAX_WORDS), &wishes);
    request.add_message("system", &task).map_err(refuse)?;
    request.add_message("user", material).map_err(refuse)?;
    let answer = send(request).map_err(refuse)?;
    if answer.finish_reason() == "length" {
        log(Level::Warn, "the model's answer was cut off: raise models.NAME.max_tokens");
    }
    let text = answer.text();
    if text.trim().is_empty() {
        // No summary is better than an empty one, and another attempt may bring one.
        return Err(Rejection::Unavailable("The model said nothing.".to_owned()));
    }
    Ok(text)
}

fn setting(name: &str) -> Result<Option<String>, Rejection> {
    let told = store::get(name);
    told.map_err(|_| Rejection::Unavailable(format!("The setting {name} cannot be read.")))
}

/// What another attempt may mend is `unavailable`: then the daemon tries again.
fn refuse(error: ChatError) -> Rejection {
    let text = format!("The model gave no answer ({}): {}", error.code, error.message);
    match error.code.as_str() {
        "denied" => Rejection::Denied(text),
        "invalid" | "refused" => Rejection::Invalid(text),
        _ => Rejection::Unavailable(text),
    }
}

/// A panic is silent in WebAssembly unless something writes it down. Its message is left out: it may
/// quote the conversation.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            log(Level::Error, &format!("panicked at {place}"));
        }));
    });
}
