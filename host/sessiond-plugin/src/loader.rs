//! From a file to a plugin: everything is checked before anything is served.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{HasSelf, Linker};

use crate::alive::Alive;
use crate::bindings::sessiond::plugin as imports;
use crate::breaker::Breaker;
use crate::compile::{Compiler, Origin};
use crate::contract::Surface;
use crate::engine::PluginEngine;
use crate::error::PluginError;
use crate::host::Host;
use crate::measures::PluginMeasures;
use crate::offer;
use crate::plugin::{ExportedIndices, Interface, Plugin, PluginCode, PluginSettings};
use crate::pool::InstancePool;
use crate::signature::Requirements;

/// The largest file, in bytes. Components that carry a language's runtime have 20 MB.
pub const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Loads plugins for an engine.
pub struct PluginLoader {
    engine: Arc<PluginEngine>,
    linker: Linker<Host>,
    compiler: Compiler,
}

impl std::fmt::Debug for PluginLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginLoader").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// A file that was read, and is a component.
#[derive(Debug)]
pub struct PluginFile {
    path: std::path::PathBuf,
    bytes: Vec<u8>,
    digest: [u8; 32],
    sha256: String,
}

impl PluginFile {
    /// Reads a file once: what is checked here is what is compiled later.
    ///
    /// # Errors
    /// [`PluginError`], for a file that cannot be read, is not as required, or is no component.
    pub fn read(path: &Path, required: &Requirements) -> Result<Self, PluginError> {
        let failed = |source| PluginError::Read { path: path.to_owned(), source };
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size > MAX_FILE {
            return Err(PluginError::TooLarge { path: path.to_owned(), size, max: MAX_FILE });
        }
        let mut bytes = Vec::new();
        file.by_ref().take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let sha256 = hex(&digest);
        let problems = required.problems(path, &bytes, &sha256);
        if !problems.is_empty() {
            return Err(PluginError::Untrusted { path: path.to_owned(), problems });
        }
        if let Some(kind) = other_kind(&bytes) {
            return Err(PluginError::Kind { path: path.to_owned(), kind });
        }
        Ok(Self { path: path.to_owned(), bytes, digest, sha256 })
    }

    /// The sha256 of the file, in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The size of the file, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// What a file is, if it is no component.
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: &[u8] = b"\0asm";
    match bytes {
        [] => Some("empty"),
        [0x7f, b'E', b'L', b'F', ..] => Some(
            "native code, maybe precompiled (.cwasm): such files are not loaded, since they run \
             outside the sandbox; give the .wasm",
        ),
        [b'(', ..] => Some("WebAssembly text: turn it into a component with `wasm-tools parse`"),
        _ if !bytes.starts_with(MAGIC) => Some("something else: it does not begin with \\0asm"),
        // The layer: 0 a core module, 1 a component.
        [_, _, _, _, _, _, 0, 0, ..] => Some(
            "a core module: build a component (Rust: target wasm32-wasip2; others: `wasm-tools \
             component new`)",
        ),
        [_, _, _, _, _, _, _, _, ..] => None,
        _ => Some("a WebAssembly file that is cut off"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl PluginLoader {
    /// A loader for an engine.
    ///
    /// # Errors
    /// [`PluginError::Engine`], when the imports cannot be offered.
    pub fn new(engine: Arc<PluginEngine>) -> Result<Self, PluginError> {
        let linker = link(&engine).map_err(|error| PluginError::Engine(error.into()))?;
        Ok(Self { engine, linker, compiler: Compiler::default() })
    }

    /// The loader, taking compiled code from there.
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Finds or compiles the code of a component, as [`PluginLoader::load`] does, and no more.
    ///
    /// # Errors
    /// [`PluginError`], for a component that is damaged.
    pub fn precompile(&self, file: &PluginFile) -> Result<Origin, PluginError> {
        self.compiler.component(&self.engine, file).map(|(_, origin)| origin)
    }

    /// Finds or compiles a component's code, and checks that the component fits. That takes seconds
    /// for components that carry a language's runtime, so keep it off the threads that serve.
    ///
    /// # Errors
    /// [`PluginError`], for a component that is damaged or does not fit.
    pub fn load(
        &self,
        file: PluginFile,
        settings: PluginSettings,
    ) -> Result<Arc<Plugin>, PluginError> {
        let engine = self.engine.wasmtime();
        let (component, origin) = self.compiler.component(&self.engine, &file)?;
        tracing::debug!(plugin = %settings.name, code = origin.name(), "code found");
        let surface = Surface::of(&component, engine);
        let mut problems = surface.problems();
        problems.extend(settings.grants.problems(&surface.imports, &settings.name));
        if !problems.is_empty() {
            return Err(PluginError::Contract { problems });
        }
        let pre = self.linker.instantiate_pre(&component).map_err(|error| {
            // The names fit, so a function or a type does not.
            let mut problems = offer::missing(&component, engine);
            if problems.is_empty() {
                problems.push(format!("{error:#}"));
            }
            PluginError::Contract { problems }
        })?;
        let exported = ExportedIndices::find(&pre);
        let measures = Arc::new(PluginMeasures::new(settings.name.clone()));
        let pool = InstancePool::new(&settings, self.engine.census().clone(), measures.clone());
        let breakers = Interface::ALL.map(|it| {
            let breaker = || Breaker::new(&settings.name, it, settings.breaker);
            exported.has(it).then(breaker)
        });
        let (sha256, size) = (file.sha256, file.bytes.len());
        let imports = surface.imports;
        let code = PluginCode { settings, sha256, size, imports, pre, exported, measures };
        let _alive = Alive::plugin(&code.settings.name);
        Ok(Arc::new(Plugin { code, pool, engine: self.engine.clone(), breakers, _alive }))
    }
}

fn link(engine: &PluginEngine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    imports::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    imports::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    imports::call::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    crate::import::link_granted(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], pin: Option<&str>) -> Result<PluginFile, PluginError> {
        let path = std::env::temp_dir().join(format!("sessiond-loader-{}", rand_name()));
        std::fs::write(&path, bytes).unwrap();
        let required = Requirements { sha256: pin.map(str::to_owned), ..Requirements::default() };
        let file = PluginFile::read(&path, &required);
        std::fs::remove_file(&path).unwrap();
        file
    }

    fn rand_name() -> u128 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
    }

    /// P37, P38: each kind of wrong file has its own message.
    #[test]
    fn other_files_are_told_apart() {
        let kinds = [
            (&b""[..], "empty"),
            (b"\x7fELF", "native code"),
            (b"(module)", "WebAssembly text"),
            (b"<html>", "something else"),
            (b"\0asm\x01\0\0\0", "a core module"),
            (b"\0asm", "cut off"),
        ];
        for (bytes, wanted) in kinds {
            let error = read(bytes, None).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        assert!(read(b"\0asm\x0d\0\x01\0", None).is_ok());
    }

    /// P59: a wrong digest is refused before anything looks at the bytes.
    #[test]
    fn a_pin_is_checked_first() {
        let error = read(b"(module)", Some("00")).unwrap_err();
        assert!(matches!(error, PluginError::Untrusted { .. }));
        let pin = hex(&Sha256::digest(b"\0asm\x0d\0\x01\0")).to_uppercase();
        assert!(read(b"\0asm\x0d\0\x01\0", Some(&pin)).is_ok());
    }
}
