//! A guest that is called straight: what a call costs without all that a daemon needs. For benchmarks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sessiond_core::event::editor::EventEditor;
use sessiond_core::hook::{CallContext, Purpose, Returned};
use sessiond_core::key::Subject;

use crate::error::PluginError;
use crate::instance::{Answer, PluginInstance, Request};
use crate::plugin::Plugin;

/// An instance without a pool, a deadline, a count or an output of its own for each call: the typed
/// call of wasmtime, and the rows that its arguments are.
pub struct BareGuest {
    instance: PluginInstance,
}

impl std::fmt::Debug for BareGuest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BareGuest").finish_non_exhaustive()
    }
}

impl BareGuest {
    /// Starts an instance of a plugin.
    ///
    /// # Errors
    /// [`PluginError::Instantiate`].
    pub async fn start(plugin: &Arc<Plugin>) -> Result<Self, PluginError> {
        let deadline = Instant::now() + Duration::from_secs(24 * 3_600);
        let started = plugin.code.start(deadline).await;
        let mut instance = started.map_err(|error| PluginError::Instantiate(error.into()))?;
        instance.unbounded(CallContext::new(Purpose::Append, "bare"));
        Ok(Self { instance })
    }

    /// Calls before-append.
    ///
    /// # Errors
    /// [`PluginError::Instantiate`], when the guest traps. It is spent then.
    pub async fn before_append(
        &mut self,
        subject: &Subject,
        events: Vec<EventEditor>,
    ) -> Result<Vec<Returned>, PluginError> {
        let answer = self.instance.bare(subject, Request::BeforeAppend(events)).await;
        match answer.map_err(|error| PluginError::Instantiate(error.into()))? {
            Answer::Events(events) => Ok(events),
            _ => Ok(Vec::new()),
        }
    }
}
