//! Counting what is there.

/// Counts one more in a gauge, until it is dropped.
pub(crate) struct Alive(metrics::Gauge);

impl Alive {
    /// A file of a plugin that is loaded: one, or more while calls go on after a reload.
    pub(crate) fn plugin(name: &str) -> Self {
        Self::begin(metrics::gauge!("sessiond_plugin_generations", "plugin" => name.to_owned()))
    }

    /// An instance of a plugin, at work or idle.
    pub(crate) fn instance(name: &str) -> Self {
        let started = "sessiond_plugin_instances_started_total";
        metrics::counter!(started, "plugin" => name.to_owned()).increment(1);
        Self::begin(metrics::gauge!("sessiond_plugin_instances", "plugin" => name.to_owned()))
    }

    /// One more in a gauge.
    pub(crate) fn begin(gauge: metrics::Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl std::fmt::Debug for Alive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alive")
    }
}
