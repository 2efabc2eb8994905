//! `sessiond plugin precompile FILE...`: fills the cache, so that the next start need not compile.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use sessiond_plugin::compile::{REFUSED, compile_pipe};
use sessiond_plugin::engine::{Allocation, EngineConfig, PluginEngine};
use sessiond_plugin::limits::Limits;
use sessiond_plugin::loader::{PluginFile, PluginLoader};
use sessiond_plugin::signature::Requirements;

use crate::cli::PrecompileArgs;
use crate::compiler::compiler;
use crate::config::{CacheFolder, Config};
use crate::plugins::{chain, engine_config};
use crate::telemetry;

pub(in crate::commands) async fn run(args: &PrecompileArgs) -> anyhow::Result<ExitCode> {
    if let Some(allocation) = &args.pipe {
        return pipe(allocation);
    }
    let config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::without_file()?,
    };
    telemetry::start_log(&config.telemetry);
    let given = args.files.iter().map(|path| (path.clone(), Requirements::default()));
    let mut files: Vec<_> = given.collect();
    if files.is_empty() {
        let plugins = config.plugins.iter();
        files = plugins.map(|plugin| (plugin.path.clone(), plugin.required.clone())).collect();
    }
    anyhow::ensure!(
        !files.is_empty(),
        "say what to compile: files, or --config FILE for the plugins of a configuration"
    );
    anyhow::ensure!(
        config.plugin_cache.folder != CacheFolder::None,
        "there is nowhere to keep it: plugin_cache.dir is \"none\""
    );
    let loader = loader(&config)?;
    let compiled = tokio::task::spawn_blocking(move || compile(&loader, &files)).await?;
    Ok(if compiled? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same engine as the daemon's: what decides the code is the same.
fn loader(config: &Config) -> anyhow::Result<PluginLoader> {
    let engine = match config.plugins.as_slice() {
        [] => EngineConfig::of_one(&Limits::default()),
        _ => engine_config(config),
    };
    let engine = Arc::new(PluginEngine::new(engine)?);
    let compiler = compiler(&config.plugin_cache)?;
    Ok(PluginLoader::new(engine)?.with_compiler(compiler))
}

/// Compiles all files that can be, and says which cannot.
fn compile(loader: &PluginLoader, files: &[(PathBuf, Requirements)]) -> anyhow::Result<bool> {
    let mut good = true;
    for (path, required) in files {
        let done = PluginFile::read(path, required).and_then(|file| loader.precompile(&file));
        let told = match done {
            Ok(origin) => origin.name().to_owned(),
            Err(error) => {
                good = false;
                chain(&error)
            }
        };
        crate::commands::print(&format!("{}: {told}\n", path.display()))?;
    }
    Ok(good)
}

/// The process apart: a component comes in, its code goes out.
fn pipe(allocation: &str) -> anyhow::Result<ExitCode> {
    let allocation = Allocation::ALL.into_iter().find(|it| it.name() == allocation);
    let allocation = allocation.context("there is no such allocation")?;
    match compile_pipe(allocation, std::io::stdin().lock(), std::io::stdout().lock())? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(message) => {
            #[allow(clippy::print_stderr, reason = "this is what the parent passes on")]
            {
                eprintln!("{message}");
            }
            Ok(ExitCode::from(u8::try_from(REFUSED)?))
        }
    }
}
