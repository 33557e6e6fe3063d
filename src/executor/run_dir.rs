//! The working directory of one run. Its removal unmounts what is mounted below it first.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        ffi::OsStringExt as _,
        fs::{DirBuilderExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;
use tracing::warn;

/// The name prefix of a directory that could not be removed after its run.
const LEFT: &str = "left-";

/// A directory for one run. Its drop removes everything in it and mounted below it.
///
/// What a container's user closed to others cannot be removed then. It is renamed, and [`RunDir::left_in`] finds it.
#[derive(Debug)]
pub struct RunDir {
    dir: TempDir,
}

impl RunDir {
    /// Makes a fresh directory below `parent` that nobody else can open.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        let dir = tempfile::Builder::new().prefix("run-").tempdir_in(parent)?;
        Ok(Self { dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The directories below `parent` that could not be removed after their runs.
    ///
    /// # Errors
    /// When `parent` cannot be read. Its absence is not an error.
    pub fn left_in(parent: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(parent) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        let mut left = vec![];
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(LEFT) {
                left.push(entry.path());
            }
        }
        Ok(left)
    }
}

/// Marks everything in `parent` as left by ended runs, for [`RunDir::left_in`].
///
/// # Errors
/// When `parent` cannot be read, or something in it cannot be renamed.
pub(crate) fn mark_left(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(LEFT) {
            fs::rename(entry.path(), parent.join(format!("{LEFT}{name}")))?;
        }
    }
    Ok(())
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let path = self.dir.path();
        let Err(error) = clear(path) else { return };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let left = path.with_file_name(format!("{LEFT}{name}"));
        match fs::rename(path, &left) {
            Ok(()) => warn!(path = %left.display(), %error, "cannot remove what a run left yet"),
            Err(_) => warn!(path = %path.display(), %error, "cannot remove what a run left"),
        }
    }
}

/// Unmounts what is mounted at or below `path`, and removes all of it. Nothing there is not an error.
///
/// # Errors
/// The first thing that cannot be removed.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    unmount_below(path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Directories of our own may have been closed too. Those of others stay closed.
            open_up(path);
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the directories of this process's user readable again, where allowed.
fn open_up(path: &Path) {
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// Unmounts everything mounted at or below `path`, the newest first.
///
/// A mount that a container still uses leaves the tree at once, and is freed with its last user.
///
/// # Errors
/// When the kernel refuses, or the mounts cannot be listed.
pub(super) fn unmount_below(path: &Path) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mounted: Vec<PathBuf> = mount_points(&mounts).filter(|point| point.starts_with(&path)).collect();
    for point in mounted.iter().rev() {
        unmount(point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    Ok(())
}

/// The mount points in a `mountinfo` text, in its order: a mount comes after the one below it.
fn mount_points(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape)
}

/// Decodes a path of the kernel, which writes white space and backslashes as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|_| byte == b'\\').and_then(|digits| {
            digits.iter().try_fold(0_u8, |value, digit| {
                let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
                value.checked_mul(8)?.checked_add(digit)
            })
        });
        path.push(octal.unwrap_or(byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let text = "36 35 98:0 / /mnt/a\\040b\\134c rw,noatime - ext3 /dev/root rw\n\
                    37 36 7:0 / /mnt/a\\040b\\134c/d\\9 rw - ext4 /dev/loop0 rw\nshort line\n";
        let points: Vec<_> = mount_points(text).collect();
        assert_eq!(points, [Path::new("/mnt/a b\\c"), Path::new("/mnt/a b\\c/d\\9")]);
    }

    #[test]
    fn a_run_directory_goes_with_what_was_closed_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = parent.path().join("work");
        let run = RunDir::new_in(&scratch).unwrap();
        let closed = run.path().join("closed");
        fs::create_dir_all(closed.join("below")).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        drop(run);
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
        assert_eq!(RunDir::left_in(&scratch).unwrap(), Vec::<PathBuf>::new());
        clear(&scratch.join("absent")).unwrap();
    }
}
