//! Checks repeatedly during a run whether it keeps within its space.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    disk::{Measured, deleted_but_open, measure},
    scratch::Scratch,
    space::{Bound, Space, Under, Used, file_limit},
};
use crate::executor::{OutputPlace, RESERVE_BYTES, free_bytes};

/// The least time between two measurements of a run that nothing bounds.
const PERIOD: Duration = Duration::from_millis(120);

/// The pause after a measurement, as a multiple of its duration: 5 % of one CPU at most.
const PAUSE_FACTOR: u32 = 20;

/// Watches what one run writes.
#[derive(Debug)]
pub(super) struct Meter {
    dirs: Vec<PathBuf>,
    bound: Bound,
    under: Option<Under>,
    scratch: Option<Scratch>,
    limit: Measured,
    next: Instant,
    /// After the last measurement: what was free on the disk, and how much the run could still write.
    last: Option<(u64, u64)>,
}

/// Why the node cannot keep what a run wrote.
#[derive(Debug)]
pub(super) enum DiskProblem {
    /// The run wrote more bytes to a place than its limit.
    Bytes { place: OutputPlace, limit: u64 },
    /// The run made more files in a place than its limit.
    Files { place: OutputPlace, limit: u64 },
    /// The output cannot be measured, so it is not assumed to be small.
    Unreadable(io::Error),
    /// The node's own disk is nearly full, or did not take all that the run wrote.
    NodeFull,
    /// The node's own disk did not take what the run wrote, though it has room.
    Broken(io::Error),
}

/// What a file system may use for itself to store `bytes`. The final check does not count it as the run's.
pub(super) const fn overhead(bytes: u64) -> u64 {
    bytes / 64 + (1 << 20)
}

impl Meter {
    /// Watches this space, which may hold `limit_bytes`, and the scratch directory.
    ///
    /// # Errors
    /// When this process has no file descriptor left.
    pub(super) fn new(space: &Space, scratch: Option<&Scratch>, limit_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            dirs: vec![space.outputs.clone(), space.volumes.clone()],
            bound: space.bound,
            under: space.under.as_ref().map(Under::try_clone).transpose()?,
            scratch: scratch.cloned(),
            limit: Measured { bytes: limit_bytes, files: file_limit(limit_bytes) },
            next: Instant::now(),
            last: None,
        })
    }

    /// The problem that a short look finds now, if any. `pids` are the processes of the run.
    pub(super) fn look(&mut self, pids: impl FnOnce() -> Vec<u32>) -> Option<DiskProblem> {
        if let Some(problem) = self.in_scratch() {
            return Some(problem);
        }
        match self.bound {
            Bound::Kernel(_) if self.under.as_ref().is_some_and(Under::is_full) => {
                Some(DiskProblem::NodeFull)
            }
            Bound::Kernel(empty) => self.compare(empty),
            Bound::Measured => {
                let free = match free_bytes(&self.dirs[0]) {
                    Ok(free) => free,
                    Err(error) => return Some(DiskProblem::Unreadable(error)),
                };
                if free < RESERVE_BYTES {
                    return Some(DiskProblem::NodeFull);
                }
                // A pause must not give a run the time to pass its limit, so the disk's free space is watched too.
                let writes = self.last.is_none_or(|(then, room)| then.saturating_sub(free) > room / 2);
                if !writes && Instant::now() < self.next {
                    return None;
                }
                self.measure(free, &pids())
            }
        }
    }

    /// Looks once more when the run is over, at every file.
    pub(super) fn finish(&mut self) -> Option<DiskProblem> {
        let seen = match self.bound {
            Bound::Kernel(empty) => self.compare(empty).or_else(|| self.lost()),
            Bound::Measured => None,
        };
        seen.or_else(|| self.in_scratch()).or_else(|| self.measure(u64::MAX, &[]))
    }

    /// The problem if the node's disk did not take everything.
    fn lost(&self) -> Option<DiskProblem> {
        match self.under.as_ref()?.took_all() {
            Ok(()) => None,
            Err(error) if error.kind() == ErrorKind::StorageFull => Some(DiskProblem::NodeFull),
            Err(error) => Some(DiskProblem::Broken(error)),
        }
    }

    fn compare(&self, empty: Used) -> Option<DiskProblem> {
        counted(&self.dirs[0], empty, self.limit, OutputPlace::Outputs)
    }

    fn in_scratch(&self) -> Option<DiskProblem> {
        let Scratch { dir, empty, limit } = self.scratch.as_ref()?;
        counted(dir, *empty, *limit, OutputPlace::Scratch)
    }

    fn measure(&mut self, free: u64, pids: &[u32]) -> Option<DiskProblem> {
        let begun = Instant::now();
        let dirs: Vec<_> = self.dirs.iter().map(PathBuf::as_path).collect();
        let measured =
            measure(&dirs, self.limit).and_then(|named| Ok((named, deleted_but_open(&self.dirs[0], pids)?)));
        let (named, hidden) = match measured {
            Ok(found) => found,
            Err(error) => return Some(DiskProblem::Unreadable(error)),
        };
        if named.files > self.limit.files {
            return Some(DiskProblem::Files { place: OutputPlace::Outputs, limit: self.limit.files });
        }
        let Some(room) = self.limit.bytes.checked_sub(named.bytes.saturating_add(hidden)) else {
            return Some(DiskProblem::Bytes { place: OutputPlace::Outputs, limit: self.limit.bytes });
        };
        self.last = Some((free, room));
        self.next = Instant::now() + PERIOD.max(begun.elapsed() * PAUSE_FACTOR);
        None
    }
}

