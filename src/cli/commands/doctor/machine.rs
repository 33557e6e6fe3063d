//! This machine: the engine, what it measures with, disks, ports, keys, and the Anvil of a devstack.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::finding::Finding;
use crate::{
    cli::{
        args::{DEFAULT_API, DoctorArgs, KeyArgs},
        settings, text,
    },
    devstack::anvil,
    domain::Resources,
    executor::{
        CgroupVersion, DockerExecutor, EngineInfo, Executor as _, ExecutorError, RESERVE_BYTES, free_bytes,
    },
    identity::{KeyError, KeyFile},
};

/// Looks at this machine.
pub(super) async fn look(args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = engine(args.image.as_deref()).await;
    findings.push(cgroups());
    findings.push(anvil_finding());
    findings.push(api_port());
    match args.data_dir.clone().map_or_else(settings::default_data_dir, Ok) {
        Ok(dir) => {
            findings.push(disk(&dir));
            findings.push(data_dir(&dir));
        }
        Err(error) => findings.push(Finding::error("disk", &error)),
    }
    findings.push(key(&args.key));
    findings
}

/// The engine, and an image on it.
async fn engine(image: Option<&str>) -> Vec<Finding> {
    let socket = match settings::engine_socket() {
        Ok(socket) => socket,
        Err(error) => return vec![Finding::error("engine", &error)],
    };
    let engine = match DockerExecutor::connect(&socket).await {
        Ok(engine) => engine,
        Err(error) => return vec![Finding::error("engine", &error)],
    };
    let looked_up = match image {
        Some(name) => image_finding(name, &engine.resolve(name).await),
        None => Finding::skip("image", "no image was named", "check that nodes find one with --image IMAGE"),
    };
    vec![Finding::ok("engine", said(&engine.info(), &socket)), looked_up]
}

fn said(info: &EngineInfo, socket: &str) -> String {
    let EngineInfo { version, platform, cpus, memory_bytes } = info;
    let named = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    format!(
        "version {} for {} at {socket}; {cpus} CPUs, {} memory",
        named(version),
        named(platform),
        text::bytes(*memory_bytes)
    )
}

fn image_finding(name: &str, resolved: &Result<String, ExecutorError>) -> Finding {
    match resolved {
        Ok(pinned) => Finding::ok("image", format!("{name} is {pinned}")),
        Err(error) => Finding::error("image", error),
    }
}

fn cgroups() -> Finding {
    const CHECK: &str = "cgroups";
    match CgroupVersion::of_this_machine() {
        Ok(Some(CgroupVersion::V1)) => Finding::ok(CHECK, "version 1, with memory and CPU accounting"),
        Ok(Some(CgroupVersion::V2)) => Finding::ok(CHECK, "version 2, with its memory controller"),
        Ok(None) => Finding::fail(
            CHECK,
            "no memory controller is mounted here, so runs cannot be measured",
            Some(
                "run the node outside a container, or mount the host's /sys/fs/cgroup into it; on some systems the kernel \
                 needs cgroup_enable=memory"
                    .to_owned(),
            ),
        ),
        Err(error) => Finding::fail(CHECK, format!("the mounts cannot be read: {error}"), None),
    }
}

fn anvil_finding() -> Finding {
    match anvil::find() {
        Some(path) => Finding::ok("anvil", path.display().to_string()),
        None => Finding::warn(
            "anvil",
            "not found; only devstack --scheduler contract without --rpc-url needs it",
            "run npm ci in the checkout, or install Foundry",
        ),
    }
}

/// The port on which `serve` answers. A node of this user on it is another check.
fn api_port() -> Finding {
    const CHECK: &str = "port";
    let address: SocketAddr = DEFAULT_API.parse().expect("the default is an address");
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(CHECK, format!("{address} is free for the API of assay serve")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::warn(
            CHECK,
            format!("{address} is in use, perhaps by a node that already runs"),
            "give another node its own --api, such as --api 127.0.0.1:0",
        ),
        Err(error) => Finding::fail(
            CHECK,
            format!("cannot listen on {address}: {error}"),
            Some("choose another --api address for assay serve".to_owned()),
        ),
    }
}

