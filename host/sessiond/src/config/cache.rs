//! `[plugin_cache]`: where compiled plugins are kept.

use std::path::PathBuf;

use super::reader::Section;

/// What names the usual folder, and no folder at all.
const USUAL: &str = "default";
const NONE: &str = "none";
const MAX_SIZE: &str = "1GiB";

/// `[plugin_cache]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginCacheConfig {
    /// The folder.
    pub folder: CacheFolder,
    /// Above so many bytes, what was not used for the longest time is removed.
    pub max_size: u64,
}

/// Which folder compiled plugins are kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheFolder {
    /// None: every start compiles.
    None,
    /// The one that the user or the supervisor has for such things, if there is one.
    Usual,
    /// This one.
    At(PathBuf),
}

impl Default for PluginCacheConfig {
    fn default() -> Self {
        Self { folder: CacheFolder::Usual, max_size: 1 << 30 }
    }
}

pub(super) fn read(section: Section<'_>) -> PluginCacheConfig {
    let document = section.document();
    let folder = section.parsed("dir", USUAL, |text| {
        Ok(match text {
            "" => return Err(format!("write a folder, {USUAL:?} or {NONE:?}")),
            NONE => CacheFolder::None,
            USUAL => CacheFolder::Usual,
            path => CacheFolder::At(document.relative(path)),
        })
    });
    let max_size = section.size("max_size", MAX_SIZE, 1 << 40) as u64;
    section.finish();
    PluginCacheConfig { folder: folder.unwrap_or(CacheFolder::None), max_size }
}
