//! Where this program compiles plugins, and where it keeps what it has compiled.

use std::ffi::OsString;
use std::path::PathBuf;

use sessiond_plugin::cache::CodeCache;
use sessiond_plugin::compile::{CompileCommand, Compiler};
use sessiond_plugin::error::PluginError;

use crate::config::{CacheFolder, PluginCacheConfig};

/// A compiler as the configuration says. It has this program compile, in a process apart.
///
/// # Errors
/// When the configuration names a folder that cannot be used. The usual one is done without.
pub fn compiler(config: &PluginCacheConfig) -> Result<Compiler, PluginError> {
    Ok(Compiler::new(cache(config)?, command()))
}

fn cache(config: &PluginCacheConfig) -> Result<Option<CodeCache>, PluginError> {
    match &config.folder {
        CacheFolder::None => Ok(None),
        CacheFolder::At(folder) => CodeCache::open(folder, config.max_size).map(Some),
        CacheFolder::Usual => {
            let Some(folder) = usual_folder(|name| std::env::var_os(name)) else {
                tracing::warn!(
                    "neither HOME nor a folder for caches is set, so plugins are compiled at every \
                     start: name a folder in plugin_cache.dir"
                );
                return Ok(None);
            };
            match CodeCache::open(&folder, config.max_size) {
                Ok(cache) => Ok(Some(cache)),
                Err(error) => {
                    tracing::warn!(%error, "plugins are compiled at every start: name a folder in plugin_cache.dir");
                    Ok(None)
                }
            }
        }
    }
}

/// What systemd made for the service (`CacheDirectory=`), or what the user has.
fn usual_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = PathBuf::from(variable(name)?);
        path.is_absolute().then_some(path)
    };
    let found = folder("CACHE_DIRECTORY")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("sessiond")))
        .or_else(|| Some(folder("HOME")?.join(".cache/sessiond")));
    found.map(|folder| folder.join("plugins"))
}

/// This program, even if its file was replaced meanwhile.
fn command() -> Option<CompileCommand> {
    let running = PathBuf::from("/proc/self/exe");
    let program = if running.exists() { running } else { std::env::current_exe().ok()? };
    let args = ["plugin", "precompile", "--pipe"].map(str::to_owned).to_vec();
    Some(CompileCommand { program, args })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_folder_is_the_services_or_the_users() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> =
                set.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            let folder = usual_folder(|name| {
                set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            });
            folder.map(|folder| folder.to_string_lossy().into_owned())
        };
        let all = [("CACHE_DIRECTORY", "/var/cache/s"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(with(&all).as_deref(), Some("/var/cache/s/plugins"));
        assert_eq!(with(&all[1..]).as_deref(), Some("/x/sessiond/plugins"));
        assert_eq!(with(&all[2..]).as_deref(), Some("/h/.cache/sessiond/plugins"));
        assert_eq!(with(&[("XDG_CACHE_HOME", "not/absolute")]), None);
    }
}
