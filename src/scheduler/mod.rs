//! The ordered log of job events, and the backends that agree on it.
//!
//! A backend takes a signed action, orders or refuses it, and lets anyone read the log from a cursor. It does not
//! bid, match or verify: those are policies of the roles ([`crate::policy`]), driven by the log. It does not move
//! inputs and results either ([`crate::node`] does).
//!
//! - [`local`]: in memory, in one process; the reference for what the trait means.
//! - `contract`: a contract on an EVM chain, which holds the money too.
//! - `libp2p`: each requester orders the log of its own jobs; see that module for what keeps it honest.
//!
//! ```
//! use assay::{
//!     domain::{Action, Deal, Digest, Event, LogDomain, SignedAction, Spec, Timestamp},
//!     identity::NodeKey,
//!     scheduler::{Cursor, Scheduler, entries, local::LocalLog},
//! };
//! use futures::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = NodeKey::generate()?;
//! let log = LocalLog::new(LogDomain::default(), Timestamp::from_secs(1_700_000_000));
//! let scheduler = log.join(key.node_id());
//!
//! let (domain, deal, spec) = (scheduler.domain(), Deal::default(), Spec::sample().to_document());
//! let action = Action {
//!     job: domain.job_id(key.node_id(), 0, Spec::hash_document(&spec), deal.revision()),
//!     revision: deal.revision(),
//!     sequence: 0,
//!     seen: Digest::ZERO,
//!     event: Event::Submitted { deal, spec, nonce: 0 },
//! };
//! let signature = key.sign(action.signing_digest(domain));
//! let place = scheduler.submit(SignedAction { action, signature }).await?;
//!
//! let item = entries(scheduler.events(Cursor(0))).next().await.ok_or("the log has ended")??;
//! assert_eq!((item.cursor, item.stamped.author), (place, key.node_id()));
//! # Ok(())
//! # }
//! ```

use std::{error::Error, fmt, sync::Arc};

use futures::future::BoxFuture;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    domain::{
        Amount, Asset, Digest, Event, Funds, JobId, LogDomain, NodeId, Pace, SignedAction, Stamped, Timestamp,
    },
    rules::Rejection,
    store::EndedJob,
};

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "contract")]
pub mod contract;
mod evidence;
#[cfg(feature = "libp2p")]
pub mod libp2p;
mod loading;
pub mod local;
mod shown;
#[cfg(any(feature = "libp2p", feature = "contract"))]
mod stored;
#[cfg(any(feature = "libp2p", feature = "contract"))]
mod tasks;
mod trouble;
mod updates;

pub use evidence::{Evidence, FaultKind};
pub use loading::Loading;
pub use shown::LogEntry;
#[cfg(any(feature = "libp2p", feature = "contract"))]
pub use stored::StartError;
pub use trouble::Trouble;
pub use updates::{EventStream, LogUpdate, entries};

/// What a backend takes as the time of day.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A position in the log as one backend delivers it to one node; 0 is before the first entry.
///
/// Cursors of one node only grow, and survive its restart. Different nodes number differently.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Cursor(pub u64);

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogItem {
    /// Where it stands in this node's reading order.
    pub cursor: Cursor,
    /// The hash that names this entry in the job's log, which later actions name as `seen`.
    pub entry: Digest,
    /// What happened, checked: signature, order and rules.
    pub stamped: Stamped<Event>,
    /// The entry as the backend's peers exchange it, for checking elsewhere; empty where nothing is signed.
    pub proof: Vec<u8>,
}

