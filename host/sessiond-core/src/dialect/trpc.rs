//! Events of trpc-agent-go: `event.Event`, whose model response is flattened into the object.

use super::{ContentKind, DeltaPlace, Facts, Found, Tool};
use crate::json::{Kind, Value};
use crate::time::Time;

pub(super) const DELTA: DeltaPlace = DeltaPlace { paths: &[&["stateDelta"]], base64: true };

/// The message and the streamed delta of every choice.
fn messages<'a>(body: Value<'a>) -> impl Iterator<Item = Value<'a>> {
    let choices = body.member("choices");
    choices
        .into_iter()
        .flat_map(|choices| choices.items())
        .flat_map(|choice| [choice.member("message"), choice.member("delta")])
        .flatten()
}

fn calls<'a>(message: Value<'a>) -> impl Iterator<Item = Value<'a>> {
    message.member("tool_calls").into_iter().flat_map(|calls| calls.items())
}

pub(super) fn facts(body: Value<'_>) -> Facts {
    let role = messages(body).find_map(|message| message.text("role")).unwrap_or_default();
    let partial = body.get("is_partial").is_some_and(|it| it.is_true());
    let versioned = body.get("version").is_some_and(|version| version.raw() == "1");
    let branch = body.text("branch");
    Facts {
        id: body.text("id"),
        time: body.text("timestamp").and_then(|time| Time::parse(&time)),
        author: body.text("author"),
        role,
        invocation_id: body.text("invocationId"),
        filter_key: if versioned { body.text("filterKey") } else { branch.clone() },
        branch,
        tag: body.text("tag"),
        request_id: body.text("requestID"),
        partial,
        calls: messages(body).flat_map(calls).filter_map(|call| call.text("id")).collect(),
        results: messages(body).filter_map(|message| message.text("tool_id")).collect(),
        user_turn: messages(body).any(|it| it.text("role").as_deref() == Some("user")),
        in_history: !partial && has_content(body),
    }
}

/// The framework's own rule for what is stored as an event.
fn has_content(body: Value<'_>) -> bool {
    let mut choices = body.member("choices").into_iter().flat_map(|choices| choices.items());
    let first = choices.next();
    let tools =
        first.into_iter().flat_map(|it| [it.member("message"), it.member("delta")]).flatten();
    let has_tools =
        tools.into_iter().any(|it| calls(it).next().is_some() || it.text("tool_id").is_some());
    let filled = |value: Value<'_>| match value.kind() {
        Kind::Array => value.items().next().is_some(),
        _ => value.as_text().is_some(),
    };
    let payload = ["content", "content_parts", "reasoning_content"];
    has_tools
        || messages(body).any(|it| payload.iter().any(|name| it.get(name).is_some_and(filled)))
}

pub(super) fn content(body: Value<'_>, found: &mut Found) {
    for message in messages(body) {
        found.text(ContentKind::Reasoning, message.get("reasoning_content"));
        let (kind, tool) = match message.text("tool_id") {
            Some(id) => (ContentKind::ToolResult, Tool::new(Some(id), message.text("tool_name"))),
            None => (ContentKind::Message, Tool::default()),
        };
        found.add(kind, message.get("content"), &tool);
        for part in message.get("content_parts").into_iter().flat_map(|parts| parts.items()) {
            found.add(kind, part.get("text"), &tool);
        }
        for call in calls(message) {
            let function = call.member("function");
            let tool = Tool::new(call.text("id"), function.and_then(|it| it.text("name")));
            found.add(
                ContentKind::ToolArguments,
                function.and_then(|it| it.get("arguments")),
                &tool,
            );
        }
    }
}

pub(super) fn identity<'a>(body: Value<'a>, closed: &mut Vec<Value<'a>>) {
    let members = [
        "id",
        "timestamp",
        "author",
        "invocationId",
        "parentInvocationId",
        "branch",
        "filterKey",
        "requestID",
        "version",
        "longRunningToolIDs",
    ];
    closed.extend(members.iter().filter_map(|name| body.get(name)));
    if let Some(response) = body.get("response") {
        closed.extend(["id", "timestamp"].iter().filter_map(|name| response.get(name)));
    }
    for message in messages(body) {
        closed.extend(["role", "tool_id"].iter().filter_map(|name| message.get(name)));
        closed.extend(calls(message).filter_map(|call| call.get("id")));
    }
}
