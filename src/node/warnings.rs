//! Problems that keep a node from its obligations now, each logged once when it begins and once when it ends.
//!
//! The node retries all the time, and a line for each attempt would bury the one that says what to do. So a warning is a
//! state: it lasts from the first failure to the next success, and can be queried meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{
    domain::{JobId, Timestamp},
    scheduler::{BackendError, SubmitError},
};

/// The most warnings about single jobs, since strangers can cause them.
const MOST: usize = 256;

/// What the node cannot do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The account cannot pay for transactions.
    NoEther,
    /// Gas costs more than the node may pay.
    FeeCap,
    /// The chain does not answer, or answers wrongly.
    Chain,
    /// The node's database cannot store what the node must keep.
    Store,
    /// There is no room for another result.
    StoreFull,
    /// A disk of the node is full, or nearly.
    DiskFull,
    /// This machine's clock, or that of a job's requester, is wrong.
    #[serde(rename = "clock")]
    WrongClock,
    /// The sequencer of a job's log cannot be reached.
    Requester,
    /// The sequencer of a job's log broke the rules, or showed two histories of it.
    BrokenLog,
}

/// A warning that holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Warning {
    /// The kind of problem.
    pub obstacle: Obstacle,
    /// The job concerned; null for the whole node.
    pub job: Option<JobId>,
    /// When it began.
    pub since: Timestamp,
    /// What the node saw.
    pub message: String,
    /// What the user can do about it.
    pub hint: String,
}

/// The warnings of a node.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<BTreeMap<(Obstacle, Option<JobId>), Warning>>);

impl Obstacle {
    /// The problem behind an action that was not ordered, if waiting alone does not help.
    pub(crate) const fn of(error: &SubmitError) -> Option<Self> {
        match error {
            SubmitError::NotOrdered(error) => Self::of_backend(error),
            SubmitError::Rejected(_) | SubmitError::Refused(_) => None,
        }
    }

    /// The problem behind a failure of the backend, if waiting alone does not help.
    pub(crate) const fn of_backend(error: &BackendError) -> Option<Self> {
        match error {
            BackendError::NoEther { .. } => Some(Self::NoEther),
            BackendError::FeeCap { .. } => Some(Self::FeeCap),
            BackendError::Chain { .. } | BackendError::OtherChain { .. } => Some(Self::Chain),
            BackendError::Store { .. } => Some(Self::Store),
            BackendError::Unreachable { .. } => Some(Self::Requester),
            BackendError::Stopped
            | BackendError::UnknownLog { .. }
            | BackendError::UnderWay { .. }
            | BackendError::Other { .. }
            | BackendError::Unconfirmed { .. }
            | BackendError::BrokenLog { .. } => None,
        }
    }

    /// The problem of a log in which this node cannot act, or not in every way.
    pub(crate) const fn of_order(clock_agrees: bool, suspended: bool) -> Option<Self> {
        match (clock_agrees, suspended) {
            (false, _) => Some(Self::WrongClock),
            (true, true) => Some(Self::BrokenLog),
            (true, false) => None,
        }
    }

    /// Whether it concerns a single job.
    const fn is_of_job(self) -> bool {
        match self {
            Self::Requester | Self::WrongClock | Self::BrokenLog => true,
            Self::NoEther | Self::FeeCap | Self::Chain | Self::Store | Self::StoreFull | Self::DiskFull => {
                false
            }
        }
    }

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoEther => "no_ether",
            Self::FeeCap => "fee_cap",
            Self::Chain => "chain",
            Self::Store => "store",
            Self::StoreFull => "store_full",
            Self::DiskFull => "disk_full",
            Self::WrongClock => "clock",
            Self::Requester => "requester",
            Self::BrokenLog => "broken_log",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::NoEther => "send ether to that account on this chain, to pay for gas; see assay wallet",
            Self::FeeCap => "wait until gas is cheaper, or start the node with a higher --max-fee",
            Self::Chain => "check the endpoint, or name others with --rpc-url, which may be repeated",
            Self::Store => {
                "make room on the disk of the data directory, and check that the directory is writable"
            }
            Self::StoreFull => {
                "make room on that disk, or stop the node and remove results that nobody needs any more"
            }
            Self::DiskFull => "make room on that disk; the node goes on by itself once there is some",
            Self::WrongClock => {
                "set this machine's clock (ntp); if it is right, the clock named here is wrong"
            }
            Self::Requester => {
                "check the network between this node and the requester; the job waits for the requester"
            }
            Self::BrokenLog => {
                "nothing to do here: the requester is at fault; this node keeps the log as proof of that"
            }
        }
    }
}

