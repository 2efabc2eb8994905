//! Scenarios on a store, through the service and without HTTP.

mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sessiond_core::dialect::Dialect;
use sessiond_core::error::Error;
use sessiond_core::event::Received;
use sessiond_core::hook::chain::HookChain;
use sessiond_core::hook::{CallContext, Purpose};
use sessiond_core::json::Index;
use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::read::{ReadOptions, SummaryMode};
use sessiond_core::service::{IfExists, Limits, SessionService};
use sessiond_core::state::{Scope, StateDelta, StateValue};
use sessiond_core::store::{Condition, PageToken, SessionStore};
use sessiond_core::time::{SystemClock, Time};
use sessiond_core::view::ViewItem;
use sessiond_core::view::json::{
    ObjectText, append_json, array_text, header_json, sessions_json, state_json,
};
use sessiond_core::window::Window;

use super::Target;

/// A service over a store.
#[derive(Debug)]
pub struct ServiceTarget {
    service: SessionService,
}

impl ServiceTarget {
    /// A service without hooks.
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        let limits = Limits::default();
        let hooks = HookChain::new(Vec::new(), Vec::new(), limits.max_event_size);
        let clock = Arc::new(SystemClock);
        Self { service: SessionService::new(store, hooks, None, limits, clock) }
    }
}

