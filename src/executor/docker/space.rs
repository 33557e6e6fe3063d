//! Where a container may write: a file system of its own that the kernel bounds, where the node may mount one.
//!
//! With root, [`Space`] is a small ext4 in a file that is unlinked as soon as it is mounted, so a crash leaves a mount and
//! no file. `/outputs` and the volumes of the image are on it. The kernel counts bytes and files, including deleted files
//! that are still open, preallocated space and empty files, and asking costs microseconds. Without root, or where mounting
//! fails, these are plain directories that the node measures.

use std::{
    env,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, lchown},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::fs::{StatVfs, statvfs, syncfs};
use tokio::{process::Command, sync::OnceCell, time::timeout};
use tracing::warn;

use super::{
    super::{
        room::{RESERVE_BYTES, free_bytes},
        run_dir::{clear, unmount_below},
    },
    disk::MAX_FILES,
    user::User,
};

/// The longest wait for one step of making the file system. Each takes about 20 ms.
const STEP_LIMIT: Duration = Duration::from_secs(30);

/// What one file takes in the file system's tables, in bytes.
const INODE_BYTES: u64 = 256;

/// Room for the file system's own use. The file behind it is sparse, so unused space costs nothing.
const SLACK_BYTES: u64 = 16 << 20;

/// The node stops a run with its own file system if less than this is free on the node's disk. Any run may still write that
/// much, and the node must write more besides.
const LEAST_BYTES: u64 = 16 << 20;

/// The space of one run.
#[derive(Debug)]
pub(super) struct Space {
    /// The directory mounted as `/outputs`.
    pub(super) outputs: PathBuf,
    /// Has a directory for each volume of the image.
    pub(super) volumes: PathBuf,
    /// What bounds it.
    pub(super) bound: Bound,
    /// The disk under its own file system.
    pub(super) under: Option<Under>,
}

/// The node's disk under the file system of a run.
///
/// The file behind that is sparse, so others can fill the disk before the run has used its own space. The kernel then loses
/// what the run wrote, and tells only those who ask.
#[derive(Debug)]
pub(super) struct Under {
    dir: PathBuf,
    /// Open since before the run, because the kernel reports every loss since then.
    mounted: File,
}

impl Under {
    /// Whether there is hardly room for what the run writes.
    pub(super) fn is_full(&self) -> bool {
        free_bytes(&self.dir).is_ok_and(|free| free < LEAST_BYTES)
    }

    /// Whether the disk took everything that was written.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`] if it had no room, else the system's error.
    pub(super) fn took_all(&self) -> io::Result<()> {
        let Err(error) = syncfs(&self.mounted) else { return Ok(()) };
        // The file system above may only know that a block could not be written.
        let full = free_bytes(&self.dir).is_ok_and(|free| free < RESERVE_BYTES);
        Err(if full { ErrorKind::StorageFull.into() } else { error.into() })
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { dir: self.dir.clone(), mounted: self.mounted.try_clone()? })
    }
}

impl Space {
    /// Makes an empty directory for each volume; returns the mount point and the directory of each.
    pub(super) fn place(&self, volumes: Vec<String>) -> io::Result<Vec<(String, PathBuf)>> {
        let place = |(index, target): (usize, String)| {
            let dir = self.volumes.join(index.to_string());
            create_dir(&dir)?;
            Ok((target, dir))
        };
        volumes.into_iter().enumerate().map(place).collect()
    }
}

/// What keeps a run from writing more than it may.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// Its own file system, with its usage when empty.
    Kernel(Used),
    /// Nothing but repeated measurement.
    Measured,
}

/// Usage of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Used {
    /// The usage of the file system at `path`, by the kernel's count.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let StatVfs { f_blocks, f_bfree, f_frsize, f_files, f_ffree, .. } = statvfs(path)?;
        Ok(Self {
            bytes: f_blocks.saturating_sub(f_bfree).saturating_mul(f_frsize),
            files: f_files.saturating_sub(f_ffree),
        })
    }
}

/// Whether runs of this process get file systems of their own.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    /// The reason against it has been logged.
    warned: AtomicBool,
    /// The engine does not see what this process mounts.
    unseen: AtomicBool,
    /// The engine sees what this process mounts, by a trial.
    seen: AtomicBool,
    /// Whether space can be set aside for scratch directories, by a trial.
    pub(super) trial: OnceCell<Result<(), String>>,
}

impl Spaces {
    /// Makes an empty space of `limit` bytes beside `result_dir`, with `outputs/` in that directory.
    ///
    /// Anything there is from an attempt that a crash interrupted, and no part of this run.
    pub(super) async fn prepare(&self, result_dir: &Path, limit: u64, user: User) -> io::Result<Space> {
        let outputs = result_dir.join("outputs");
        let disk = beside(result_dir, "disk");
        clear(&outputs)?;
        clear(&disk)?;
        create_dir(&outputs)?;
        create_dir(&disk)?;
        let (bound, under) = match self.mount(result_dir, &disk, &outputs, limit).await {
            Ok(empty) => {
                let dir = result_dir.parent().unwrap_or(result_dir).to_owned();
                (Bound::Kernel(empty), Some(Under { dir, mounted: File::open(&disk)? }))
            }
            Err(reason) => {
                unmount_below(&outputs)?;
                unmount_below(&disk)?;
                self.warn(&reason);
                (Bound::Measured, None)
            }
        };
        let volumes = disk.join("volumes");
        create_dir(&volumes)?;
        give_to(&outputs, user)?;
        Ok(Space { outputs, volumes, bound, under })
    }

