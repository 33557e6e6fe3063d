//! Why a run gave no result.

use std::{error::Error, fmt, io, path::PathBuf};

use crate::domain::{FailureKind, ImageNameError, OUTPUTS_DIR, Span};
use crate::explain::Hint;

/// Where a run writes that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputPlace {
    /// `/outputs`, with its volumes.
    Outputs,
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl fmt::Display for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outputs => OUTPUTS_DIR,
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// Why an executor cannot run, or did not finish, a job.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// No engine answers.
    #[error("the container engine at {address} does not answer")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the connection met.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The engine answered, and refused or failed.
    #[error("the container engine could not {operation}")]
    Engine {
        /// What was asked of it.
        operation: &'static str,
        /// Its answer.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The engine no longer knows the container, or dropped it in the middle.
    #[error("the container engine lost the container and could not {operation}")]
    Lost {
        /// What was asked of it.
        operation: &'static str,
    },
    /// Neither the job nor its image says what to run.
    #[error("no command to run: neither the job nor its image has one")]
    NoCommand,
    /// The directory that the job wants to start in is none.
    #[error("the working directory {path:?} is not a directory in the image")]
    WorkingDirectory {
        /// In the container.
        path: String,
    },
    /// The engine says that what the job asks for cannot be started.
    #[error("cannot start the container as the job asks: {reason}")]
    Unstartable {
        /// Its answer.
        reason: String,
    },
    /// The operating system gives no random numbers.
    #[error("no randomness from the operating system")]
    Randomness {
        /// Why.
        source: getrandom::Error,
    },
    /// This machine is smaller than the spec asks for.
    #[error("the job asks for {wanted} {unit}, but this machine has {available}")]
    TooSmall {
        /// Of what.
        unit: &'static str,
        /// What the spec asks for.
        wanted: u64,
        /// What there is.
        available: u64,
    },
    /// The image is neither on this machine nor in a registry that can be reached.
    #[error("the image {image} is not on this machine and cannot be pulled: {reason}")]
    ImageMissing {
        /// As the spec or the user names it.
        image: String,
        /// What the registry, or the engine in its place, said.
        reason: String,
    },
    /// The text names no image.
    #[error("the image {image:?} {reason}")]
    ImageName {
        /// As it was named.
        image: String,
        /// Why not.
        reason: ImageNameError,
    },
    /// The image is not here, and this node does not ask the registry that may have it.
    #[error(
        "the image {image} is not on this machine, and this node does not pull from the registry {registry}"
    )]
    RegistryNotAsked {
        /// As the spec names it.
        image: String,
        /// A host with an optional port.
        registry: String,
    },
    /// The image is made for other machines.
    #[error("the image {image} is built for {made_for}, but this machine is {here}")]
    Platform {
        /// As the spec names it.
        image: String,
        /// What it is made for.
        made_for: String,
        /// What the engine runs on.
        here: String,
    },
    /// The spec names an image by something that may mean another image tomorrow, or on the next node.
    #[error("the image {image:?} is not named by a digest or id")]
    Unpinned {
        /// As the spec names it.
        image: String,
    },
    /// A seeded job, and no library that gives programs of this architecture their randomness.
    #[error("no seeded job runs on {architecture}")]
    Unseedable {
        /// As the engine names it.
        architecture: String,
    },
    /// The image names a user whose number cannot be told.
    #[error("the image names the user {user:?}: {problem}")]
    ImageUser {
        /// As the image names it.
        user: String,
        /// Why not.
        problem: String,
    },
    /// The run took longer than its deal allows, and was killed.
    #[error("the run did not end within {limit}")]
    Timeout {
        /// What the deal allows.
        limit: Span,
    },
    /// The kernel killed a process of the run for want of memory.
    #[error("the run needed more than {limit_bytes} bytes of memory")]
    Memory {
        /// What the spec allows.
        limit_bytes: u64,
    },
    /// Somebody else killed the container, or its command died of a kill (exit code 137), and neither the engine nor the
    /// kernel says that it was for want of memory.
    ///
    /// It is no result: a machine that is shut down while it works must not seem to have computed something else.
    #[error("the run was killed (exit code 137), but not for lack of memory")]
    Killed,
    /// The run wrote too much, and was killed. Nothing is cut silently: what is written is hashed.
    #[error("the run wrote more than {limit_bytes} bytes to {place}")]
    Disk {
        /// Where.
        place: OutputPlace,
        /// What is allowed there.
        limit_bytes: u64,
    },
    /// The run made too many files, and was killed.
    #[error("the run made more than {limit} files and directories in /outputs and its volumes")]
    Files {
        /// What is allowed.
        limit: u64,
    },
    /// The disk of the node, or of its engine, is nearly full: the run was stopped, or cannot begin, or what it wrote is
    /// lost.
    #[error("the disk of this node, or of its container engine, is nearly full")]
    NodeFull,
    /// What the run wrote cannot be measured, and was not let grow unseen: its directories are nested too deep.
    #[error("cannot measure what the run wrote to /outputs")]
    Outputs {
        /// Why.
        source: io::Error,
    },
    /// An input is not where the request says.
    #[error("cannot read the input {}", path.display())]
    Input {
        /// On this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The result directory cannot be written.
    #[error("cannot write the result file {}", path.display())]
    ResultDir {
        /// On this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The node stopped while the job ran.
    #[error("the run was interrupted")]
    Interrupted,
}

impl ExecutorError {
    /// The kind a node reports for its seat.
    pub fn failure_kind(&self) -> FailureKind {
        match self {
            // A broken disk of the node is the node's own failure, not the job's.
            Self::Unreachable { .. }
            | Self::Engine { .. }
            | Self::Lost { .. }
            | Self::Randomness { .. }
            | Self::TooSmall { .. }
            | Self::ResultDir { .. } => FailureKind::Engine,
            Self::ImageMissing { .. }
            | Self::ImageName { .. }
            | Self::RegistryNotAsked { .. }
            | Self::Unpinned { .. }
            | Self::ImageUser { .. } => FailureKind::Image,
            Self::Platform { .. } | Self::Unseedable { .. } => FailureKind::Platform,
            Self::NoCommand | Self::Unstartable { .. } => FailureKind::Command,
            Self::WorkingDirectory { .. } => FailureKind::WorkingDirectory,
            Self::Timeout { .. } => FailureKind::Timeout,
            Self::Memory { .. } => FailureKind::Memory,
            // A disk that others fill meanwhile stops an honest node's run, like any kill from outside.
            Self::Killed | Self::NodeFull => FailureKind::Killed,
            Self::Disk { .. } | Self::Files { .. } | Self::Outputs { .. } => FailureKind::Disk,
            Self::Input { .. } => FailureKind::Input,
            Self::Interrupted => FailureKind::Interrupted,
        }
    }

    /// Whether the same may run here later though nothing about it or this machine changes: the engine is away, the
    /// disk is full.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Engine { .. }
            | Self::Lost { .. }
            | Self::Randomness { .. }
            | Self::NodeFull
            | Self::ResultDir { .. }
            | Self::Interrupted => true,
            // A registry is not asked again and again for a stranger's job.
            Self::ImageMissing { .. }
            | Self::TooSmall { .. }
            | Self::ImageName { .. }
            | Self::RegistryNotAsked { .. }
            | Self::Unpinned { .. }
            | Self::ImageUser { .. }
            | Self::Platform { .. }
            | Self::Unseedable { .. }
            | Self::NoCommand
            | Self::Unstartable { .. }
            | Self::WorkingDirectory { .. }
            | Self::Timeout { .. }
            | Self::Memory { .. }
            | Self::Killed
            | Self::Disk { .. }
            | Self::Files { .. }
            | Self::Outputs { .. }
            | Self::Input { .. } => false,
        }
    }
}

