use super::*;
use crate::event::{Event, Received};
use crate::time::Time;

fn view(bodies: &[&str], access: Access) -> SessionView {
    let events = bodies.iter().zip(1..).map(|(body, sequence)| StoredEvent {
        sequence,
        event: Event::parse(
            Received { body: (*body).to_owned(), id: Some("x".to_owned()), ..Received::default() },
            Time::from_nanos(0),
            10_000,
        )
        .unwrap(),
    });
    let subject = Subject::Session(crate::key::SessionKey::new("a", "u", "s").unwrap());
    SessionView::new(subject, None, access, events.collect(), 10_000)
}

const TALK: [&str; 5] = [
    r#"{"role":"user","content":"hi"}"#,
    r#"{"role":"assistant","content":"hm","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}"#,
    r#"{"role":"tool","tool_call_id":"c","name":"f","content":"42"}"#,
    r#"{"role":"user","content":"and?"}"#,
    r#"{"role":"assistant","content":"done"}"#,
];

#[test]
fn a_transcript_has_whole_blocks_within_its_limit() {
    let mut view = view(&TALK, Access::Read);
    let whole = "user: hi\nassistant: hm\nassistant: [calls f with {}]\n[f answers] 42\nuser: and?\nassistant: done";
    assert_eq!(view.transcript(1_000), whole);
    assert_eq!(view.transcript(35), "user: and?\nassistant: done");
    assert_eq!(view.transcript(5), "");
}

#[test]
fn dropping_takes_the_results_of_what_went() {
    let mut view = view(&TALK, Access::Edit);
    assert_eq!(view.drop_before(3).unwrap(), 3);
    assert_eq!(view.items().map(|item| item.sequence).collect::<Vec<_>>(), [Some(4), Some(5)]);
    assert!(view.drop_event(1).is_err());
    view.drop_event(5).unwrap();
    assert_eq!(view.len(), 1);
    assert_eq!(view.numbers(0, 10), [3]);
}

#[test]
fn a_guest_edits_what_a_reply_shows_unless_it_only_reads() {
    let mut editable = view(&TALK[3..], Access::Edit);
    let body = r#"{"role":"system","content":"note"}"#;
    let note = Received { body: body.to_owned(), ..Received::default() };
    let note = Event::parse(note, Time::from_nanos(0), 1_000).unwrap();
    let note = EventEditor::new(Arc::new(note), Access::Edit, 1_000);
    editable.insert(Some(1), note.clone()).unwrap();
    editable.set_state("user", "k", "{\"a\":1}").unwrap();
    assert!(editable.set_state("galaxy", "k", "1").is_err());
    assert!(editable.set_state("user", "k", "{").is_err());
    editable.item_mut(0).unwrap().event.set_text(0, "[redacted]").unwrap();
    let json = editable.to_json();
    assert!(
        json.starts_with(r#"{"state":{"user:k":{"a":1}},"events":[{"id":"x+1","time":"#),
        "{json}"
    );
    assert!(json.contains(r#""event":{"role":"user","content":"[redacted]"}"#), "{json}");

    let mut read = view(&TALK, Access::Read);
    assert!(read.drop_event(1).is_err() && read.drop_before(1).is_err());
    assert!(read.insert(None, note).is_err() && read.set_state("user", "k", "1").is_err());
    assert!(read.item_mut(0).unwrap().event.set_text(0, "x").is_err());
}

#[test]
fn json_within_a_limit_says_that_it_is_cut() {
    let view = view(&TALK, Access::Read);
    let whole = view.to_json();
    assert_eq!(view.to_json_within(whole.len() + 100), whole);
    let cut = view.to_json_within(whole.len() - 1);
    assert!(cut.len() < whole.len());
    let cut: serde_json::Value = serde_json::from_str(&cut).unwrap();
    assert_eq!(cut["truncated"], true);
    assert_eq!(cut["events"].as_array().unwrap().len(), 4);
}
