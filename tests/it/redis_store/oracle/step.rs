//! One random operation.
//!
//! A new one is a variant, a line in [`step`] that makes it, and an arm in [`Step::on`] that does it
//! and puts its answer into words that are the same for every store.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use sessiond_core::digest::Digest;
use sessiond_core::event::Event;
use sessiond_core::key::SessionKey;
use sessiond_core::state::{StateDelta, StateValue};
use sessiond_core::store::edit::{Edit, Keep, To};
use sessiond_core::store::whole::{Origin, Whole};
use sessiond_core::store::{
    Condition, HistoryVersion, KeyFilter, NewEntry, NewTrackEvent, Prefer, Range, SessionHeader,
};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;

use super::super::state_entry;
use super::entries::{STATE_KEYS, entry, ids};
use super::side::Side;
use super::world::session;
use crate::property::{one_of, percent};

const TRACKS: [&str; 2] = ["plan", "a b:{"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Create(SessionKey, Vec<Arc<Event>>),
    Append(SessionKey, Wanted, Vec<NewEntry>),
    Seen(SessionKey, Vec<String>),
    Read(SessionKey, Range),
    Delete(SessionKey),
    Edit(SessionKey, Wanted, Edit),
    /// Makes the second of the first, as it was at a sequence.
    Fork(SessionKey, SessionKey, u64),
    Track(SessionKey, &'static str, Vec<(u8, u8)>),
    DropTrack(SessionKey, &'static str),
    /// Lists all sessions of a user, in pages of this size.
    List(SessionKey, usize),
    Summarize(SessionKey, Wanted, Summary),
    ChangeUser(SessionKey, StateDelta),
    ChangeApp(SessionKey, StateDelta),
    /// What the daemon does from time to time.
    Sweep,
    /// What operators do.
    Walk(KeyFilter),
}

/// What a writer believes of the session.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    Nothing,
    /// What is so.
    Generation,
    Both,
    /// What is not, or not any more.
    OtherRevision,
    OtherGeneration(usize),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let first = vec((one_of(&STATE_KEYS), any::<u8>()), 0..3);
    let first = first.prop_map(|first| {
        first.iter().map(|(key, number)| state_entry(key, &number.to_string())).collect()
    });
    let size = 1_usize..3;
    prop_oneof![
        14 => (session(), first).prop_map(|(key, first)| Step::Create(key, first)),
        50 => (session(), wanted(), vec(entry(), 1..5))
            .prop_map(|(key, wanted, entries)| Step::Append(key, wanted, entries)),
        6 => (session(), ids()).prop_map(|(key, ids)| Step::Seen(key, ids)),
        10 => (session(), range()).prop_map(|(key, range)| Step::Read(key, range)),
        4 => session().prop_map(Step::Delete),
        12 => (session(), wanted(), edit())
            .prop_map(|(key, wanted, edit)| Step::Edit(key, wanted, edit)),
        5 => (session(), session(), 0_u64..30)
            .prop_map(|(from, to, sequence)| Step::Fork(from, to, sequence)),
        5 => (session(), one_of(&TRACKS), vec((0_u8..6, 0_u8..8), 1..4))
            .prop_map(|(key, track, items)| Step::Track(key, track, items)),
        1 => (session(), one_of(&TRACKS)).prop_map(|(key, track)| Step::DropTrack(key, track)),
        3 => (session(), size).prop_map(|(key, size)| Step::List(key, size)),
        5 => (session(), wanted(), summary())
            .prop_map(|(key, wanted, summary)| Step::Summarize(key, wanted, summary)),
        2 => (session(), shared("user:")).prop_map(|(key, delta)| Step::ChangeUser(key, delta)),
        2 => (session(), shared("app:")).prop_map(|(key, delta)| Step::ChangeApp(key, delta)),
        1 => Just(Step::Sweep),
        2 => filter().prop_map(Step::Walk),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => (0_u64..4).prop_map(|count| Edit::Pop { count }),
        2 => (0_u64..30).prop_map(|from| Edit::Trim(Keep::From(from))),
        2 => (0_u64..8).prop_map(|count| Edit::Trim(Keep::Events(count))),
        2 => (0_u64..4).prop_map(|count| Edit::Trim(Keep::Turns(count))),
        1 => Just(Edit::Clear),
        6 => (0_u64..30).prop_map(|last| Edit::Rewind(To::Sequence(last))),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        60 => Just(Wanted::Nothing),
        5 => Just(Wanted::Generation),
        15 => Just(Wanted::Both),
        10 => Just(Wanted::OtherRevision),
        10 => (0_usize..5).prop_map(Wanted::OtherGeneration),
    ]
}

fn range() -> impl Strategy<Value = Range> {
    let prefer = one_of(&[Prefer::Newest, Prefer::Oldest]);
    let ends = (prop_oneof![Just(0), 0_u64..40], weighted(0.3, 0_u64..40));
    (ends, 0_usize..12, prefer, percent(30)).prop_map(
        |((after, before), limit, prefer, with_state)| Range {
            after,
            before,
            limit,
            prefer,
            with_state,
        },
    )
}

fn summary() -> impl Strategy<Value = Summary> {
    let unseen = weighted(0.2, Just((1, 2)));
    (one_of(&["", "a", "a/b:#"]), 0_u64..6, unseen).prop_map(|(key, last_sequence, unseen)| {
        Summary {
            filter_key: key.to_owned(),
            text: format!("summary \"{last_sequence}\""),
            topics: vec!["topic".to_owned()],
            first_sequence: 1,
            last_sequence,
            unseen,
            updated_at: Time::from_nanos(5),
        }
    })
}

/// A change of what sessions share. What belongs elsewhere does not count.
fn shared(prefix: &'static str) -> impl Strategy<Value = StateDelta> {
    (one_of(&["k", "l"]), weighted(0.75, any::<u8>()), percent(25)).prop_map(
        move |(key, value, beside)| {
            let key = format!("{prefix}{key}");
            let Some(number) = value else { return StateDelta::remove(key) };
            let value = StateValue::Json(number.to_string());
            let own = beside.then(|| ("own".to_owned(), value.clone()));
            StateDelta::set(own.into_iter().chain([(key, value)]))
        },
    )
}

fn filter() -> impl Strategy<Value = KeyFilter> {
    (session(), percent(60), percent(60), percent(30)).prop_map(|(key, app, user, session)| {
        KeyFilter {
            app: app.then(|| key.app().to_owned()),
            user: user.then(|| key.user().to_owned()),
            session: session.then(|| key.session().to_owned()),
        }
    })
}

impl Step {
    /// Does it. The answer has no generation nor time, which differ between stores.
    pub(super) async fn on(&self, side: &mut Side) -> String {
        match self {
            Self::Create(key, first) => {
                let header = side.store.create(key, first).await.unwrap();
                header.map_or("exists".to_owned(), |header| side.header(&header))
            }
            Self::Append(key, wanted, entries) => {
                let condition = wanted.of(side, key).await;
                let appended = side.store.append(key, condition, entries).await;
                side.appended(&appended)
            }
            Self::Seen(key, ids) => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                match side.store.seen(key, &ids).await {
                    Ok((header, seen)) => format!("{} {seen:?}", side.header(&header)),
                    Err(error) => side.error(&error),
                }
            }
            Self::Read(key, range) => {
                let snapshot = side.store.read(key, *range).await.unwrap();
                side.snapshot(&snapshot)
            }
            Self::Delete(key) => {
                side.store.delete(key).await.unwrap();
                String::new()
            }
            Self::Edit(key, wanted, edit) => {
                let condition = wanted.of(side, key).await;
                let edited = side.store.edit(key, condition, edit).await;
                side.edited(&edited)
            }
            Self::Fork(from, to, sequence) => {
                let Some(whole) = side.store.whole(from).await.unwrap() else {
                    return "none".to_owned();
                };
                match whole.as_of(*sequence) {
                    Ok(whole) => {
                        let session = from.session().to_owned();
                        let user = from.user().to_owned();
                        let origin = Some(Origin { user, session, sequence: *sequence });
                        let whole = Whole { origin, ..whole };
                        let made = side.store.restore(to, &whole).await.unwrap();
                        made.map_or("exists".to_owned(), |header| side.header(&header))
                    }
                    Err(error) => side.error(&error),
                }
            }
            Self::Track(key, track, items) => {
                let items: Vec<NewTrackEvent> = items
                    .iter()
                    .map(|(id, content)| NewTrackEvent {
                        id: id.to_string(),
                        body: format!("{{\"n\": {content}}}"),
                        digest: Digest::from_bytes([u8::from(*content > 6); 16]),
                    })
                    .collect();
                match side.store.append_track(key, Condition::default(), track, &items).await {
                    Ok(done) => format!("{} {:?}", side.header(&done.header), done.outcomes),
                    Err(error) => side.error(&error),
                }
            }
            Self::DropTrack(key, track) => {
                match side.store.delete_track(key, Condition::default(), track).await {
                    Ok(()) => String::new(),
                    Err(error) => side.error(&error),
                }
            }
            Self::List(key, size) => side.pages(key.user_key(), *size).await,
            Self::Summarize(key, wanted, summary) => {
                let generation = wanted.of(side, key).await.generation.unwrap_or(5);
                let known = side.store.seen(key, &[]).await;
                let edits = known.map_or(0, |(header, _)| header.edits);
                let seen = HistoryVersion { generation, edits };
                let boundary = summary.last_sequence;
                let totals = Backlog { events: boundary, tokens: 7 * boundary, turns: 1 };
                match side.store.put_summary(key, seen, summary, totals).await {
                    Ok(commit) => format!("{commit:?}"),
                    Err(error) => side.error(&error),
                }
            }
            Self::ChangeUser(key, delta) => {
                side.store.change_user_state(key.user_key(), delta).await.unwrap();
                String::new()
            }
            Self::ChangeApp(key, delta) => {
                side.store.change_app_state(key.app_key(), delta).await.unwrap();
                String::new()
            }
            Self::Sweep => {
                side.store.ping().await.unwrap();
                side.store.sweep().await.unwrap();
                String::new()
            }
            Self::Walk(filter) => format!("{:?}", side.walk(filter).await),
        }
    }
}

impl Wanted {
    async fn of(self, side: &Side, key: &SessionKey) -> Condition {
        let header = side.store.seen(key, &[]).await.ok().map(|(header, _)| header);
        let SessionHeader { generation, revision, .. } = match header {
            Some(header) => header,
            None => return self.of_none(side),
        };
        match self {
            Self::Nothing => Condition::default(),
            Self::Generation => {
                Condition { generation: Some(generation), revision: None, lease: None }
            }
            Self::Both => {
                Condition { generation: Some(generation), revision: Some(revision), lease: None }
            }
            Self::OtherRevision => {
                Condition { generation: None, revision: Some(revision + 1), lease: None }
            }
            Self::OtherGeneration(_) => self.of_none(side),
        }
    }

    fn of_none(self, side: &Side) -> Condition {
        let generation = match self {
            Self::OtherGeneration(number) => Some(side.generation_of(number).unwrap_or(5)),
            _ => None,
        };
        Condition { generation, revision: None, lease: None }
    }
}
