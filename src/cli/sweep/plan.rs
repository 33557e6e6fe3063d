//! The file of a sweep: all that another command needs to submit the jobs that are missing.
//!
//! It stands in the user's state directory and says what the jobs' own public logs say, before they have one. Each job is
//! submitted under a key that follows from its place, so a job that two commands submit is one job.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::Sweep;
use crate::{
    api::types::{GROUP_DIGITS, SubmitRequest},
    cli::settings,
    domain::NodeId,
    explain::Hint,
};

/// The version of the file's form.
const VERSION: u32 = 1;

/// The longest file: a request of the longest kind, and as many values.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A sweep as it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Plan {
    version: u32,
    pub(in crate::cli) group: String,
    /// The node that acts for the user. Another one would submit every job again.
    pub(in crate::cli) requester: NodeId,
    /// What all jobs have in common.
    pub(in crate::cli) request: SubmitRequest,
    pub(in crate::cli) sweep: Sweep,
    pub(in crate::cli) max_parallel: Option<usize>,
    /// The jobs that no node took before the user was told how the group ended; `None` until then. All others were
    /// submitted, so they are not submitted again, even if the node has forgotten them.
    #[serde(default)]
    left: Option<BTreeSet<u32>>,
}

/// Why the file of a sweep cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The operating system refused.
    #[error("cannot use the file of the sweep {}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{} is not the file of a sweep: {problem}", path.display())]
    Form {
        /// Its path.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// Another node would submit the jobs.
    #[error("the sweep {group} is that of {planned}, but the node that answers is {answering}")]
    OtherNode {
        /// The group.
        group: String,
        /// The requester of its jobs.
        planned: NodeId,
        /// The node that was asked.
        answering: NodeId,
    },
}

impl Hint for PlanError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { .. } => {
                "check the room on the disk, and that XDG_STATE_HOME or ~/.local/state can be written"
            }
            Self::Form { .. } => "remove it to wait only for the jobs that were submitted",
            Self::OtherNode { .. } => "name the node that the sweep was submitted to with --api",
        };
        Some(hint.to_owned())
    }
}