/// An agreed, ordered log of job events.
pub trait Scheduler: fmt::Debug + Send + Sync + 'static {
    /// Brings a signed action into the log: resolves when it has its place there, or is refused.
    ///
    /// The same action again is answered with the same place. Dropping the future withdraws nothing.
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Result<Cursor, SubmitError>>;

    /// Brings actions of one author in one job into the log, in their order, and resolves with the place of the last.
    ///
    /// The first that is refused ends it; those before it keep their places, unless the backend brings them as one.
    /// Without a default: a decorator that forgot it would send batches one by one. [`submit_in_turn`] does that.
    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Result<Cursor, SubmitError>>;

    /// Every entry after `after` that concerns this node: history, [`LogUpdate::CaughtUp`], then news. History leaves out
    /// the jobs that were retired before.
    fn events(&self, after: Cursor) -> EventStream;

    /// The clock that deadlines are judged by.
    fn now(&self) -> BoxFuture<'_, Result<Timestamp, BackendError>>;

    /// Other nodes known to take announcements of jobs. For ranks and estimates only: nobody vouches for it.
    fn members(&self) -> Vec<NodeId>;

    /// What signatures in this log are bound to.
    fn domain(&self) -> LogDomain;

    /// Who orders the log of `job`. Without a default: a decorator that forgot it would have a node reveal where
    /// it must not.
    fn order(&self, job: JobId) -> LogOrder;

    /// Whether the log holds money, so that a node whose result the verdict accepts is paid. Without a default, as
    /// above: a node must not give away an unpaid result.
    fn holds_money(&self) -> bool;

    /// What money is counted in; ether where there is none.
    fn asset(&self) -> Asset;

    /// What `node` has in this log; `None` while this node does not know it yet. Without a default: a decorator that
    /// forgot it would have a node bid without its bond, or count bids that can take no seat.
    fn funds(&self, node: NodeId) -> Option<Funds>;

    /// Changes whenever [`Self::funds`] may say something new; `None` where it never does. Without a default, as above.
    fn watch_funds(&self) -> Option<watch::Receiver<u64>>;

    /// How slow the log is. Without a default: a decorator that forgot it would have nodes lose bonds on a slow chain.
    fn pace(&self) -> Pace;

    /// Where the entries of a job's log stand outside of this program, by height; empty where they do not.
    ///
    /// Asks others no longer than a user would wait: entries without an answer are left out.
    fn anchors(&self, job: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>>;

    /// The proof that the requester broke the log of `job`, if this node holds one: it never forgets it. Without a
    /// default: a decorator that forgot it would have a node show a forked job as a sound one.
    fn evidence(&self, job: JobId) -> Option<Evidence>;

    /// Keeps jobs that ended on the disk alone, as far as it can, and says which: those take no memory and no time at a
    /// start any more. A job that gets another entry all the same is live again. Without a default: a decorator that
    /// forgot it would have every job in memory for good.
    fn retire(&self, ended: Vec<EndedJob>) -> BoxFuture<'_, Result<Vec<JobId>, BackendError>>;

    /// The entries of a retired job, read from the disk, up to the first that cannot be read. Blocks for that time.
    /// Without a default, as above.
    fn log_of(&self, job: JobId) -> Vec<Result<LogItem, BackendError>>;

    /// What keeps this backend as a whole from its work now. Without a default: a decorator that forgot it would hide
    /// from an operator why the node is stuck.
    fn troubles(&self) -> Vec<Trouble>;
}

/// Submits actions one after another: [`Scheduler::submit_all`] where a batch has no form of its own.
///
/// # Errors
/// That of the first action that is not taken.
pub async fn submit_in_turn(
    scheduler: &dyn Scheduler,
    actions: Vec<SignedAction>,
) -> Result<Cursor, SubmitError> {
    let mut last = Cursor::default();
    for action in actions {
        last = scheduler.submit(action).await?;
    }
    Ok(last)
}

/// Where an entry of a job's log stands on a chain, and what it took to bring it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Anchor {
    /// The entry's place in its job's log, from 1.
    pub height: u64,
    /// The transaction; several entries may share one.
    pub transaction: Digest,
    /// Its block.
    pub block: u64,
    /// How many blocks follow that one.
    pub confirmations: u64,
    /// What the transaction took; null when the chain does not tell now.
    pub cost: Option<Cost>,
}

/// What a transaction took for one job: of one that several jobs share, an equal part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cost {
    /// Who paid.
    pub payer: NodeId,
    /// In units of gas.
    pub gas_used: u64,
    /// In wei.
    pub fee: Amount,
}

/// The party that orders a job's log, and how far this node can follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOrder {
    /// Nobody with a stake in the job.
    Neutral,
    /// Its requester.
    Requester {
        /// Whether the stamps of live entries agree with this node's own clock.
        clock_agrees: bool,
        /// Whether this node stopped acting: the log was far off its clock, broke the rules or was seen forked.
        suspended: bool,
    },
}

/// Why an action is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The rules say no; sending it again is of no use while the job stays as it is.
    #[error("refused by the rules: {0}")]
    Rejected(Rejection),
    /// The envelope says no: a bad signature, a reused or skipped sequence, a foreign or stale `seen`.
    #[error("refused before the rules: {0}")]
    Refused(EnvelopeRefusal),
    /// Nobody has answered for it yet; the same action may be sent again.
    #[error("not ordered yet")]
    NotOrdered(#[source] BackendError),
}

/// What is wrong around an action rather than with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeRefusal {
    /// The signature recovers to nobody, or to another party than the one this backend acts for.
    #[error("the signature is malformed")]
    BadSignature,
    /// The sequence is not the author's next one.
    #[error("the author's next sequence number is {expected}")]
    WrongSequence {
        /// The next one.
        expected: u64,
    },
    /// `seen` names no entry of this job's log, or too early a one for this action.
    #[error("the newest entry that the author names is not in this log or too early")]
    WrongSeen,
    /// A commitment after the close of commits.
    #[error("commits are closed")]
    CommitsClosed,
    /// A verdict brings an opening that its node has not revealed in this log.
    #[error("an opening was not revealed in this log")]
    NotRevealed,
    /// This log holds no money, so that a price, a bond, a fee or what was paid before means nothing in it.
    #[error("this backend holds no money: price, bond, fee and what was paid before must be 0")]
    Moneyless,
    /// The author sends more than its share.
    #[error("too many actions from this author")]
    TooMany,
}

