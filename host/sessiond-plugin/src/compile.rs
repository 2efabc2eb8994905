//! From a component's bytes to its machine code: taken from the cache, or compiled in a process
//! apart.
//!
//! Compiling takes seconds of every core for components that carry a language's runtime, and leaves
//! a process several times as large. A child does it at low priority, so the daemon answers
//! meanwhile and stays small. Compiles take turns, each on all cores but one.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::artifact::{Artifact, ArtifactError, ArtifactKey, seal};
use crate::cache::CodeCache;
use crate::engine::{Allocation, PluginEngine, compiling_engine};
use crate::error::PluginError;
use crate::loader::PluginFile;

/// The longest that a child may take.
const MAX_TIME: Duration = Duration::from_secs(10 * 60);
/// How much less of a busy machine a child gets than the daemon.
const NICE: i32 = 10;

/// The command that compiles in a process apart: it calls [`compile_pipe`].
#[derive(Debug, Clone)]
pub struct CompileCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. The tier of allocation is added as the last.
    pub args: Vec<String>,
}

/// Where the code of components comes from.
#[derive(Debug, Default)]
pub struct Compiler {
    cache: Option<CodeCache>,
    command: Option<CompileCommand>,
    turn: Mutex<()>,
}

/// Where the code of a component came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled before.
    Cache,
    /// It was compiled now, and is kept if there is a cache.
    Compiled,
}

impl Origin {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Compiled => "compiled",
        }
    }
}

impl Compiler {
    /// A compiler with a cache, if any, and the command for a process apart. Without a command, or
    /// outside of a tokio runtime, components are compiled on the calling thread.
    pub fn new(cache: Option<CodeCache>, command: Option<CompileCommand>) -> Self {
        Self { cache, command, turn: Mutex::default() }
    }

    /// The component of a file, and where its code came from. Blocks: call it on a thread for that.
    ///
    /// # Errors
    /// [`PluginError::Compile`], for a component that is damaged or not supported.
    pub fn component(
        &self,
        engine: &PluginEngine,
        file: &PluginFile,
    ) -> Result<(Component, Origin), PluginError> {
        let key = ArtifactKey::new(file.digest(), engine.wasmtime());
        let found = match self.find(engine.wasmtime(), &key) {
            Some(component) => Ok((component, Origin::Cache)),
            None => self.compile_in_turn(engine, file, &key),
        };
        if let Ok((_, origin)) = &found {
            metrics::counter!("sessiond_plugin_code_total", "from" => origin.name()).increment(1);
        }
        found
    }

    fn compile_in_turn(
        &self,
        engine: &PluginEngine,
        file: &PluginFile,
        key: &ArtifactKey,
    ) -> Result<(Component, Origin), PluginError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Daemons that start together compile once. Where files cannot be locked, each does.
        let _lock = self.cache.as_ref().and_then(|cache| cache.lock().ok());
        if let Some(component) = self.find(engine.wasmtime(), key) {
            return Ok((component, Origin::Cache));
        }
        Ok((self.compile(engine, file, key)?, Origin::Compiled))
    }

    fn find(&self, engine: &Engine, key: &ArtifactKey) -> Option<Component> {
        let cache = self.cache.as_ref()?;
        match cache.find(key)?.and_then(|artifact| artifact.component(engine)) {
            Ok(component) => Some(component),
            Err(error) => {
                let file = cache.folder().join(key.file_name());
                tracing::warn!(file = %file.display(), %error, "compiled code in the cache is not used; compiling anew");
                let _ = std::fs::remove_file(file);
                None
            }
        }
    }

    fn compile(
        &self,
        engine: &PluginEngine,
        file: &PluginFile,
        key: &ArtifactKey,
    ) -> Result<Component, PluginError> {
        let begin = Instant::now();
        let component = match self.compile_apart(engine, file, key) {
            Ok(component) => component,
            Err(Apart::Refused(error)) => return Err(error),
            Err(Apart::Failed(reason)) => {
                if let Some(reason) = reason {
                    tracing::warn!(
                        reason,
                        "the code cannot be compiled in a process apart; compiling in this one"
                    );
                }
                self.compile_here(engine.wasmtime(), file, key)?
            }
        };
        let seconds = begin.elapsed().as_secs_f64();
        metrics::histogram!("sessiond_plugin_compile_seconds").record(seconds);
        tracing::info!(file = %file.path().display(), seconds, "component compiled");
        Ok(component)
    }

    /// Has a child compile into a file, which is then loaded as one of the cache is.
    fn compile_apart(
        &self,
        engine: &PluginEngine,
        file: &PluginFile,
        key: &ArtifactKey,
    ) -> Result<Component, Apart> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Apart::Failed(None))?;
        let command = self.command.as_ref().ok_or(Apart::Failed(None))?;
        let out = Unfinished::begin(self.cache.as_ref()).map_err(failed)?;
        let stdout = out.writer().map_err(failed)?;
        let child = run(command, engine.allocation(), file.bytes(), stdout);
        match runtime.block_on(child).map_err(failed)? {
            Ok(()) => {}
            Err(message) => return Err(Apart::Refused(refused(file, message))),
        }
        let artifact = out.finish(key).map_err(failed)?;
        artifact.component(engine.wasmtime()).map_err(failed)
    }

    fn compile_here(
        &self,
        engine: &Engine,
        file: &PluginFile,
        key: &ArtifactKey,
    ) -> Result<Component, PluginError> {
        let component = Component::from_binary(engine, file.bytes());
        let component = component.map_err(|error| refused(file, format!("{error:#}")))?;
        if let Some(cache) = &self.cache {
            let kept = || -> Result<(), ArtifactError> {
                let code = component.serialize();
                let code = code.map_err(|error| ArtifactError::Engine(error.to_string()))?;
                let out = cache.begin()?;
                seal(&code, key, out.as_file())?;
                cache.keep(out, key).map(drop)
            };
            if let Err(error) = kept() {
                tracing::warn!(%error, "compiled code could not be kept");
            }
        }
        Ok(component)
    }
}