impl Hint for ExecutorError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { .. } => {
                Some("check that Docker runs, and that this user may open its socket")
            }
            Self::ImageMissing { .. } => {
                Some("build or load it on the machine of every node, or push it to a registry they can reach")
            }
            Self::ImageName { .. } => Some("name it as docker pull does: [registry/]path[:tag]"),
            Self::RegistryNotAsked { .. } => {
                Some("load the image on every node, or start the nodes with serve --allow-registry")
            }
            Self::Platform { .. } => Some("build the image for this machine too, or run a node on another"),
            Self::Unseedable { .. } => {
                Some("submit the job without --seeded, or run nodes on amd64 or arm64")
            }
            Self::Unpinned { .. } => Some("name it name@sha256:.., or by its id sha256:.."),
            Self::ImageUser { .. } => {
                Some("give the image a USER that its /etc/passwd knows, a number, or none")
            }
            Self::TooSmall { .. } => Some("ask for less, or run a node on a larger machine"),
            Self::Timeout { .. } => Some("submit the job with a longer timeout"),
            Self::Memory { .. } => Some("submit the job with a higher memory limit"),
            Self::Killed => {
                Some("submit the job again; if the command itself ends with 137, use another exit code")
            }
            Self::Disk { place: OutputPlace::Outputs, .. } => Some("submit the job with a higher disk limit"),
            Self::Disk { place: OutputPlace::Stdout | OutputPlace::Stderr, .. } => {
                Some("write large results to /outputs instead")
            }
            Self::Files { .. } => {
                Some("write fewer files, or an archive of them; a higher disk limit allows more")
            }
            Self::NodeFull => {
                Some("make room on the disks of the node's data directory and of its container engine")
            }
            Self::Outputs { .. } => Some("write fewer levels of directories, or an archive of them"),
            Self::NoCommand => Some("put the command after --, or use an image that has one"),
            Self::WorkingDirectory { .. } => Some("give --workdir a directory of the image, or leave it out"),
            Self::Unstartable { .. } => Some("try the same image, command and mounts with docker run"),
            Self::Lost { .. } | Self::Randomness { .. } => None,
            Self::Engine { .. } | Self::Input { .. } | Self::ResultDir { .. } | Self::Interrupted => None,
        };
        hint.map(str::to_owned)
    }
}
