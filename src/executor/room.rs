//! The free space on a disk.

use std::{io, path::Path};

use rustix::fs::{StatVfs, statvfs};

/// What must stay free on each disk of a node, in bytes. Below it no run begins, and no unbounded run goes on.
pub const RESERVE_BYTES: u64 = 256 << 20;

/// Bytes that users may still write to the file system at `path`.
///
/// # Errors
/// The system's error.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let StatVfs { f_bavail, f_frsize, .. } = statvfs(path)?;
    Ok(f_bavail.saturating_mul(f_frsize))
}
