//! The record of a session, and the state in it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sessiond_core::key::MAX_NAME;
use sessiond_core::state::{Scope, StateMap, StateValue};
use sessiond_core::time::Time;

use super::Finding;

/// The state key under which trpc-agent-go keeps the names of tracks.
const TRACKS: &str = "tracks";
const TEMPORARY: &str = "temp:";

/// A record as it is stored. In layout zset it has no app and no user.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) app_name: String,
    #[serde(default, rename = "userID")]
    pub(super) user_id: String,
    #[serde(default)]
    state: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    updated_at: String,
}

impl Record {
    pub(super) fn read(key: &str, text: &[u8]) -> Result<Self, Finding> {
        // A name may stand there twice, and then the last counts: a map takes care of that.
        let members: BTreeMap<String, serde_json::Value> = serde_json::from_slice(text)
            .map_err(|error| Finding::lost(key, format!("the record is not JSON: {error}")))?;
        serde_json::from_value(members.into_iter().collect())
            .map_err(|error| Finding::lost(key, format!("the record cannot be read: {error}")))
    }

    /// When it was created and updated. Go's zero time is none.
    pub(super) fn times(&self) -> (Option<Time>, Option<Time>) {
        (Time::parse(&self.created_at), Time::parse(&self.updated_at))
    }

    /// The names of tracks.
    pub(super) fn tracks(&self, key: &str, findings: &mut Vec<Finding>) -> Vec<String> {
        let Some(value) = self.state.as_ref().and_then(|state| state.get(TRACKS)) else {
            return Vec::new();
        };
        let bytes = decode(value).flatten().unwrap_or_default();
        if bytes.is_empty() && !matches!(value, serde_json::Value::String(_)) {
            return Vec::new();
        }
        match serde_json::from_slice(&bytes) {
            Ok(tracks) => tracks,
            Err(_) if bytes.is_empty() => Vec::new(),
            Err(error) => {
                let reason = format!("the list of tracks cannot be read: {error}");
                findings.push(Finding::changed(key, reason));
                Vec::new()
            }
        }
    }

    /// The session's own state.
    pub(super) fn state(&self, key: &str, findings: &mut Vec<Finding>) -> StateMap {
        let mut map = StateMap::new();
        for (name, value) in self.state.iter().flatten().filter(|(name, _)| *name != TRACKS) {
            let at = || format!("{key} (state {name:?})");
            match decode(value) {
                _ if name.starts_with(TEMPORARY) => {
                    findings
                        .push(Finding::changed(at(), "`temp:` state is never stored: left out"));
                }
                _ if Scope::of_key(name).0 != Scope::Session => {
                    let reason = "the key would make it the state of all sessions of the user or the \
                                  app: left out";
                    findings.push(Finding::lost(at(), reason));
                }
                _ if name.is_empty() || name.len() > MAX_NAME => {
                    findings.push(Finding::lost(at(), format!("a key has 1 to {MAX_NAME} bytes")));
                }
                Some(Some(bytes)) => {
                    map.insert(name.clone(), StateValue::from_bytes(bytes));
                }
                Some(None) => {
                    map.insert(name.clone(), StateValue::Null);
                }
                None => findings.push(Finding::lost(at(), "the value is not base64")),
            }
        }
        map
    }
}

/// A value of state: base64, or null. None for anything else.
fn decode(value: &serde_json::Value) -> Option<Option<Vec<u8>>> {
    match value {
        serde_json::Value::Null => Some(None),
        serde_json::Value::String(text) => {
            let text: String = text.chars().filter(|it| !matches!(it, '\r' | '\n')).collect();
            STANDARD.decode(text).ok().map(Some)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_go_reads_it() {
        let text = br#"{"state":{"a\/b":"AQI\/","n":null,"tracks":"WyJ1aSJd","user:x":"MQ==",
            "temp:y":"MQ==","bad":7},"createdAt":"2025-01-01T08:00:00+08:00","id":"old","id":"s",
            "userID":"u","updatedAt":"0001-01-01T00:00:00Z","appName":"a","newer":[1]}"#;
        let record = Record::read("k", text).unwrap();
        assert_eq!((record.id.as_str(), record.user_id.as_str()), ("s", "u"));
        assert_eq!(record.times(), (Time::parse("2025-01-01T00:00:00Z"), None));
        let mut findings = Vec::new();
        assert_eq!(record.tracks("k", &mut findings), ["ui"]);
        let state = record.state("k", &mut findings);
        assert_eq!(state.get("a/b"), Some(&StateValue::Bytes(vec![1, 2, 63])));
        assert_eq!(state.get("n"), Some(&StateValue::Null));
        assert_eq!(state.len(), 2);
        assert_eq!(findings.iter().filter(|it| it.lost).count(), 2, "{findings:?}");
        let empty = Record::read("k", br#"{"id":"s","state":null}"#).unwrap();
        assert!(empty.state("k", &mut findings).is_empty());
        assert!(Record::read("k", b"[]").is_err());
    }
}
