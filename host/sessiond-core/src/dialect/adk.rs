//! Events of Google's Agent Development Kit, as its REST API writes them.

use super::{ContentKind, DeltaPlace, Facts, Found, Tool, either};
use crate::json::Value;
use crate::time::Time;

pub(super) const DELTA: DeltaPlace =
    DeltaPlace { paths: &[&["actions", "stateDelta"], &["actions", "state_delta"]], base64: false };

fn parts<'a>(body: Value<'a>) -> impl Iterator<Item = Value<'a>> {
    let parts = body.member("content").and_then(|content| content.member("parts"));
    parts.into_iter().flat_map(|parts| parts.items())
}

fn call(part: Value<'_>) -> Option<Value<'_>> {
    either(part, "functionCall", "function_call")
}

fn response(part: Value<'_>) -> Option<Value<'_>> {
    either(part, "functionResponse", "function_response")
}

fn invocation(body: Value<'_>) -> Option<Value<'_>> {
    either(body, "invocationId", "invocation_id")
}

pub(super) fn facts(body: Value<'_>) -> Facts {
    let author = body.text("author");
    let speaks = parts(body).any(|part| response(part).is_none());
    let answers = parts(body).any(|part| response(part).is_some());
    let role = match body.member("content").and_then(|content| content.text("role")).as_deref() {
        _ if answers && !speaks => "tool".to_owned(),
        Some("model") => "assistant".to_owned(),
        Some(role) => role.to_owned(),
        None => String::new(),
    };
    let partial = body.get("partial").is_some_and(|it| it.is_true());
    let timestamp = body.member("timestamp");
    Facts {
        id: body.text("id"),
        time: timestamp.and_then(|time| Time::from_seconds(time.raw().parse().ok()?)),
        user_turn: author.as_deref() == Some("user") && speaks,
        author,
        role,
        invocation_id: invocation(body).and_then(|it| it.as_text()),
        branch: body.text("branch"),
        filter_key: None,
        tag: None,
        request_id: None,
        partial,
        calls: parts(body).filter_map(call).filter_map(|call| call.text("id")).collect(),
        results: parts(body).filter_map(response).filter_map(|it| it.text("id")).collect(),
        in_history: !partial,
    }
}

pub(super) fn content(body: Value<'_>, found: &mut Found) {
    for part in parts(body) {
        let thought = part.get("thought").is_some_and(|it| it.is_true());
        let kind = if thought { ContentKind::Reasoning } else { ContentKind::Message };
        found.text(kind, part.get("text"));
        if let Some(call) = call(part) {
            let tool = Tool::new(call.text("id"), call.text("name"));
            found.add(ContentKind::ToolArguments, call.get("args"), &tool);
        }
        if let Some(response) = response(part) {
            let tool = Tool::new(response.text("id"), response.text("name"));
            found.add(ContentKind::ToolResult, response.get("response"), &tool);
        }
        if let Some(code) = either(part, "executableCode", "executable_code") {
            found.text(ContentKind::ToolArguments, code.get("code"));
        }
        if let Some(result) = either(part, "codeExecutionResult", "code_execution_result") {
            found.text(ContentKind::ToolResult, result.get("output"));
        }
    }
    let spoken = [
        ("inputTranscription", "input_transcription"),
        ("outputTranscription", "output_transcription"),
    ];
    for (camel, snake) in spoken {
        let transcription = either(body, camel, snake);
        found.text(ContentKind::Message, transcription.and_then(|it| it.get("text")));
    }
}

pub(super) fn identity<'a>(body: Value<'a>, closed: &mut Vec<Value<'a>>) {
    let members = ["id", "timestamp", "author", "branch"];
    closed.extend(members.iter().filter_map(|name| body.get(name)));
    closed.extend(invocation(body));
    closed.extend(either(body, "longRunningToolIds", "long_running_tool_ids"));
    closed.extend(body.member("content").and_then(|content| content.get("role")));
    for part in parts(body) {
        let tools = [call(part), response(part)];
        closed.extend(tools.into_iter().flatten().filter_map(|tool| tool.get("id")));
    }
}