/// Why a child brought no code.
enum Apart {
    /// The component is at fault.
    Refused(PluginError),
    /// Something else is; None when there was no child to ask.
    Failed(Option<String>),
}

fn failed(error: impl std::fmt::Display) -> Apart {
    Apart::Failed(Some(error.to_string()))
}

fn refused(file: &PluginFile, why: String) -> PluginError {
    PluginError::Compile { path: file.path().to_owned(), source: why.into() }
}

/// Where a child writes to: beside the cache's files, or without a cache a file without a name.
enum Unfinished<'a> {
    Named(&'a CodeCache, NamedTempFile),
    Nameless(std::fs::File),
}

impl<'a> Unfinished<'a> {
    fn begin(cache: Option<&'a CodeCache>) -> std::io::Result<Self> {
        match cache {
            Some(cache) => Ok(Self::Named(cache, cache.begin()?)),
            None => tempfile::tempfile().map(Self::Nameless),
        }
    }

    fn writer(&self) -> std::io::Result<std::fs::File> {
        match self {
            Self::Named(_, file) => file.as_file().try_clone(),
            Self::Nameless(file) => file.try_clone(),
        }
    }

    fn finish(self, key: &ArtifactKey) -> Result<Artifact, ArtifactError> {
        match self {
            Self::Named(cache, file) => cache.keep(file, key),
            Self::Nameless(file) => Artifact::check(file, key),
        }
    }
}

/// Runs a child. The inner error is what it says of the component.
async fn run(
    command: &CompileCommand,
    allocation: Allocation,
    component: &[u8],
    out: std::fs::File,
) -> std::io::Result<Result<(), String>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut child = tokio::process::Command::new(&command.program)
        .args(&command.args)
        .arg(allocation.name())
        .env("RAYON_NUM_THREADS", cores.saturating_sub(1).max(1).to_string())
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let ended = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A child that ends early says why.
            let _ = stdin.write_all(component).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(MAX_TIME, ended).await??;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(Ok(())),
        Some(REFUSED) => Ok(Err(told)),
        _ => Err(std::io::Error::other(format!("{}: {told}", output.status))),
    }
}

/// The exit code of a child that does not take the component.
pub const REFUSED: i32 = 65;

/// What the child does: reads a component, compiles it for a tier of allocation, and writes the
/// artefact. Returns what is wrong with the component, if that is why there is no artefact.
///
/// # Errors
/// When it cannot read or write, or there is no engine.
pub fn compile_pipe(
    allocation: Allocation,
    mut component: impl Read,
    out: impl Write,
) -> Result<Result<(), String>, PluginError> {
    // Where that is not allowed, the compiler runs as it is.
    let _ = rustix::process::nice(NICE);
    // Nobody waits for the code of a daemon that is gone.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let mut bytes = Vec::new();
    let broken = |error: std::io::Error| PluginError::Engine(error.into());
    component.read_to_end(&mut bytes).map_err(broken)?;
    let engine = compiling_engine(allocation)?;
    let code = match engine.precompile_component(&bytes) {
        Ok(code) => code,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let key = ArtifactKey::new(&Sha256::digest(&bytes).into(), &engine);
    seal(&code, &key, out).map_err(broken)?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineConfig;
    use crate::signature::Requirements;

    fn file(folder: &std::path::Path) -> PluginFile {
        let path = folder.join("empty.wasm");
        std::fs::write(&path, wat::parse_str("(component)").unwrap()).unwrap();
        PluginFile::read(&path, &Requirements::default()).unwrap()
    }

    /// Where no other process can be had, or none that is of use, this one compiles; and what it
    /// compiles is kept too.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_child_that_does_not_compile_is_done_without() {
        let config =
            EngineConfig { max_instances: 1, reserved: 0, max_memory: 1 << 20, threads: 1 };
        let engine = std::sync::Arc::new(PluginEngine::new(config).unwrap());
        for (program, args) in [("/no/such/program", ""), ("true", ""), ("false", ""), ("cat", "-")]
        {
            let folder = tempfile::tempdir().unwrap();
            let cache = CodeCache::open(&folder.path().join("cache"), 1 << 20).unwrap();
            let args = Vec::from_iter((!args.is_empty()).then(|| args.to_owned()));
            let command = CompileCommand { program: program.into(), args };
            let compiler = Compiler::new(Some(cache), Some(command));
            let (file, engine) = (file(folder.path()), engine.clone());
            let twice = move || [(); 2].map(|()| compiler.component(&engine, &file).unwrap().1);
            let origins = tokio::task::spawn_blocking(twice).await.unwrap();
            assert_eq!(origins, [Origin::Compiled, Origin::Cache], "{program}");
            let kept = std::fs::read_dir(folder.path().join("cache")).unwrap().count();
            assert_eq!(kept, 2, "the code and the lock, and nothing unfinished: {program}");
        }
    }
}
