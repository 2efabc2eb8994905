use std::sync::Arc;

use super::editor::{Access, EditError, EventEditor};
use super::*;
use crate::state::StateValue;

const NOW: Time = Time::from_nanos(1_000_000_000);
const MAX: usize = 4096;

fn parse(body: &str) -> Event {
    Event::parse(Received { body: body.to_owned(), ..Received::default() }, NOW, MAX).unwrap()
}

fn edit(event: Event) -> EventEditor {
    EventEditor::new(Arc::new(event), Access::Edit, MAX)
}

const ADK: &str = r#"{"id":"e1","invocationId":"i@x.io","author":"a","timestamp":1.5, "content":{"role":"model","parts":[{"text":"mail a@b.c"},{"functionCall":{"id":"c1","name":"f","args":{"n":4111,"q":"a@b.c"}}}]},"actions":{"stateDelta":{"k":"a@b.c","temp:t":1,"user:u":null}},"x":-0.0}"#;

#[test]
fn an_event_keeps_its_bytes_and_loses_temporary_state() {
    let event = parse(ADK);
    assert_eq!(event.id(), "e1");
    assert_eq!(event.time(), Time::from_seconds(1.5).unwrap());
    assert_eq!(event.body(), ADK.replace(r#""temp:t":1,"#, ""));
    let delta = StateDelta::set([
        ("k".to_owned(), StateValue::Json("\"a@b.c\"".to_owned())),
        ("user:u".to_owned(), StateValue::Null),
    ]);
    assert_eq!(event.delta(), &delta);
    let stored =
        StoredEvent::from_parts(7, &event.envelope(), event.body().to_owned(), None).unwrap();
    assert_eq!(stored.event.facts().calls, ["c1"]);
    assert_eq!(stored.event.time(), event.time());
}

#[test]
fn ids_come_from_the_item_or_the_body_or_are_made() {
    let chat = r#"{"role":"user","content":"hi","id":"not an event id"}"#;
    assert_ne!(parse(chat).id(), "not an event id");
    assert_ne!(parse(chat).id(), parse(chat).id());
    let received = |id: &str| Received {
        body: ADK.to_owned(),
        id: Some(id.to_owned()),
        ..Received::default()
    };
    assert_eq!(Event::parse(received("mine"), NOW, MAX).unwrap().id(), "mine");
    assert!(matches!(Event::parse(received(""), NOW, MAX), Err(EventError::BadId(0))));
}

#[test]
fn bad_events_are_told_apart() {
    let refuse = |body: &str| {
        Event::parse(Received { body: body.to_owned(), ..Received::default() }, NOW, MAX)
            .unwrap_err()
    };
    assert!(matches!(refuse("{\"role\":"), EventError::NotJson(_)));
    assert!(matches!(refuse("[1]"), EventError::NotObject));
    assert!(matches!(refuse("{\"a\":1}"), EventError::UnknownShape));
    assert!(matches!(
        refuse(&format!("{{\"role\":\"{}\"}}", "x".repeat(MAX))),
        EventError::TooLarge { .. }
    ));
    assert!(matches!(
        refuse(r#"{"choices":[],"timestamp":"","stateDelta":{"k":"not base64!"}}"#),
        EventError::State(StateError::NotBase64(_))
    ));
    assert!(matches!(
        refuse(r#"{"author":"a","content":{},"actions":{"stateDelta":{"user:":1}}}"#),
        EventError::State(StateError::EmptyKey(_))
    ));
}

#[test]
fn a_partial_event_leaves_its_state_in_the_trpc_dialect_only() {
    let adk = parse(
        r#"{"author":"a","content":{"parts":[{"text":"h"}]},"partial":true,"actions":{"stateDelta":{"k":1}}}"#,
    );
    assert!(!adk.is_kept());
    let trpc = parse(
        r#"{"choices":[{"message":{"role":"","content":"h"}}],"is_partial":true,"id":"e","timestamp":"2025-01-01T00:00:00Z","stateDelta":{"k":"MQ=="}}"#,
    );
    assert!(trpc.is_kept());
    assert_eq!(trpc.kind(), EntryKind::State);
    assert_eq!(trpc.body(), r#"{"state_delta":{"k":1}}"#);
}

#[test]
fn a_guest_sees_everything_but_the_identity_and_edits_in_place() {
    let mut editor = edit(parse(ADK));
    for part in editor.strings() {
        assert!(!["e1", "i@x.io", "c1", "model"].contains(&part.text.as_str()));
        if part.text.contains("a@b.c") {
            editor.set_string(part.index, &part.text.replace("a@b.c", "[email]")).unwrap();
        }
    }
    let card = editor.numbers().into_iter().find(|part| part.text == "4111").unwrap();
    editor.set_string(card.index, "[card]").unwrap();
    let edited = editor.finish().unwrap();
    let wanted =
        ADK.replace(r#""temp:t":1,"#, "").replace("a@b.c", "[email]").replace("4111", "\"[card]\"");
    assert_eq!(edited.body(), wanted);
    assert_eq!(edited.facts(), parse(ADK).facts());
    assert_eq!(edited.state_of("k").unwrap().to_json(), "\"[email]\"");
}

#[test]
fn texts_are_alike_in_every_dialect() {
    let mut editor = edit(parse(ADK));
    let texts = editor.texts();
    assert_eq!(texts[0].text, "mail a@b.c");
    assert_eq!(texts[1].text, r#"{"n":4111,"q":"a@b.c"}"#);
    assert_eq!(texts[1].call_id.as_deref(), Some("c1"));
    assert!(matches!(editor.set_text(1, "no json"), Err(EditError::Invalid(_))));
    editor.set_text(1, r#"{"n":0}"#).unwrap();
    editor.set_text(0, "hello").unwrap();
    assert_eq!(editor.texts()[0].text, "hello");
    assert_eq!(editor.finish().unwrap().body().matches("hello").count(), 1);
}

#[test]
fn identity_stays_true_whatever_a_guest_does() {
    let mut editor = edit(parse(ADK));
    let role = editor.names().into_iter().find(|part| part.text == "role").unwrap();
    assert!(matches!(editor.set_string(role.index, "rolle"), Err(EditError::Invalid(_))));
    for (from, to) in
        [("\"e1\"", "\"e2\""), ("model", "user"), ("1.5", "1.6"), ("c1", "c2"), ("i@x.io", "j")]
    {
        let body = editor.body().replace(from, to);
        assert!(matches!(editor.set_body(&body), Err(EditError::Invalid(_))), "{from}");
    }
    assert!(matches!(editor.set_body("{"), Err(EditError::Invalid(_))));
    assert!(matches!(
        editor.set_body(&editor.body().replace("-0.0", &"0".repeat(MAX))),
        Err(EditError::Invalid(_) | EditError::TooLarge(_))
    ));
    let name = editor.names().into_iter().find(|part| part.text == "q").unwrap();
    editor.set_string(name.index, "question").unwrap();
    let body = editor.body().replace("hi", "ho");
    editor.set_body(&body).unwrap();
    assert_eq!(editor.set_text(0, "x"), Err(EditError::Invalid(
        "the numbers are void after `set-body`, `set-state` and `remove-state`: list the parts again".to_owned()
    )));
    editor.texts();
    editor.set_text(0, "x").unwrap();
    assert!(matches!(editor.set_text(0, &"x".repeat(MAX)), Err(EditError::TooLarge(MAX))));
}

/// An event by an ADK client that writes Python's names.
#[test]
fn changes_of_state_are_found_under_either_name() {
    let body = r#"{"author":"a","invocation_id":"i","content":{"parts":[{"text":"x"}]},"actions":{"state_delta":{"k":1,"temp:t":2}}}"#;
    let event = parse(body);
    assert_eq!(event.body(), body.replace(r#","temp:t":2"#, ""));
    assert_eq!(event.state_of("k").unwrap().to_json(), "1");
    let mut editor = edit(event);
    editor.set_state("n", "3").unwrap();
    assert!(editor.finish().unwrap().body().contains(r#""state_delta":{"k":1,"n":3}"#));
}

/// `temp:` state is stored in no spelling: escaped, or in an object that a second one hides.
#[test]
fn temporary_state_hides_nowhere() {
    let event = parse(
        r#"{"author":"a","content":{},"actions":{"stateDelta":{"temp:a":1}},"actions":{"stateDelta":{"temp:b":1},"stateDelta":{"\u0074emp:c":1,"k":1}}}"#,
    );
    assert!(!event.body().contains("emp:"), "{}", event.body());
    assert_eq!(event.delta().changes().count(), 1);
}

/// A guest gives no reader a choice of two roles.
#[test]
fn a_body_with_a_member_twice_is_refused() {
    let mut editor = edit(parse(r#"{"role":"user","content":"hi"}"#));
    let doubled = r#"{"role":"assistant","content":"hi","role":"user"}"#;
    assert!(matches!(editor.set_body(doubled), Err(EditError::Invalid(_))));
}

/// An event of the size limit, made of as many parts as it can be, is still read and edited in time
/// that grows with its size alone.
#[test]
fn many_parts_cost_what_they_weigh() {
    let state: Vec<String> = (0..40_000).map(|at| format!("\"k{at}\":\"MQ==\"")).collect();
    let calls: Vec<String> = (0..5_000)
        .map(|at| format!(r#"{{"id":"c{at}","function":{{"arguments":"x"}}}}"#))
        .collect();
    let body = format!(
        r#"{{"choices":[{{"message":{{"role":"assistant","tool_calls":[{}]}}}}],"timestamp":"","stateDelta":{{{}}}}}"#,
        calls.join(","),
        state.join(",")
    );
    let received = Received { body, ..Received::default() };
    let event = Event::parse(received, NOW, 1 << 21).unwrap();
    let mut editor = EventEditor::new(Arc::new(event), Access::Edit, 1 << 21);
    assert_eq!(editor.strings().len() + editor.numbers().len(), 5_000 + 40_000);
}

#[test]
fn a_member_is_not_renamed_onto_another() {
    let mut editor =
        edit(parse(r#"{"role":"tool","tool_call_id":"c","content":"{\"a\":1,\"b\":2}"}"#));
    let name = |editor: &mut EventEditor, wanted: &str| {
        editor.names().into_iter().find(|part| part.text == wanted).unwrap().index
    };
    let b = name(&mut editor, "b");
    assert!(matches!(editor.set_string(b, "a"), Err(EditError::Invalid(_))));
    editor.set_string(b, "c").unwrap();
    assert!(editor.body().contains(r#"{\"a\":1,\"c\":2}"#), "{}", editor.body());
}

#[test]
fn state_is_edited_in_the_body_or_beside_it() {
    let mut editor = edit(parse(ADK));
    editor.set_state("k", "{\"a\": 1}").unwrap();
    editor.set_state("app:new", "2").unwrap();
    editor.remove_state("user:u").unwrap();
    assert!(editor.set_state("temp:x", "1").is_err());
    assert!(editor.set_state("", "1").is_err());
    assert!(editor.set_state("x", "{").is_err());
    let event = editor.finish().unwrap();
    assert!(
        event.body().contains(r#""stateDelta":{"k":{"a": 1},"app:new":2}"#),
        "{}",
        event.body()
    );

    let mut chat = edit(parse(r#"{"role":"user","content":"hi"}"#));
    chat.set_state("k", "\"secret\"").unwrap();
    let part = chat.strings().into_iter().find(|part| part.text == "secret").unwrap();
    chat.set_string(part.index, "[key]").unwrap();
    let event = chat.finish().unwrap();
    assert_eq!(event.body(), r#"{"role":"user","content":"hi"}"#);
    assert_eq!(event.state_delta(), Some(r#"{"k":"[key]"}"#));
    assert_eq!(event.state_of("k").unwrap().to_json(), "\"[key]\"");

    let mut trpc = edit(parse(
        r#"{"choices":[],"id":"e","timestamp":"2025-01-01T00:00:00Z","stateDelta":{"k":"eyJtYWlsIjoiYUBiLmMifQ=="}}"#,
    ));
    let part = trpc.strings().into_iter().find(|part| part.text == "a@b.c").unwrap();
    trpc.set_string(part.index, "[email]").unwrap();
    assert_eq!(trpc.state(), [("k".to_owned(), r#"{"mail":"[email]"}"#.to_owned())]);
    trpc.set_state("n", "1").unwrap();
    assert_eq!(trpc.finish().unwrap().state_of("n").unwrap().to_json(), "1");
}

#[test]
fn what_is_stored_is_read_only() {
    let mut editor = EventEditor::new(Arc::new(parse(ADK)), Access::Read, MAX);
    let texts = editor.texts();
    assert!(matches!(editor.set_text(texts[0].index, "x"), Err(EditError::ReadOnly(_))));
    assert!(matches!(editor.set_body(ADK), Err(EditError::ReadOnly(_))));
    assert!(matches!(editor.set_state("k", "1"), Err(EditError::ReadOnly(_))));
    assert!(matches!(editor.remove_state("k"), Err(EditError::ReadOnly(_))));
}

impl Event {
    fn state_of(&self, wanted: &str) -> Option<&StateValue> {
        self.delta.changes().find_map(|(key, change)| match change {
            StateChange::Set(value) if key == wanted => Some(value),
            _ => None,
        })
    }
}
