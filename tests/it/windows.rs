//! What reads show of random histories, in the dialects of three frameworks.

mod history;
mod pages;
mod shown;
mod times;

use std::sync::Arc;

use proptest::option::weighted;
use proptest::prelude::Strategy;
use serde_json::{Value, json};
use sessiond_core::store::StoreRules;
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_tests::scenario::Target;
use sessiond_tests::scenario::service::ServiceTarget;

use self::history::{Framework, Said, history};
use self::shown::Shown;
use crate::property::{Property, one_of};

/// A service on an embedded store that keeps all, with one session.
async fn service() -> ServiceTarget {
    let rules = StoreRules { event_limit: None, ..StoreRules::default() };
    let target = ServiceTarget::new(Arc::new(EmbeddedStore::new(rules)));
    ask(&target, json!({"do": "create", "session": "s"})).await;
    target
}

/// The answer to a step of a scenario, which must not be an error.
async fn ask(target: &impl Target, step: Value) -> Value {
    let answer = target.run("app", &step).await;
    answer.unwrap_or_else(|code| panic!("{step}: {code}"))
}

/// The sequences of the events of an answer.
fn sequences(answer: &Value) -> Vec<u64> {
    let events = answer["events"].as_array().into_iter().flatten();
    events.map(|event| event["seq"].as_u64().unwrap()).collect()
}

/// A read of a session.
#[derive(Debug, Clone)]
struct Read {
    limit: usize,
    after: Option<u64>,
}

fn read() -> impl Strategy<Value = Read> {
    (1_usize..30, weighted(0.2, 0_u64..30)).prop_map(|(limit, after)| Read { limit, after })
}

impl Read {
    fn step(&self, window: &str) -> Value {
        let mut step = json!({"do": "get", "session": "s", "limit": self.limit, "window": window});
        if let Some(after) = self.after {
            step["after_seq"] = after.into();
        }
        step
    }

    /// The newest of a history, as many as there may be.
    fn newest<'a>(&self, history: &'a [Said]) -> &'a [Said] {
        let after = usize::try_from(self.after.unwrap_or(0)).unwrap().min(history.len());
        let rest = &history[after..];
        &rest[rest.len().saturating_sub(self.limit)..]
    }
}

/// R42, R55, R59: whatever was said, a window of turns begins at a user's turn, with no result without
/// its call and no call without its result, and leaves nothing else out; an exact one is exact.
#[test]
fn a_window_can_be_given_to_a_model() {
    let property = Property::new();
    let framework = one_of(&[Framework::Adk, Framework::Trpc, Framework::OpenAi]);
    let inputs = (framework, history(), proptest::collection::vec(read(), 1..6));
    property.check(300, inputs, async |(framework, said, reads)| {
        let target = service().await;
        let said = framework.events(&said);
        for (at, event) in said.iter().enumerate() {
            let item = json!({"id": format!("e{at}"), "event": event.body});
            ask(&target, json!({"do": "append", "session": "s", "items": [item]})).await;
        }
        let history: Vec<Said> = said.into_iter().map(|event| event.said).collect();
        for read in reads {
            let exact = sequences(&ask(&target, read.step("exact")).await);
            let newest = read.newest(&history);
            let wanted: Vec<u64> = newest.iter().map(|said| said.sequence).collect();
            if exact != wanted {
                return Err(format!("{read:?} shows {exact:?} exactly, not {wanted:?}"));
            }
            let shown = sequences(&ask(&target, read.step("turn")).await);
            let shown = Shown::new(&history, newest, &shown);
            shown.check().map_err(|wrong| format!("{read:?}: {wrong}: {shown:#?}"))?;
        }
        Ok(())
    });
}
