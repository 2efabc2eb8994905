//! One random operation on both stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessiond_core::digest::Digest;
use sessiond_core::event::Event;
use sessiond_core::key::SessionKey;
use sessiond_core::state::{StateDelta, StateValue};
use sessiond_core::store::{Condition, KeyFilter, NewEntry, Prefer, Range, SessionHeader};
use sessiond_core::summary::{Backlog, Summary};
use sessiond_core::time::Time;

use super::super::{MAX_SIZE, event, state_entry};
use super::world::{World, same};

const STATE_KEYS: [&str; 7] = ["k", "l", "user:k", "user:l", "app:k", "app:l", "app:m"];

impl World {
    /// Does something to both stores. Returns what, and fails if the answers differ.
    pub(super) async fn step(&mut self) -> String {
        let (done, answers) = match self.random.below(100) {
            0..14 => self.create().await,
            14..64 => self.append().await,
            64..70 => self.look_up().await,
            70..80 => self.read().await,
            80..84 => self.delete().await,
            84..87 => self.page().await,
            87..92 => self.summarize().await,
            92..97 => self.change_shared().await,
            _ => self.maintain().await,
        };
        let [one, other] = answers.map(|answer| BTreeMap::from([((), answer)]));
        if let Err(difference) = same(&one, &other) {
            panic!("{done}\n{difference}");
        }
        done
    }

    async fn create(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        let mut first = Vec::new();
        for _ in 0..self.random.below(3) {
            let name: &&str = self.random.pick(&STATE_KEYS);
            first.push(state_entry(name, &self.next_id.to_string()));
            self.next_id += 1;
        }
        let mut answers = [const { String::new() }; 2];
        for (side, answer) in self.stores.iter_mut().zip(&mut answers) {
            let header = side.store.create(&key, &first).await.unwrap();
            *answer = header.map_or("exists".to_owned(), |header| side.header(&header));
        }
        (format!("create {key:?} {}", first.len()), answers)
    }

    async fn append(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        let entries: Vec<NewEntry> = (0..1 + self.random.below(4)).map(|_| self.entry()).collect();
        let headers = self.headers(&key).await;
        let wanted = (self.random.below(100), self.random.below(5) as usize);
        let mut answers = [const { String::new() }; 2];
        let ids: Vec<&str> = entries.iter().map(NewEntry::id).collect();
        let done = format!("append {key:?} {ids:?} {wanted:?}");
        for ((side, answer), header) in self.stores.iter_mut().zip(&mut answers).zip(headers) {
            let (generation, revision) =
                header.map_or((0, 0), |header| (header.generation, header.revision));
            let condition = match wanted {
                (0..60, _) => Condition::default(),
                (60..75, _) => Condition {
                    generation: Some(generation),
                    revision: Some(revision),
                    lease: None,
                },
                (75..80, _) => {
                    Condition { generation: Some(generation), revision: None, lease: None }
                }
                (80..90, _) => {
                    Condition { generation: None, revision: Some(revision + 1), lease: None }
                }
                (_, number) => Condition {
                    lease: None,
                    generation: Some(side.generation_of(number).unwrap_or(5)),
                    revision: None,
                },
            };
            let appended = side.store.append(&key, condition, &entries).await;
            *answer = side.appended(&appended);
        }
        (done, answers)
    }

    async fn headers(&self, key: &SessionKey) -> [Option<SessionHeader>; 2] {
        let mut headers = [None, None];
        for (side, header) in self.stores.iter().zip(&mut headers) {
            *header = side.store.seen(key, &[]).await.ok().map(|(header, _)| header);
        }
        headers
    }

    /// An entry with a new id, or one that was used before.
    fn entry(&mut self) -> NewEntry {
        let (id, digest) = if !self.ids.is_empty() && self.random.percent(25) {
            let recent = self.ids.len().saturating_sub(12);
            let (id, digest) = self.random.pick(&self.ids[recent..]).clone();
            (id, if self.random.percent(15) { digest.wrapping_add(1) } else { digest })
        } else {
            self.next_id += 1;
            let new = (format!("e{}", self.next_id), self.random.below(250) as u8);
            self.ids.push(new.clone());
            new
        };
        let bytes = Digest::from_bytes([digest; 16]);
        if self.random.percent(8) {
            return NewEntry::Dropped { id, digest: bytes, by: "a-plugin".to_owned() };
        }
        NewEntry::Event { event: self.event(&id), digest: bytes }
    }

