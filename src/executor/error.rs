//! Why a run gave no result.

use std::{error::Error, fmt, io, path::PathBuf};

use crate::domain::{FailureKind, ImageNameError, OUTPUTS_DIR, Span};
use crate::explain::Hint;

/// A place with a limit that a run writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputPlace {
    /// `/outputs` and the image's volumes.
    Outputs,
    /// Its scratch directory.
    Scratch,
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl fmt::Display for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outputs => OUTPUTS_DIR,
            Self::Scratch => "the scratch directory",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// Why an executor cannot run a job, or did not finish it.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// No engine answers.
    #[error("the container engine at {address} does not answer")]
    Unreachable {
        /// The socket.
        address: String,
        /// The error of the connection.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The engine answered with a refusal or a failure.
    #[error("the container engine could not {operation}")]
    Engine {
        /// The request.
        operation: &'static str,
        /// Its answer.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The engine no longer knows the container, or dropped it in the middle.
    #[error("the container engine lost the container and could not {operation}")]
    Lost {
        /// The request.
        operation: &'static str,
    },
    /// Neither the job nor its image has a command.
    #[error("no command to run: neither the job nor its image has one")]
    NoCommand,
    /// The job's working directory is not a directory.
    #[error("the working directory {path:?} is not a directory in the image")]
    WorkingDirectory {
        /// The path in the container.
        path: String,
    },
    /// The engine says that the container cannot start as the job asks.
    #[error("cannot start the container as the job asks: {reason}")]
    Unstartable {
        /// Its answer.
        reason: String,
    },
    /// The operating system gives no random numbers.
    #[error("no randomness from the operating system")]
    Randomness {
        /// The cause.
        source: getrandom::Error,
    },
    /// This machine is smaller than the spec asks for.
    #[error("the job asks for {wanted} {unit}, but this machine has {available}")]
    TooSmall {
        /// The resource.
        unit: &'static str,
        /// The amount that the spec asks for.
        wanted: u64,
        /// The amount of this machine.
        available: u64,
    },
    /// The image is neither on this machine nor in a registry that answers.
    #[error("the image {image} is not on this machine and cannot be pulled: {reason}")]
    ImageMissing {
        /// The name in the spec or from the user.
        image: String,
        /// The answer of the registry or of the engine.
        reason: String,
    },
    /// The text is not an image name.
    #[error("the image {image:?} {reason}")]
    ImageName {
        /// The text.
        image: String,
        /// What breaks the grammar.
        reason: ImageNameError,
    },
    /// The image is not here, and this node does not ask the registry that may have it.
    #[error(
        "the image {image} is not on this machine, and this node does not pull from the registry {registry}"
    )]
    RegistryNotAsked {
        /// The name in the spec.
        image: String,
        /// The registry: a host with an optional port.
        registry: String,
    },
    /// The image is made for other machines.
    #[error("the image {image} is built for {made_for}, but this machine is {here}")]
    Platform {
        /// The name in the spec.
        image: String,
        /// The image's platform.
        made_for: String,
        /// The engine's platform.
        here: String,
    },
    /// The image is not made for the platform that the job needs.
    #[error("the image {image} is built for {made_for}, but the job needs {needed}")]
    NotBuiltFor {
        /// The name in the spec.
        image: String,
        /// The image's platforms.
        made_for: String,
        /// The platform in the spec.
        needed: String,
    },
    /// The job needs machines of another platform.
    #[error("the job needs {needed}, but this machine is {here}")]
    OtherMachine {
        /// The platform in the spec.
        needed: String,
        /// The engine's platform.
        here: String,
    },
    /// This node cannot bound what a job writes to a scratch directory.
    #[error("no scratch directory can be had here: {reason}")]
    NoScratch {
        /// The cause.
        reason: String,
    },
    /// The image's name may mean another image tomorrow or on another node.
    #[error("the image {image:?} is not named by a digest or id")]
    Unpinned {
        /// The name in the spec.
        image: String,
    },
    /// The job is seeded, and its programs cannot be made to use the seed here.
    #[error("no seeded job runs here: {reason}")]
    Unseedable {
        /// The cause.
        reason: String,
    },
    /// The number of the image's user cannot be determined.
    #[error("the image names the user {user:?}: {problem}")]
    ImageUser {
        /// The image's `USER`.
        user: String,
        /// The cause.
        problem: String,
    },
    /// The run took longer than its deal allows, so the node killed it.
    #[error("the run did not end within {limit}")]
    Timeout {
        /// The timeout in the deal.
        limit: Span,
    },
    /// The kernel killed a process of the run for lack of memory.
    #[error("the run needed more than {limit_bytes} bytes of memory")]
    Memory {
        /// The limit in the spec.
        limit_bytes: u64,
    },
    /// Somebody else killed the container, or its command died of a kill (exit code 137), and neither the engine nor the
    /// kernel blames a lack of memory.
    ///
    /// This is not a result: a machine that shuts down at work must not seem to have computed something else.
    #[error("the run was killed (exit code 137), but not for lack of memory")]
    Killed,
    /// The run wrote too much, so the node killed it. Output is hashed, so it is never cut.
    #[error("the run wrote more than {limit_bytes} bytes to {place}")]
    Disk {
        /// The place.
        place: OutputPlace,
        /// The limit there, in bytes.
        limit_bytes: u64,
    },
    /// The run made too many files, so the node killed it.
    #[error("the run made more than {limit} files and directories in {place}")]
    Files {
        /// The place.
        place: OutputPlace,
        /// The limit.
        limit: u64,
    },
    /// The disk of the node or of its engine is nearly full. The run was stopped, cannot begin, or lost what it wrote.
    #[error("the disk of this node, or of its container engine, is nearly full")]
    NodeFull,
    /// The output cannot be measured, because its directories are nested too deep, so the node stopped the run.
    #[error("cannot measure what the run wrote to /outputs")]
    Outputs {
        /// The cause.
        source: io::Error,
    },
    /// An input is not where the request says.
    #[error("cannot read the input {}", path.display())]
    Input {
        /// The path on this machine.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The result directory cannot be written.
    #[error("cannot write the result file {}", path.display())]
    ResultDir {
        /// The path on this machine.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The node stopped while the job ran.
    #[error("the run was interrupted")]
    Interrupted,
}

impl ExecutorError {
    /// The failure that a node reports for its seat.
    pub fn failure_kind(&self) -> FailureKind {
        match self {
            // A broken disk is the node's own failure, not the job's.
            Self::Unreachable { .. }
            | Self::Engine { .. }
            | Self::Lost { .. }
            | Self::Randomness { .. }
            | Self::TooSmall { .. }
            | Self::NoScratch { .. }
            | Self::ResultDir { .. } => FailureKind::Engine,
            Self::ImageMissing { .. }
            | Self::ImageName { .. }
            | Self::RegistryNotAsked { .. }
            | Self::Unpinned { .. }
            | Self::ImageUser { .. } => FailureKind::Image,
            Self::Platform { .. }
            | Self::NotBuiltFor { .. }
            | Self::OtherMachine { .. }
            | Self::Unseedable { .. } => FailureKind::Platform,
            Self::NoCommand | Self::Unstartable { .. } => FailureKind::Command,
            Self::WorkingDirectory { .. } => FailureKind::WorkingDirectory,
            Self::Timeout { .. } => FailureKind::Timeout,
            Self::Memory { .. } => FailureKind::Memory,
            // A disk that others fill meanwhile stops an honest node's run, like any outside kill.
            Self::Killed | Self::NodeFull => FailureKind::Killed,
            Self::Disk { .. } | Self::Files { .. } | Self::Outputs { .. } => FailureKind::Disk,
            Self::Input { .. } => FailureKind::Input,
            Self::Interrupted => FailureKind::Interrupted,
        }
    }

    /// Whether the same run may succeed here later without a change to it or this machine: the engine is away, or the disk
    /// is full.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Engine { .. }
            | Self::Lost { .. }
            | Self::Randomness { .. }
            | Self::NodeFull
            | Self::ResultDir { .. }
            | Self::Interrupted => true,
            // The node does not ask a registry again and again for a stranger's job.
            Self::ImageMissing { .. }
            | Self::TooSmall { .. }
            | Self::ImageName { .. }
            | Self::RegistryNotAsked { .. }
            | Self::Unpinned { .. }
            | Self::ImageUser { .. }
            | Self::Platform { .. }
            | Self::NotBuiltFor { .. }
            | Self::OtherMachine { .. }
            | Self::NoScratch { .. }
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
            Self::NotBuiltFor { .. } => {
                Some("build the image for that platform too, or submit the job with another --platform")
            }
            Self::OtherMachine { .. } => {
                Some("run a node on such a machine, or submit the job with another --platform")
            }
            Self::NoScratch { .. } => Some(
                "run the node as root, with mkfs.ext4, mount and loop devices; or submit without --scratch",
            ),
            Self::Unseedable { .. } => Some(
                "submit the job without --seeded, or run nodes on amd64 or arm64, with data directories without noexec",
            ),
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
            Self::Disk { place: OutputPlace::Scratch, .. } => {
                Some("submit the job with a larger scratch directory")
            }
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
