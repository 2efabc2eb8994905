//! Summaries: of trpc-agent-go they reach to a time, of ours to an event.

use std::collections::BTreeMap;

use serde::Deserialize;
use sessiond_core::event::StoredEvent;
use sessiond_core::key::MAX_NAME;
use sessiond_core::summary::{MAX_SUMMARY, Summary};
use sessiond_core::time::Time;

use super::Finding;

#[derive(Debug, Deserialize)]
struct Stored {
    #[serde(default)]
    summary: String,
    /// The scripts of trpc-agent-go turn an empty list into an object.
    #[serde(default)]
    topics: serde_json::Value,
    #[serde(default)]
    updated_at: String,
    #[serde(default)]
    boundary: Option<Boundary>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Boundary {
    cutoff_at: String,
    last_event_id: String,
}

/// Reads the summaries of a session, of which these are the events.
pub(super) fn read(
    key: &str,
    text: &[u8],
    entries: &[StoredEvent],
    findings: &mut Vec<Finding>,
) -> Vec<Summary> {
    let stored: BTreeMap<String, serde_json::Value> = match serde_json::from_slice(text) {
        Ok(stored) => stored,
        Err(error) => {
            findings.push(Finding::lost(key, format!("the summaries are not JSON: {error}")));
            return Vec::new();
        }
    };
    let mut summaries = Vec::new();
    for (filter_key, value) in stored {
        let at = format!("{key} (summary {filter_key:?})");
        match serde_json::from_value::<Stored>(value) {
            Err(error) => findings.push(Finding::lost(at, format!("it cannot be read: {error}"))),
            Ok(one) if one.summary.len() > MAX_SUMMARY => {
                findings.push(Finding::lost(at, format!("it has more than {MAX_SUMMARY} bytes")));
            }
            Ok(_) if filter_key.len() > MAX_NAME => {
                findings.push(Finding::lost(at, format!("its key has more than {MAX_NAME} bytes")));
            }
            Ok(one) => summaries.push(one.placed(at, filter_key, entries, findings)),
        }
    }
    summaries
}

impl Stored {
    fn placed(
        self,
        at: String,
        filter_key: String,
        entries: &[StoredEvent],
        findings: &mut Vec<Finding>,
    ) -> Summary {
        let boundary = self.boundary.unwrap_or_default();
        let cutoff = Time::parse(&boundary.cutoff_at).or_else(|| Time::parse(&self.updated_at));
        let named = entries.iter().find(|entry| entry.event.id() == boundary.last_event_id);
        let by_time = || {
            let covered = |entry: &&StoredEvent| cutoff.is_some_and(|at| entry.event.time() <= at);
            entries.iter().rev().find(covered)
        };
        let last = named.or_else(by_time).map(|entry| entry.sequence);
        if last.is_none() {
            let reason =
                "none of the events that it covers is there: it comes along with boundary 0";
            findings.push(Finding::changed(at, reason));
        }
        let topics = self.topics.as_array().into_iter().flatten();
        Summary {
            filter_key,
            text: self.summary,
            topics: topics.filter_map(|topic| topic.as_str().map(str::to_owned)).collect(),
            first_sequence: if last.is_some() { 1 } else { 0 },
            last_sequence: last.unwrap_or(0),
            unseen: None,
            updated_at: Time::parse(&self.updated_at).or(cutoff).unwrap_or(Time::from_nanos(0)),
        }
    }
}
