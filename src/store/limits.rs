//! The bounds of content, the same for reading a tree, packing and unpacking.

/// Bounds of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the whole archive in bytes.
    pub bytes: u64,
    /// Files and directories together.
    pub entries: usize,
    /// Names in a path.
    pub depth: usize,
    /// Bytes in one name.
    pub name_bytes: usize,
    /// Bytes of all paths together: they are held in memory, and each is looked up level by level.
    pub path_bytes: usize,
}

impl Limits {
    /// The bounds of every archive of the network, at a length of `bytes`: 100,000 entries, 32 levels, names of the
    /// 255 bytes that Linux allows, and paths of 16 MiB together.
    pub const fn with_bytes(bytes: u64) -> Self {
        Self { bytes, entries: 100_000, depth: 32, name_bytes: 255, path_bytes: 16 << 20 }
    }
}