    fn event(&mut self, id: &str) -> Arc<Event> {
        let number = self.next_id;
        let call = self.random.below(4);
        let body = match self.random.below(8) {
            0 | 1 => format!(r#"{{"role":"user","content":"turn {number}","x":[1e2,"é"]}}"#),
            2 => format!(r#"{{"role":"assistant","tool_calls":[{{"id":"c{call}"}}]}}"#),
            3 => r#"{"role":"assistant","tool_calls":[{"id":"c0"},{"id":"c1"}]}"#.to_owned(),
            4 | 5 => format!(r#"{{"role":"tool","tool_call_id":"c{call}","content":"{number}"}}"#),
            6 => return Arc::new(self.state_change()),
            _ => format!(r#"{{"role":"assistant","content":"answer {number}"}}"#),
        };
        let mut state = Vec::new();
        for key in STATE_KEYS {
            if self.random.percent(12) {
                state.push(format!(r#""{key}":{{"n":{number}}}"#));
            }
        }
        let state = (!state.is_empty()).then(|| format!("{{{}}}", state.join(",")));
        event(id, &body, state.as_deref())
    }

    fn state_change(&mut self) -> Event {
        let key = self.random.pick(&STATE_KEYS).to_string();
        let delta = match self.random.below(3) {
            0 => StateDelta::remove(key),
            1 => StateDelta::set([(key, StateValue::Null)]),
            _ => StateDelta::set([(key, StateValue::Bytes(vec![0, 255, self.next_id as u8]))]),
        };
        Event::of_state(delta, Time::from_nanos(1), MAX_SIZE).unwrap()
    }

    async fn look_up(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        let recent = self.ids.len().saturating_sub(20);
        let mut ids: Vec<String> = self.ids[recent..].iter().map(|(id, _)| id.clone()).collect();
        ids.retain(|_| self.random.percent(30));
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut answers = [const { String::new() }; 2];
        for (side, answer) in self.stores.iter_mut().zip(&mut answers) {
            *answer = match side.store.seen(&key, &ids).await {
                Ok((header, seen)) => format!("{} {seen:?}", side.header(&header)),
                Err(error) => side.error(&error),
            };
        }
        (format!("seen {key:?} {ids:?}"), answers)
    }

    async fn read(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        let range = Range {
            after: if self.random.percent(50) { 0 } else { self.random.below(40) },
            before: self.random.percent(30).then(|| self.random.below(40)),
            limit: self.random.below(12) as usize,
            prefer: *self.random.pick(&[Prefer::Newest, Prefer::Oldest]),
            with_state: self.random.percent(30),
        };
        let mut answers = [const { String::new() }; 2];
        for (side, answer) in self.stores.iter_mut().zip(&mut answers) {
            let snapshot = side.store.read(&key, range).await.unwrap();
            *answer = side.snapshot(&snapshot);
        }
        (format!("read {key:?} {range:?}"), answers)
    }

    async fn delete(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        for side in &self.stores {
            side.store.delete(&key).await.unwrap();
        }
        (format!("delete {key:?}"), [const { String::new() }; 2])
    }

    /// Lists all sessions of a user, page by page, while one of them may be written.
    async fn page(&mut self) -> (String, [String; 2]) {
        let user = self.any_session().user_key().clone();
        let size = 1 + self.random.below(2) as usize;
        let mut answers = [const { String::new() }; 2];
        for (side, answer) in self.stores.iter_mut().zip(&mut answers) {
            let mut after = None;
            loop {
                let page = side.store.list(&user, size, after).await.unwrap();
                for (name, header) in &page.sessions {
                    answer.push_str(&format!("{name} {}\n", side.header(header)));
                }
                answer.push_str("page\n");
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        (format!("list {user:?} by {size}"), answers)
    }

    async fn summarize(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        let headers = self.headers(&key).await;
        let last_sequence = self.random.below(6);
        let summary = Summary {
            filter_key: self.random.pick(&["", "a", "a/b:#"]).to_string(),
            text: format!("summary \"{last_sequence}\""),
            topics: vec!["topic".to_owned()],
            first_sequence: 1,
            last_sequence,
            unseen: self.random.percent(20).then_some((1, 2)),
            updated_at: Time::from_nanos(5),
        };
        let totals = Backlog { events: last_sequence, tokens: 7 * last_sequence, turns: 1 };
        let wrong = self.random.percent(20);
        let mut answers = [const { String::new() }; 2];
        for ((side, answer), header) in self.stores.iter_mut().zip(&mut answers).zip(headers) {
            let generation = header.map_or(5, |header| header.generation + u64::from(wrong));
            let committed = side
                .store
                .put_summary(&key, crate::redis_store::version(generation), &summary, totals)
                .await;
            *answer = match committed {
                Ok(commit) => format!("{commit:?}"),
                Err(error) => side.error(&error),
            };
        }
        (format!("summarize {key:?} {:?} to {last_sequence}", summary.filter_key), answers)
    }

    async fn change_shared(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        let app = self.random.percent(50);
        let name =
            format!("{}{}", if app { "app:" } else { "user:" }, self.random.pick(&["k", "l"]));
        let value = StateValue::Json(self.next_id.to_string());
        let delta = match self.random.below(4) {
            0 => StateDelta::remove(name.clone()),
            // What belongs elsewhere does not count.
            1 => StateDelta::set([("own".to_owned(), value.clone()), (name.clone(), value)]),
            _ => StateDelta::set([(name.clone(), value)]),
        };
        for side in &self.stores {
            if app {
                side.store.change_app_state(key.app_key(), &delta).await.unwrap();
            } else {
                side.store.change_user_state(key.user_key(), &delta).await.unwrap();
            }
        }
        (format!("change {name} of {key:?}"), [const { String::new() }; 2])
    }

    /// What operators and the daemon do from time to time.
    async fn maintain(&mut self) -> (String, [String; 2]) {
        let key = self.any_session();
        let filter = KeyFilter {
            app: self.random.percent(60).then(|| key.app().to_owned()),
            user: self.random.percent(60).then(|| key.user().to_owned()),
            session: self.random.percent(30).then(|| key.session().to_owned()),
        };
        let mut answers = [const { String::new() }; 2];
        for (side, answer) in self.stores.iter().zip(&mut answers) {
            side.store.ping().await.unwrap();
            side.store.sweep().await.unwrap();
            *answer = format!("{:?}", Self::walk(&*side.store, &filter).await);
        }
        (format!("maintain {filter:?}"), answers)
    }
}
