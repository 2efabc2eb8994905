use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::event::editor::EventEditor;
use crate::event::{Received, StoredEvent};
use crate::hook::{
    AppendHook, CallContext, GetHook, HookError, Moments, OnError, Purpose, Rejection,
    RejectionKind, Returned,
};
use crate::key::Subject;
use crate::read::ReadOptions;
use crate::state::{StateDelta, StateValue};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Condition, StoreError, StoreRules};
use crate::time::SystemClock;
use crate::view::SessionView;

/// Drops what says "drop", refuses what says "refuse", and notes what it sees.
#[derive(Debug, Default)]
struct Spy {
    seen: Mutex<Vec<String>>,
}

impl Spy {
    fn note(&self, what: String) {
        self.seen.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn refusal() -> HookError {
    HookError::Rejected(Rejection { kind: RejectionKind::Denied, text: "no".to_owned() })
}

#[async_trait]
impl AppendHook for Spy {
    fn name(&self) -> &str {
        "spy"
    }

    fn moments(&self) -> Moments {
        Moments { before: true, after: true }
    }

    fn on_error(&self) -> OnError {
        OnError::Reject
    }

    async fn before_append(
        &self,
        call: &CallContext,
        subject: &Subject,
        events: Vec<EventEditor>,
    ) -> Result<Vec<Returned>, HookError> {
        self.note(format!("{} {} {subject}", call.purpose.name(), events.len()));
        if events.iter().any(|event| event.body().contains("refuse")) {
            return Err(refusal());
        }
        let kept =
            events.into_iter().enumerate().filter(|(_, event)| !event.body().contains("drop"));
        Ok(kept.map(|(at, event)| Returned { given: Some(at), event }).collect())
    }

    async fn after_append(
        &self,
        _: &CallContext,
        _: &Subject,
        events: Vec<StoredEvent>,
    ) -> Result<(), HookError> {
        let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
        self.note(format!("after {sequences:?}"));
        Ok(())
    }
}

#[async_trait]
impl GetHook for Spy {
    fn name(&self) -> &str {
        "spy"
    }

    fn moments(&self) -> Moments {
        Moments { before: true, after: true }
    }

    fn on_error(&self) -> OnError {
        OnError::Reject
    }

    async fn before_get(
        &self,
        call: &CallContext,
        subject: &Subject,
        mut options: ReadOptions,
    ) -> Result<ReadOptions, HookError> {
        self.note(format!("get {} {subject}", call.purpose.name()));
        let _ = options.narrow_limit(2);
        if subject.user() == "closed" { Err(refusal()) } else { Ok(options) }
    }

    async fn after_get(
        &self,
        _: &CallContext,
        _: &Subject,
        mut view: SessionView,
    ) -> Result<SessionView, HookError> {
        let _ = view.remove_state("session", "hidden");
        Ok(view)
    }
}

fn service() -> (SessionService, Arc<Spy>) {
    let spy = Arc::new(Spy::default());
    let hooks = HookChain::new(vec![spy.clone()], vec![spy.clone()], 1_000);
    let store = Arc::new(EmbeddedStore::new(StoreRules::default()));
    let limits = Limits::default();
    (SessionService::new(store, hooks, None, limits, Arc::new(SystemClock)), spy)
}

fn call(purpose: Purpose) -> CallContext {
    CallContext::new(purpose, "r")
}

fn item(id: &str, text: &str) -> Received {
    let body = format!(r#"{{"role":"user","content":"{text}"}}"#);
    Received { body, id: Some(id.to_owned()), ..Received::default() }
}

fn user() -> UserKey {
    UserKey::new("a", "u").unwrap()
}

async fn with_session() -> (SessionService, Arc<Spy>, SessionKey) {
    let (service, spy) = service();
    let (call, name) = (call(Purpose::Create), Some("s".to_owned()));
    let state = StateDelta::default();
    let created = service.create(&call, &user(), name, state, IfExists::Refuse).await.unwrap();
    let key = created.key;
    spy.take();
    (service, spy, key)
}

async fn append(
    service: &SessionService,
    key: &SessionKey,
    items: &[(&str, &str)],
) -> Result<AppendReply, Error> {
    let items = items.iter().map(|(id, text)| item(id, text)).collect();
    service.append(&call(Purpose::Append), key, Condition::default(), items).await
}

fn fates(reply: &AppendReply) -> Vec<(ItemFate, bool)> {
    reply.items.iter().map(|item| (item.fate.clone(), item.duplicate)).collect()
}

/// R10: what was answered is answered again, dropped or stored, and no hook sees it twice.
#[tokio::test]
async fn repeats_are_answered_before_any_hook() {
    let (service, spy, key) = with_session().await;
    let stored = ItemFate::Stored;
    let dropped = ItemFate::DroppedBy("spy".to_owned());
    let first = append(&service, &key, &[("1", "x"), ("2", "drop"), ("3", "y")]).await.unwrap();
    assert_eq!(fates(&first), [(stored(1), false), (dropped.clone(), false), (stored(2), false)]);
    assert_eq!(spy.take(), [r#"append 3 "a"/"u"/"s""#, "after [1, 2]"]);

    let again = append(&service, &key, &[("1", "x"), ("2", "drop"), ("3", "y")]).await.unwrap();
    assert_eq!(fates(&again), [(stored(1), true), (dropped, true), (stored(2), true)]);
    assert_eq!(again.header, first.header);
    assert!(spy.take().is_empty());

    let mixed = append(&service, &key, &[("3", "y"), ("4", "z")]).await.unwrap();
    assert_eq!(fates(&mixed), [(stored(2), true), (stored(3), false)]);
    assert_eq!(spy.take(), [r#"append 1 "a"/"u"/"s""#, "after [3]"]);

    let conflict = append(&service, &key, &[("5", "z"), ("4", "other")]).await;
    assert!(matches!(conflict, Err(Error::Store(StoreError::IdConflict { id })) if id == "4"));
    assert!(spy.take().is_empty());
}

#[tokio::test]
async fn a_refusal_stores_nothing_of_a_batch() {
    let (service, spy, key) = with_session().await;
    let refused = append(&service, &key, &[("1", "x"), ("2", "refuse")]).await;
    assert_eq!(refused.unwrap_err().code(), "hook_denied");
    assert_eq!(spy.take().len(), 1);
    let missing = SessionKey::new("a", "u", "none").unwrap();
    assert_eq!(
        append(&service, &missing, &[("1", "x")]).await.unwrap_err().code(),
        "session_not_found"
    );
    assert!(spy.take().is_empty(), "a hook has seen an event of no session");
    let next = append(&service, &key, &[("1", "x")]).await.unwrap();
    assert_eq!(fates(&next), [(ItemFate::Stored(1), false)]);
}

#[tokio::test]
async fn partial_events_are_answered_and_not_kept() {
    let (service, spy, key) = with_session().await;
    let partial = r#"{"author":"a","partial":true,"id":"p","content":{"parts":[{"text":"x"}]}}"#;
    let partial = Received { body: partial.to_owned(), ..Received::default() };
    let items = vec![partial.clone(), item("1", "x")];
    let reply =
        service.append(&call(Purpose::Append), &key, Condition::default(), items).await.unwrap();
    assert_eq!(fates(&reply), [(ItemFate::Partial, false), (ItemFate::Stored(1), false)]);
    spy.take();
    let reply = service
        .append(&call(Purpose::Append), &key, Condition::default(), vec![partial])
        .await
        .unwrap();
    assert_eq!((fates(&reply).len(), reply.header.last_sequence), (1, 1));
    assert!(spy.take().is_empty());
}

/// R87, R89: every way in and out passes the hooks, with its purpose.
#[tokio::test]
async fn every_way_passes_the_hooks() {
    let (service, spy) = service();
    let state = |key: &str| StateDelta::set([(key.to_owned(), StateValue::Null)]);
    let created = service
        .create(
            &call(Purpose::Create),
            &user(),
            Some("s".to_owned()),
            state("hidden"),
            IfExists::Refuse,
        )
        .await
        .unwrap();
    assert!(created.view.unwrap().state().session.is_empty());
    let key = created.key;
    let state_call = call(Purpose::State);
    service
        .change_session_state(&state_call, &key, Condition::default(), state("k"))
        .await
        .unwrap();
    service.change_user_state(&state_call, &user(), state("user:k")).await.unwrap();
    service.change_app_state(&state_call, user().app_key(), state("app:k")).await.unwrap();
    service
        .get(&call(Purpose::Session), &key, ReadOptions::new(Purpose::Session, 5))
        .await
        .unwrap();
    service
        .events(&call(Purpose::Events), &key, ReadOptions::new(Purpose::Events, 5))
        .await
        .unwrap();
    service.summaries(&call(Purpose::Summaries), &key).await.unwrap();
    service.session_state(&state_call, &key).await.unwrap();
    service.user_state(&state_call, &user()).await.unwrap();
    service.app_state(&state_call, user().app_key()).await.unwrap();
    assert_eq!(
        spy.take(),
        [
            r#"create 1 "a"/"u"/"s""#,
            "after [1]",
            r#"get session "a"/"u"/"s""#,
            r#"state 1 "a"/"u"/"s""#,
            "after [2]",
            r#"state 1 "a"/"u""#,
            "after [0]",
            r#"state 1 "a""#,
            "after [0]",
            r#"get session "a"/"u"/"s""#,
            r#"get events "a"/"u"/"s""#,
            r#"get summaries "a"/"u"/"s""#,
            r#"get state "a"/"u"/"s""#,
            r#"get state "a"/"u""#,
            r#"get state "a""#,
        ]
    );
}

#[tokio::test]
async fn a_get_hook_narrows_a_read_or_refuses_it() {
    let (service, _, key) = with_session().await;
    append(&service, &key, &[("1", "a"), ("2", "b"), ("3", "c")]).await.unwrap();
    let view = service
        .get(&call(Purpose::Session), &key, ReadOptions::new(Purpose::Session, 100))
        .await
        .unwrap();
    assert_eq!(view.len(), 2);
    let closed = SessionKey::new("a", "closed", "s").unwrap();
    let refused = service
        .get(&call(Purpose::Session), &closed, ReadOptions::new(Purpose::Session, 100))
        .await;
    assert_eq!(refused.unwrap_err().code(), "hook_denied");
}

/// The session is there whatever its reader may see.
#[tokio::test]
async fn a_session_is_created_though_a_get_hook_refuses_to_show_it() {
    let (service, _) = service();
    let closed = UserKey::new("a", "closed").unwrap();
    let create = |exists| {
        let (service, closed) = (&service, &closed);
        async move {
            service
                .create(
                    &call(Purpose::Create),
                    closed,
                    Some("s".to_owned()),
                    StateDelta::default(),
                    exists,
                )
                .await
        }
    };
    let created = create(IfExists::Refuse).await.unwrap();
    assert!(created.view.is_none() && !created.existed);
    assert_eq!(create(IfExists::Refuse).await.unwrap_err().code(), "session_exists");
    assert!(create(IfExists::Return).await.unwrap().existed);
}

/// What a watcher gets passes the get hooks: they see each step of it, and hide what they hide.
#[tokio::test]
async fn what_is_watched_passes_the_get_hooks() {
    let (service, spy, key) = with_session().await;
    let service = Arc::new(service);
    append(&service, &key, &[("a", "1"), ("b", "2"), ("c", "3")]).await.unwrap();
    spy.take();
    let options = ReadOptions::new(Purpose::Watch, 10);
    let begin = Cursor::parse(
        &service
            .list(&user(), 1, None)
            .await
            .map(|page| {
                let (_, header) = &page.sessions[0];
                format!("{}-0", header.generation)
            })
            .unwrap(),
    );
    let call = call(Purpose::Watch);
    let mut watch = service.watch(call.clone(), key.clone(), begin, options.clone()).await.unwrap();
    // The hook lets two through at once, so it goes in two steps.
    let mut ids = Vec::new();
    for _ in 0..2 {
        for notice in watch.next(std::time::Duration::ZERO).await.unwrap() {
            let News::Event(item) = notice.news else { panic!("{notice:?}") };
            ids.push(item.event.event().id().to_owned());
        }
    }
    assert_eq!(ids, ["a", "b", "c"]);
    let looked = format!("get watch {}", Subject::Session(key.clone()));
    assert_eq!(spy.take(), vec![looked; 3]);
    let delta = StateDelta::set([
        ("hidden".to_owned(), StateValue::Json("1".to_owned())),
        ("shown".to_owned(), StateValue::Json("2".to_owned())),
    ]);
    service.change_session_state(&call, &key, Condition::default(), delta).await.unwrap();
    let notices = watch.next(std::time::Duration::from_secs(5)).await.unwrap();
    let [Notice { news: News::State(state), .. }] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    assert_eq!(state.keys().collect::<Vec<_>>(), ["shown"]);
    let closed = crate::key::SessionKey::new("app", "closed", "s").unwrap();
    let refused = service.watch(call, closed, None, options).await;
    assert!(matches!(refused, Err(Error::Hook(_))), "{refused:?}");
}
