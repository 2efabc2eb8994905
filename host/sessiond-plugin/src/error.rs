//! What can go wrong with a plugin before it is called.

use std::path::PathBuf;

use crate::plugin::Interface;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a plugin, or the engine, is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The engine could not be made.
    #[error("the WebAssembly engine cannot start")]
    Engine(#[source] Cause),
    /// The engine is going down.
    #[error("the WebAssembly engine has stopped")]
    Stopped,
    /// The file could not be read.
    #[error("the file {path:?} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("the file {path:?} has {size} bytes: at most {max} are accepted")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The file is not the one that the configuration pins, or nobody who is trusted has signed it.
    #[error("the file {path:?} is not to be loaded:{}", list(problems))]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Everything that is not as required, with what was wanted, what was found, and the fix.
        problems: Vec<String>,
    },
    /// The file is of another kind.
    #[error("the file {path:?} is no WebAssembly component but {kind}")]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is, and how to make a component of it.
        kind: &'static str,
    },
    /// The component is damaged, or of a kind that is not supported.
    #[error("the file {path:?} cannot be compiled")]
    Compile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// The cache of compiled code cannot be used.
    #[error("the folder {path:?} cannot keep compiled code: {problem}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why not, and the fix.
        problem: String,
    },
    /// The component does not fit the contract.
    #[error("the component does not fit:{}", list(problems))]
    Contract {
        /// Everything that does not fit, with what was wanted, what is offered, and the fix.
        problems: Vec<String>,
    },
    /// The component could not be started.
    #[error("the component cannot be started")]
    Instantiate(#[source] Cause),
    /// The component failed when it was tried.
    #[error("the trial call of {interface} failed{}", hint(source.as_ref()))]
    Trial {
        /// Which interface was tried.
        interface: Interface,
        /// How it failed.
        source: Cause,
    },
}

fn list(problems: &[String]) -> String {
    problems.iter().map(|it| format!("\n  - {it}")).collect()
}

/// Known mistakes, by what they look like.
fn hint(cause: &(dyn std::error::Error + 'static)) -> &'static str {
    let text = cause.to_string();
    if text.contains("not a function") || text.contains("undefined") {
        ": the function is missing or its name is misspelt in the source (JavaScript exports \
         `beforeAppend` in an object of that name)"
    } else {
        ""
    }
}

/// A failed call, for the operator: what happened, where in the guest, and its last words.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CallError {
    pub(crate) message: String,
}
