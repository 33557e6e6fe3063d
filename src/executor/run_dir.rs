//! The directory that one run works in, and its end: what is mounted below it goes first.

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

/// How the name of a directory begins that could not be removed when its run was over.
const LEFT: &str = "left-";

/// A directory for one run, gone with everything in it and mounted below it when this is dropped.
///
/// What cannot be removed then, because a container's user closed it to others, is renamed and found again by
/// [`RunDir::left_in`].
#[derive(Debug)]
pub struct RunDir {
    dir: TempDir,
}

impl RunDir {
    /// Makes a directory of its own below `parent`, open to nobody else.
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

    /// The directories below `parent` that could not be removed when their runs were over.
    ///
    /// # Errors
    /// When `parent` cannot be read; that it is absent is no error.
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

/// Marks everything in `parent` as left by runs that are over: [`RunDir::left_in`] finds it.
///
/// # Errors
/// When it cannot be read, or something in it cannot be renamed.
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

/// Unmounts what is mounted at or below `path`, and removes all of it. Nothing there is no error.
///
/// # Errors
/// The first thing that stays.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    unmount_below(path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Directories of our own may have been closed too; those of others stay closed.
            open_up(path);
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the directories of this process's user readable again, as far as that is allowed.
fn open_up(path: &Path) {
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// Unmounts whatever is mounted at or below `path`, the newest first.
///
/// A mount that is still in use, by a container that outlived its run, leaves the tree at once and is freed
/// with its last user.
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

/// The mount points that the text of a `mountinfo` names, in its order: a mount comes after what it is on.
fn mount_points(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape)
}

/// A path as the kernel writes it: white space and backslashes as three octal digits.
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
