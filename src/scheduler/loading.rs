//! How far a backend is in reading what it follows.

/// What a backend has read of its log. Until all is read, its node does not know all jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Loading {
    /// It is not known yet how much there is.
    #[default]
    Starting,
    /// It reads its own store.
    Jobs {
        /// Jobs that are read.
        read: usize,
        /// Jobs in the store.
        total: usize,
    },
    /// It reads a chain.
    Blocks {
        /// Blocks that are read.
        read: u64,
        /// Blocks that may hold an entry.
        total: u64,
    },
}