impl Target for ServiceTarget {
    async fn run(&self, app: &str, step: &Value) -> Result<Value, String> {
        let text = self.answer(app, step).await.map_err(|error| error.code().to_owned())?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

impl ServiceTarget {
    async fn answer(&self, app: &str, step: &Value) -> Result<String, Error> {
        let service = &self.service;
        let call = CallContext::new(Purpose::Append, "scenario");
        let user = UserKey::new(app, step["user"].as_str().unwrap_or("u"))?;
        let session = || -> Result<SessionKey, Error> {
            Ok(user.session(step["session"].as_str().unwrap_or_default())?)
        };
        Ok(match step["do"].as_str().unwrap_or_default() {
            "create" => {
                let id = step["session"].as_str().map(str::to_owned);
                let exists =
                    if step["if_exists"] == "return" { IfExists::Return } else { IfExists::Refuse };
                let created = service.create(&call, &user, id, delta(step, ""), exists).await?;
                match created.view {
                    Some(view) => view.to_json(),
                    None => {
                        let (object, name) = (ObjectText::default(), created.key.session());
                        header_json(object, name, &created.header).end()
                    }
                }
            }
            "append" => {
                let items = step["items"].as_array().cloned().unwrap_or_default();
                let items = items.iter().map(item).collect();
                append_json(&service.append(&call, &session()?, condition(step), items).await?)
            }
            "get" => {
                let call = call.with_purpose(Purpose::Session);
                service.get(&call, &session()?, options(step)).await?.to_json()
            }
            "events" => self.events(&call, &session()?, step).await?,
            "list" => {
                let size = step["page_size"].as_u64().unwrap_or(50) as usize;
                let after = step["page_token"].as_str().and_then(|token| {
                    let (generation, updated) = token.split_once('-')?;
                    Some(PageToken {
                        generation: generation.parse().ok()?,
                        updated: updated.parse().ok()?,
                    })
                });
                sessions_json(&service.list(&user, size, after).await?, &BTreeMap::new())
            }
            "delete" => {
                service.delete(&session()?).await?;
                String::new()
            }
            "around" => {
                let id = step["id"].as_str().unwrap_or_default();
                let count = |name| number(step, name).unwrap_or(0) as u32;
                let (before, after) = (count("before"), count("after"));
                let view = service.around(&call, &session()?, id, before, after).await?;
                events_json(view.items().map(ViewItem::to_json))
            }
            "append_track" | "track" | "delete_track" => {
                whole::track(service, &call, &session()?, step).await?
            }
            "pop" | "trim" | "clear" | "rewind" | "fork" | "lease" | "release" | "set_ttl" => {
                whole::verb(service, &call, &session()?, step).await?
            }
            "state" | "set_state" | "remove_state" => self.state(&call, &user, step).await?,
            other => panic!("there is no operation {other:?}"),
        })
    }

    async fn events(
        &self,
        call: &CallContext,
        key: &SessionKey,
        step: &Value,
    ) -> Result<String, Error> {
        let mut options =
            ReadOptions::new(Purpose::Events, number(step, "limit").unwrap_or(100) as u32);
        options.after_sequence = number(step, "after_seq");
        options.before_sequence = number(step, "before_seq");
        let next =
            if options.after_sequence.is_some() { "next_after_seq" } else { "next_before_seq" };
        let page = self.service.events(call, key, options).await?;
        let events = array_text(page.view.items().map(ViewItem::to_json));
        let object = ObjectText::default().raw("events", &events);
        Ok(object.optional(page.next, |object, sequence| object.plain(next, sequence)).end())
    }

    async fn state(
        &self,
        call: &CallContext,
        user: &UserKey,
        step: &Value,
    ) -> Result<String, Error> {
        let service = &self.service;
        let scope = step["scope"].as_str().and_then(Scope::named).unwrap_or(Scope::Session);
        let app: &AppKey = user.app_key();
        let change = match step["do"].as_str() {
            Some("set_state") => Some(delta(step, scope.prefix())),
            Some("remove_state") => {
                let key = step["key"].as_str().unwrap_or_default();
                Some(StateDelta::remove(format!("{}{key}", scope.prefix())))
            }
            _ => None,
        };
        let state = match (scope, change) {
            (Scope::Session, change) => {
                let key = user.session(step["session"].as_str().unwrap_or_default())?;
                if let Some(delta) = change {
                    let changed = service.change_session_state(call, &key, condition(step), delta);
                    return Ok(append_json(&changed.await?));
                }
                service.session_state(call, &key).await?.state().merged()
            }
            (Scope::User, Some(delta)) => {
                service.change_user_state(call, user, delta).await?;
                return Ok(String::new());
            }
            (Scope::App, Some(delta)) => {
                service.change_app_state(call, app, delta).await?;
                return Ok(String::new());
            }
            (Scope::User, None) => service.user_state(call, user).await?.state().user.clone(),
            (Scope::App, None) => service.app_state(call, app).await?.state().app.clone(),
        };
        Ok(ObjectText::default().raw("state", &state_json(&state)).end())
    }
}

fn events_json(events: impl Iterator<Item = String>) -> String {
    ObjectText::default().raw("events", &array_text(events)).end()
}

fn number(step: &Value, name: &str) -> Option<u64> {
    step[name].as_u64()
}

fn delta(step: &Value, prefix: &str) -> StateDelta {
    let text = step.get("state").unwrap_or(&json!({})).to_string();
    let index = Index::of(&text).expect("JSON of our own");
    let values = index.root(&text).entries().map(|(name, value)| {
        let name = name.as_str().unwrap_or_default();
        (format!("{prefix}{name}"), StateValue::from_json(value))
    });
    StateDelta::set(values)
}

fn condition(step: &Value) -> Condition {
    let matched = &step["if_match"];
    Condition {
        generation: number(matched, "generation").or_else(|| number(step, "generation")),
        revision: number(matched, "revision"),
        lease: step["lease"].as_str().and_then(|token| token.parse().ok()),
    }
}

fn item(item: &Value) -> Received {
    let text = |name: &str| item[name].as_str().map(str::to_owned);
    match item.get("event") {
        None => Received { body: item.to_string(), ..Received::default() },
        Some(event) => Received {
            body: event.to_string(),
            id: text("id"),
            dialect: text("dialect").and_then(|name| Dialect::named(&name)),
            state_delta: item.get("state_delta").map(Value::to_string),
        },
    }
}

fn options(step: &Value) -> ReadOptions {
    let text = |name: &str| step[name].as_str();
    let mut options =
        ReadOptions::new(Purpose::Session, number(step, "limit").unwrap_or(1_000) as u32);
    options.after_sequence = number(step, "after_seq");
    options.before_sequence = number(step, "before_seq");
    options.after_time = text("after_time").and_then(Time::parse);
    let by_default = if options.after_sequence.is_some() { Window::Exact } else { Window::Turn };
    options.window = text("window").and_then(Window::named).unwrap_or(by_default);
    options.summary = text("summary").and_then(SummaryMode::named).unwrap_or(SummaryMode::None);
    options
}
