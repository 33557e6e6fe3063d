//! The container of a run: every default is the safe one, and nothing in a spec can widen it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, ResourcesUlimits,
};

use super::{
    super::{InputMount, RunRequest},
    meter::overhead,
    seeded::{LIBRARY_TARGET, variables},
    start::{START_TARGET, Start, WAITING_PROCESSES},
    user::User,
};
use crate::domain::{OUTPUTS_DIR, RESERVED_VARIABLES};

/// The label with the node that a container belongs to.
pub(super) const NODE_LABEL: &str = "assay.node";
/// The label with the job that a container runs.
pub(super) const JOB_LABEL: &str = "assay.job";

/// The label with the time after which any node may remove a container, in Unix seconds.
pub(super) const UNTIL_LABEL: &str = "assay.until";
/// The label with the scratch directory of a container's node.
pub(super) const SCRATCH_LABEL: &str = "assay.scratch";
/// The label that tells the runs of one process apart.
pub(super) const RUN_LABEL: &str = "assay.run";

/// The most files in `/tmp`.
const TMPFS_FILES: u64 = 65_536;

/// What a container needs besides its request.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// The user that it runs as.
    pub(super) user: User,
    /// Mounted at `/outputs`.
    pub(super) outputs: &'a Path,
    /// Mounted as the scratch directory.
    pub(super) scratch: Option<&'a Path>,
    /// The image's volumes: the mount point of each, and the directory behind it.
    pub(super) volumes: &'a [(String, PathBuf)],
    /// What it begins with, if not with the job's program.
    pub(super) start: Option<&'a Start>,
    /// What a seeded job needs besides.
    pub(super) seeded: Option<&'a Seeded<'a>>,
    /// Which run of this process it is.
    pub(super) run: &'a str,
    /// The time after which any node may remove it, in Unix seconds.
    pub(super) until: u64,
}

/// What a seeded run needs besides its seed.
#[derive(Debug)]
pub(super) struct Seeded<'a> {
    /// The library, on this machine.
    pub(super) library: PathBuf,
    /// The architecture of the image.
    pub(super) architecture: &'a str,
    /// The variables that the image sets.
    pub(super) image_env: &'a [String],
}

/// A container of this image that never starts, so that its files can be read.
pub(super) fn probe_body(image: &str, labels: HashMap<String, String>) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // The engine requires a command.
        entrypoint: Some(vec!["/".to_owned()]),
        network_disabled: Some(true),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            readonly_rootfs: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The labels that identify a container.
pub(super) fn labels(request: &RunRequest, run: &str, until: u64) -> HashMap<String, String> {
    HashMap::from([
        (NODE_LABEL.to_owned(), request.node.to_string()),
        (JOB_LABEL.to_owned(), request.job.to_string()),
        (SCRATCH_LABEL.to_owned(), request.scratch.to_string_lossy().into_owned()),
        (RUN_LABEL.to_owned(), run.to_owned()),
        (UNTIL_LABEL.to_owned(), until.to_string()),
    ])
}

/// The body of the engine's `create` request for this run. All paths of this machine are absolute.
pub(super) fn container_body(request: &RunRequest, parts: &Parts<'_>) -> ContainerCreateBody {
    let spec = &request.spec;
    let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let (entrypoint, cmd) = match parts.start {
        Some(start) => (Some(vec![START_TARGET.to_owned()]), words(&start.words)),
        None => (words(&spec.entrypoint), words(&spec.command)),
    };
    ContainerCreateBody {
        // The engine would name the host after the container, and each node would compute something else.
        hostname: Some("assay".to_owned()),
        user: Some(parts.user.numbers()),
        image: Some(spec.image.clone()),
        entrypoint,
        cmd,
        env: Some(environment(request, parts.seeded)),
        working_dir: spec.working_directory.clone(),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        network_disabled: Some(true),
        // An image's health checks would run beside the job and show in its trace.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(labels(request, parts.run, parts.until)),
        host_config: Some(host_config(request, parts)),
        ..Default::default()
    }
}

/// The variables of the container. The node's own win over the job's.
fn environment(request: &RunRequest, seeded: Option<&Seeded<'_>>) -> Vec<String> {
    let RunRequest { job, seed, spec, .. } = request;
    let of_job = |name: &str| spec.environment.get(name).cloned();
    let of_seeded = seeded.map(|seeded| variables(*seed, seeded.architecture, of_job, seeded.image_env));
    let given = spec.environment.iter().filter(|(name, _)| !name.starts_with(RESERVED_VARIABLES));
    let given = given.map(|(name, value)| format!("{name}={value}"));
    let own =
        [format!("ASSAY_JOB={job}"), format!("ASSAY_SEED={seed}"), format!("ASSAY_SEED32={}", seed.small())];
    // The last of two variables with one name wins.
    given.chain(own).chain(of_seeded.into_iter().flatten()).collect()
}

