//! Chat messages, as the Chat Completions API and most frameworks write them.

use super::{ContentKind, Facts, Found, Tool};
use crate::json::{Kind, Value};

fn calls<'a>(body: Value<'a>) -> impl Iterator<Item = Value<'a>> {
    body.member("tool_calls").into_iter().flat_map(|calls| calls.items())
}

pub(super) fn facts(body: Value<'_>) -> Facts {
    let role = body.text("role").unwrap_or_default();
    Facts {
        id: body.text("id"),
        user_turn: role == "user",
        calls: calls(body).filter_map(|call| call.text("id")).collect(),
        results: body.text("tool_call_id").into_iter().collect(),
        role,
        in_history: true,
        ..Facts::default()
    }
}

pub(super) fn content(body: Value<'_>, found: &mut Found) {
    for name in ["reasoning_content", "reasoning"] {
        found.text(ContentKind::Reasoning, body.get(name).filter(|it| it.kind() == Kind::String));
    }
    let (kind, tool) = match body.text("tool_call_id") {
        Some(id) => (ContentKind::ToolResult, Tool::new(Some(id), body.text("name"))),
        None => (ContentKind::Message, Tool::default()),
    };
    match body.get("content") {
        Some(parts) if parts.kind() == Kind::Array => {
            for part in parts.items() {
                found.add(kind, part.get("text").or_else(|| part.get("refusal")), &tool);
            }
        }
        content => found.add(kind, content, &tool),
    }
    found.text(ContentKind::Message, body.get("refusal"));
    for call in calls(body) {
        let function = call.member("function");
        let tool = Tool::new(call.text("id"), function.and_then(|it| it.text("name")));
        found.add(ContentKind::ToolArguments, function.and_then(|it| it.get("arguments")), &tool);
    }
    if let Some(function) = body.member("function_call") {
        let tool = Tool::new(None, function.text("name"));
        found.add(ContentKind::ToolArguments, function.get("arguments"), &tool);
    }
}

pub(super) fn identity<'a>(body: Value<'a>, closed: &mut Vec<Value<'a>>) {
    closed.extend(["id", "role", "tool_call_id"].iter().filter_map(|name| body.get(name)));
    closed.extend(calls(body).filter_map(|call| call.get("id")));
}
