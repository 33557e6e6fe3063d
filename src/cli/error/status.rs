//! The exit code of each error.

use super::CliError;
use crate::{
    assembly::{BackendStartError, HostError},
    cli::{ExitStatus, sweep::PlanError},
    devstack::chain::ChainError,
    scheduler::{
        BackendError,
        contract::{ConnectError, DeployError, FundError, HistoryError, MoneyError, StartError},
    },
};

impl CliError {
    /// The exit code for this error.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Settings(_)
            | Self::Ambiguous(_)
            | Self::JobFile(_)
            | Self::Config(_)
            | Self::LogFilter { .. }
            | Self::BadCases { .. }
            | Self::Input { .. }
            | Self::Key(_)
            | Self::NoGroup { .. }
            | Self::NoSeatOf { .. }
            | Self::ManySeatsOf { .. }
            | Self::NoFile { .. }
            | Self::ForgottenGroup { .. }
            | Self::ManyGroups { .. }
            | Self::Plan(PlanError::OtherNode { .. })
            | Self::NotItsKey { .. }
            | Self::ManyJobs { .. }
            | Self::OtherJob { .. }
            | Self::Deploy(DeployError::NoToken { .. })
            | Self::NoLog { .. } => ExitStatus::Usage,
            Self::NoResult { .. }
            | Self::NoResultOf { .. }
            | Self::NoVerdict { .. }
            | Self::Pilots { .. } => ExitStatus::NoResult,
            Self::History { source, .. } | Self::Log(source) => match source {
                HistoryError::Connect(error) => connect_status(error),
                HistoryError::Chain(_) => ExitStatus::Unreachable,
                HistoryError::UnknownJob { .. } | HistoryError::NotFromTheStart { .. } => ExitStatus::Usage,
                HistoryError::Unreadable { .. } | HistoryError::Money(_) => ExitStatus::Failure,
            },
            Self::Connect(error) | Self::Deploy(DeployError::Connect(error)) => connect_status(error),
            Self::Deploy(DeployError::Chain(error))
            | Self::Money { source: MoneyError::Chain(error), .. } => backend_status(error),
            Self::Deploy(DeployError::Refused { .. }) | Self::Money { .. } => ExitStatus::Failure,
            Self::Engine(_) => ExitStatus::Unreachable,
            Self::Host(HostError::Backend(BackendStartError::Contract(StartError::Way(error)))) => {
                connect_status(error)
            }
            Self::Node { source, .. } => source.exit_status(),
            Self::Chain(ChainError::Fund(FundError::Chain { .. })) => ExitStatus::Unreachable,
            Self::Chain(ChainError::Fund(_)) => ExitStatus::Usage,
            Self::Output(_)
            | Self::Random { .. }
            | Self::Plan(PlanError::Io { .. } | PlanError::Form { .. })
            | Self::File { .. }
            | Self::Fetch { .. }
            | Self::Compare { .. }
            | Self::NotAResult { .. }
            | Self::NoTool { .. }
            | Self::Simulation { .. }
            | Self::OtherContent { .. }
            | Self::Audit { .. }
            | Self::Attestation { .. }
            | Self::Store(_)
            | Self::Stack(_)
            | Self::Chain(_)
            | Self::Host(_)
            | Self::Busy { .. }
            | Self::Signals(_) => ExitStatus::Failure,
        }
    }
}

/// The exit code when the contract cannot be reached.
const fn connect_status(error: &ConnectError) -> ExitStatus {
    match error {
        ConnectError::Chain(_) => ExitStatus::Unreachable,
        ConnectError::Endpoint(_)
        | ConnectError::WrongChain { .. }
        | ConnectError::NoCode { .. }
        | ConnectError::OlderContract { .. }
        | ConnectError::OtherContract { .. } => ExitStatus::Usage,
    }
}

/// The exit code when the backend fails.
const fn backend_status(error: &BackendError) -> ExitStatus {
    match error {
        BackendError::Unreachable { .. } | BackendError::Chain { .. } => ExitStatus::Unreachable,
        BackendError::Unconfirmed { .. } => ExitStatus::Unknown,
        BackendError::Stopped
        | BackendError::UnknownLog { .. }
        | BackendError::UnderWay { .. }
        | BackendError::Store { .. }
        | BackendError::NoEther { .. }
        | BackendError::FeeCap { .. }
        | BackendError::OtherChain { .. }
        | BackendError::Other { .. }
        | BackendError::BrokenLog { .. } => ExitStatus::Failure,
    }
}
