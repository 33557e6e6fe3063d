//! Finds a container's cgroup and reads it, on cgroup v1 and v2.
//!
//! Memory is anonymous memory only (`total_rss` on v1, `anon` on v2): the kernel charges page cache to whoever reads a file
//! first, so it says nothing about the job. A host may mount v2 without controllers beside v1 ("hybrid"); then v1 counts.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// The longest cgroup file, in bytes. `memory.stat`, the longest that is read, has two to three thousand.
const FILE_BYTES: usize = 16 * 1024;

/// One reading of a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Anonymous resident memory, in KiB.
    pub(super) rss_kib: u32,
    /// CPU time since the cgroup was made, in milliseconds. Includes 30 to 50 ms of the engine's own start.
    pub(super) cpu_ms: u64,
    /// Page faults since the cgroup was made, including major ones and those of the engine's own start.
    pub(super) faults: u64,
    /// Processes that the kernel killed for lack of memory.
    pub(super) oom_kills: u64,
}

/// The open files of one container's cgroup.
///
/// They are opened once: resolving the paths for each reading would cost more than the reading.
#[derive(Debug)]
pub(super) struct Cgroup {
    version: CgroupVersion,
    memory_stat: File,
    cpu: File,
    oom: File,
    procs: PathBuf,
}

/// The hierarchy of cgroups that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// One hierarchy for each controller.
    V1,
    /// The unified hierarchy.
    V2,
}

impl CgroupVersion {
    /// The hierarchy of this machine whose memory controller this process sees; `None` if it sees none.
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub fn of_this_machine() -> io::Result<Option<Self>> {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> io::Result<Option<Self>> {
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo"))?;
        let is_v1 = |controller| mounted(&mounts, Self::V1, controller).is_some();
        if is_v1("memory") && is_v1("cpuacct") {
            return Ok(Some(Self::V1));
        }
        let Some((_, point)) = mounted(&mounts, Self::V2, "") else { return Ok(None) };
        let controllers = root.join(point.trim_start_matches('/')).join("cgroup.controllers");
        let controllers = fs::read_to_string(controllers)?;
        Ok(controllers.split_whitespace().any(|name| name == "memory").then_some(Self::V2))
    }
}

impl Cgroup {
    /// The cgroup of a process, from `proc/` and the mounts under `root`, which is `/` outside tests.
    ///
    /// # Errors
    /// `NotFound` when the process or its cgroup is gone, or when no memory controller is mounted.
    pub(super) fn of_process(root: &Path, pid: u32) -> io::Result<Self> {
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo"))?;
        let membership = fs::read_to_string(root.join(format!("proc/{pid}/cgroup")))?;
        let dir = |version, controller| {
            directory(&mounts, &membership, version, controller).map(|path| root.join(path))
        };
        if let (Some(memory), Some(cpuacct)) =
            (dir(CgroupVersion::V1, "memory"), dir(CgroupVersion::V1, "cpuacct"))
        {
            return Ok(Self {
                version: CgroupVersion::V1,
                memory_stat: File::open(memory.join("memory.stat"))?,
                cpu: File::open(cpuacct.join("cpuacct.usage"))?,
                oom: File::open(memory.join("memory.oom_control"))?,
                procs: memory.join("cgroup.procs"),
            });
        }
        let unified = dir(CgroupVersion::V2, "").ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            version: CgroupVersion::V2,
            memory_stat: File::open(unified.join("memory.stat"))?,
            cpu: File::open(unified.join("cpu.stat"))?,
            oom: File::open(unified.join("memory.events"))?,
            procs: unified.join("cgroup.procs"),
        })
    }

    /// The processes in it, by one reading.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut buffer = [0; FILE_BYTES];
        let Ok(file) = File::open(&self.procs) else { return vec![] };
        let Ok(text) = contents(&file, &mut buffer) else { return vec![] };
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Reads memory, CPU time, page faults and OOM kills.
    ///
    /// # Errors
    /// When the cgroup is gone, which is how every run ends, or when a file is not what the kernel documents.
    pub(super) fn read(&self) -> io::Result<Usage> {
        let mut buffer = [0; FILE_BYTES];
        // Includes the groups below: the kernel adds them on v2, and has lines of their own for them on v1.
        let (rss, faults) = match self.version {
            CgroupVersion::V1 => ("total_rss", "total_pgfault"),
            CgroupVersion::V2 => ("anon", "pgfault"),
        };
        let stat = contents(&self.memory_stat, &mut buffer)?;
        let (rss_bytes, faults) = (field(stat, rss)?, field(stat, faults)?);
        // Kernels before 4.13 lack this line on v1. There only the engine's flag tells.
        let oom_kills = field(contents(&self.oom, &mut buffer)?, "oom_kill").unwrap_or(0);
        let cpu = contents(&self.cpu, &mut buffer)?;
        let cpu_ms = match self.version {
            CgroupVersion::V1 => number(cpu.trim_end())? / 1_000_000,
            CgroupVersion::V2 => field(cpu, "usage_usec")? / 1_000,
        };
        Ok(Usage { rss_kib: u32::try_from(rss_bytes / 1024).unwrap_or(u32::MAX), cpu_ms, faults, oom_kills })
    }
}

