//! Why a command failed: what, where, why and what to do next; `status` has the exit codes.

mod hints;
mod status;

use std::{io, path::PathBuf};

use super::{
    client::ClientError, config::ConfigError, fetch::FetchError, job_file::JobFileError, keys::KeysError,
    settings::SettingsError, sweep::PlanError, words::Ambiguous,
};
use crate::{
    assembly::HostError,
    audit::{AuditError, attestation::AttestationError, document::DocumentError},
    devstack::{StackError, chain::ChainError},
    domain::{JobId, JobState, NodeId, ProposalFault},
    executor::ExecutorError,
    explain::Hint,
    scheduler::contract::{ConnectError, DeployError, FundError, HistoryError, MoneyError},
    store::{CheckError, PackError, ResultError},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line asks for something impossible.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The command line is ambiguous.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// A job file is not a job.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// A configuration file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The filter for log messages cannot be parsed.
    #[error("the log filter {filter:?} is invalid: {reason}")]
    LogFilter {
        /// The filter.
        filter: String,
        /// The problem.
        reason: String,
    },
    /// A request to the node failed.
    #[error("failed to {doing}")]
    Node {
        /// The purpose of the request.
        doing: String,
        /// The cause.
        source: ClientError,
    },
    /// Standard output cannot be written.
    #[error("failed to write to standard output")]
    Output(#[from] io::Error),
    /// A local file cannot be read or written.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// The attempted operation.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The pilots allow no proposal.
    #[error("the pilots give no tolerances")]
    Pilots {
        /// The cause.
        source: ProposalFault,
    },
    /// Lines of `verdict compute` are not cases.
    #[error("{bad} of the lines are not valid cases")]
    BadCases {
        /// The number of such lines.
        bad: u64,
    },
    /// A node served something other than its result.
    #[error("the result of node {} in job {} is not the one it committed to", node.short(), job.short())]
    Fetch {
        /// The job.
        job: JobId,
        /// The node.
        node: NodeId,
        /// The problem.
        source: FetchError,
    },
    /// Something else is where a result should go.
    #[error("{} is not the result of node {}, so it was left as it is", path.display(), node.short())]
    OtherContent {
        /// The node of the result.
        node: NodeId,
        /// The path.
        path: PathBuf,
    },
    /// There is no result to keep.
    #[error("job {} {}", job.short(), hints::no_result(*state))]
    NoResult {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// The node that the user named has no result.
    #[error("no node {node} has a result in job {}", job.short())]
    NoResultOf {
        /// The job.
        job: JobId,
        /// The user's text.
        node: String,
    },
    /// No node that has a seat in the job is the one that the user named.
    #[error("no node {node} has a seat in job {}", job.short())]
    NoSeatOf {
        /// The job.
        job: JobId,
        /// The user's text.
        node: String,
    },
    /// Several nodes have the prefix that the user gave.
    #[error("{node} stands for several nodes in job {}: {}", job.short(), nodes.iter().map(NodeId::short).collect::<Vec<_>>().join(", "))]
    ManySeatsOf {
        /// The job.
        job: JobId,
        /// The user's text.
        node: String,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// The directory is not what a run left.
    #[error("{} is not the result of a run", path.display())]
    NotAResult {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: ResultError,
    },
    /// The path is neither a file nor a directory.
    #[error("{} is neither a file nor a directory", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// A program that the user asks for is not installed.
    #[error("there is no program {tool} on this machine")]
    NoTool {
        /// Its name.
        tool: &'static str,
    },
    /// Two results cannot be compared.
    #[error("cannot compare two results of job {}", job.short())]
    Compare {
        /// The job.
        job: JobId,
        /// The cause.
        #[source]
        source: ResultError,
    },
    /// A directory or file cannot become an input.
    #[error("cannot use {} as an input", path.display())]
    Input {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: PackError,
    },
    /// A node's store cannot be looked at, copied or mended.
    #[error("cannot use the node's store")]
    Store(#[source] CheckError),
    /// No container engine answers.
    #[error("cannot run jobs without a container engine")]
    Engine(#[source] ExecutorError),
    /// A devstack failed to start.
    #[error("failed to start the devstack")]
    Stack(#[source] StackError),
    /// The chain of a devstack failed to start.
    #[error("failed to start a chain for the devstack")]
    Chain(#[source] ChainError),
    /// A node failed to start, or ended.
    #[error("the node failed")]
    Host(#[source] HostError),
    /// Another command is already running as this requester.
    #[error("another assay command is already running as this requester (lock: {})", path.display())]
    Busy {
        /// The requester's directory.
        path: PathBuf,
        /// The API of that command, if it is known.
        api: Option<String>,
    },
    /// The program cannot handle signals.
    #[error("failed to listen for signals")]
    Signals(#[source] io::Error),
    /// The log of a job is not valid.
    #[error("the log from {log} proves nothing")]
    Audit {
        /// The source of the log.
        log: String,
        /// The problem.
        source: AuditError,
    },
    /// There are no attestations of a job, or attestations do not hold.
    #[error("{place}: an attestation does not hold")]
    Attestation {
        /// The job or the file.
        place: String,
        /// The problem.
        source: AttestationError,
    },
    /// A key is of no node that an attestation could be signed for.
    #[error("the key is of {node}, whose result of job {} is not accepted", job.short())]
    NotItsKey {
        /// The job.
        job: JobId,
        /// The node of the key.
        node: NodeId,
    },
    /// Attestations are of several jobs.
    #[error("the attestations are of different jobs: {} and {}", first.short(), other.short())]
    ManyJobs {
        /// One.
        first: JobId,
        /// Another.
        other: JobId,
    },
    /// Attestations are of another job than the user means.
    #[error("the attestations are of job {found}, not of job {wanted}")]
    OtherJob {
        /// The user's.
        wanted: JobId,
        /// Theirs.
        found: JobId,
    },
    /// A chain has no log of the job.
    #[error("failed to read the log of job {} from the chain", job.short())]
    History {
        /// The job.
        job: JobId,
        /// The cause.
        source: HistoryError,
    },
    /// The contract's log cannot be read.
    #[error("failed to read the contract's log")]
    Log(#[source] HistoryError),
    /// The contract cannot be reached.
    #[error("failed to reach the contract")]
    Connect(#[from] ConnectError),
    /// The contract is not on the chain.
    #[error("failed to deploy the contract")]
    Deploy(#[source] DeployError),
    /// Money cannot be moved or counted.
    #[error("failed to {doing}")]
    Money {
        /// The attempted operation.
        doing: String,
        /// The cause.
        source: MoneyError,
    },
    /// There is no key to act with.
    #[error(transparent)]
    Key(#[from] KeysError),
    /// The job has no verdict to check.
    #[error("job {} is {state} and has no verdict to check", job.short())]
    NoVerdict {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// The system has no randomness for the id of a group.
    #[error("failed to choose the id of a group")]
    Random {
        /// The cause.
        source: io::Error,
    },
    /// The file of a sweep cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Neither the node nor this user has such a group.
    #[error("there is no group {group}")]
    NoGroup {
        /// The user's text.
        group: String,
    },
    /// The group ended, and its node keeps none of its jobs any more.
    #[error("group {group} is over, and the node has forgotten its jobs")]
    ForgottenGroup {
        /// The group.
        group: String,
    },
    /// Several groups begin so.
    #[error("{matches} groups begin with {group}")]
    ManyGroups {
        /// The user's text.
        group: String,
        /// How many there are.
        matches: usize,
    },
    /// A simulation broke a promise.
    #[error("a promise was broken: {what}")]
    Simulation {
        /// The promise.
        what: String,
        /// The command that shows it again.
        replay: String,
    },
    /// A file is not an exported log.
    #[error("{} holds no log of a job", path.display())]
    NoLog {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: Box<DocumentError>,
    },
}

impl CliError {
    /// Adds the purpose of the request.
    pub(super) fn node(doing: impl Into<String>) -> impl FnOnce(ClientError) -> Self {
        let doing = doing.into();
        |source| Self::Node { doing, source }
    }

    /// Adds the operation and the path.
    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// Adds the attempted operation.
    pub(super) fn money(doing: impl Into<String>) -> impl FnOnce(MoneyError) -> Self {
        let doing = doing.into();
        |source| Self::Money { doing, source }
    }

    /// Whether the reader of standard output closed it, as `head` does when it has enough.
    pub(super) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl Hint for CliError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Ambiguous(error) => error.hint(),
            Self::JobFile(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::NoGroup { .. } => Some(
                "give the id that job submit printed, and with --api the node that it was submitted to"
                    .to_owned(),
            ),
            Self::ForgottenGroup { .. } => {
                Some("its jobs are not run again; submit a new sweep with assay job submit".to_owned())
            }
            Self::ManyGroups { .. } => Some("give more of its digits".to_owned()),
            Self::LogFilter { .. } => {
                Some("a filter is a level or target=level, such as assay=debug".to_owned())
            }
            Self::Node { source, .. } => source.hint(),
            Self::BadCases { .. } => {
                Some("each line on standard output with an \"error\" says what is wrong".to_owned())
            }
            Self::Pilots { source } => source.hint(),
            Self::Audit { source, .. } => Some(hints::audit(source)),
            Self::Attestation { source, .. } => Some(hints::attestation(source)),
            Self::NotItsKey { .. } => {
                Some("name the node.key of an accepted node, or leave out --sign-with".to_owned())
            }
            Self::ManyJobs { .. } => Some("check those of each job for themselves".to_owned()),
            Self::OtherJob { .. } => Some("ask whoever made them for those of the job you mean".to_owned()),
            Self::Simulation { replay, .. } => Some(format!("see it again, and report it with this command: {replay}")),
            Self::NoLog { .. } => Some("make one with: assay verdict export JOB > log.json".to_owned()),
            Self::Fetch { node, .. } => {
                Some(format!("node {} is faulty or dishonest; take another accepted result", node.short()))
            }
            Self::OtherContent { .. } => {
                Some("move it away or remove it, or choose another --output-dir".to_owned())
            }
            Self::NoResult { job, state } if state.is_terminal() => {
                Some(format!("see the result of each node: assay job describe {}", job.short()))
            }
            Self::NotAResult { .. } => Some(
                "name the directory of one node, DIR/NODE, as results fetch --output-dir DIR leaves it".to_owned(),
            ),
            Self::NoTool { tool } => {
                Some(format!("install it, such as with: apt-get install {tool}; or leave out --{tool}"))
            }
            Self::ManySeatsOf { .. } => Some("give more digits of the node that you mean".to_owned()),
            Self::NoFile { .. } => Some("name a file, or the directory of a result".to_owned()),
            Self::NoResultOf { job, .. } | Self::NoSeatOf { job, .. } => {
                Some(format!("see the result of each node: assay job describe {}", job.short()))
            }
            Self::NoResult { job, .. } => {
                Some(format!("results are shown only after the end; wait for it: assay job wait {}", job.short()))
            }
            Self::NoVerdict { state, .. } if state.is_terminal() => None,
            Self::NoVerdict { .. } => Some("check it again once it is decided".to_owned()),
            Self::History { source, .. } | Self::Log(source) => hints::history(source),
            Self::Connect(error) | Self::Deploy(DeployError::Connect(error)) => hints::connect(error),
            Self::Deploy(DeployError::Chain(error))
            | Self::Money { source: MoneyError::Chain(error), .. } => hints::backend(error),
            Self::Chain(ChainError::Fund(FundError::Chain { source, .. })) => hints::backend(source),
            Self::Chain(ChainError::Fund(FundError::NoneUnlocked { .. })) => Some(
                "name an Anvil, or omit --rpc-url to start one; on other chains use assay contract deploy and assay serve"
                    .to_owned(),
            ),
            Self::Deploy(DeployError::NoToken { .. }) => {
                Some("give the address of an ERC-20 on this chain, or leave out --asset for ether".to_owned())
            }
            Self::Deploy(DeployError::Refused { .. }) => {
                Some("use a chain that supports the Cancun instructions".to_owned())
            }
            Self::Money { source: MoneyError::Rejected(_), .. } => {
                Some("see what is free: assay wallet balance".to_owned())
            }
            Self::Money { source: MoneyError::Refused { .. }, .. } => None,
            Self::Key(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Store(error) => hints::store(error),
            Self::Host(error) | Self::Stack(StackError::Host { source: error, .. }) => hints::host(error),
            Self::Busy { api: Some(api), .. } => {
                Some(format!("ask that command's node with --api {api}, or wait until it ends"))
            }
            Self::Busy { api: None, .. } => Some("wait until it ends".to_owned()),
            Self::Stack(StackError::Apart) => {
                Some("the machine may be too busy; try fewer --nodes".to_owned())
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Some("something is there already; remove it, or choose another directory".to_owned())
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("check the path; nothing is there".to_owned())
            }
            Self::Compare { .. }
            | Self::Output(_)
            | Self::Random { .. }
            | Self::File { .. }
            | Self::Input { .. }
            | Self::Chain(_)
            | Self::Signals(_) => {
                None
            }
        }
    }
}

/// What to do about a contract or an endpoint that cannot be used.
pub(super) fn connect_hint(error: &ConnectError) -> Option<String> {
    hints::connect(error)
}

#[cfg(test)]
mod tests;
