//! The first program of a container: it turns transparent huge pages off, and becomes the job's program.
//!
//! If the kernel gives huge pages, a fault may bring 2 MiB instead of 4 KiB, depending on how fragmented memory is: the same
//! program has a tenth of the faults on one node. Engines have no switch for it. The switch of a process is inherited by all that
//! it starts and becomes. `preload/start.c` is the program, for every image, and `scripts/seed-library` builds it.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Once,
};

use bollard::models::ImageConfig;
use rustix::fs::{StatVfsMountFlags, statvfs};
use tracing::warn;

use crate::domain::Spec;

/// The path of the program in the container.
pub(super) const START_TARGET: &str = "/run/assay-start";

/// The program for each architecture, by the engine's names.
const PROGRAMS: [(&str, &[u8]); 2] = [
    ("amd64", include_bytes!("../../../preload/built/start-x86_64")),
    ("arm64", include_bytes!("../../../preload/built/start-aarch64")),
];

/// The kernel writes its current mode in brackets.
const MODE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// What a container begins with.
#[derive(Debug)]
pub(super) struct Start {
    /// The program, on this machine.
    pub(super) program: PathBuf,
    /// What it does, then the job's program and its arguments.
    pub(super) words: Vec<String>,
}

/// Processes that it adds where it gives the job's program a fixed process id.
pub(super) const WAITING_PROCESSES: i64 = 2;

impl Start {
    /// Puts the program beside the results of a run, for a job with this command in an image of this architecture; `None` where
    /// there is none, or no program may run from there. Then the job's program starts by itself. The program of a seeded job gets
    /// a fixed process id.
    pub(super) fn place(
        result_dir: &Path,
        architecture: &str,
        is_seeded: bool,
        words: Vec<String>,
    ) -> io::Result<Option<Self>> {
        let program = PROGRAMS.iter().find(|(name, _)| *name == architecture);
        let dir = result_dir.parent().unwrap_or(result_dir);
        let mounted = statvfs(dir)?;
        let Some((_, program)) = program.filter(|_| !mounted.f_flag.contains(StatVfsMountFlags::NOEXEC))
        else {
            warn_if_unasked();
            return Ok(None);
        };
        let task = if is_seeded { "fixed-id" } else { "any-id" };
        let words = std::iter::once(task.to_owned()).chain(words).collect();
        Ok(Some(Self { program: put_beside(result_dir, "assay-start", program, 0o755)?, words }))
    }
}

/// Writes a file beside the results of a run, where the engine finds it and every user of the container may read it.
pub(super) fn put_beside(result_dir: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let path = result_dir.with_file_name(name);
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

/// The program and arguments of a container, as the engine puts them together.
pub(super) fn command_line(spec: &Spec, image: &ImageConfig) -> Vec<String> {
    let of_image = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    // An entrypoint of the spec drops the image's command.
    let (entrypoint, usual) = match spec.entrypoint.as_slice() {
        [] => (of_image(&image.entrypoint), of_image(&image.cmd)),
        given => (given.to_vec(), Vec::new()),
    };
    let command = if spec.command.is_empty() { usual } else { spec.command.clone() };
    [entrypoint, command].concat()
}

/// Tells the operator once that the kernel gives huge pages unasked, and that nothing keeps them from a job.
fn warn_if_unasked() {
    static TOLD: Once = Once::new();
    // A kernel without the file has none.
    if fs::read_to_string(MODE).is_ok_and(|mode| are_unasked(&mode)) {
        TOLD.call_once(|| {
            warn!(
                hint = format!("echo madvise > {MODE}; or keep the data directory on a file system without noexec"),
                "the kernel gives huge pages to every program, and this node cannot turn them off in a container: a run here \
                 has fewer page faults than elsewhere, and may be rejected where traces decide"
            );
        });
    }
}

fn are_unasked(mode: &str) -> bool {
    mode.split_ascii_whitespace().any(|word| word == "[always]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_counts() {
        assert!(are_unasked("[always] madvise never\n"));
        assert!(!are_unasked("always [madvise] never\n") && !are_unasked("always madvise [never]\n"));
    }

    #[test]
    fn an_entrypoint_of_the_spec_drops_both_of_the_images_and_a_command_one() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let image = ImageConfig {
            entrypoint: Some(words(&["/entry"])),
            cmd: Some(words(&["usual"])),
            ..Default::default()
        };
        let of = |entrypoint: &[&str], command: &[&str]| {
            let spec = Spec { entrypoint: words(entrypoint), command: words(command), ..Spec::sample() };
            command_line(&spec, &image).join(" ")
        };
        assert_eq!(of(&[], &[]), "/entry usual");
        assert_eq!(of(&[], &["own", "-x"]), "/entry own -x");
        assert_eq!(of(&["/other"], &[]), "/other");
        assert_eq!(of(&["/other"], &["own"]), "/other own");
    }

    #[test]
    fn the_program_is_placed_for_processors_that_have_one() {
        let dir = tempfile::tempdir().unwrap();
        let placed =
            |architecture| Start::place(&dir.path().join("result"), architecture, false, Vec::new()).unwrap();
        let start = placed("amd64").expect("programs run from the directory of tests");
        assert!(fs::read(start.program).unwrap().starts_with(b"\x7fELF"));
        assert!(placed("riscv64").is_none());
    }
}
