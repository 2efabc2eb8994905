//! Whose files are loaded: pins and signatures, checked before anything looks at the bytes.
//!
//! Signatures are minisign's (Ed25519), since that is a tool that operators have: `minisign -Sm
//! PLUGIN.wasm` signs the bytes of the file, and writes `PLUGIN.wasm.minisig` beside it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minisign_verify::{Error, PublicKey, Signature};

/// The largest file with a signature, in bytes. They have some hundreds.
const MAX_SIGNATURE: u64 = 64 * 1024;

/// The keys whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Arc<Vec<PublicKey>>);

impl TrustedKeys {
    /// Reads public keys: the second line of minisign's `.pub` files. Gives the number of the first
    /// that is none, from 0.
    ///
    /// # Errors
    /// Which of them is no key.
    pub fn parse<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, usize> {
        let keys = keys.into_iter().enumerate();
        let keys = keys.map(|(at, key)| PublicKey::from_base64(key).map_err(|_| at));
        Ok(Self(Arc::new(keys.collect::<Result<_, _>>()?)))
    }

    /// Whether there are none, and no signature is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a file must be.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// The sha256 of its bytes, in hex, if that is pinned.
    pub sha256: Option<String>,
    /// Who may have signed it. None of them: it need not be signed.
    pub keys: TrustedKeys,
    /// Where the signature is. None: beside the file, in a file with `.minisig` added to its name.
    pub signature: Option<PathBuf>,
}

impl Requirements {
    /// All that is not as required: what was wanted, what was found, and the fix.
    pub(crate) fn problems(&self, path: &Path, bytes: &[u8], sha256: &str) -> Vec<String> {
        let pinned = self.sha256.as_deref().filter(|pin| !pin.eq_ignore_ascii_case(sha256));
        let pin = pinned.map(|pin| {
            format!(
                "it has the sha256 {sha256}, and the configuration wants {pin}: bring back that \
                 file, or pin this one"
            )
        });
        let signature = (!self.keys.is_empty()).then(|| self.signature_problem(path, bytes));
        pin.into_iter().chain(signature.flatten()).collect()
    }

    fn signature_problem(&self, path: &Path, bytes: &[u8]) -> Option<String> {
        let beside = || {
            let mut name = path.as_os_str().to_owned();
            name.push(".minisig");
            PathBuf::from(name)
        };
        let file = self.signature.clone().unwrap_or_else(beside);
        let at = file.display();
        let sign = format!("`minisign -Sm {} -x {at}` makes one", path.display());
        let text = match read(&file) {
            Ok(text) => text,
            Err(error) => {
                return Some(format!(
                    "trust.keys wants a signature, and {at} cannot be read: {error}; {sign}"
                ));
            }
        };
        let Ok(signature) = Signature::decode(&text) else {
            return Some(format!("{at} is no signature of minisign; {sign}"));
        };
        let verified: Vec<_> =
            self.keys.0.iter().map(|key| key.verify(bytes, &signature, true)).collect();
        if verified.iter().any(Result::is_ok) {
            return None;
        }
        let foreign = verified.iter().all(|it| matches!(it, Err(Error::UnexpectedKeyId)));
        Some(if foreign {
            format!(
                "{at} was made with a key that is not in trust.keys: add it there, or sign again"
            )
        } else {
            format!(
                "{at} is the signature of another file, or of an older version of this one; {sign}"
            )
        })
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SIGNATURE).read_to_string(&mut text)?;
    Ok(text)
}
