//! Compiled components as files: what is in one, and when it may be run.
//!
//! An artefact is the machine code of one component for one engine, followed by a seal: which
//! component and engine it is of, how long it is, and a checksum. The code runs outside of the
//! sandbox, so a file is only taken from the daemon's own user, and everything is checked on the
//! descriptor that is then loaded. The checksum finds damage; what an attacker writes is kept out by
//! the owner and the mode.

use std::fs::File;
use std::hash::{Hash as _, Hasher};
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::loader::hex;

const MAGIC: [u8; 8] = *b"sessiond";
/// Magic, key, length and checksum.
const SEAL: usize = 8 + 32 + 8 + 4;
/// How much of a file is read at once, in bytes.
const PIECE: usize = 1 << 18;
/// To be raised when files of another build must not be taken for this one's.
const FORMAT: &[u8] = b"sessiond artefact 1";

/// What an artefact is of: the bytes of a component, and all of an engine that decides what they
/// are compiled to, wasmtime's version and the tier of allocation included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArtifactKey([u8; 32]);

impl ArtifactKey {
    pub(crate) fn new(component: &[u8; 32], engine: &Engine) -> Self {
        let mut digest = Feed(Sha256::new());
        digest.write(FORMAT);
        digest.write(component);
        engine.precompile_compatibility_hash().hash(&mut digest);
        Self(digest.0.finalize().into())
    }

    /// The name of its file in a cache.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.cwasm", hex(&self.0))
    }
}

/// Feeds what is hashed to a digest that is the same in every process.
struct Feed(Sha256);

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Why a file is not run. All of these are answered by compiling again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("it belongs to user {owner}, and the daemon is user {user}")]
    Owner { owner: u32, user: u32 },
    #[error("others may write it (mode {0:o})")]
    Mode(u32),
    #[error("it is not whole, or no artefact")]
    Seal,
    #[error("it is of another component, or of another version of sessiond")]
    Key,
    #[error("it is damaged: its checksum is {found:08x} and should be {wanted:08x}")]
    Checksum { wanted: u32, found: u32 },
    #[error("the engine does not take it: {0}")]
    Engine(String),
}

/// Writes code and its seal.
pub(crate) fn seal(code: &[u8], key: &ArtifactKey, mut out: impl Write) -> std::io::Result<()> {
    out.write_all(code)?;
    out.write_all(&MAGIC)?;
    out.write_all(&key.0)?;
    out.write_all(&(code.len() as u64).to_le_bytes())?;
    out.write_all(&crc32fast::hash(code).to_le_bytes())?;
    out.flush()
}

/// A file that may be run: it is the daemon's own, whole, and of the component that is wanted.
#[derive(Debug)]
pub(crate) struct Artifact {
    file: File,
}

impl Artifact {
    /// Checks an open file.
    pub(crate) fn check(mut file: File, key: &ArtifactKey) -> Result<Self, ArtifactError> {
        let (about, user) = (file.metadata()?, rustix::process::geteuid().as_raw());
        if about.uid() != user {
            return Err(ArtifactError::Owner { owner: about.uid(), user });
        }
        if !about.is_file() || about.mode() & 0o022 != 0 {
            return Err(ArtifactError::Mode(about.mode()));
        }
        let length = about.len().checked_sub(SEAL as u64).ok_or(ArtifactError::Seal)?;
        let mut seal = [0; SEAL];
        file.seek(SeekFrom::Start(length))?;
        file.read_exact(&mut seal)?;
        let mut expected = Vec::with_capacity(SEAL);
        expected.extend_from_slice(&MAGIC);
        expected.extend_from_slice(&key.0);
        expected.extend_from_slice(&length.to_le_bytes());
        let (found, checksum) = seal.split_at(expected.len());
        if !found.starts_with(&MAGIC) {
            return Err(ArtifactError::Seal);
        }
        if found != expected {
            return Err(ArtifactError::Key);
        }
        let wanted = u32::from_le_bytes(checksum.try_into().map_err(|_| ArtifactError::Seal)?);
        let found = checksum_of(&mut file, length)?;
        if found != wanted {
            return Err(ArtifactError::Checksum { wanted, found });
        }
        Ok(Self { file })
    }

