//! Random entries of an append.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::subsequence;
use sessiond_core::digest::Digest;
use sessiond_core::event::Event;
use sessiond_core::state::{StateDelta, StateValue};
use sessiond_core::store::NewEntry;
use sessiond_core::time::Time;

use super::super::{MAX_SIZE, event};
use crate::property::{one_of, percent};

pub(super) const STATE_KEYS: [&str; 7] = ["k", "l", "user:k", "user:l", "app:k", "app:l", "app:m"];

/// The digest that goes with an id, and another one.
fn digest(id: u8, other: bool) -> Digest {
    Digest::from_bytes([if other { id.wrapping_add(101) } else { id }; 16])
}

/// A few ids come again and again, soon; the others seldom, or long after.
pub(super) fn id() -> impl Strategy<Value = u8> {
    prop_oneof![2 => 0_u8..8, 5 => 8_u8..=255]
}

pub(super) fn entry() -> impl Strategy<Value = NewEntry> {
    let (wrong, dropped) = (percent(3), percent(8));
    (id(), wrong, dropped, content()).prop_map(|(id, wrong, dropped, content)| {
        let (name, digest) = (format!("e{id}"), digest(id, wrong));
        if dropped {
            return NewEntry::Dropped { id: name, digest, by: "a-plugin".to_owned() };
        }
        let event = match content {
            Content::Said { body, state } => event(&name, &body, state.as_deref()),
            Content::State(delta) => {
                Arc::new(Event::of_state(delta, Time::from_nanos(1), MAX_SIZE).unwrap())
            }
        };
        NewEntry::Event { event, digest }
    })
}

#[derive(Debug, Clone)]
enum Content {
    Said { body: String, state: Option<String> },
    State(StateDelta),
}

fn content() -> impl Strategy<Value = Content> {
    let said = (body(), weighted(0.5, state()));
    prop_oneof![
        7 => said.prop_map(|(body, state)| Content::Said { body, state }),
        1 => change().prop_map(Content::State),
    ]
}

fn body() -> impl Strategy<Value = String> {
    let text = |role: &'static str| {
        any::<u8>().prop_map(move |number| {
            format!(r#"{{"role":"{role}","content":"says {number}","x":[1e2,"é"]}}"#)
        })
    };
    prop_oneof![
        2 => text("user"),
        1 => text("assistant"),
        1 => (0_u8..4).prop_map(|call| {
            format!(r#"{{"role":"assistant","tool_calls":[{{"id":"c{call}"}}]}}"#)
        }),
        1 => Just(r#"{"role":"assistant","tool_calls":[{"id":"c0"},{"id":"c1"}]}"#.to_owned()),
        2 => (0_u8..4).prop_map(|call| {
            format!(r#"{{"role":"tool","tool_call_id":"c{call}","content":"done"}}"#)
        }),
    ]
}

/// Changes of state beside an event.
fn state() -> impl Strategy<Value = String> {
    let keys = subsequence(STATE_KEYS.to_vec(), 1..4);
    (keys, any::<u8>()).prop_map(|(keys, number)| {
        let changes: Vec<String> =
            keys.iter().map(|key| format!(r#""{key}":{{"n":{number}}}"#)).collect();
        format!("{{{}}}", changes.join(","))
    })
}

/// A change of state by itself.
pub(super) fn change() -> impl Strategy<Value = StateDelta> {
    let value = prop_oneof![
        Just(Some(StateValue::Null)),
        any::<u8>().prop_map(|number| Some(StateValue::Bytes(vec![0, 255, number]))),
        Just(None),
    ];
    (one_of(&STATE_KEYS), value).prop_map(|(key, value)| match value {
        Some(value) => StateDelta::set([(key.to_owned(), value)]),
        None => StateDelta::remove(key.to_owned()),
    })
}

/// Some ids, to look up.
pub(super) fn ids() -> impl Strategy<Value = Vec<String>> {
    vec(id().prop_map(|id| format!("e{id}")), 0..6)
}
