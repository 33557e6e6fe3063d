//! What to do about errors of the layers below, in the words of the command line.

use crate::{
    assembly::{BackendStartError, HostError},
    audit::{AuditError, attestation::AttestationError},
    domain::JobState,
    explain::Hint as _,
    network::NetworkError,
    node::NodeError,
    scheduler::{
        BackendError,
        contract::{ConnectError, HistoryError, MoneyError, StartError},
        libp2p::StartError as Libp2pStartError,
    },
    store::{CheckError, DbError, DirError, is_of_damage, is_of_full_disk},
};

/// Why a job has no result to keep.
pub(super) const fn no_result(state: JobState) -> &'static str {
    match state {
        JobState::Open => "is open: no node runs it yet",
        JobState::Running | JobState::Revealing => "is not decided yet",
        JobState::Verified => "is verified but has no accepted result",
        JobState::Inconclusive => "is inconclusive: no result was accepted",
        JobState::Failed => "failed: no result was accepted",
        JobState::Cancelled => "was cancelled: it has no result",
        JobState::Expired => "expired: no node ran it",
    }
}

pub(super) fn audit(error: &AuditError) -> String {
    let hint = match error {
        AuditError::Version { .. } => "use the version of assay that wrote it",
        AuditError::OtherDomain { .. } => "check --rpc-url and --contract",
        AuditError::NotOnChain => "check it without --rpc-url and --contract",
        AuditError::OtherLength { .. } => "export it again: assay verdict export JOB > log.json",
        AuditError::Future { .. } => {
            "check the clock of this machine; if it is right, the requester's was not"
        }
        AuditError::OtherJob { .. } => "check the job; if it is right, the node that answered is dishonest",
        AuditError::Unsigned { .. } => "somebody removed the signatures; ask another node for the log",
        AuditError::Empty
        | AuditError::TooManyLogs { .. }
        | AuditError::TooLong { .. }
        | AuditError::Domain { .. }
        | AuditError::MissingParent { .. }
        | AuditError::ForeignParent { .. }
        | AuditError::Misplaced { .. }
        | AuditError::Rejected { .. }
        | AuditError::Unexpected { .. }
        | AuditError::NotHex { .. }
        | AuditError::Proof { .. }
        | AuditError::OtherProof { .. }
        | AuditError::Evidence { .. }
        | AuditError::Signatures(_)
        | AuditError::NotTheChains { .. } => {
            "the node that serves this log or the requester that ordered it is dishonest; ask another node for the log"
        }
    };
    hint.to_owned()
}

pub(super) fn connect(error: &ConnectError) -> Option<String> {
    match error {
        ConnectError::Chain(error) => backend(error),
        ConnectError::OlderContract { .. } => Some(
            "finish its jobs with the older assay; for new ones deploy a contract with `assay contract deploy`".to_owned(),
        ),
        // These errors name what to check.
        ConnectError::Endpoint(_)
        | ConnectError::WrongChain { .. }
        | ConnectError::NoCode { .. }
        | ConnectError::OtherContract { .. } => None,
    }
}

pub(super) fn attestation(error: &AttestationError) -> String {
    let hint = match error {
        AttestationError::Version { .. } => "use the version of assay that wrote it",
        AttestationError::Empty | AttestationError::TooLong | AttestationError::Json(_) => {
            "make one with: assay attest JOB > attestations.json"
        }
        AttestationError::Envelope(_) | AttestationError::OtherStatement => {
            "somebody changed it; ask whoever made it for another"
        }
        AttestationError::Log(_) => "use the version of assay that wrote it, or ask for another",
        AttestationError::Audit(source) => return audit(source),
        AttestationError::NotVerified { .. } => {
            "only verified jobs have attestations; see assay job describe JOB"
        }
        AttestationError::OtherLog { .. } => {
            "its requester signed two histories, or somebody made one up: trust neither"
        }
        AttestationError::NotAccepted { .. } => "see whose results are accepted: assay verdict show JOB",
        AttestationError::Unproven { .. } => {
            "name the chain with --rpc-url and --contract, or leave out --format in-toto-link"
        }
        AttestationError::Subjects(_) => "have the job write an archive of its files",
        AttestationError::Unlinkable { .. } => {
            "have the job name its files so, or leave out --format in-toto-link"
        }
    };
    hint.to_owned()
}