    /// The component. Its code is mapped from the very file that was checked.
    pub(crate) fn component(mut self, engine: &Engine) -> Result<Component, ArtifactError> {
        // What the descriptor has open, whatever its name means by now.
        let path = format!("/dev/fd/{}", self.file.as_raw_fd());
        // Where there is no /dev/fd, or where code in files may not be run, it is copied.
        load(engine, Code::File(&path)).or_else(|_| {
            let mut code = Vec::new();
            self.file.seek(SeekFrom::Start(0))?;
            self.file.read_to_end(&mut code)?;
            load(engine, Code::Bytes(&code))
        })
    }
}

fn checksum_of(file: &mut File, length: u64) -> std::io::Result<u32> {
    file.seek(SeekFrom::Start(0))?;
    let (mut checksum, mut rest) = (crc32fast::Hasher::new(), file.take(length));
    let mut piece = vec![0; PIECE];
    loop {
        let count = rest.read(&mut piece)?;
        match piece.get(..count) {
            None | Some([]) => return Ok(checksum.finalize()),
            Some(bytes) => checksum.update(bytes),
        }
    }
}

enum Code<'a> {
    File(&'a str),
    Bytes(&'a [u8]),
}

#[allow(unsafe_code, reason = "there is no safe way to load machine code; see below")]
fn load(engine: &Engine, code: Code<'_>) -> Result<Component, ArtifactError> {
    // SAFETY: wasmtime must be given what it has compiled itself, and the file must not change while
    // it is mapped. Only `Artifact::component` calls this, so the file belongs to the user that the
    // daemon runs as, nobody else may write it, and its seal names this component and this engine
    // and fits its contents. Whoever could forge that runs as the daemon's user, and needs no
    // artefact to run code as that user. Artefacts are written to a file of another name, which then
    // takes the place of the old: nothing writes to a file that is in use.
    let component = unsafe {
        match code {
            Code::File(path) => Component::deserialize_file(engine, path),
            Code::Bytes(bytes) => Component::deserialize(engine, bytes),
        }
    };
    component.map_err(|error| ArtifactError::Engine(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// P37: whatever is not whole, damaged, or of something else is told apart from what may run.
    #[test]
    fn only_what_is_whole_and_wanted_is_taken() {
        let engine = Engine::default();
        let wasm = wat::parse_str("(component)").unwrap();
        let code = engine.precompile_component(&wasm).unwrap();
        let (key, other) =
            (ArtifactKey::new(&[1; 32], &engine), ArtifactKey::new(&[2; 32], &engine));
        let mut whole = Vec::new();
        seal(&code, &key, &mut whole).unwrap();

        let artifact = Artifact::check(sealed(&whole), &key).unwrap();
        artifact.component(&engine).unwrap();
        let refused = |bytes: &[u8], key| Artifact::check(sealed(bytes), key).unwrap_err();
        assert!(matches!(refused(&whole, &other), ArtifactError::Key));
        assert!(matches!(refused(&whole[..whole.len() - 1], &key), ArtifactError::Seal));
        assert!(matches!(refused(b"", &key), ArtifactError::Seal));
        assert!(matches!(refused(&whole[1..], &key), ArtifactError::Key));
        let mut damaged = whole.clone();
        damaged[code.len() / 2] ^= 1;
        assert!(matches!(refused(&damaged, &key), ArtifactError::Checksum { .. }));
        let file = sealed(&whole);
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o622);
        file.set_permissions(open).unwrap();
        assert!(matches!(Artifact::check(file, &key), Err(ArtifactError::Mode(_))));
    }

    /// The allocation of another tier needs other code.
    #[test]
    fn engines_of_other_settings_have_other_artefacts() {
        let mut small = wasmtime::Config::new();
        small.memory_reservation(0);
        let small = Engine::new(&small).unwrap();
        let default = Engine::default();
        let key = |engine: &Engine| ArtifactKey::new(&[1; 32], engine);
        assert_eq!(key(&default), key(&Engine::default()));
        assert_ne!(key(&default), key(&small));
    }
}
