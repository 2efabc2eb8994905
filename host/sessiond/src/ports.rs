//! What plugins reach through the daemon, when they are granted it.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessiond_core::store::plugin::PluginStore;
use sessiond_plugin::model::ChatModel;
use sessiond_plugin::outgoing::HttpSender;

use crate::config::Config;
use crate::models::open_models;
use crate::outbound::{CheckedSender, Connector, OwnAddresses};

/// The doors to the outside.
#[derive(Debug)]
pub(crate) struct Ports {
    /// The models of the configuration, by name.
    pub(crate) models: BTreeMap<String, Arc<dyn ChatModel>>,
    /// Who sends the requests of plugins.
    pub(crate) http: Arc<dyn HttpSender>,
    /// What they keep.
    pub(crate) keyvalue: Arc<dyn PluginStore>,
}

impl Ports {
    /// Opens them. `own` is where the daemon listens, which no plugin may reach.
    ///
    /// # Errors
    /// When TLS cannot be used, or a key of a model is no key.
    pub(crate) fn open(
        config: &Config,
        own: OwnAddresses,
        keyvalue: Arc<dyn PluginStore>,
    ) -> anyhow::Result<Self> {
        let http = config.plugins.iter().any(|plugin| plugin.grants.sends_http());
        let connector = if http || !config.models.is_empty() {
            Connector::new()?
        } else {
            Connector::trusting_nobody()?
        };
        let models = open_models(&config.models, &connector)?;
        Ok(Self { models, http: Arc::new(CheckedSender::new(connector, own)), keyvalue })
    }
}