fn host_config(request: &RunRequest, parts: &Parts<'_>) -> HostConfig {
    let limits = request.spec.resources;
    let memory = signed(limits.memory_bytes);
    let largest = limits.disk_bytes.max(limits.scratch_bytes);
    let inputs = request.inputs.iter().map(|InputMount { source, target }| bind(source, target, true));
    let start = parts.start.map(|start| bind(&start.program, START_TARGET, true));
    let library = parts.seeded.map(|seeded| bind(&seeded.library, LIBRARY_TARGET, true));
    let scratch = parts.scratch.map(|dir| bind(dir, &request.spec.scratch_dir, false));
    let volumes = parts.volumes.iter().map(|(target, source)| volume(source, target));
    HostConfig {
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        readonly_rootfs: Some(true),
        mounts: Some(
            inputs
                .chain([bind(parts.outputs, OUTPUTS_DIR, false)])
                .chain(scratch)
                .chain(start)
                .chain(library)
                .chain(volumes)
                .collect(),
        ),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmpfs(parts.user, limits.tmp_bytes))])),
        memory: Some(memory),
        // Equal to memory means no swap.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(limits.cpu_millis) * 1_000_000),
        // The spec's limit is for the job; the init process needs one more.
        pids_limit: Some(
            i64::from(limits.pids) + 1 + if parts.seeded.is_some() { WAITING_PROCESSES } else { 0 },
        ),
        ulimits: Some(vec![
            ulimit("core", 0),
            // A single file cannot run away between two measurements. The room above the limit lets the node notice the
            // attempt.
            ulimit("fsize", largest.saturating_add(2 * overhead(largest))),
        ]),
        init: Some(true),
        // The node reads output from the attached stream, so the engine need not write it to disk as well.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), ..Default::default() }),
        ..Default::default()
    }
}

/// The mount options of `/tmp`. It is memory and counts against the memory limit too. Programs may run from it, as from the
/// `/tmp` of any machine.
fn tmpfs(User { uid, gid }: User, bytes: u64) -> String {
    format!("rw,nosuid,nodev,exec,size={bytes},nr_inodes={TMPFS_FILES},mode=1777,uid={uid},gid={gid}")
}

/// The volumes of an image that nothing else is mounted at. Without a place of ours, the engine would give them unlimited
/// space on its disk.
pub(super) fn volumes_to_mount(request: &RunRequest, image_volumes: &[String]) -> Vec<String> {
    let taken = |path: &str| {
        path.is_empty()
            || path == OUTPUTS_DIR
            || path == "/tmp"
            || request.inputs.iter().any(|input| input.target == path)
            || (request.spec.resources.scratch_bytes > 0 && request.spec.scratch_dir == path)
    };
    let mut volumes: Vec<_> =
        image_volumes.iter().map(|path| path.trim_end_matches('/').to_owned()).collect();
    volumes.retain(|path| !taken(path));
    volumes.sort();
    volumes.dedup();
    volumes
}

/// An engine volume in a directory of ours. Unlike a bind mount, the engine fills it before the start with the image's
/// files, owners and modes included.
fn volume(source: &Path, target: &str) -> Mount {
    let options = [("type", "none"), ("o", "bind"), ("device", &*source.to_string_lossy())];
    let driver = MountVolumeOptionsDriverConfig {
        name: Some("local".to_owned()),
        options: Some(options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
    };
    Mount {
        typ: Some(MountType::VOLUME),
        target: Some(target.to_owned()),
        volume_options: Some(MountVolumeOptions { driver_config: Some(driver), ..Default::default() }),
        ..Default::default()
    }
}

pub(super) fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Default::default()
    }
}

fn ulimit(name: &str, value: u64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(signed(value)), hard: Some(signed(value)) }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::domain::{JobId, NodeId, Seed, Span, Spec};

    #[test]
    fn a_volume_gets_a_place_unless_something_is_mounted_there() {
        let spec = Spec::sample();
        let request = RunRequest {
            job: JobId::ZERO,
            node: NodeId::ZERO,
            seed: Seed::of(JobId::ZERO),
            spec,
            timeout: Span::from_secs(1),
            inputs: vec![InputMount { source: "/x".into(), target: "/given".to_owned() }],
            result_dir: "/result".into(),
            scratch: "/".into(),
            begin_within: Span::from_secs(0),
            patience: Span::from_secs(0),
        };
        let declared = ["/data/", "/given", "/outputs", "/tmp/", "/", "/data", "/cache"].map(str::to_owned);
        assert_eq!(volumes_to_mount(&request, &declared), ["/cache", "/data"]);
    }
}
