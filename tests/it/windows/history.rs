//! Random histories: what a framework writes when all goes well, and what goes wrong.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::{Value, json};

/// One thing that is said. Ids are few, so that they come again.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Its place in the history, from 1.
    pub(super) sequence: u64,
    pub(super) user: bool,
    pub(super) calls: Vec<u8>,
    pub(super) results: Vec<u8>,
}

impl Said {
    fn user() -> Self {
        Self { user: true, ..Self::default() }
    }

    fn answer() -> Self {
        Self::default()
    }

    fn calls(calls: &[u8]) -> Self {
        Self { calls: calls.to_vec(), ..Self::default() }
    }

    fn results(results: &[u8]) -> Self {
        Self { results: results.to_vec(), ..Self::default() }
    }
}

/// Turns with chains of calls, some of them parallel; and loose events, which no framework should
/// write, but interrupted and interleaved ones do.
pub(super) fn history() -> impl Strategy<Value = Vec<Said>> {
    let ids = || vec(0_u8..6, 1..4);
    // Calls and their results, all in one event or each in its own.
    let round = (ids(), any::<bool>()).prop_map(|(ids, together)| {
        let mut round = vec![Said::calls(&ids)];
        match together {
            true => round.push(Said::results(&ids)),
            false => round.extend(ids.iter().map(|id| Said::results(&[*id]))),
        }
        round
    });
    let turn = (vec(round, 0..4), any::<bool>()).prop_map(|(rounds, answered)| {
        let mut turn = vec![Said::user()];
        turn.extend(rounds.into_iter().flatten());
        turn.extend(answered.then(Said::answer));
        turn
    });
    let loose = prop_oneof![
        Just(Said::user()),
        Just(Said::answer()),
        ids().prop_map(|ids| Said::calls(&ids)),
        ids().prop_map(|ids| Said::results(&ids)),
    ];
    let block = prop_oneof![2 => turn, 3 => loose.prop_map(|said| vec![said])];
    vec(block, 0..12).prop_map(|blocks| blocks.into_iter().flatten().collect())
}

/// Who writes it down.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framework {
    Adk,
    Trpc,
    OpenAi,
}

/// What is said, as an event.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) said: Said,
    pub(super) body: Value,
}

impl Framework {
    /// A history as events.
    pub(super) fn events(self, history: &[Said]) -> Vec<Written> {
        let pieces = history.iter().flat_map(|said| self.pieces(said));
        let events = pieces.enumerate().map(|(at, mut said)| {
            said.sequence = at as u64 + 1;
            Written { body: self.body(&said), said }
        });
        events.collect()
    }

    /// What goes into one event: OpenAI has an item a call.
    fn pieces(self, said: &Said) -> Vec<Said> {
        match self {
            Self::OpenAi if !said.calls.is_empty() => {
                said.calls.iter().map(|id| Said::calls(&[*id])).collect()
            }
            Self::OpenAi if !said.results.is_empty() => {
                said.results.iter().map(|id| Said::results(&[*id])).collect()
            }
            _ => vec![said.clone()],
        }
    }

    fn body(self, said: &Said) -> Value {
        let name = |id: &u8| format!("call-{id}");
        match self {
            Self::Adk => {
                let call = |id| json!({"functionCall": {"id": name(id), "name": "f", "args": {}}});
                let result =
                    |id| json!({"functionResponse": {"id": name(id), "name": "f", "response": {}}});
                let mut parts: Vec<Value> = said.calls.iter().map(call).collect();
                parts.extend(said.results.iter().map(result));
                if parts.is_empty() {
                    parts.push(json!({"text": "said"}));
                }
                let (author, role) = if said.user { ("user", "user") } else { ("bot", "model") };
                let role = if said.results.is_empty() { role } else { "user" };
                json!({"author": author, "content": {"role": role, "parts": parts}})
            }
            Self::Trpc => {
                let call = |id| json!({"id": name(id), "function": {"name": "f"}});
                let result = |id| json!({"message": {"role": "tool", "tool_id": name(id), "content": "done"}});
                let calls: Vec<Value> = said.calls.iter().map(call).collect();
                let choices: Vec<Value> = said.results.iter().map(result).collect();
                let role = if said.user { "user" } else { "assistant" };
                if !choices.is_empty() {
                    json!({"choices": choices})
                } else if calls.is_empty() {
                    json!({"choices": [{"message": {"role": role, "content": "said"}}]})
                } else {
                    json!({"choices": [{"message": {"role": role, "tool_calls": calls}}]})
                }
            }
            Self::OpenAi => match (said.calls.first(), said.results.first()) {
                (Some(id), _) => {
                    json!({"type": "function_call", "call_id": name(id), "name": "f"})
                }
                (_, Some(id)) => {
                    json!({"type": "function_call_output", "call_id": name(id), "output": "done"})
                }
                _ => {
                    let role = if said.user { "user" } else { "assistant" };
                    json!({"type": "message", "role": role, "content": "said"})
                }
            },
        }
    }
}