/// The transport, the store or the chain failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The backend was shut down.
    #[error("the backend has stopped")]
    Stopped,
    /// The party that orders this job's log does not answer.
    #[error("{peer} cannot be reached: {reason}")]
    Unreachable {
        /// Who.
        peer: NodeId,
        /// What was seen.
        reason: String,
    },
    /// This node cannot reach the party that orders this job's log.
    #[error("no known node has the log of job {job}")]
    UnknownLog {
        /// The job.
        job: JobId,
    },
    /// Others bring the action into the log with theirs, or its author does later.
    #[error("what was signed in job {job} is handed over, to be submitted with what others sign")]
    UnderWay {
        /// The job.
        job: JobId,
    },
    /// Reading or writing the node's own store failed.
    #[error("the node's store failed: {reason}")]
    Store {
        /// What the store said.
        reason: String,
    },
    /// The chain does not answer, or not as it should.
    #[error("cannot use the chain: {reason}")]
    Chain {
        /// What was seen, endpoint by endpoint.
        reason: String,
    },
    /// The account that signs cannot pay for a transaction.
    #[error("account {account} cannot pay for a transaction: {reason}")]
    NoEther {
        /// The account.
        account: NodeId,
        /// What the endpoint said.
        reason: String,
    },
    /// Gas costs more than this node pays.
    #[error("gas costs {asked} wei, more than the fee cap of {cap} wei")]
    FeeCap {
        /// What a unit of gas costs now.
        asked: u128,
        /// The most that this node pays.
        cap: u128,
    },
    /// The endpoint serves another chain than the one whose log this node keeps.
    #[error("the chain behind {endpoint} is not that of this node's log: its first block is {found}")]
    OtherChain {
        /// The endpoint.
        endpoint: String,
        /// The hash of the first block of the chain there.
        found: Digest,
    },
    /// A transaction was sent, but its outcome is unknown.
    #[error("it is unknown whether transaction {transaction} was taken: {reason}")]
    Unconfirmed {
        /// Its hash.
        transaction: Digest,
        /// What was seen.
        reason: String,
    },
    /// What a backend of another crate met. [`BackendError::other`] makes it, and its causes are kept.
    #[error("the backend failed")]
    Other {
        /// What it met.
        source: OtherError,
        /// Whether waiting may help.
        is_retryable: bool,
    },
    /// Someone broke the log: two entries at one height, or an entry that the rules refuse.
    #[error("the log of job {job} is broken at height {height}: {reason}")]
    BrokenLog {
        /// The job.
        job: JobId,
        /// The height.
        height: u64,
        /// What is wrong.
        reason: String,
    },
}

impl SubmitError {
    /// Whether sending the same action again may succeed.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NotOrdered(error) => error.is_retryable(),
            Self::Rejected(_) | Self::Refused(_) => false,
        }
    }
}

/// An error of a backend that this crate does not know. Only the same error is equal to it.
#[derive(Debug, Clone)]
pub struct OtherError(Arc<dyn Error + Send + Sync>);

impl PartialEq for OtherError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OtherError {}

impl fmt::Display for OtherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for OtherError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl BackendError {
    /// The error of a backend of another crate, with its causes.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>, is_retryable: bool) -> Self {
        Self::Other { source: OtherError(Arc::from(error.into())), is_retryable }
    }

    /// Whether waiting may help.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::UnknownLog { .. }
            | Self::UnderWay { .. }
            | Self::Chain { .. }
            | Self::Unconfirmed { .. }
            | Self::NoEther { .. }
            | Self::FeeCap { .. } => true,
            Self::Other { is_retryable, source: _ } => *is_retryable,
            Self::Stopped | Self::Store { .. } | Self::BrokenLog { .. } | Self::OtherChain { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("queue q1 is away")]
    struct Away(#[source] std::io::Error);

    #[test]
    fn the_error_of_a_backend_that_nobody_here_knows_keeps_its_causes() {
        let error = BackendError::other(Away(std::io::Error::other("no route")), true);
        assert!(SubmitError::NotOrdered(error.clone()).is_retryable());
        let mut causes = Vec::new();
        let mut cause = Error::source(&error);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        assert_eq!(causes, ["queue q1 is away", "no route"]);
        assert_eq!(error, error.clone());
        assert_ne!(error, BackendError::other("queue q1 is away", true));
    }
}
