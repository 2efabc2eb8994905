//! The place of a plugin: another file may take it while calls go on.

use std::sync::{Arc, PoisonError, RwLock};

use crate::adapter::Hooks;
use crate::error::PluginError;
use crate::plugin::{Interface, Plugin};

/// What happens to requests that name a plugin which could not be loaded, until it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// They go on without it.
    Skip,
    /// They are refused.
    Reject,
}

/// Holds the plugin that serves under a name, if there is one yet. Calls that have begun end on the
/// plugin that they began on, which goes away, with its instances, after the last of them.
#[derive(Debug)]
pub struct PluginSlot {
    name: Arc<str>,
    absent: Absent,
    current: RwLock<Option<Arc<Plugin>>>,
}

impl PluginSlot {
    /// A place with a plugin in it.
    pub fn new(plugin: Arc<Plugin>) -> Self {
        plugin.begin();
        let (name, absent) = (plugin.settings().name.clone(), Absent::Reject);
        Self { name, absent, current: RwLock::new(Some(plugin)) }
    }

    /// A place for a plugin that could not be loaded, and may be later.
    pub fn empty(name: &str, absent: Absent) -> Self {
        Self { name: name.into(), absent, current: RwLock::new(None) }
    }

    /// The plugin's name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happens to requests while there is no plugin.
    pub fn absent(&self) -> Absent {
        self.absent
    }

    /// The plugin that serves now.
    pub fn current(&self) -> Option<Arc<Plugin>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another plugin in its place, from one moment to the next. Both together run no more
    /// instances than one may.
    ///
    /// # Errors
    /// [`PluginError::Contract`], when it does not export what the present one does: a request that
    /// has begun may count on that.
    pub fn replace(&self, mut plugin: Arc<Plugin>) -> Result<(), PluginError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let Some(old) = current.clone() else {
            plugin.begin();
            *current = Some(plugin);
            return Ok(());
        };
        let (had, has) = (old.interfaces(), plugin.interfaces());
        if had != has {
            let (had, has) = (Interface::names(&had), Interface::names(&has));
            let problem = format!(
                "it exports {has}, and the plugin that serves exports {had}: restart the daemon to \
                 change that"
            );
            return Err(PluginError::Contract { problems: vec![problem] });
        }
        // Its trial has ended, so nobody else holds it.
        if let Some(plugin) = Arc::get_mut(&mut plugin) {
            plugin.pool.succeed(&old.pool);
        }
        plugin.begin();
        *current = Some(plugin);
        drop(current);
        old.pool.retire();
        Ok(())
    }
}

impl From<Arc<Plugin>> for Hooks {
    fn from(plugin: Arc<Plugin>) -> Self {
        Self(Arc::new(PluginSlot::new(plugin)))
    }
}
