//! How far a backend is in reading what it keeps.

/// What a backend has read of its own store. Until all is read it knows of no job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loading {
    /// Jobs that are read.
    pub read: usize,
    /// Jobs in the store; 0 until it has counted them.
    pub total: usize,
}
