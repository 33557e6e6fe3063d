//! What is free on a disk.

use std::{io, path::Path};

use rustix::fs::{StatVfs, statvfs};

/// What must stay free on each disk of a node: below it no work begins, and no run goes on that nothing bounds.
pub const RESERVE_BYTES: u64 = 256 << 20;

/// Bytes that users may still write to the file system at `path`.
///
/// # Errors
/// What the system says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let StatVfs { f_bavail, f_frsize, .. } = statvfs(path)?;
    Ok(f_bavail.saturating_mul(f_frsize))
}
