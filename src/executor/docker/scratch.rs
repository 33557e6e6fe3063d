//! The scratch directory of a run: a file system of its own, in a file whose space is set aside before the run begins.
//!
//! A build writes hundreds of thousands of files, and more than a disk may have left. Measuring these would take longer than
//! writing them, so only the kernel bounds a scratch directory: where it cannot, there is none. The space is set aside so that
//! a build neither fails half-way because others fill the disk, nor loses what it wrote without being told.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::{
    super::{
        ExecutorError,
        run_dir::{clear, unmount_below},
    },
    disk::Measured,
    space::{Spaces, Used, beside, create_dir, format_and_mount, give_to, length},
    user::User,
};

/// One file may be made for each so many bytes. Source trees and object files are larger on average.
const BYTES_PER_FILE: u64 = 8192;

/// The fewest and the most files that a scratch directory holds.
const FILES: (u64, u64) = (1024, 4 << 20);

/// The size of the trial, in bytes.
const TRIAL_BYTES: u64 = 1 << 20;

/// The scratch directory of one run.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    /// Where it is mounted on this machine.
    pub(super) dir: PathBuf,
    /// Its usage when empty.
    pub(super) empty: Used,
    /// What it may hold.
    pub(super) limit: Measured,
}

impl Spaces {
    /// Makes an empty scratch directory of `bytes` beside `result_dir`. It goes with the mounts of the run's directory.
    pub(super) async fn set_aside(
        &self,
        result_dir: &Path,
        bytes: u64,
        user: User,
    ) -> Result<Scratch, ExecutorError> {
        let none = |reason| ExecutorError::NoScratch { reason };
        self.may_mount().map_err(none)?;
        let (image, dir) = (beside(result_dir, "scratch-image"), beside(result_dir, "scratch"));
        let own_disk = |source| ExecutorError::ResultDir { path: dir.clone(), source };
        // What is there is of an attempt that a crash interrupted.
        clear(&dir).and_then(|()| create_dir(&dir)).map_err(own_disk)?;
        let files = (bytes / BYTES_PER_FILE).clamp(FILES.0, FILES.1);
        let (path, length) = (image.clone(), length(bytes, files));
        // Some file systems write all of it.
        let set_aside = spawn_blocking(move || {
            let file = File::create_new(path)?;
            fallocate(&file, FallocateFlags::empty(), 0, length).map_err(io::Error::from)
        });
        let set_aside = set_aside.await.expect("setting space aside returns its errors");
        let mounted = match set_aside {
            Ok(()) => format_and_mount(&image, &dir, files).await.map_err(none),
            Err(error) if error.kind() == ErrorKind::StorageFull => Err(ExecutorError::NodeFull),
            Err(error) => Err(none(format!("cannot set space aside in {}: {error}", image.display()))),
        };
        // The mount holds it. Without a name, it vanishes with the mount.
        let _ = fs::remove_file(&image);
        mounted?;
        fs::remove_dir(dir.join("lost+found")).and_then(|()| give_to(&dir, user)).map_err(own_disk)?;
        let empty = Used::of(&dir).map_err(own_disk)?;
        Ok(Scratch { dir, empty, limit: Measured { bytes, files } })
    }

    /// Whether scratch directories can be had below `parent`. Tried once.
    pub(super) async fn try_scratch(&self, parent: &Path) -> Result<(), ExecutorError> {
        let tried = self.trial.get_or_init(|| async {
            let dir = create_dir(parent).and_then(|()| TempDir::new_in(parent));
            let dir =
                dir.map_err(|error| format!("cannot make a directory in {}: {error}", parent.display()))?;
            let nobody = User { uid: 65_534, gid: 65_534 };
            let made = self.set_aside(&dir.path().join("trial"), TRIAL_BYTES, nobody).await;
            let gone = unmount_below(dir.path());
            match made {
                Ok(_) => gone.map_err(|error| format!("cannot unmount it again: {error}")),
                Err(ExecutorError::NoScratch { reason }) => Err(reason),
                // There may be room later.
                Err(ExecutorError::NodeFull) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        });
        tried.await.clone().map_err(|reason| ExecutorError::NoScratch { reason })
    }
}
