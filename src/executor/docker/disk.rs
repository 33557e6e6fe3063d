//! How much a container's `/outputs` holds, while the container may still write to it.
//!
//! The engine has no limit for a mount on most file systems, so that this is a measurement: a container may
//! pass its limit by what it writes between two, and the space of a deleted file that it still holds open
//! is not seen.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// What an entry counts at least, so that empty files are no way around the limit: an inode and its name.
const ENTRY_BYTES: u64 = 1024;

/// Deepest tree that is measured: each level holds a descriptor open.
const MAX_DEPTH: usize = 100;

/// Bytes under `dir`, or some number above `limit` as soon as it is passed.
///
/// Counts the larger of length and allocated space, so that neither sparse files nor many small ones escape,
/// and a hard link as often as it appears. Links are never followed, even when the container swaps a
/// directory for one while it is measured; what vanishes meanwhile is not counted.
///
/// # Errors
/// When a directory cannot be read or the tree is too deep, which the caller treats as a full disk.
pub(super) fn measure(dir: &Path, limit: u64) -> io::Result<u64> {
    measure_open(&File::open(dir)?, limit, MAX_DEPTH)
}

fn measure_open(dir: &File, limit: u64, depth: usize) -> io::Result<u64> {
    if depth == 0 {
        return Err(io::Error::other("the directories are nested too deep"));
    }
    // Through the open descriptor: the path may lead elsewhere by now, and may be too long to open.
    let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    let mut total = 0_u64;
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        let Some(metadata) = unless_gone(entry.metadata())? else { continue };
        let allocated = metadata.blocks().saturating_mul(512);
        total = total.saturating_add(metadata.len().max(allocated).max(ENTRY_BYTES));
        if total <= limit && metadata.is_dir() {
            // The dot makes opening anything but a directory fail at once, where a pipe would block.
            let Some(below) = unless_gone(File::open(path.join(entry.file_name()).join(".")))? else {
                continue;
            };
            let opened = below.metadata()?;
            if (opened.dev(), opened.ino()) == (metadata.dev(), metadata.ino()) {
                total = total.saturating_add(measure_open(&below, limit - total, depth - 1)?);
            }
        }
        if total > limit {
            break;
        }
    }
    Ok(total)
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_count_by_the_larger_of_length_and_space() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("small"), vec![7; 10]).unwrap();
        File::create(dir.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
        let size = measure(dir.path(), u64::MAX).unwrap();
        assert!(size >= (1 << 40) + ENTRY_BYTES, "{size}");
        assert!(measure(dir.path(), 1 << 30).unwrap() > 1 << 30);
    }

    #[test]
    fn empty_files_count() {
        let dir = tempfile::tempdir().unwrap();
        for name in 0..100 {
            File::create(dir.path().join(name.to_string())).unwrap();
        }
        assert_eq!(measure(dir.path(), u64::MAX).unwrap(), 100 * ENTRY_BYTES);
    }

    #[test]
    fn links_are_not_followed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("large"), vec![7; 100_000]).unwrap();
        symlink(elsewhere.path(), dir.path().join("away")).unwrap();
        symlink("/", dir.path().join("root")).unwrap();
        symlink(".", dir.path().join("self")).unwrap();
        assert_eq!(measure(dir.path(), u64::MAX).unwrap(), 3 * ENTRY_BYTES);
    }

    #[test]
    fn trees_beyond_the_depth_are_refused_and_those_within_are_summed() {
        let dir = tempfile::tempdir().unwrap();
        let mut deep = dir.path().to_owned();
        for _ in 0..MAX_DEPTH - 1 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![7; 500_000]).unwrap();
        assert!(measure(dir.path(), u64::MAX).unwrap() > 500_000);
        fs::create_dir(deep.join("d")).unwrap();
        assert!(measure(dir.path(), u64::MAX).is_err());
    }
}