/// The problem with a file system of its own, by the kernel's count.
fn counted(dir: &Path, empty: Used, limit: Measured, place: OutputPlace) -> Option<DiskProblem> {
    let used = match Used::of(dir) {
        Ok(used) => used,
        Err(error) => return Some(DiskProblem::Unreadable(error)),
    };
    if used.bytes.saturating_sub(empty.bytes) > limit.bytes.saturating_add(overhead(limit.bytes)) {
        return Some(DiskProblem::Bytes { place, limit: limit.bytes });
    }
    let is_over = used.files.saturating_sub(empty.files) > limit.files;
    is_over.then_some(DiskProblem::Files { place, limit: limit.files })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn meter(dir: &Path, limit: u64) -> Meter {
        let (outputs, volumes) = (dir.join("outputs"), dir.join("volumes"));
        fs::create_dir(&outputs).unwrap();
        fs::create_dir(&volumes).unwrap();
        let space = Space { outputs, volumes, bound: Bound::Measured, under: None };
        Meter::new(&space, None, limit).unwrap()
    }

    #[test]
    fn outputs_and_volumes_share_one_limit() {
        let dir = tempfile::tempdir().unwrap();
        let mut meter = meter(dir.path(), 100_000);
        fs::write(dir.path().join("outputs/a"), vec![7; 60_000]).unwrap();
        assert!(meter.finish().is_none());
        fs::write(dir.path().join("volumes/b"), vec![7; 60_000]).unwrap();
        assert!(matches!(meter.finish(), Some(DiskProblem::Bytes { .. })));
    }

    #[test]
    fn too_many_empty_files_are_told_from_too_many_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut meter = meter(dir.path(), 1 << 15);
        meter.limit.bytes = u64::MAX;
        for name in 0..=meter.limit.files {
            fs::File::create(dir.path().join("outputs").join(name.to_string())).unwrap();
        }
        assert!(matches!(meter.look(Vec::new), Some(DiskProblem::Files { .. })));
    }

    #[test]
    fn a_run_that_writes_is_measured_before_its_pause_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut meter = meter(dir.path(), 100_000);
        assert!(meter.look(Vec::new).is_none());
        meter.next = Instant::now() + Duration::from_secs(3600);
        fs::write(dir.path().join("outputs/a"), vec![7; 200_000]).unwrap();
        // Set as if the disk had shown it: other writers on this machine must not decide the test.
        meter.last = Some((u64::MAX, 100_000));
        assert!(matches!(meter.look(Vec::new), Some(DiskProblem::Bytes { .. })));
    }
}