impl Plan {
    /// A sweep that nobody has submitted yet, with a new id.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(in crate::cli) fn new(
        requester: NodeId,
        request: SubmitRequest,
        sweep: Sweep,
        max_parallel: Option<usize>,
    ) -> io::Result<Self> {
        let mut bytes = [0; GROUP_DIGITS / 2];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self {
            version: VERSION,
            group: hex::encode(bytes),
            requester,
            request,
            sweep,
            max_parallel,
            left: None,
        })
    }

    /// The jobs that must have been submitted before the group is over.
    pub(in crate::cli) fn wanted(&self) -> BTreeSet<u32> {
        self.left.clone().unwrap_or_else(|| (0..self.sweep.jobs()).collect())
    }

    /// Whether the user was told how every job ended.
    pub(in crate::cli) fn is_over(&self) -> bool {
        self.left.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Stores that the user was told how the group ended, without the jobs that are `left`.
    ///
    /// # Errors
    /// [`PlanError::Io`].
    pub(in crate::cli) fn end(&self, left: BTreeSet<u32>) -> Result<(), PlanError> {
        Self { left: Some(left), ..self.clone() }.save()
    }

    /// Removes the file of a group that nobody can ask about any more.
    ///
    /// # Errors
    /// [`PlanError::Io`].
    pub(in crate::cli) fn remove(&self) -> Result<(), PlanError> {
        let Some(path) = settings::sweep_file(&self.group) else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PlanError::Io { path, source }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// One job of it.
    pub(in crate::cli) fn request(&self, index: u32) -> SubmitRequest {
        let mut request = self.request.clone();
        request.environment.extend(self.sweep.variables(&self.group, index));
        request
    }

    /// The key under which a job is submitted.
    pub(in crate::cli) fn key(&self, index: u32) -> String {
        format!("sweep-{}-{index}", self.group)
    }

    /// Writes it to the user's state directory.
    ///
    /// # Errors
    /// [`PlanError::Io`].
    pub(in crate::cli) fn save(&self) -> Result<(), PlanError> {
        let Some(path) = settings::sweep_file(&self.group) else { return Ok(()) };
        self.write(&path).map_err(|source| PlanError::Io { path, source })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // Open to its owner alone, and renamed when it is whole.
        let mut file = NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut file, self)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// The sweeps of this user whose id begins so.
    ///
    /// # Errors
    /// [`PlanError`], about a file that is there.
    pub(in crate::cli) fn named(prefix: &str) -> Result<Vec<Self>, PlanError> {
        let path = settings::sweep_file(prefix);
        path.as_deref().and_then(Path::parent).map_or(Ok(Vec::new()), |dir| Self::named_in(dir, prefix))
    }

    fn named_in(dir: &Path, prefix: &str) -> Result<Vec<Self>, PlanError> {
        // Without a directory, there is none.
        let Ok(entries) = fs::read_dir(dir) else { return Ok(Vec::new()) };
        let is_named = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(prefix) && name.ends_with(".json"))
        };
        let paths = entries.flatten().map(|entry| entry.path()).filter(is_named);
        paths.map(|path| Self::read(&path)).collect()
    }

    fn read(path: &Path) -> Result<Self, PlanError> {
        let failed = |source| PlanError::Io { path: path.to_owned(), source };
        let form = |problem: String| PlanError::Form { path: path.to_owned(), problem };
        let mut bytes = Vec::new();
        File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(form(format!("it is longer than {MAX_FILE_BYTES} bytes")));
        }
        let plan: Self = serde_json::from_slice(&bytes).map_err(|error| form(error.to_string()))?;
        if plan.version != VERSION {
            return Err(form(format!("its version is {}", plan.version)));
        }
        Ok(plan)
    }

    /// The refusal of a node that would submit all jobs again, as another requester.
    pub(in crate::cli) fn of_other_node(&self, answering: NodeId) -> PlanError {
        PlanError::OtherNode { group: self.group.clone(), planned: self.requester, answering }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{
        cli::args::{SweepArgs, values},
        domain::Deal,
    };

    pub(in crate::cli) fn plan() -> Plan {
        let request = serde_json::json!({
            "image": "demo", "environment": {"MODE": "fast"}, "deal": Deal::default(),
        });
        let request: SubmitRequest = serde_json::from_value(request).unwrap();
        let args =
            SweepArgs { count: None, matrix: vec![values::axis("lr=1,2").unwrap()], max_parallel: None };
        let sweep = Sweep::of(&args, &request.environment).unwrap().unwrap();
        Plan::new(NodeId::new([7; 20]), request, sweep, Some(3)).unwrap()
    }

    #[test]
    fn a_plan_reads_back_by_a_prefix_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (written, other) = (plan(), plan());
        assert_ne!(written.group, other.group);
        let path = dir.path().join("sweeps").join(format!("{}.json", written.group));
        written.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let dir = path.parent().unwrap();
        let [read] = &Plan::named_in(dir, &written.group[..6]).unwrap()[..] else { panic!("one is named") };
        assert_eq!(read.request(1), written.request(1));
        assert_eq!(read.request(1).environment["lr"], "2");
        assert_eq!(read.request(1).environment["MODE"], "fast");
        assert_ne!(read.key(0), read.key(1));
        other.write(&dir.join(format!("{}.json", other.group))).unwrap();
        assert_eq!(Plan::named_in(dir, "").unwrap().len(), 2, "of several that begin so, none is hidden");
        assert!(Plan::named_in(dir, "x").unwrap().is_empty());
        assert!(Plan::named_in(&dir.join("none"), "").unwrap().is_empty());
    }

    #[test]
    fn only_jobs_that_no_node_took_are_left_of_a_group_that_was_told() {
        let mut plan = plan();
        let through_a_file =
            |plan: &Plan| -> Plan { serde_json::from_slice(&serde_json::to_vec(plan).unwrap()).unwrap() };
        assert_eq!(plan.wanted(), BTreeSet::from([0, 1]));
        plan.left = Some(BTreeSet::from([1]));
        let read = through_a_file(&plan);
        assert_eq!((read.wanted(), read.is_over()), (BTreeSet::from([1]), false));
        plan.left = Some(BTreeSet::new());
        let read = through_a_file(&plan);
        assert_eq!((read.wanted(), read.is_over()), (BTreeSet::new(), true));
    }

    #[test]
    fn a_file_that_is_no_plan_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0123456789ab.json");
        let long = vec![b' '; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
        for content in [&b"{}"[..], b"\xff", b"[1]", &long] {
            fs::write(&path, content).unwrap();
            let error = Plan::named_in(dir.path(), "0123").unwrap_err();
            assert!(
                matches!(error, PlanError::Form { .. }) && error.to_string().contains("0123456789ab"),
                "{error}"
            );
        }
    }
}
