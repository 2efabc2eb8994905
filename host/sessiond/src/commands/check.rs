//! `sessiond check`

use std::path::Path;
use std::process::ExitCode;

use sessiond_plugin::plugin::Interface;

use crate::app::App;
use crate::config::Config;
use crate::door::Door;
use crate::telemetry;

pub(super) async fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    telemetry::start_log(&config.telemetry);
    let mut text = config.show();
    for warning in &config.warnings {
        text.push_str(&format!("\n# warning: {warning}\n"));
    }
    Door::load(&config.server)?;
    let app = App::build(config, path).await?;
    for slot in &app.plugins().all {
        let plugin = slot.current();
        text.push_str(&format!(
            "\n# plugin {:?}: exports {}; {} bytes; sha256 {}",
            plugin.name(),
            Interface::names(&plugin.interfaces()),
            plugin.size(),
            plugin.sha256(),
        ));
    }
    text.push_str("\n# All is well: the store answers, and every plugin was loaded and tried.\n");
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
