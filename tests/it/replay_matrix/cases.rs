//! What agents do.

use serde_json::{Value, json};

/// Something that an agent does, from begin to end.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) steps: Vec<Value>,
}

fn case(name: &'static str, steps: impl IntoIterator<Item = Value>) -> Case {
    let create = json!({"do": "create", "session": "s", "state": {"lang": "de", "user:tier": 1}});
    Case { name, steps: std::iter::once(create).chain(steps).collect() }
}

fn append(items: &[Value]) -> Value {
    json!({"do": "append", "session": "s", "items": items})
}

/// An append that is made twice, so that one of the two can be left out.
fn retry(items: &[Value]) -> Value {
    json!({"do": "append", "session": "s", "items": items, "retry": true})
}

fn said(id: &str, role: &str, text: &str) -> Value {
    json!({"id": id, "event": {"role": role, "content": text}})
}

fn call(id: &str, call: &str) -> Value {
    let call =
        json!({"id": call, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    json!({"id": id, "event": {"role": "assistant", "content": null, "tool_calls": [call]}})
}

fn result(id: &str, call: &str, text: &str) -> Value {
    json!({"id": id, "event": {"role": "tool", "tool_call_id": call, "content": text}})
}

/// An ADK event of a branch.
fn of_branch(branch: &str, number: usize) -> Value {
    let content = json!({"role": "model", "parts": [{"text": format!("step {number}")}]});
    let delta = json!({format!("{branch}-{number}"): number});
    json!({"id": format!("{branch}-{number}"), "author": branch, "branch": branch,
        "invocationId": "i", "timestamp": 5.5, "content": content,
        "actions": {"stateDelta": delta}})
}

fn summary(filter_key: &str, last: u64, text: &str) -> Value {
    json!({"do": "summary", "filter_key": filter_key, "last_seq": last, "text": text})
}

pub(super) fn cases() -> Vec<Case> {
    let turn = |number: usize| {
        let (question, answer) = (format!("q{number}"), format!("a{number}"));
        append(&[said(&question, "user", "how?"), said(&answer, "assistant", "so")])
    };
    let steps_of = |branch: &'static str| -> Vec<Value> {
        (0..8).map(|number| append(&[of_branch(branch, number)])).collect()
    };
    let state = |scope: &str, state: Value| json!({"do": "set_state", "scope": scope, "session": "s", "state": state});
    let remove = |scope: &str, key: &str| json!({"do": "remove_state", "scope": scope, "session": "s", "key": key});
    vec![
        case("a single turn", [turn(1)]),
        case("several turns, one of them sent again", {
            let first = [said("q0", "user", "how?")];
            [retry(&first), retry(&first), turn(1), turn(2), turn(3)]
        }),
        case(
            "tool calls, in a chain and together",
            [
                append(&[said("q", "user", "weather?"), call("c1", "one")]),
                append(&[result("r1", "one", "rain"), call("c2", "two"), call("c3", "three")]),
                append(&[result("r3", "three", "wind")]),
                append(&[result("r2", "two", "hail"), said("a", "assistant", "stay in")]),
                append(&[call("c4", "one")]),
            ],
        ),
        case(
            "state of every scope, set and removed",
            [
                state("session", json!({"cart": ["bell"], "none": null})),
                state("user", json!({"name": "Ann"})),
                state("app", json!({"motd": "hi", "old": 1, "kept": 1})),
                json!({"do": "append", "session": "s", "items": [{"id": "e",
                "event": {"role": "user", "content": "x"},
                "state_delta": {"cart": ["bell", "pump"], "user:seen": 1, "app:motd": "ho"}}]}),
                remove("session", "lang"),
                remove("user", "tier"),
                remove("app", "old"),
            ],
        ),
        case(
            "another daemon goes on half way",
            [
                turn(1),
                append(&[call("c", "open")]),
                json!({"do": "reload"}),
                append(&[result("r", "open", "done")]),
                state("session", json!({"step": 2})),
                json!({"do": "reload"}),
                turn(2),
            ],
        ),
        case(
            "summaries, by filter key and renewed",
            [
                turn(1),
                turn(2),
                summary("shop", 2, "asked in the shop"),
                summary("", 3, "so far"),
                json!({"do": "reload"}),
                turn(3),
                summary("", 5, "so far, and more"),
                json!({"do": "summary", "filter_key": "", "last_seq": 4, "text": "late", "retry": true}),
            ],
        ),
        case(
            "branches at once",
            [
                append(&[said("q", "user", "go")]),
                json!({"do": "at_once", "one": steps_of("left"), "other": steps_of("right")}),
                append(&[said("a", "assistant", "done")]),
            ],
        ),
        case(
            "two sessions of a user, one of them deleted and created again",
            [
                json!({"do": "append", "session": "s", "items": [{"id": "gone",
                "event": {"role": "user", "content": "x"}, "state_delta": {"user:stays": 1}}]}),
                json!({"do": "create", "session": "t", "state": {"own": 1, "user:both": 2}}),
                json!({"do": "append", "session": "t", "items": [said("t1", "user", "hi")]}),
                json!({"do": "delete", "session": "s"}),
                json!({"do": "create", "session": "s", "state": {"again": true}}),
                append(&[said("q9", "user", "anew")]),
            ],
        ),
    ]
}
