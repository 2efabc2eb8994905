//! Scenarios over HTTP.

use serde_json::{Value, json};

use super::Target;
use crate::client::{Client, Reply, encode};

/// A daemon.
#[derive(Debug)]
pub struct HttpTarget(pub Client);

impl Target for HttpTarget {
    async fn run(&self, app: &str, step: &Value) -> Result<Value, String> {
        let path = Paths::of(app, step);
        let reply = match step["do"].as_str().unwrap_or_default() {
            "create" => {
                let query = query(step, &["if_exists"]);
                let body = members(step, &[("session", "id"), ("state", "state")]);
                self.send("POST", &format!("{}{query}", path.sessions), step, body).await
            }
            "append" => {
                let generation = step.get("generation").cloned();
                let mut body = json!({"events": step["items"]});
                if let Some(generation) = generation {
                    body["generation"] = generation;
                }
                self.send("POST", &format!("{}/events", path.session), step, body).await
            }
            "get" => {
                let query = query(
                    step,
                    &["limit", "after_seq", "before_seq", "after_time", "window", "summary"],
                );
                self.send("GET", &format!("{}{query}", path.session), step, Value::Null).await
            }
            "events" => {
                let query = query(step, &["limit", "after_seq", "before_seq"]);
                self.send("GET", &format!("{}/events{query}", path.session), step, Value::Null)
                    .await
            }
            "list" => {
                let query = query(step, &["page_size", "page_token"]);
                self.send("GET", &format!("{}{query}", path.sessions), step, Value::Null).await
            }
            "delete" => self.send("DELETE", &path.session, step, Value::Null).await,
            "state" => self.send("GET", &path.state, step, Value::Null).await,
            "set_state" => {
                let body = json!({"state": step["state"]});
                self.send("PATCH", &path.state, step, body).await
            }
            "remove_state" => {
                let key = encode(step["key"].as_str().unwrap_or_default());
                self.send("DELETE", &format!("{}/{key}", path.state), step, Value::Null).await
            }
            verb @ ("pop" | "trim" | "clear" | "rewind" | "fork" | "lease" | "release") => {
                let body = step.get("with").cloned().unwrap_or_else(|| json!({}));
                self.send("POST", &format!("{}:{verb}", path.session), step, body).await
            }
            "set_ttl" => {
                let body = json!({"ttl": step["ttl"]});
                self.send("PATCH", &path.session, step, body).await
            }
            "append_track" => {
                let body = json!({"events": step["items"]});
                self.send("POST", &path.track(step), step, body).await
            }
            "track" => {
                let query = query(step, &["limit", "after_seq"]);
                let path = format!("{}{query}", path.track(step));
                self.send("GET", &path, step, Value::Null).await
            }
            "delete_track" => self.send("DELETE", &path.track(step), step, Value::Null).await,
            "around" => {
                let id = encode(step["id"].as_str().unwrap_or_default());
                let query = query(step, &["before", "after"]);
                let path = format!("{}/events/{id}{query}", path.session);
                self.send("GET", &path, step, Value::Null).await
            }
            other => panic!("there is no operation {other:?}"),
        };
        if reply.status.is_success() { Ok(reply.json()) } else { Err(reply.code()) }
    }
}

impl HttpTarget {
    async fn send(&self, method: &str, path: &str, step: &Value, body: Value) -> Reply {
        let tag =
            step.get("if_match").map(|it| format!("\"{}-{}\"", it["generation"], it["revision"]));
        let mut headers: Vec<_> = tag.as_deref().map(|tag| ("if-match", tag)).into_iter().collect();
        headers.extend(step["lease"].as_str().map(|token| ("session-lease", token)));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        match self.0.send(method, path, &headers, body).await {
            Ok(reply) => reply,
            Err(error) => panic!("{method} {path}: {error:#}"),
        }
    }
}

struct Paths {
    sessions: String,
    session: String,
    state: String,
}

impl Paths {
    fn of(app: &str, step: &Value) -> Self {
        let name = |member: &str, default: &str| encode(step[member].as_str().unwrap_or(default));
        let app = format!("/v1/apps/{}", encode(app));
        let user = format!("{app}/users/{}", name("user", "u"));
        let sessions = format!("{user}/sessions");
        let session = format!("{sessions}/{}", name("session", ""));
        let state = match step["scope"].as_str() {
            Some("app") => app,
            Some("user") => user,
            _ => session.clone(),
        };
        Self { sessions, session, state: format!("{state}/state") }
    }

    fn track(&self, step: &Value) -> String {
        let track = encode(step["track"].as_str().unwrap_or_default());
        format!("{}/tracks/{track}", self.session)
    }
}

fn query(step: &Value, names: &[&str]) -> String {
    let pairs = names.iter().filter_map(|name| {
        let value = step.get(*name)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("{name}={}", encode(&text)))
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn members(step: &Value, names: &[(&str, &str)]) -> Value {
    let members =
        names.iter().filter_map(|(from, to)| Some(((*to).to_owned(), step.get(*from)?.clone())));
    Value::Object(members.collect())
}
