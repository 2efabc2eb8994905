//! The place of a plugin: another file may take it while calls go on.

use std::sync::{Arc, PoisonError, RwLock};

use crate::adapter::Hooks;
use crate::error::PluginError;
use crate::plugin::{Interface, Plugin};

/// Holds the plugin that serves under a name. Calls that have begun end on the plugin that they
/// began on, which goes away, with its instances, after the last of them.
#[derive(Debug)]
pub struct PluginSlot {
    name: Arc<str>,
    current: RwLock<Arc<Plugin>>,
}

impl PluginSlot {
    /// A place with a plugin in it.
    pub fn new(plugin: Arc<Plugin>) -> Self {
        Self { name: plugin.settings().name.clone(), current: RwLock::new(plugin) }
    }

    /// The plugin's name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugin that serves now.
    pub fn current(&self) -> Arc<Plugin> {
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
        let (old, new) = (current.interfaces(), plugin.interfaces());
        if old != new {
            let (old, new) = (Interface::names(&old), Interface::names(&new));
            let problem = format!(
                "it exports {new}, and the plugin that serves exports {old}: restart the daemon to \
                 change that"
            );
            return Err(PluginError::Contract { problems: vec![problem] });
        }
        // Its trial has ended, so nobody else holds it.
        if let Some(plugin) = Arc::get_mut(&mut plugin) {
            plugin.pool.succeed(&current.pool);
        }
        let old = std::mem::replace(&mut *current, plugin);
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
