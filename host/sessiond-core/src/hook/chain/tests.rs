use async_trait::async_trait;

use super::*;
use crate::event::Received;
use crate::hook::{Moments, Purpose, RejectionKind};
use crate::key::SessionKey;
use crate::time::Time;

type Edit = fn(Vec<EventEditor>) -> Result<Vec<Returned>, HookError>;

#[derive(Debug)]
struct Test(&'static str, OnError, Edit);

#[async_trait]
impl AppendHook for Test {
    fn name(&self) -> &str {
        self.0
    }

    fn moments(&self) -> Moments {
        Moments { before: true, after: false }
    }

    fn on_error(&self) -> OnError {
        self.1
    }

    async fn before_append(
        &self,
        _: &CallContext,
        _: &Subject,
        events: Vec<EventEditor>,
    ) -> Result<Vec<Returned>, HookError> {
        (self.2)(events)
    }

    async fn after_append(
        &self,
        _: &CallContext,
        _: &Subject,
        _: Vec<StoredEvent>,
    ) -> Result<(), HookError> {
        Ok(())
    }
}

fn keep(events: Vec<EventEditor>) -> Vec<Returned> {
    events.into_iter().enumerate().map(|(at, event)| Returned { given: Some(at), event }).collect()
}

fn event(text: &str) -> Event {
    let received = Received {
        body: format!(r#"{{"role":"user","content":"{text}"}}"#),
        id: Some(text.to_owned()),
        ..Received::default()
    };
    Event::parse(received, Time::from_nanos(0), 1_000).unwrap()
}

fn added(text: &str) -> Returned {
    let event = EventEditor::new(Arc::new(event(text)), Access::Edit, 1_000);
    Returned { given: None, event }
}

async fn run(hooks: Vec<Test>, events: &[&str]) -> Result<Screened, ChainError> {
    let hooks = hooks.into_iter().map(|hook| Arc::new(hook) as Arc<dyn AppendHook>).collect();
    let chain = HookChain::new(hooks, Vec::new(), 1_000);
    let subject = Subject::Session(SessionKey::new("a", "u", "s").unwrap());
    let events = events.iter().map(|text| event(text)).collect();
    chain.before_append(&CallContext::new(Purpose::Append, "r"), &subject, events).await
}

fn ids(screened: &Screened) -> Vec<&str> {
    screened.events.iter().map(|pending| pending.event.id()).collect()
}

#[tokio::test]
async fn hooks_run_in_order_and_see_what_the_one_before_left() {
    let edit: Edit = |events| {
        let mut returned = keep(events);
        for one in &mut returned {
            let text = one.event.texts()[0].text.clone();
            one.event.set_text(0, &format!("{text}!")).unwrap();
        }
        Ok(returned)
    };
    let screened =
        run(vec![Test("a", OnError::Reject, edit), Test("b", OnError::Reject, edit)], &["x"]).await;
    assert_eq!(screened.unwrap().events[0].event.body(), r#"{"role":"user","content":"x!!"}"#);
}

#[tokio::test]
async fn added_events_count_from_the_event_before_them_over_all_hooks() {
    let add: Edit = |events| {
        let mut returned = keep(events);
        returned.insert(1, added("new"));
        returned.insert(0, added("first"));
        Ok(returned)
    };
    let hooks = vec![Test("a", OnError::Reject, add), Test("b", OnError::Reject, add)];
    let screened = run(hooks, &["x", "y"]).await.unwrap();
    assert_eq!(ids(&screened), ["x+3", "x+1", "x+4", "x", "x+2", "y"]);
}

#[tokio::test]
async fn a_dropped_event_is_known_by_who_dropped_it() {
    let drop_first: Edit = |events| Ok(keep(events).into_iter().skip(1).collect());
    let hooks =
        vec![Test("a", OnError::Reject, drop_first), Test("b", OnError::Reject, drop_first)];
    let screened = run(hooks, &["x", "y", "z"]).await.unwrap();
    assert_eq!(ids(&screened), ["z"]);
    assert_eq!(screened.dropped_by, [Some("a".to_owned()), Some("b".to_owned()), None]);
}

#[tokio::test]
async fn another_order_or_an_event_twice_is_a_bad_answer() {
    let reverse: Edit = |events| Ok(keep(events).into_iter().rev().collect());
    let twice: Edit =
        |events| Ok([keep(events.clone()), keep(events)].into_iter().flatten().collect());
    for edit in [reverse, twice] {
        let error = run(vec![Test("a", OnError::Reject, edit)], &["x", "y"]).await.unwrap_err();
        assert!(
            matches!(error, ChainError::Failed { kind: FailureKind::BadAnswer, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_failure_follows_the_policy_and_a_rejection_always_counts() {
    let fail: Edit = |_| Err(HookError::failed(FailureKind::Trap, "boom"));
    let reject: Edit = |_| {
        Err(HookError::Rejected(Rejection { kind: RejectionKind::Denied, text: "no".to_owned() }))
    };
    let screened = run(vec![Test("a", OnError::Skip, fail)], &["x"]).await.unwrap();
    assert_eq!(ids(&screened), ["x"]);
    assert!(matches!(
        run(vec![Test("a", OnError::Reject, fail)], &["x"]).await,
        Err(ChainError::Failed { kind: FailureKind::Trap, .. })
    ));
    assert!(matches!(
        run(vec![Test("a", OnError::Skip, reject)], &["x"]).await,
        Err(ChainError::Rejected { .. })
    ));
}
