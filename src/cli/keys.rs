//! The key that a command acts with: reads it from its file, and opens it if it is a keystore.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::args::KeyArgs;
use crate::explain::Hint;
use crate::identity::{KeyError, KeyFile, LockError, NodeKey, Passphrase};

/// The variable with the passphrase, if it is neither in a file nor typed.
const PASSPHRASE: &str = "ASSAY_PASSPHRASE";

/// The longest file with a passphrase or a key in hex, in bytes.
const MAX_SECRET_BYTES: u64 = 4096;

/// Why there is no key to act with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// No key was named.
    #[error("no key was given")]
    None,
    /// The key file.
    #[error(transparent)]
    File(#[from] KeyError),
    /// There is no terminal to ask on.
    #[error("{} needs a passphrase, and there is no terminal to ask for it", path.display())]
    NoTerminal {
        /// The key file.
        path: PathBuf,
        /// The terminal's error.
        #[source]
        source: io::Error,
    },
    /// A file with a secret cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    Empty,
    /// The two typed passphrases differ.
    #[error("the two passphrases differ")]
    Differ,
    /// The text to import is not a key.
    #[error("{} holds no key: expected 64 hex digits below the order of the curve", path.display())]
    NoHex {
        /// Its source.
        path: PathBuf,
    },
}

impl Hint for KeysError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::None => "name its file with --key or ASSAY_KEY; assay wallet new --key FILE makes one",
            Self::File(KeyError::Io { source, .. }) => match source.kind() {
                io::ErrorKind::NotFound => {
                    "assay wallet new --key FILE makes a key, in a directory that exists"
                }
                io::ErrorKind::AlreadyExists => "a key is never overwritten; name another file",
                _ => return None,
            },
            Self::File(KeyError::Keystore { source: LockError::Passphrase, .. }) => {
                "check --passphrase-file, ASSAY_PASSPHRASE or what you typed"
            }
            Self::File(KeyError::Locked { .. }) => "name it with --key",
            Self::NoTerminal { .. } => {
                "name its file with --passphrase-file, or set ASSAY_PASSPHRASE; to write a new key without one, \
                 pass --plain"
            }
            Self::Empty => "pass --plain to write a new key without a passphrase",
            Self::NoHex { .. } => "a keystore needs no import: name it with --key",
            Self::File(_) | Self::Read { .. } | Self::Differ => return None,
        };
        Some(hint.to_owned())
    }
}

/// The path of the key, which the command requires.
pub(super) fn path(args: &KeyArgs) -> Result<&Path, KeysError> {
    args.key.as_deref().ok_or(KeysError::None)
}

/// Reads and opens the key.
pub(super) fn load(args: &KeyArgs) -> Result<NodeKey, KeysError> {
    let path = path(args)?;
    match KeyFile::read(path)? {
        KeyFile::Plain(key) => Ok(key),
        KeyFile::Locked(keystore) => {
            let passphrase = passphrase(args, path, Asked::Once)?;
            let opened = keystore.unlock(&passphrase);
            Ok(opened.map_err(|source| KeyError::Keystore { path: path.to_owned(), source })?)
        }
    }
}

/// The passphrase for a new key.
pub(super) fn new_passphrase(args: &KeyArgs) -> Result<Passphrase, KeysError> {
    let passphrase = passphrase(args, path(args)?, Asked::Twice)?;
    if passphrase.is_empty() { Err(KeysError::Empty) } else { Ok(passphrase) }
}

/// A key in hex from a file, or from standard input for `-`.
pub(super) fn from_hex(path: &Path) -> Result<NodeKey, KeysError> {
    let text = if path == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().lock().take(MAX_SECRET_BYTES).read_to_end(&mut text).map(|_| text)
    } else {
        read(path)
    };
    let text = text.map_err(|source| KeysError::Read { path: path.to_owned(), source })?;
    NodeKey::from_hex(&text).ok_or_else(|| KeysError::NoHex { path: path.to_owned() })
}

/// How often the user types a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Once,
    /// Twice. The input is invisible, and a typing error would lose the key.
    Twice,
}

/// From the file, else the environment, else the terminal.
fn passphrase(args: &KeyArgs, key: &Path, asked: Asked) -> Result<Passphrase, KeysError> {
    if let Some(path) = &args.passphrase_file {
        let text = read(path).and_then(|text| String::from_utf8(text).map_err(io::Error::other));
        let text = text.map_err(|source| KeysError::Read { path: path.clone(), source })?;
        return Ok(Passphrase::new(text.lines().next().unwrap_or_default().to_owned()));
    }
    if let Ok(text) = std::env::var(PASSPHRASE) {
        return Ok(Passphrase::new(text));
    }
    let ask = |prompt: String| {
        let typed = rpassword::prompt_password(prompt);
        let typed = typed.map_err(|source| KeysError::NoTerminal { path: key.to_owned(), source })?;
        Ok::<_, KeysError>(Passphrase::new(typed))
    };
    let first = ask(format!("Passphrase of {}: ", key.display()))?;
    match asked {
        Asked::Twice if ask("Again: ".to_owned())? != first => Err(KeysError::Differ),
        Asked::Once | Asked::Twice => Ok(first),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_SECRET_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