/// Where a process's cgroup is mounted: the path in `membership` (`/proc/PID/cgroup`) under the mount point
/// in `mounts` (`/proc/self/mountinfo`), relative to the root. `controller` is empty for v2.
fn directory(mounts: &str, membership: &str, version: CgroupVersion, controller: &str) -> Option<PathBuf> {
    let path = membership.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    let (mount_root, mount_point) = mounted(mounts, version, controller)?;
    // A mount may show only part of the hierarchy, for example inside another container.
    let below = Path::new(path).strip_prefix(mount_root).ok()?;
    // The kernel shows a process that has just ended at the root of a v1 hierarchy, whose numbers are the whole machine's.
    if below.as_os_str().is_empty() {
        return None;
    }
    (!below.components().any(|part| part.as_os_str() == ".."))
        .then(|| Path::new(mount_point.trim_start_matches('/')).join(below))
}

/// The root and the point of the mount that shows a controller, or v2.
fn mounted<'a>(mounts: &'a str, version: CgroupVersion, controller: &str) -> Option<(&'a str, &'a str)> {
    mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut filesystem = filesystem.split(' ');
        let found = match (version, filesystem.next()?) {
            (CgroupVersion::V1, "cgroup") => filesystem.nth(1)?.split(',').any(|option| option == controller),
            (CgroupVersion::V2, "cgroup2") => true,
            _ => false,
        };
        found.then_some((mount.next()?, mount.next()?))
    })
}

fn contents<'a>(file: &File, buffer: &'a mut [u8; FILE_BYTES]) -> io::Result<&'a str> {
    let length = file.read_at(buffer, 0)?;
    std::str::from_utf8(&buffer[..length]).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn field(text: &str, name: &str) -> io::Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    number(value.ok_or(io::ErrorKind::InvalidData)?)
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
    }

    #[test]
    fn v1_is_read_from_its_separate_hierarchies_though_v2_is_mounted_beside_it() {
        let cgroup = Cgroup::of_process(&recorded("cgroup-v1"), 4242).unwrap();
        assert_eq!(cgroup.version, CgroupVersion::V1);
        assert_eq!(
            cgroup.read().unwrap(),
            Usage { rss_kib: 16_548, cpu_ms: 2_081, faults: 26_406, oom_kills: 0 }
        );
    }

    #[test]
    fn v2_is_read_from_the_unified_hierarchy() {
        let cgroup = Cgroup::of_process(&recorded("cgroup-v2"), 4242).unwrap();
        assert_eq!(cgroup.version, CgroupVersion::V2);
        assert_eq!(
            cgroup.read().unwrap(),
            Usage { rss_kib: 25_080, cpu_ms: 1_234, faults: 7_915, oom_kills: 2 }
        );
    }

    #[test]
    fn a_machine_says_which_hierarchy_has_its_memory_controller() {
        let of = |name: &str| CgroupVersion::below(&recorded(name)).unwrap();
        assert_eq!(of("cgroup-v1"), Some(CgroupVersion::V1));
        let machine = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = machine.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw");
        for (controllers, found) in [("cpu memory pids\n", Some(CgroupVersion::V2)), ("cpu pids\n", None)] {
            put("sys/fs/cgroup/cgroup.controllers", controllers);
            assert_eq!(CgroupVersion::below(machine.path()).unwrap(), found);
        }
        put("proc/self/mountinfo", "23 1 0:20 / / rw - ext4 disk rw");
        assert_eq!(CgroupVersion::below(machine.path()).unwrap(), None);
    }

    #[test]
    fn a_process_that_is_gone_has_no_cgroup() {
        let gone = Cgroup::of_process(&recorded("cgroup-v2"), 1).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_process_that_has_ended_is_not_taken_for_the_whole_machine() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory";
        assert_eq!(directory(mounts, "4:memory:/\n", CgroupVersion::V1, "memory"), None);
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw";
        assert_eq!(directory(mounts, "0::/\n", CgroupVersion::V2, ""), None);
    }

    #[test]
    fn a_mount_of_a_part_of_the_hierarchy_is_understood() {
        let mounts = "31 23 0:28 /docker/outer /sys/fs/cgroup rw - cgroup2 cgroup rw";
        let found = |membership| directory(mounts, membership, CgroupVersion::V2, "");
        assert_eq!(found("0::/docker/outer/inner\n"), Some("sys/fs/cgroup/inner".into()));
        assert_eq!(found("0::/elsewhere\n"), None);
        assert_eq!(found("0::/docker/outer/../inner\n"), None);
        assert_eq!(found("nonsense"), None);
    }

    #[test]
    fn controllers_that_share_a_mount_are_told_apart_by_name() {
        let mounts = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory";
        let membership = "4:memory:/docker/a\n2:cpu,cpuacct:/docker/a\n1:name=systemd:/x\n";
        let found = |controller| directory(mounts, membership, CgroupVersion::V1, controller);
        assert_eq!(found("cpuacct"), Some("sys/fs/cgroup/cpu,cpuacct/docker/a".into()));
        assert_eq!(found("memory"), Some("sys/fs/cgroup/memory/docker/a".into()));
        assert_eq!(found("pids"), None);
    }

    #[test]
    fn damaged_files_are_refused_rather_than_read_as_zero() {
        assert!(field("anon \n", "anon").is_err());
        assert!(field("anon_thp 4096\n", "anon").is_err());
        assert!(field("anon -1\n", "anon").is_err());
        assert_eq!(field("file 1\nanon 4096\n", "anon").unwrap(), 4096);
    }
}
