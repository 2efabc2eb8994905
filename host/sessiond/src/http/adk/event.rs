//! An event with ADK's members and no others, whatever dialect it came in.

use sessiond_core::dialect::{ContentKind, Dialect};
use sessiond_core::json::{Index, Kind, Value};
use sessiond_core::time::Time;
use sessiond_core::view::ViewItem;
use sessiond_core::view::json::{ObjectText, array_text};

/// The members of an event that go out as they came in.
const MEMBERS: &[&str] = &[
    "invocationId",
    "author",
    "content",
    "branch",
    "partial",
    "turnComplete",
    "turnCompleteReason",
    "interactionStatus",
    "interrupted",
    "errorCode",
    "errorMessage",
    "finishReason",
    "modelVersion",
    "usageMetadata",
    "groundingMetadata",
    "citationMetadata",
    "customMetadata",
    "inputTranscription",
    "outputTranscription",
    "avgLogprobs",
    "logprobsResult",
    "cacheMetadata",
    "interactionId",
    "liveSessionId",
    "liveSessionResumptionUpdate",
    "environmentId",
    "goAway",
    "voiceActivity",
    "longRunningToolIds",
    "isolationScope",
    "output",
    "nodeInfo",
];
/// Those of its actions.
const ACTIONS: &[&str] = &[
    "skipSummarization",
    "artifactDelta",
    "transferToAgent",
    "transferReason",
    "escalate",
    "requestedAuthConfigs",
    "requestedToolConfirmations",
    "compaction",
    "endOfAgent",
    "agentState",
    "rewindBeforeInvocationId",
    "route",
    "renderUiWidgets",
    "setModelResponse",
];

/// The event.
pub(super) fn event_json(item: &ViewItem) -> String {
    let event = item.event.event();
    let index = Index::of(item.event.body()).ok();
    let body = index.as_ref().map(|index| index.root(item.event.body()));
    let adk = body.filter(|_| event.dialect() == Dialect::Adk);
    let mut object = ObjectText::default().string("id", event.id());
    object = match adk {
        Some(body) => known(object, body, MEMBERS),
        None => foreign(object, item),
    };
    let invocation = adk.is_some_and(|body| member(body, "invocationId").is_some());
    if !invocation {
        let known = event.facts().invocation_id.as_deref();
        object = object.string("invocationId", known.unwrap_or_default());
    }
    if adk.is_some_and(|body| member(body, "author").is_none()) {
        object = object.string("author", "user");
    }
    let actions = adk.and_then(|body| member(body, "actions"));
    let mut done = ObjectText::default().raw("stateDelta", &delta(item, actions));
    if let Some(actions) = actions {
        done = known(done, actions, ACTIONS);
    }
    let timestamp = adk.and_then(|body| member(body, "timestamp"));
    let timestamp = timestamp.filter(|it| it.kind() == Kind::Number).map(|it| it.raw().to_owned());
    let timestamp = timestamp.unwrap_or_else(|| seconds(event.time()));
    object.raw("actions", &done.end()).raw("timestamp", &timestamp).end()
}

/// A time in seconds since 1970.
pub(super) fn seconds(time: Time) -> String {
    let micros = time.micros();
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A member in either spelling, if it is not null.
fn member<'a>(object: Value<'a>, camel: &str) -> Option<Value<'a>> {
    let value = object.member(camel).or_else(|| object.member(&snake(camel)));
    value.filter(|value| !value.is_null())
}

fn snake(camel: &str) -> String {
    let mut name = String::with_capacity(camel.len() + 4);
    for character in camel.chars() {
        if character.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

fn known(object: ObjectText, from: Value<'_>, names: &[&str]) -> ObjectText {
    names.iter().fold(object, |object, name| match member(from, name) {
        Some(value) => object.raw(name, value.raw()),
        None => object,
    })
}

/// The changes of state, of which `temp:` is never kept.
fn delta(item: &ViewItem, actions: Option<Value<'_>>) -> String {
    let beside = item.event.event().state_delta();
    let index = beside.and_then(|text| Some((text, Index::of(text).ok()?)));
    let beside = index.as_ref().map(|(text, index)| index.root(text));
    let changes = beside.or_else(|| actions.and_then(|actions| member(actions, "stateDelta")));
    let mut object = ObjectText::default();
    for (name, value) in changes.into_iter().flat_map(|changes| changes.entries()) {
        let name = name.as_str().unwrap_or_default();
        if !name.starts_with("temp:") {
            object = object.raw(&name, value.raw());
        }
    }
    object.end()
}

/// What another dialect's event says, as ADK would.
fn foreign(object: ObjectText, item: &ViewItem) -> ObjectText {
    let mut event = item.event.clone();
    let facts = item.event.event().facts();
    let user = facts.user_turn || facts.role == "user";
    let parts: Vec<String> = event
        .texts()
        .into_iter()
        .map(|part| {
            let text = ObjectText::default();
            let tool = |object: ObjectText| {
                object
                    .optional(part.call_id.as_deref(), |object, id| object.string("id", id))
                    .string("name", part.tool.as_deref().unwrap_or("tool"))
            };
            match part.kind {
                ContentKind::Message => text.string("text", &part.text),
                ContentKind::Reasoning => text.string("text", &part.text).plain("thought", true),
                ContentKind::ToolArguments => {
                    let call =
                        tool(ObjectText::default()).raw("args", &object_of("text", &part.text));
                    text.raw("functionCall", &call.end())
                }
                ContentKind::ToolResult => {
                    let answer = object_of("result", &part.text);
                    let answer = tool(ObjectText::default()).raw("response", &answer);
                    text.raw("functionResponse", &answer.end())
                }
            }
            .end()
        })
        .collect();
    let role = if user || facts.role == "tool" { "user" } else { "model" };
    let fallback = if user { "user" } else { role };
    let author = facts.author.as_deref().filter(|it| !it.is_empty()).unwrap_or(fallback);
    let content = ObjectText::default().string("role", role).raw("parts", &array_text(parts));
    object.string("author", author).raw("content", &content.end())
}

/// The text, if it is a JSON object; else an object with it.
fn object_of(name: &str, text: &str) -> String {
    let is_object = Index::of(text).is_ok_and(|index| index.root(text).kind() == Kind::Object);
    if is_object { text.to_owned() } else { ObjectText::default().string(name, text).end() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_are_adks() {
        assert_eq!(snake("renderUiWidgets"), "render_ui_widgets");
        assert_eq!(snake("author"), "author");
        assert_eq!(seconds(Time::from_micros(1_795_590_559_664_345)), "1795590559.664345");
        assert_eq!(seconds(Time::from_micros(-1_500_000)), "-1.500000");
        assert_eq!(object_of("a", "{\"b\":1}"), "{\"b\":1}");
        assert_eq!(object_of("a", "[1]"), "{\"a\":\"[1]\"}");
    }
}
