//! Why a job file is no job.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::MAX_FILE_BYTES;
use crate::{cli::message, explain::Hint};

/// Why a job file is no job.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// It cannot be read.
    #[error("failed to read the job file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is longer than any job.
    #[error("the job file {} is longer than {MAX_FILE_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is no text.
    #[error("the job file {} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// It is neither YAML nor JSON of the right form.
    #[error("{}:{line}: {problem}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// No job has such a key.
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
    /// Its keys do not go together.
    #[error("{}: {problem}", path.display())]
    Together {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the words of the flags.
        problem: String,
    },
    /// Nothing says what to run.
    #[error("the job file {} names no image", path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
    },
}

impl JobFileError {
    /// What clap says of all keys together.
    pub(in crate::cli) fn refused(path: &Path, error: &clap::Error) -> Self {
        Self::Together { path: path.to_owned(), problem: message::clap_parts(error).0 }
    }
}

impl Hint for JobFileError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { similar: Some(key), .. } => Some(format!("did you mean {key}?")),
            Self::UnknownKey { .. } => {
                Some("keys are the long flags of assay job submit; assay job schema lists them".to_owned())
            }
            // The two keys that are no flags.
            Self::Value { key, .. } if matches!(key.as_str(), "image" | "command") => {
                Some(format!("see {key} in assay job schema"))
            }
            Self::Value { key, .. } => Some(format!("see --{key} in assay job submit --help")),
            Self::Form { .. } => Some(
                "write one key a line, such as image: assay/demo:1; quote text with # : or a leading *"
                    .to_owned(),
            ),
            Self::NoImage { .. } => Some("add a line such as image: assay/demo:1".to_owned()),
            Self::TooLong { .. } => Some("give data to the job with --input".to_owned()),
            Self::NotUtf8 { .. } => Some("save it as UTF-8".to_owned()),
            Self::Read { .. } | Self::Together { .. } => None,
        }
    }
}
