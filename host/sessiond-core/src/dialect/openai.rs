//! Items of OpenAI's Responses API, as the Agents SDK stores them: one object with a `type` each.

use super::{ContentKind, Facts, Found, Tool};
use crate::json::{Kind, Value};

const MESSAGE: &str = "message";

fn kind(body: Value<'_>) -> String {
    body.text("type").unwrap_or_else(|| MESSAGE.to_owned())
}

pub(super) fn facts(body: Value<'_>) -> Facts {
    let kind = kind(body);
    let call_id = body.text("call_id");
    let (call, answer) = (kind.ends_with("_call"), kind.ends_with("_call_output"));
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
    let tool = Tool::new(body.text("call_id"), body.text("name"));
    match kind.as_str() {
        MESSAGE => texts(found, ContentKind::Message, body.get("content"), &Tool::default()),
        "reasoning" => {
            texts(found, ContentKind::Reasoning, body.get("summary"), &Tool::default());
            texts(found, ContentKind::Reasoning, body.get("content"), &Tool::default());
        }
        _ => {
            for name in ["arguments", "input", "action", "code"] {
                found.add(ContentKind::ToolArguments, body.get(name), &tool);
            }
            texts(found, ContentKind::ToolResult, body.get("output"), &tool);
        }
    }
}

/// A string, or the texts of a list of parts, or a value of another shape whole.
fn texts(found: &mut Found, kind: ContentKind, value: Option<Value<'_>>, tool: &Tool) {
    match value {
        Some(parts) if parts.kind() == Kind::Array => {
            for part in parts.items() {
                found.add(kind, part.get("text").or_else(|| part.get("refusal")), tool);
            }
        }
        value => found.add(kind, value, tool),
    }
}

pub(super) fn identity<'a>(body: Value<'a>, closed: &mut Vec<Value<'a>>) {
    closed.extend(["id", "type", "role", "call_id"].iter().filter_map(|name| body.get(name)));
}
