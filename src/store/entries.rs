//! Entries of the log, as they are appended and read.

use crate::domain::{Digest, JobId, NodeId};

/// An entry to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The job it belongs to.
    pub job: JobId,
    /// Its place in the job's log: 1 for the first, one more for each that follows.
    pub height: u64,
    /// Its hash, which names it.
    pub entry_hash: Digest,
    /// Who signed its action, if its signatures were checked. The checksum covers it, so that it need not be recovered
    /// again.
    pub author: Option<NodeId>,
    /// Its encoding, opaque to the store.
    pub bytes: Vec<u8>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place in the order of arrival at this node: rising, with gaps, never 0.
    pub cursor: u64,
    /// What was appended.
    pub entry: NewEntry,
    /// Whether the row is unaltered. Nothing in an altered row is reliable, not even its job.
    pub is_intact: bool,
}

impl StoredEntry {
    /// The error text for an altered entry.
    pub const ALTERED: &str = "this node's database holds an altered entry: the disk may be failing. Other jobs are \
        not affected; to follow this one again, start with a new data directory and the same key";
}