/// The nearest directory above a path that exists: a node creates the rest.
fn existing(path: &Path) -> PathBuf {
    let mut above = path.ancestors().filter(|path| !path.as_os_str().is_empty());
    above.find(|path| path.exists()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn disk(dir: &Path) -> Finding {
    match free_bytes(&existing(dir)) {
        Ok(free) => room(dir, free),
        Err(error) => Finding::fail("disk", format!("{} cannot be looked at: {error}", dir.display()), None),
    }
}

/// Whether so much free space is enough for a job of the usual size.
fn room(dir: &Path, free: u64) -> Finding {
    let (found, job) = (
        format!("{} free for {}", text::bytes(free), dir.display()),
        RESERVE_BYTES.saturating_add(Resources::default().disk_bytes),
    );
    if free < RESERVE_BYTES {
        let least = text::bytes(RESERVE_BYTES);
        Finding::fail("disk", found, Some(format!("make room: no job runs with less than {least} free")))
    } else if free < job {
        let most = text::bytes(job);
        Finding::warn("disk", found, format!("make room: a job with the default --disk needs {most}"))
    } else {
        Finding::ok("disk", found)
    }
}

/// Whether others may look into the directory with key and undisclosed results.
fn data_dir(dir: &Path) -> Finding {
    const CHECK: &str = "data";
    let shown = dir.display();
    match fs::metadata(dir) {
        Ok(found) => match found.permissions().mode() & 0o7777 {
            mode if mode & 0o077 == 0 => Finding::ok(CHECK, format!("{shown} is its owner's alone")),
            mode => Finding::fail(
                CHECK,
                format!("{shown} has mode {mode:04o} and is open to other users of this machine"),
                Some(format!("run: chmod 700 {shown}")),
            ),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::skip(CHECK, format!("{shown} is not there yet"), "assay serve creates it")
        }
        Err(error) => Finding::fail(CHECK, format!("{shown} cannot be looked at: {error}"), None),
    }
}

/// The key that the user named. A keystore is not opened.
fn key(args: &KeyArgs) -> Finding {
    const CHECK: &str = "key";
    let Some(path) = &args.key else {
        return Finding::skip(
            CHECK,
            "no key was named",
            "name one with --key or ASSAY_KEY to act on a contract; assay serve makes its own otherwise",
        );
    };
    match KeyFile::read(path) {
        Ok(KeyFile::Plain(key)) => {
            Finding::ok(CHECK, format!("{} is that of {}", path.display(), key.node_id()))
        }
        Ok(KeyFile::Locked(_)) => {
            Finding::ok(CHECK, format!("{} is a keystore, opened by its passphrase", path.display()))
        }
        Err(error) => {
            let hint = match &error {
                KeyError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                    Some("assay wallet new --key FILE makes a key".to_owned())
                }
                KeyError::Exposed { .. } => {
                    Some("make a new one with assay wallet new, and move the money".to_owned())
                }
                _ => None,
            };
            Finding::fail(CHECK, crate::explain::one_line(&error), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::doctor::finding::State;

    #[test]
    fn a_disk_has_room_for_the_reserve_and_for_a_usual_job() {
        let of = |free| room(Path::new("/data"), free).state;
        assert_eq!(of(RESERVE_BYTES - 1), State::Fail);
        assert_eq!(of(RESERVE_BYTES), State::Warn);
        assert_eq!(of(RESERVE_BYTES + Resources::default().disk_bytes), State::Ok);
        let there = tempfile::tempdir().unwrap();
        assert_eq!(existing(&there.path().join("not/yet")), there.path());
        assert_eq!(existing(Path::new("not-yet")), Path::new("."));
    }

    #[test]
    fn directories_and_keys_that_others_can_read_fail_with_what_to_run() {
        let dir = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(dir.path(), 0o750);
        let open = data_dir(dir.path());
        assert_eq!(open.state, State::Fail);
        assert_eq!(open.hint.unwrap(), format!("run: chmod 700 {}", dir.path().display()));
        set(dir.path(), 0o700);
        assert_eq!(data_dir(dir.path()).state, State::Ok);
        assert_eq!(data_dir(&dir.path().join("none")).state, State::Skip);

        let path = dir.path().join("key");
        fs::write(&path, "11".repeat(32)).unwrap();
        let of = |path: PathBuf| key(&KeyArgs { key: Some(path), passphrase_file: None });
        set(&path, 0o644);
        assert_eq!(of(path.clone()).state, State::Fail);
        set(&path, 0o600);
        let own = of(path.clone());
        assert_eq!(own.state, State::Ok);
        assert!(own.found.contains("is that of 0x"), "{}", own.found);
        assert!(of(dir.path().join("none")).hint.unwrap().contains("wallet new"));
        assert_eq!(key(&KeyArgs { key: None, passphrase_file: None }).state, State::Skip);
    }
}
