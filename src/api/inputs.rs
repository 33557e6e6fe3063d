//! The forms in which a client gives the node inputs of jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::refusal::ErrorBody;
use crate::domain::Digest;

/// Body of `POST /api/v1/inputs`: a file that the node takes from its URL, for a job that is about to be submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InputRequest {
    /// Where the file is.
    pub url: String,
    /// Its SHA-256.
    pub digest: Digest,
}

/// An event of the answer to `POST /api/v1/inputs`. The last one is `Taken` or `Failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputEvent {
    /// How many bytes have come.
    Received(u64),
    /// The file is here, and has this many bytes.
    Taken(u64),
    /// It did not come, or is another.
    Failed(ErrorBody),
}

/// Answer to `POST /api/v1/blobs`, whose body is a canonical archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobInfo {
    /// SHA-256 of the archive.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}
