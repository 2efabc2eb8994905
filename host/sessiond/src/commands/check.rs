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
    let mut missing = 0;
    for plugin in app.plugins().reloader.iter().flat_map(|reloader| reloader.plugins()) {
        match plugin.current() {
            Some(current) => text.push_str(&format!(
                "\n# plugin {:?}: exports {}; {} bytes; sha256 {}",
                current.name(),
                Interface::names(&current.interfaces()),
                current.size(),
                current.sha256(),
            )),
            None => {
                missing += 1;
                let error = plugin.error().unwrap_or_default().replace('\n', "\n#  ");
                text.push_str(&format!("\n# plugin {:?} is not loaded: {error}", plugin.name()));
            }
        }
    }
    text.push_str(&match missing {
        0 => "\n# All is well: the store answers, and every plugin was loaded and tried.\n"
            .to_owned(),
        _ => format!("\n# The daemon would start, without {missing} of its plugins.\n"),
    });
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