    /// What speaks against a file system of its own, if it is known before a trial.
    pub(super) fn may_mount(&self) -> Result<(), String> {
        if self.unseen.load(Ordering::Relaxed) {
            return Err("the engine does not see what this process mounts".to_owned());
        }
        if !rustix::process::geteuid().is_root() {
            return Err("this process is not root".to_owned());
        }
        Ok(())
    }

    /// Whether the engine is known to see what this process mounts.
    pub(super) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// Records that it does.
    pub(super) fn seen_by_engine(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Records that the engine sees other mounts than this process. From now on, runs are measured.
    pub(super) fn unseen_by_engine(&self) {
        self.unseen.store(true, Ordering::Relaxed);
        self.warn("the engine does not see what this process mounts");
    }

    fn warn(&self, reason: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            warn!(
                reason,
                "/outputs is measured and not bounded by the kernel: a job may pass its --disk limit before it \
                 is stopped. Run the node as root, with mkfs.ext4 and loop devices, to bound it"
            );
        }
    }

    /// Mounts a new file system at `disk` and its `outputs/` at `outputs`, or says why that is impossible.
    async fn mount(
        &self,
        result_dir: &Path,
        disk: &Path,
        outputs: &Path,
        limit: u64,
    ) -> Result<Used, String> {
        self.may_mount()?;
        let image = beside(result_dir, "image");
        let mounted = mount_image(&image, disk, limit).await;
        // The mount holds it. Without a name, it vanishes with the mount.
        let _ = fs::remove_file(&image);
        mounted?;
        let said = |error: io::Error| error.to_string();
        fs::remove_dir(disk.join("lost+found")).map_err(said)?;
        let inner = disk.join("outputs");
        create_dir(&inner).map_err(said)?;
        rustix::mount::mount_bind(&inner, outputs).map_err(|error| error.to_string())?;
        Used::of(disk).map_err(said)
    }
}

async fn mount_image(image: &Path, disk: &Path, limit: u64) -> Result<(), String> {
    let files = file_limit(limit);
    let made = File::create_new(image).and_then(|file| file.set_len(length(limit, files)));
    made.map_err(|error| format!("cannot make {}: {error}", image.display()))?;
    format_and_mount(image, disk, files).await
}

/// The length of a file for a file system that holds so many bytes and files.
pub(super) const fn length(bytes: u64, files: u64) -> u64 {
    bytes.saturating_add(bytes / 16).saturating_add(files * INODE_BYTES + SLACK_BYTES)
}

/// Makes a file system for so many files in a file, and mounts it.
pub(super) async fn format_and_mount(image: &Path, disk: &Path, files: u64) -> Result<(), String> {
    // No journal, and tables that are written only when used: 150 KiB for an empty one.
    let features = "^has_journal,^resize_inode,^metadata_csum,uninit_bg";
    let mut mkfs = command("mkfs.ext4");
    mkfs.args(["-q", "-F", "-b", "4096", "-m", "0", "-I", &INODE_BYTES.to_string()]);
    mkfs.args(["-O", features, "-E", "nodiscard,lazy_itable_init=1", "-N", &(files + 16).to_string()]);
    step(mkfs.arg(image)).await?;
    let mut mount = command("mount");
    mount.args(["-t", "ext4", "-o", "loop,nosuid,nodev,noatime,noinit_itable"]);
    step(mount.arg(image).arg(disk)).await
}

/// The most files and directories that a run with this limit may make.
pub(super) fn file_limit(limit: u64) -> u64 {
    (limit / 1024).clamp(16, MAX_FILES)
}

/// Finds a system tool even if a user's path lacks the administrator's directories.
fn command(program: &str) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin:/usr/bin:/bin")).kill_on_drop(true);
    command
}

async fn step(command: &mut Command) -> Result<(), String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = timeout(STEP_LIMIT, command.output()).await;
    let output = output.map_err(|_| format!("{program} took longer than {} s", STEP_LIMIT.as_secs()))?;
    let output = output.map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} failed: {}", said.lines().next().unwrap_or("it did not say why")))
}

pub(super) fn beside(result_dir: &Path, extension: &str) -> PathBuf {
    let mut name = result_dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{extension}"));
    result_dir.with_file_name(name)
}

pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Lets the container's user write to a directory and change it.
pub(super) fn give_to(dir: &Path, user: User) -> io::Result<()> {
    match chown(dir, Some(user.uid), Some(user.gid)) {
        // Without the right to give it away, the mode must suffice.
        Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::set_permissions(dir, Permissions::from_mode(0o777))
}

/// Gives a container's user the image's files in a volume: it may change all of them, as root could.
///
/// Follows no link. Without the right to give files away, they keep the image's owners.
pub(super) fn give_all_to(dir: &Path, user: User) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match lchown(entry.path(), Some(user.uid), Some(user.gid)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            given => given?,
        }
        if entry.file_type()?.is_dir() {
            give_all_to(&entry.path(), user)?;
        }
    }
    match give_to(dir, user) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}
