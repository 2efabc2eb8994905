//! The commands, one file each.

mod check;
mod export;
mod import;
mod plugin;
mod serve;
mod socket;
mod token;

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::{Cli, Command, PluginCommand, TokenCommand};

/// Does what the command line says.
///
/// # Errors
/// When it cannot be done. The text says what to change.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match cli.command {
            Command::Serve { config } => serve::run(config.as_deref()).await,
            Command::Check { config } => check::run(&config).await,
            Command::Export(args) => export::run(&args).await,
            Command::Import(args) => import::run(&args).await,
            Command::Token(TokenCommand::New(args)) => token::run(&args),
            Command::Plugin(command) => match command {
                PluginCommand::New { lang, name } => plugin::new::run(lang, &name),
                PluginCommand::Check { file } => plugin::check::run(&file).await,
                PluginCommand::Test { file, events } => plugin::test::run(&file, &events).await,
                PluginCommand::Bench { file, events, json } => {
                    plugin::bench::run(&file, events.as_deref(), json).await
                }
                PluginCommand::List { config } => plugin::list::run(&config).await,
                PluginCommand::Reload { name, config } => plugin::reload::run(&config, &name).await,
                PluginCommand::Precompile(args) => plugin::precompile::run(&args).await,
                PluginCommand::Purge { name, config } => plugin::purge::run(&name, &config).await,
                PluginCommand::Wit { dir } => plugin::wit::run(&dir),
            },
        }
    });
    // A guest that spins ends at its next tick; nothing is waited for beyond that.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

/// Prints text for the user. Who has closed the pipe does not want it.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
