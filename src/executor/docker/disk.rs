//! How much a container has written, where a measurement has to tell.
//!
//! A file system of its own counts what a run holds (see `space`), and the node measures the files once, at the end. Without
//! one, the node measures all the time, and a container may pass its limit by what it writes between two measurements.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// The least size of an entry, so that empty files do not escape the limit: an inode and its name.
const ENTRY_BYTES: u64 = 1024;

/// The most files and directories of one run, equal to the limit of a result's archive.
pub(super) const MAX_FILES: u64 = 100_000;

/// The deepest tree that is measured: each level holds a descriptor open.
const MAX_DEPTH: usize = 100;

/// The most descriptors checked for deleted files that are still open: some milliseconds' worth.
const MAX_DESCRIPTORS: usize = 4096;

/// The bytes and files found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Measured {
    /// Whether a run with these limits may hold this much.
    pub(super) fn within(self, limit: Self) -> bool {
        self.bytes <= limit.bytes && self.files <= limit.files
    }
}

/// The usage below `dirs`, or a usage above `limit` as soon as it passes that. Looks at no more than [`MAX_FILES`].
///
/// Counts the larger of length and allocated space, so that neither sparse files nor many small ones escape, and a hard link
/// each time it appears. Never follows links, even if the container swaps a directory for one during the measurement. Skips
/// what vanishes meanwhile.
///
/// # Errors
/// When a directory cannot be read or the tree is too deep. The caller treats both as a full disk.
pub(super) fn measure(dirs: &[&Path], limit: Measured) -> io::Result<Measured> {
    let mut found = Measured::default();
    for dir in dirs {
        measure_open(&File::open(dir)?, limit, MAX_DEPTH, &mut found)?;
    }
    Ok(found)
}

fn measure_open(dir: &File, limit: Measured, depth: usize, found: &mut Measured) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other("the directories are nested too deep"));
    }
    // Through the open descriptor: the path may lead elsewhere by now, and may be too long to open.
    let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        let Some(metadata) = unless_gone(entry.metadata())? else { continue };
        let allocated = metadata.blocks().saturating_mul(512);
        found.bytes = found.bytes.saturating_add(metadata.len().max(allocated).max(ENTRY_BYTES));
        found.files += 1;
        if found.within(limit) && metadata.is_dir() {
            // With the dot, opening anything but a directory fails at once; a pipe would block.
            let Some(below) = unless_gone(File::open(path.join(entry.file_name()).join(".")))? else {
                continue;
            };
            let opened = below.metadata()?;
            if (opened.dev(), opened.ino()) == (metadata.dev(), metadata.ino()) {
                measure_open(&below, limit, depth - 1, found)?;
            }
        }
        if !found.within(limit) {
            break;
        }
    }
    Ok(())
}

/// Bytes on the file system of `dir` in deleted files that these processes have open or mapped.
///
/// Counts what this process may read: another user's processes show their files to root only.
pub(super) fn deleted_but_open(dir: &Path, pids: &[u32]) -> io::Result<u64> {
    let device = fs::metadata(dir)?.dev();
    let mut seen = BTreeSet::new();
    let mut bytes = 0_u64;
    let tables = pids.iter().flat_map(|pid| ["fd", "map_files"].map(|table| format!("/proc/{pid}/{table}")));
    let descriptors = tables.filter_map(|table| fs::read_dir(table).ok()).flatten().flatten();
    for descriptor in descriptors.take(MAX_DESCRIPTORS) {
        // Asks the open file, not a path, so that it works for a file without a name.
        let Ok(metadata) = fs::metadata(descriptor.path()) else { continue };
        if metadata.is_file()
            && metadata.nlink() == 0
            && metadata.dev() == device
            && seen.insert(metadata.ino())
        {
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
        }
    }
    Ok(bytes)
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

    const ANY: Measured = Measured { bytes: u64::MAX, files: u64::MAX };

    fn bytes(dir: &Path) -> u64 {
        measure(&[dir], ANY).unwrap().bytes
    }

    #[test]
    fn files_count_by_the_larger_of_length_and_space() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("small"), vec![7; 10]).unwrap();
        File::create(dir.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
        let size = bytes(dir.path());
        assert!(size >= (1 << 40) + ENTRY_BYTES, "{size}");
        let limit = Measured { bytes: 1 << 30, ..ANY };
        assert!(!measure(&[dir.path()], limit).unwrap().within(limit));
    }

    #[test]
    fn empty_files_count_and_no_more_are_looked_at_than_are_allowed() {
        let dir = tempfile::tempdir().unwrap();
        for name in 0..100 {
            File::create(dir.path().join(name.to_string())).unwrap();
        }
        assert_eq!(measure(&[dir.path()], ANY).unwrap(), Measured { bytes: 100 * ENTRY_BYTES, files: 100 });
        assert_eq!(measure(&[dir.path()], Measured { files: 10, ..ANY }).unwrap().files, 11);
    }

    #[test]
    fn a_deleted_file_counts_for_as_long_as_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deleted");
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        let open = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let hidden = || deleted_but_open(dir.path(), &[std::process::id()]).unwrap();
        assert_eq!(bytes(dir.path()), 0);
        assert!(hidden() >= 1 << 20);
        drop(open);
        assert!(hidden() < 1 << 20);
    }

    #[test]
    fn links_are_not_followed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("large"), vec![7; 100_000]).unwrap();
        symlink(elsewhere.path(), dir.path().join("away")).unwrap();
        symlink("/", dir.path().join("root")).unwrap();
        symlink(".", dir.path().join("self")).unwrap();
        assert_eq!(bytes(dir.path()), 3 * ENTRY_BYTES);
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
        assert!(bytes(dir.path()) > 500_000);
        fs::create_dir(deep.join("d")).unwrap();
        assert!(measure(&[dir.path()], ANY).is_err());
    }
}