impl Warnings {
    /// Records a problem, and logs it if it is new.
    pub(crate) fn raise(&self, obstacle: Obstacle, job: Option<JobId>, since: Timestamp, message: String) {
        let job = job.filter(|_| obstacle.is_of_job());
        let mut held = self.lock();
        // Warnings about the whole node are few, and only the node causes them.
        let is_full = job.is_some() && held.len() >= MOST;
        if held.contains_key(&(obstacle, job)) || is_full {
            return;
        }
        let hint = obstacle.hint();
        match job {
            Some(job) => warn!(%job, %message, hint, "cannot meet an obligation"),
            None => warn!(%message, hint, "cannot meet an obligation"),
        }
        held.insert((obstacle, job), Warning { obstacle, job, since, message, hint: hint.to_owned() });
    }

    /// Records that a problem has passed, and logs that if it was there.
    pub(crate) fn clear(&self, obstacle: Obstacle, job: Option<JobId>) {
        let job = job.filter(|_| obstacle.is_of_job());
        if let Some(gone) = self.lock().remove(&(obstacle, job)) {
            info!(?obstacle, since = %gone.since, was = gone.message, "the obstacle is gone");
        }
    }

    /// Clears what kept actions in `job` from being ordered, since one was.
    pub(crate) fn ordered(&self, job: JobId) {
        use Obstacle::{Chain, FeeCap, NoEther, Requester, Store};
        for obstacle in [NoEther, FeeCap, Chain, Store, Requester] {
            self.clear(obstacle, Some(job));
        }
    }

    /// Forgets the warnings about a job that has ended.
    pub(crate) fn over(&self, job: JobId) {
        self.lock().retain(|(_, of), _| *of != Some(job));
    }

    /// What holds now: warnings of the node, and of `job` or of all jobs.
    pub(crate) fn current(&self, job: Option<JobId>) -> Vec<Warning> {
        let held = self.lock();
        let fits = |warning: &&Warning| warning.job.is_none() || job.is_none() || warning.job == job;
        held.values().filter(fits).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Obstacle, Option<JobId>), Warning>> {
        // Every change to the map is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn job(byte: u8) -> JobId {
        JobId::new([byte; 32])
    }

    #[test]
    fn an_obstacle_has_one_name() {
        use Obstacle::{
            BrokenLog, Chain, DiskFull, FeeCap, NoEther, Requester, Store, StoreFull, WrongClock,
        };
        for obstacle in [NoEther, FeeCap, Chain, Store, StoreFull, DiskFull, WrongClock, Requester, BrokenLog]
        {
            assert_eq!(serde_json::to_value(obstacle).unwrap(), obstacle.name());
        }
    }

    #[test]
    fn a_warning_holds_from_the_first_failure_to_the_next_success() {
        let warnings = Warnings::default();
        warnings.raise(Obstacle::NoEther, Some(job(1)), NOW, "first".to_owned());
        warnings.raise(
            Obstacle::NoEther,
            Some(job(2)),
            NOW.plus(crate::domain::Span::from_secs(9)),
            "again".to_owned(),
        );
        let held = warnings.current(None);
        assert_eq!(held.len(), 1, "one obstacle of the node, whichever job meets it");
        assert_eq!((held[0].since, held[0].message.as_str(), held[0].job), (NOW, "first", None));
        warnings.ordered(job(3));
        assert!(warnings.current(None).is_empty());
    }

    #[test]
    fn what_concerns_a_job_is_told_of_that_job_alone() {
        let warnings = Warnings::default();
        warnings.raise(Obstacle::WrongClock, Some(job(1)), NOW, "off".to_owned());
        warnings.raise(Obstacle::StoreFull, Some(job(1)), NOW, "full".to_owned());
        assert_eq!(warnings.current(Some(job(1))).len(), 2);
        assert_eq!(warnings.current(Some(job(2))).len(), 1);
        warnings.over(job(1));
        assert_eq!(warnings.current(Some(job(1))).len(), 1);
    }

    #[test]
    fn a_node_that_is_suspended_says_whether_a_clock_or_the_log_is_why() {
        assert_eq!(Obstacle::of_order(true, false), None);
        assert_eq!(Obstacle::of_order(true, true), Some(Obstacle::BrokenLog));
        assert_eq!(Obstacle::of_order(false, true), Some(Obstacle::WrongClock));
        let warnings = Warnings::default();
        warnings.raise(Obstacle::BrokenLog, Some(job(1)), NOW, "two histories".to_owned());
        assert_eq!((warnings.current(Some(job(1))).len(), warnings.current(Some(job(2))).len()), (1, 0));
    }

    #[test]
    fn strangers_cannot_fill_the_memory_with_warnings() {
        let warnings = Warnings::default();
        for index in 0..2 * MOST {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&index.to_be_bytes());
            warnings.raise(Obstacle::Requester, Some(JobId::new(id)), NOW, String::new());
        }
        assert_eq!(warnings.current(None).len(), MOST);
        warnings.raise(Obstacle::NoEther, None, NOW, String::new());
        assert_eq!(warnings.current(None).len(), MOST + 1, "the node's own are always told");
    }
}
