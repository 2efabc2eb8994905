//! `[session]`: the rules that hold for all sessions.

use std::time::Duration;

use sessiond_core::store::{StoreRules, TtlRefresh};

use super::reader::{Limit, Section};

const EVENT_LIMIT: u64 = 1_000;
const OPEN_CALL_MAX_AGE: Duration = Duration::from_secs(3_600);
const MAX_EVENT_SIZE: &str = "1MiB";

/// Returns the rules, the key prefix and the largest event in bytes.
pub(super) fn read(section: Section<'_>) -> (StoreRules, String, usize) {
    let key_prefix = section.parsed("key_prefix", "", |text| {
        if text.contains(['{', '}']) {
            return Err("braces choose the slot of a key in a cluster: leave them out".to_owned());
        }
        Ok(text.to_owned())
    });
    let refresh = [("write", TtlRefresh::Write), ("read", TtlRefresh::Read)];
    let limit = section.count_or("event_limit", "unlimited", Limit::At(EVENT_LIMIT), 10_000_000);
    let rules = StoreRules {
        event_limit: limit.into(),
        session_ttl: section.duration_or_none("ttl"),
        app_state_ttl: section.duration_or_none("app_state_ttl"),
        user_state_ttl: section.duration_or_none("user_state_ttl"),
        ttl_refresh: section.choice("ttl_refresh", &refresh, TtlRefresh::Write, "write"),
        track_ttl: section.duration_or_none("track_ttl"),
        open_call_max_age: section.duration("open_call_max_age", OPEN_CALL_MAX_AGE),
    };
    let max_event_size = section.size("max_event_size", MAX_EVENT_SIZE, 1 << 28);
    section.finish();
    (rules, key_prefix.unwrap_or_default(), max_event_size)
}
