//! The rules that hold for all sessions of a store.

use std::time::Duration;

/// When a session's time to live begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlRefresh {
    /// With every write.
    Write,
    /// With every write and every read.
    Read,
}

/// The rules that hold for all sessions of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRules {
    /// The most entries that a session keeps. None: all.
    pub event_limit: Option<u64>,
    /// How long a session lives without being touched. None: for ever.
    pub session_ttl: Option<Duration>,
    /// How long an app's state lives without being touched.
    pub app_state_ttl: Option<Duration>,
    /// How long a user's state lives without being touched.
    pub user_state_ttl: Option<Duration>,
    /// What touches a session.
    pub ttl_refresh: TtlRefresh,
    /// How long a tool call without an answer holds back the trimming.
    pub open_call_max_age: Duration,
    /// How long a track lives without being appended to, and never longer than its session. None: as
    /// long as its session.
    pub track_ttl: Option<Duration>,
}

impl Default for StoreRules {
    fn default() -> Self {
        Self {
            event_limit: Some(1_000),
            session_ttl: None,
            app_state_ttl: None,
            user_state_ttl: None,
            ttl_refresh: TtlRefresh::Write,
            open_call_max_age: Duration::from_secs(3_600),
            track_ttl: None,
        }
    }
}
