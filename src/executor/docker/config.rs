//! The container of a run: every default is the safe one, and nothing in a spec can widen it.

use std::{collections::HashMap, path::Path};

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};

use super::super::{InputMount, RunRequest};
use crate::domain::OUTPUTS_DIR;

/// The label that holds the node a container belongs to.
pub(super) const NODE_LABEL: &str = "assay.node";
/// The label that holds the job a container runs.
pub(super) const JOB_LABEL: &str = "assay.job";

/// Who a container runs as unless its image names another: nobody, on every Linux.
const NOBODY: u32 = 65_534;

/// Most that `/tmp`, and each volume of the image, may hold. It is memory, and counts against its limit too.
const TMPFS_BYTES: u64 = 64 << 20;

/// Who a container runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// As the engine takes it: `uid`, `uid:gid` or a name the image knows.
    pub(super) name: String,
    /// The numeric user, where the name says it.
    pub(super) uid: Option<u32>,
}

impl User {
    /// The user an image names, unless that is root or nobody in particular.
    ///
    /// A name says nothing of its number: whether it is root inside the image shows once the container runs.
    pub(super) fn of_image(named: &str) -> Self {
        let user = named.split(':').next().unwrap_or_default();
        match user.parse::<u32>() {
            Ok(uid) if uid > 0 => Self { name: named.to_owned(), uid: Some(uid) },
            Err(_) if !user.is_empty() && user != "root" => Self { name: named.to_owned(), uid: None },
            Ok(_) | Err(_) => Self { name: format!("{NOBODY}:{NOBODY}"), uid: Some(NOBODY) },
        }
    }
}

/// The body of the engine's `create` for this run. `outputs` is an absolute path, and so are the inputs'.
pub(super) fn container_body(
    request: &RunRequest,
    user: &User,
    image_volumes: &[String],
    outputs: &Path,
) -> ContainerCreateBody {
    let spec = &request.spec;
    let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    ContainerCreateBody {
        // The engine would name the host after the container, and each node would compute something else.
        hostname: Some("assay".to_owned()),
        user: Some(user.name.clone()),
        image: Some(spec.image.clone()),
        entrypoint: words(&spec.entrypoint),
        cmd: words(&spec.command),
        env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: spec.working_directory.clone(),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        network_disabled: Some(true),
        // An image's health checks would run beside the job, and into its trace.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(HashMap::from([
            (NODE_LABEL.to_owned(), request.node.to_string()),
            (JOB_LABEL.to_owned(), request.job.to_string()),
        ])),
        host_config: Some(host_config(request, user, image_volumes, outputs)),
        ..Default::default()
    }
}

fn host_config(request: &RunRequest, user: &User, image_volumes: &[String], outputs: &Path) -> HostConfig {
    let limits = request.spec.resources;
    let memory = signed(limits.memory_bytes);
    let inputs = request.inputs.iter().map(|InputMount { source, target }| bind(source, target, true));
    HostConfig {
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        readonly_rootfs: Some(true),
        mounts: Some(inputs.chain([bind(outputs, OUTPUTS_DIR, false)]).collect()),
        tmpfs: Some(tmpfs(request, user, image_volumes)),
        memory: Some(memory),
        // Equal to memory means no swap.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(limits.cpu_millis) * 1_000_000),
        // The limit of the spec is the job's own; the init process is ours.
        pids_limit: Some(i64::from(limits.pids) + 1),
        ulimits: Some(vec![
            ulimit("core", 0),
            // A single file cannot run away between two measurements; the byte over the limit shows that it tried.
            ulimit("fsize", limits.disk_bytes.saturating_add(1)),
        ]),
        init: Some(true),
        // Output is read from the attached stream: the engine need not write it to its disk as well.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), ..Default::default() }),
        ..Default::default()
    }
}

/// `/tmp`, and a cover for every volume the image declares: the engine would back those with space on its
/// disk that no limit counts.
fn tmpfs(request: &RunRequest, user: &User, image_volumes: &[String]) -> HashMap<String, String> {
    let owner = user.uid.map(|uid| format!(",uid={uid}")).unwrap_or_default();
    let options = format!("rw,nosuid,nodev,size={TMPFS_BYTES},mode=1777{owner}");
    let mounted = |path: &&str| {
        *path != OUTPUTS_DIR && *path != "/tmp" && request.inputs.iter().all(|input| input.target != *path)
    };
    let volumes = image_volumes.iter().map(|path| path.trim_end_matches('/')).filter(mounted);
    volumes.chain(["/tmp"]).map(|path| (path.to_owned(), options.clone())).collect()
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
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

    #[test]
    fn an_image_that_names_root_or_nobody_in_particular_runs_as_nobody() {
        for named in ["", "root", "0", "0:0", "root:root", "00", ":0", ":5"] {
            let nobody = User { name: "65534:65534".to_owned(), uid: Some(NOBODY) };
            assert_eq!(User::of_image(named), nobody, "{named:?}");
        }
    }

    #[test]
    fn an_image_that_names_another_user_runs_as_that_one() {
        for (named, uid) in
            [("1000", Some(1000)), ("1000:1000", Some(1000)), ("app", None), ("app:staff", None)]
        {
            assert_eq!(User::of_image(named), User { name: named.to_owned(), uid }, "{named:?}");
        }
    }
}