pub(super) fn backend(error: &BackendError) -> Option<String> {
    match error {
        BackendError::Chain { .. } => Some(
            "check --rpc-url or ASSAY_RPC_URL, and that the endpoint runs; you can name several"
                .to_owned(),
        ),
        BackendError::OtherChain { .. } => Some(
            "give the --rpc-url of the chain that this node knows, or start on this one with another --data-dir"
                .to_owned(),
        ),
        BackendError::Unconfirmed { transaction, .. } => Some(format!(
            "find out before you send it again: look {transaction} up in an explorer of the chain, or with cast \
             receipt {transaction} --rpc-url URL; assay wallet balance shows what has moved"
        )),
        BackendError::NoEther { account, .. } => {
            Some(format!("send ether to {account} on this chain, to pay for gas and for deposits"))
        }
        BackendError::FeeCap { .. } => {
            Some("wait until gas is cheaper, or raise --max-fee".to_owned())
        }
        BackendError::Stopped
        | BackendError::Unreachable { .. }
        | BackendError::UnknownLog { .. }
        | BackendError::UnderWay { .. }
        | BackendError::Store { .. }
        | BackendError::Other { .. }
        | BackendError::BrokenLog { .. } => None,
    }
}

pub(super) fn history(error: &HistoryError) -> Option<String> {
    let hint = match error {
        // These errors name what to check.
        HistoryError::Connect(ConnectError::Chain(_)) | HistoryError::Chain(_) => {
            "check that --rpc-url is a node of the contract's chain, and that it has old events"
        }
        HistoryError::Connect(_) => return None,
        HistoryError::UnknownJob { .. } => "check the job, --contract, --rpc-url and --first-block",
        HistoryError::NotFromTheStart { .. } => "give an earlier --first-block, or none",
        HistoryError::Unreadable { .. } | HistoryError::Money(_) => {
            "check --contract, or use the version of assay that deployed it"
        }
    };
    Some(hint.to_owned())
}

pub(super) fn store(error: &CheckError) -> Option<String> {
    let hint = match error {
        CheckError::NoStore { .. } => "name the directory with --data-dir",
        CheckError::Exists { .. } => "name a new directory",
        CheckError::Dir(DirError::Locked { .. }) => {
            "stop the node first; assay store check and backup work while it runs"
        }
        CheckError::Dir(_) | CheckError::Io { .. } | CheckError::Blobs(_) => return None,
        CheckError::Db(error) => return database(error),
    };
    Some(hint.to_owned())
}

/// The way out of a database that cannot be used.
fn database(error: &DbError) -> Option<String> {
    let hint = match error {
        // These errors name it.
        DbError::NewerSchema { .. } | DbError::OlderProtocol { .. } => return None,
        DbError::Open { .. } | DbError::Statement(_) if is_of_damage(error) => {
            "see what is damaged with assay store check; go back to a copy of assay store backup, or try assay store repair"
        }
        DbError::Open { .. } | DbError::Statement(_) if is_of_full_disk(error) => "make room on that disk",
        DbError::Open { .. } | DbError::Statement(_) => {
            "check that the directory and the files in it are this user's, can be written, and are on a disk that works"
        }
    };
    Some(hint.to_owned())
}

pub(super) fn host(error: &HostError) -> Option<String> {
    let hint = match error {
        HostError::Api(error) => return error.hint(),
        HostError::Deaf(_) => "choose another --listen address; port 0 takes any free one",
        HostError::Backend(BackendStartError::Contract(StartError::Way(error))) => {
            return connect(error);
        }
        HostError::Backend(
            BackendStartError::Network(NetworkError::Listen { .. })
            | BackendStartError::Libp2p(Libp2pStartError::Way(NetworkError::Listen { .. })),
        ) => "choose another --listen address, or stop what listens there; port 0 takes any free one",
        HostError::Backend(
            BackendStartError::Announce(MoneyError::Chain(error))
            | BackendStartError::Contract(StartError::Log(error)),
        )
        | HostError::Node(NodeError::Backend(error)) => return backend(error),
        HostError::Db(error) | HostError::Node(NodeError::Db(error)) => return database(error),
        HostError::Dir(DirError::KeyInUse { .. }) => {
            "stop the other process, or give this one a key of its own: another --data-dir, or --key"
        }
        HostError::Dir(DirError::Io { .. } | DirError::Exposed { .. } | DirError::Locked { .. })
        | HostError::Key(_)
        | HostError::Blobs(_)
        | HostError::Backend(_)
        | HostError::Node(_) => return None,
    };
    Some(hint.to_owned())
}
