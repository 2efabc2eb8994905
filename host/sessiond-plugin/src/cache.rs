//! The cache of compiled components, which several daemons may share.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::artifact::{Artifact, ArtifactError, ArtifactKey};
use crate::error::PluginError;

/// What the names of artefacts end with. Other files in the folder are left alone.
const ENDING: &str = ".cwasm";
/// What the names of unfinished files begin with.
const UNFINISHED: &str = ".unfinished-";
/// Locked by who compiles.
const LOCK: &str = ".lock";
/// When such a file was left behind by a daemon that died.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// A folder of artefacts. Nobody but the daemon's user can enter it.
#[derive(Debug)]
pub struct CodeCache {
    folder: PathBuf,
    max_size: u64,
}

impl CodeCache {
    /// Opens a cache, and makes the folder if it is missing. Above `max_size` bytes the files that
    /// were not used for the longest time are removed.
    ///
    /// # Errors
    /// [`PluginError::Cache`], when the folder cannot be made, is somebody else's, or is open to
    /// others.
    pub fn open(folder: &Path, max_size: u64) -> Result<Self, PluginError> {
        let failed = |problem: String| PluginError::Cache { path: folder.to_owned(), problem };
        let about = make(folder).map_err(|error| failed(error.to_string()))?;
        let user = rustix::process::geteuid().as_raw();
        if !about.is_dir() {
            return Err(failed("it is no folder: name another".to_owned()));
        }
        if about.uid() != user {
            let owner = about.uid();
            return Err(failed(format!(
                "it belongs to user {owner}, and the daemon is user {user}: `chown` it, or name \
                 another"
            )));
        }
        if about.mode() & 0o077 != 0 {
            let mode = about.mode() & 0o777;
            return Err(failed(format!(
                "others may enter it (mode {mode:o}), and it holds native code: `chmod 700` it"
            )));
        }
        Ok(Self { folder: folder.to_owned(), max_size })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is kept for a key, checked. None: nothing is.
    pub(crate) fn find(&self, key: &ArtifactKey) -> Option<Result<Artifact, ArtifactError>> {
        let path = self.folder.join(key.file_name());
        let mut options = OpenOptions::new();
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = match options.read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(error.into())),
        };
        // So that the oldest goes first. A cache that cannot be written serves all the same.
        let _ = file.set_modified(SystemTime::now());
        Some(Artifact::check(file, key))
    }

    /// Waits until no other daemon compiles for this cache. Others wait until this is dropped.
    pub(crate) fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(self.folder.join(LOCK))?;
        file.lock()?;
        Ok(file)
    }

    /// A file to write an artefact to. It is gone unless it is kept.
    pub(crate) fn begin(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)
    }

    /// Puts a finished artefact in its place, checked, and makes room.
    pub(crate) fn keep(
        &self,
        file: NamedTempFile,
        key: &ArtifactKey,
    ) -> Result<Artifact, ArtifactError> {
        let artifact = Artifact::check(file.reopen()?, key)?;
        // After a loss of power a name must not stand for what was never written.
        file.as_file().sync_data()?;
        let path = self.folder.join(key.file_name());
        file.persist(&path).map_err(|error| error.error)?;
        self.make_room(&path)?;
        Ok(artifact)
    }

    /// Removes what was left behind, and the oldest files above the limit, but not `newest`. Code
    /// that is in use stays in use.
    fn make_room(&self, newest: &Path) -> io::Result<()> {
        let now = SystemTime::now();
        let mut kept = Vec::new();
        for entry in self.folder.read_dir()? {
            let entry = entry?;
            // Another daemon may have removed it meanwhile.
            let Ok(about) = entry.metadata() else { continue };
            let used = about.modified().unwrap_or(now);
            let name = entry.file_name().to_string_lossy().into_owned();
            let abandoned = now.duration_since(used).is_ok_and(|age| age > ABANDONED);
            if name.starts_with(UNFINISHED) && abandoned {
                let _ = std::fs::remove_file(entry.path());
            } else if name.ends_with(ENDING) {
                kept.push((used, about.len(), entry.path()));
            }
        }
        kept.sort();
        let mut size: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, length, path) in kept.iter().filter(|(_, _, path)| path != newest) {
            if size <= self.max_size {
                break;
            }
            tracing::info!(file = %path.display(), "compiled code makes room in the cache");
            let _ = std::fs::remove_file(path);
            size = size.saturating_sub(*length);
        }
        Ok(())
    }
}

fn make(folder: &Path) -> io::Result<Metadata> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // The folder itself, if the name is a link: whoever made the link has named it.
    File::open(folder)?.metadata()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::artifact::seal;

    fn keep(cache: &CodeCache, key: &ArtifactKey, size: usize) {
        let file = cache.begin().unwrap();
        seal(&vec![0; size], key, file.as_file()).unwrap();
        cache.keep(file, key).unwrap();
    }

    #[test]
    fn the_oldest_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&folder.path().join("deep/cache"), 2_500).unwrap();
        let engine = wasmtime::Engine::default();
        let keys: Vec<_> = (0..4).map(|at| ArtifactKey::new(&[at; 32], &engine)).collect();
        let age = |key: &ArtifactKey, seconds| {
            let file = File::open(cache.folder().join(key.file_name())).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        keep(&cache, &keys[0], 1_000);
        keep(&cache, &keys[1], 1_000);
        age(&keys[0], 20);
        age(&keys[1], 10);
        assert!(cache.find(&keys[0]).unwrap().is_ok(), "what is used becomes young again");
        keep(&cache, &keys[2], 1_000);
        assert!(cache.find(&keys[1]).is_none() && cache.find(&keys[0]).is_some());
        keep(&cache, &keys[3], 10_000);
        assert!(
            cache.find(&keys[3]).unwrap().is_ok(),
            "what is larger than the cache is kept alone"
        );
        assert!(cache.find(&keys[2]).is_none() && cache.find(&keys[0]).is_none());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| {
            std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        };
        set(0o700);
        CodeCache::open(folder.path(), 1).unwrap();
        set(0o755);
        let error = CodeCache::open(folder.path(), 1).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
        let made = folder.path().join("made");
        CodeCache::open(&made, 1).unwrap();
        assert_eq!(made.metadata().unwrap().mode() & 0o777, 0o700);
    }
}
