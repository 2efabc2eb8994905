//! Conversations with secrets planted in every place, in every dialect: in the text of a message, in
//! the arguments of a tool call, in its result, and in a change of state.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Conversation, Item};

/// A number that passes Luhn's check. It belongs to nobody: payment providers publish it for tests.
pub const CARD: &str = "4242424242424242";
/// The same number as people write it.
pub const SPACED_CARD: &str = "4242 4242 4242 4242";
/// What looks like a key. Written in two parts, so that no scanner takes this file for a leak.
pub const KEY: &str = concat!("sk-", "live0abcdefghijklmnopqrstuvwxyz0123456789");
/// An address.
pub const MAIL: &str = "jane.planted@example.com";
/// What must never be found, anywhere.
pub const SECRETS: [&str; 4] = [CARD, SPACED_CARD, KEY, MAIL];

/// What stands in the places of secrets.
struct Words {
    card: &'static str,
    spaced_card: &'static str,
    /// A card as a JSON number.
    number: &'static str,
    key: &'static str,
    mail: &'static str,
}

const PLANTED: Words =
    Words { card: CARD, spaced_card: SPACED_CARD, number: CARD, key: KEY, mail: MAIL };
const REMOVED: Words = Words {
    card: "[card]",
    spaced_card: "[card]",
    // What is no number any more is a string.
    number: "\"[card]\"",
    key: "[key]",
    mail: "[email]",
};

/// The conversations, as they are sent.
pub fn sent() -> Vec<Conversation> {
    conversations(&PLANTED)
}

/// The conversations, as they must be stored.
pub fn expected() -> Vec<Conversation> {
    conversations(&REMOVED)
}

fn conversations(words: &Words) -> Vec<Conversation> {
    let dialects = [
        ("chat", chat(words)),
        ("openai", openai(words)),
        ("adk", adk(words)),
        ("trpc", trpc(words)),
    ];
    let conversation = |(dialect, events): (&'static str, Vec<Event>)| Conversation {
        id: format!("planted-{dialect}"),
        user: "planted".to_owned(),
        items: events
            .into_iter()
            .enumerate()
            .map(|(at, (event, state_delta))| Item {
                id: format!("planted-{dialect}-{at}"),
                dialect,
                event,
                state_delta,
                user_turn: at == 0,
            })
            .collect(),
    };
    dialects.into_iter().map(conversation).collect()
}

type Event = (String, Option<String>);

fn said(words: &Words) -> String {
    let Words { spaced_card, key, mail, .. } = words;
    format!("Card {spaced_card}, key {key}, mail {mail}. No secret: credit_card_4421486.")
}

fn values(words: &Words) -> String {
    let Words { card, number, key, mail, .. } = words;
    format!(
        r#"{{"card": "{card}", "number": {number}, "keys": ["{key}"], "to": {{"{mail}": 1}}, "id": "credit_card_4421486"}}"#
    )
}

/// The same, inside a string.
fn nested(words: &Words) -> String {
    values(words).replace('"', "\\\"")
}

fn state(words: &Words) -> String {
    format!(
        r#"{{"card":"{}","deep":{},"user:mail":"<{}>"}}"#,
        words.card,
        values(words),
        words.mail
    )
}

fn chat(words: &Words) -> Vec<Event> {
    let (said, nested) = (said(words), nested(words));
    let call = format!(
        r#"{{"id":"call_p","type":"function","function":{{"name":"pay","arguments":"{nested}"}}}}"#
    );
    vec![
        (format!(r#"{{"role": "user", "content": "{said}"}}"#), Some(state(words))),
        (format!(r#"{{"role":"assistant","content":null,"tool_calls":[{call}]}}"#), None),
        (
            format!(
                r#"{{"role":"tool","tool_call_id":"call_p","name":"pay","content":"{nested}"}}"#
            ),
            None,
        ),
    ]
}

fn openai(words: &Words) -> Vec<Event> {
    let (said, nested) = (said(words), nested(words));
    let part = format!(r#"{{"type":"input_text","text":"{said}"}}"#);
    vec![
        (format!(r#"{{"type":"message","role":"user","content":[{part}]}}"#), Some(state(words))),
        (
            format!(
                r#"{{"type":"function_call","call_id":"call_p","name":"pay","arguments":"{nested}"}}"#
            ),
            None,
        ),
        (
            format!(r#"{{"type":"function_call_output","call_id":"call_p","output":"{nested}"}}"#),
            None,
        ),
    ]
}

fn adk(words: &Words) -> Vec<Event> {
    let (said, values, state) = (said(words), values(words), state(words));
    let event = |author: &str, role: &str, part: &str, state: &str| {
        let content = format!(r#"{{"role":"{role}","parts":[{part}]}}"#);
        let actions = format!(r#"{{"stateDelta":{state}}}"#);
        let head = format!(r#""author":"{author}","invocationId":"i","timestamp":1.5"#);
        (format!(r#"{{{head},"content":{content},"actions":{actions}}}"#), None)
    };
    let call = format!(r#"{{"functionCall":{{"id":"call_p","name":"pay","args":{values}}}}}"#);
    let answer =
        format!(r#"{{"functionResponse":{{"id":"call_p","name":"pay","response":{values}}}}}"#);
    vec![
        event("user", "user", &format!(r#"{{"text":"{said}"}}"#), &state),
        event("bot", "model", &call, "{}"),
        event("bot", "user", &answer, "{}"),
    ]
}

fn trpc(words: &Words) -> Vec<Event> {
    let (said, nested) = (said(words), nested(words));
    let event = |message: &str, state: &str| {
        let head = r#""invocationId":"i","author":"a","timestamp":"2025-01-01T00:00:00Z","is_partial":false"#;
        let choice = format!(r#"{{"index":0,"message":{message},"delta":{{"role":""}}}}"#);
        (format!(r#"{{{head},"choices":[{choice}],"stateDelta":{state}}}"#), None)
    };
    // Values of this dialect are base64 of bytes: of JSON, or of any text.
    let (json, text) =
        (STANDARD.encode(values(words)), STANDARD.encode(format!("mail {}", words.mail)));
    let state = format!(r#"{{"json":"{json}","user:text":"{text}"}}"#);
    let function = format!(r#"{{"arguments":"{nested}","name":"pay"}}"#);
    let call = format!(r#"{{"type":"function","function":{function},"id":"call_p"}}"#);
    vec![
        event(&format!(r#"{{"role":"user","content":"{said}"}}"#), &state),
        event(&format!(r#"{{"role":"assistant","tool_calls":[{call}]}}"#), "{}"),
        event(
            &format!(
                r#"{{"role":"tool","content":"{nested}","tool_id":"call_p","tool_name":"pay"}}"#
            ),
            "{}",
        ),
    ]
}
