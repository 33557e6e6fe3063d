//! Why a configuration file cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::explain::Hint;

/// Longest file, in bytes: many times what its keys can fill.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 16;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("failed to read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no file of text of a sensible length.
    #[error("the configuration file {} is {problem}", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// What it is.
        problem: &'static str,
    },
    /// It is not TOML.
    #[error("{}:{line}: {problem}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is no such key.
    #[error("{}:{line}: unknown key {key:?}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// As written.
        key: String,
        /// The most similar key, if one is similar.
        similar: Option<String>,
    },
    /// A key has a value that it cannot have.
    #[error("{}:{line}: {key}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A secret stands in the file.
    #[error("{}:{line}: {key} has a secret in it", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A project's file sets what only the user's own file may.
    #[error("{}:{line}: a project's file must not set {key}", path.display())]
    NotOwn {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key.
        key: String,
        /// The user's file.
        own: PathBuf,
    },
    /// A project's file sets whom to believe or what to pay, and the user does not trust it.
    #[error("{}:{line}: {key} is set by a project that you do not trust", path.display())]
    NotTrusted {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key.
        key: String,
        /// The user's file.
        own: PathBuf,
    },
    /// No file has that profile.
    #[error("no configuration file has the profile {name:?}")]
    NoProfile {
        /// As given.
        name: String,
        /// The most similar one, if one is similar.
        similar: Option<String>,
    },
}

impl Hint for ConfigError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownKey { similar: Some(key), .. } => format!("did you mean {key}?"),
            Self::UnknownKey { key, .. } if key.contains("pass") || key.contains("secret") => {
                "secrets do not belong into this file: key and passphrase-file name files with them"
                    .to_owned()
            }
            Self::UnknownKey { .. } => "assay config list shows all keys".to_owned(),
            Self::NoProfile { similar: Some(name), .. } => format!("did you mean {name}?"),
            Self::NoProfile { name, .. } => {
                format!("begin a line with [profile.{name}], and put its keys below")
            }
            Self::Value { key, .. } if key == "trusted" => {
                "write absolute directories, such as trusted = [\"/home/me/project\"]".to_owned()
            }
            Self::Value { key, .. } => format!("see --{key} in the help of a command that takes it"),
            Self::Secret { key, .. } if key == "key" => {
                "put the key into a file with assay wallet import, and name that file".to_owned()
            }
            Self::Secret { .. } => "set ASSAY_RPC_URL or ETH_RPC_URL in your environment instead".to_owned(),
            Self::NotOwn { own, .. } => format!("move the line to your own file, {}", own.display()),
            Self::NotTrusted { path, own, .. } => {
                let directory = path.parent().unwrap_or_else(|| Path::new("/")).display();
                format!("read that file, then add trusted = [\"{directory}\"] to {}", own.display())
            }
            Self::NoText { .. } => format!("keep it a text file of at most {MAX_FILE_BYTES} bytes"),
            Self::Form { .. } => "write TOML: one key a line, such as api = \"127.0.0.1:7421\"".to_owned(),
            Self::Read { .. } => return None,
        };
        Some(hint)
    }
}
