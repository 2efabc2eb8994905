//! Items of OpenAI's Responses API, as the Agents SDKs store them: one object with a `type` each.
//!
//! The SDK for Python keeps the API's own names. The one for JavaScript has names of its own:
//! `callId`, and `function_call_result` for `function_call_output`.

use super::{ContentKind, Facts, Found, Tool};
use crate::json::{Kind, Value};

const MESSAGE: &str = "message";

/// Where a call has what it is made with.
const ARGUMENTS: [&str; 6] = ["arguments", "input", "action", "actions", "operation", "code"];

/// Where a part of a list has what a reader sees of it.
const TEXTS: [&str; 5] = ["text", "refusal", "transcript", "stdout", "stderr"];

fn kind(body: Value<'_>) -> String {
    body.text("type").unwrap_or_else(|| MESSAGE.to_owned())
}

fn is_call(kind: &str) -> bool {
    kind.ends_with("_call") || kind == "program"
}

fn is_answer(kind: &str) -> bool {
    kind.ends_with("_output") || kind.ends_with("_result")
}

/// The call that an item makes or answers.
fn call_id(body: Value<'_>, kind: &str) -> Option<String> {
    let text = |name| body.text(name);
    let id = text("call_id").or_else(|| text("callId"));
    // The one answer that has the call's id as its own.
    id.or_else(|| text("id").filter(|_| kind == "local_shell_call_output"))
}

pub(super) fn facts(body: Value<'_>) -> Facts {
    let kind = kind(body);
    let call_id = call_id(body, &kind);
    let (call, answer) = (is_call(&kind), is_answer(&kind));
    let role = match body.text("role") {
        Some(role) => role,
        None if answer => "tool".to_owned(),
        None => "assistant".to_owned(),
    };
    Facts {
        id: body.text("id"),
        user_turn: kind == MESSAGE && role == "user",
        role,
        calls: call_id.clone().filter(|_| call).into_iter().collect(),
        results: call_id.filter(|_| answer).into_iter().collect(),
        in_history: true,
        ..Facts::default()
    }
}

pub(super) fn content(body: Value<'_>, found: &mut Found) {
    let kind = kind(body);
    let tool = Tool::new(call_id(body, &kind), body.text("name"));
    match kind.as_str() {
        MESSAGE => texts(found, ContentKind::Message, body.get("content"), &Tool::default()),
        "reasoning" => {
            for name in ["summary", "content", "rawContent"] {
                texts(found, ContentKind::Reasoning, body.get(name), &Tool::default());
            }
        }
        _ => {
            for name in ARGUMENTS {
                found.add(ContentKind::ToolArguments, body.get(name), &tool);
            }
            texts(found, ContentKind::ToolResult, body.get("output"), &tool);
        }
    }
}

/// A string, or the texts of a part or of a list of parts, or a value of another shape whole.
fn texts(found: &mut Found, kind: ContentKind, value: Option<Value<'_>>, tool: &Tool) {
    match value {
        Some(parts) if parts.kind() == Kind::Array => {
            for part in parts.items() {
                for name in TEXTS {
                    found.add(kind, part.get(name), tool);
                }
            }
        }
        Some(part) if part.text("text").is_some() => found.add(kind, part.get("text"), tool),
        value => found.add(kind, value, tool),
    }
}

pub(super) fn identity<'a>(body: Value<'a>, closed: &mut Vec<Value<'a>>) {
    let names = ["id", "type", "role", "call_id", "callId"];
    closed.extend(names.iter().filter_map(|name| body.get(name)));
}
