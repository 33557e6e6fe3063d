//! A job's log as one node holds it, and as whoever orders it does: in both kinds of world.

use std::collections::BTreeMap;

use assay::{
    domain::{Action, Digest, Event, Job, JobId, LogDomain, NodeId, SignedAction, Stamped, Timestamp},
    identity::NodeKey,
    policy::compute::LogTrust,
    rules::{self, Ledger},
    scheduler::libp2p::{
        entry::Entry,
        sequence::{Arrival, Follower, Place, Receipt, Sequencer},
    },
};

pub(super) const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };

/// What a node sends to whoever orders the log.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) author: NodeId,
    pub(super) signed: SignedAction,
}

/// One entry of a log on its way.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Plain { height: u64, stamped: Box<Stamped<Event>> },
    Signed(Box<Entry>),
}

/// What a node holds of a job's log; it survives a crash.
#[derive(Debug)]
pub(super) enum Replica {
    Plain { job: Box<Job>, height: u64, mine: u64 },
    Followed(Box<Follower>),
    Ordered(Box<Sequencer>),
}

impl Replica {
    pub(super) fn open(item: &Item, parent: Option<&Job>) -> Option<Self> {
        match item {
            Item::Plain { height: 1, stamped } => {
                let job = Box::new(rules::open(DOMAIN, parent, stamped).ok()?);
                Some(Self::Plain { job, height: 1, mine: 0 })
            }
            Item::Plain { .. } => None,
            Item::Signed(entry) => {
                Follower::open(DOMAIN, parent, (**entry).clone()).ok().map(Box::new).map(Self::Followed)
            }
        }
    }

    pub(super) fn job(&self) -> &Job {
        match self {
            Self::Plain { job, .. } => job,
            Self::Followed(follower) => follower.job_log().job(),
            Self::Ordered(sequencer) => sequencer.job_log().job(),
        }
    }

    pub(super) fn height(&self) -> u64 {
        match self {
            Self::Plain { height, .. } => *height,
            Self::Followed(follower) => follower.job_log().height(),
            Self::Ordered(sequencer) => sequencer.job_log().height(),
        }
    }

    /// Takes an entry; whether it is new here.
    pub(super) fn take(&mut self, me: NodeId, item: Item, arrival: Arrival) -> bool {
        match (self, item) {
            (Self::Plain { job, height, mine }, Item::Plain { height: place, stamped }) => {
                if place != *height + 1 {
                    return false;
                }
                **job = rules::transition(job, &stamped).expect("what was ordered is allowed");
                *height = place;
                *mine += u64::from(stamped.author == me);
                true
            }
            (Self::Followed(follower), Item::Signed(entry)) => {
                let receipt = follower.receive(*entry, arrival);
                assert!(!matches!(receipt, Receipt::Forged | Receipt::Broken), "an honest log: {receipt:?}");
                receipt == Receipt::Appended
            }
            (Self::Ordered(_), _) => false,
            (replica, item) => panic!("{item:?} is of another world than {replica:?}"),
        }
    }

    pub(super) fn trust(&self) -> LogTrust {
        match self {
            Self::Plain { .. } => LogTrust::Neutral,
            Self::Followed(follower) => LogTrust::Requester {
                clock_agrees: follower.skew().is_none(),
                suspended: follower.may_act().is_err(),
            },
            Self::Ordered(_) => LogTrust::Requester { clock_agrees: true, suspended: false },
        }
    }

    /// The action with which `key` proposes `event` next.
    pub(super) fn propose(&self, key: &NodeKey, event: Event) -> Proposal {
        let (sequence, seen) = match self {
            Self::Plain { job, mine, .. } => {
                (*mine + u64::from(job.requester == key.node_id()), Digest::ZERO)
            }
            Self::Followed(follower) => {
                (follower.job_log().next_sequence(key.node_id()), follower.job_log().head())
            }
            Self::Ordered(sequencer) => {
                (sequencer.job_log().next_sequence(key.node_id()), sequencer.job_log().head())
            }
        };
        let job = self.job();
        let action = Action { job: job.id, revision: job.revision, sequence, seen, event };
        proposal(key, action, !matches!(self, Self::Plain { .. }))
    }
}

/// Signs an action where signatures are checked; a chain is taken to have done that.
pub(super) fn proposal(key: &NodeKey, action: Action, sign: bool) -> Proposal {
    let digest = if sign { action.signing_digest(DOMAIN) } else { Digest::ZERO };
    let signature = if sign { key.sign(digest) } else { assay::domain::Signature::new([0; 65]) };
    Proposal { author: key.node_id(), signed: SignedAction { action, signature } }
}

/// A log that nobody with a stake in a job orders, as a chain or [`assay::scheduler::local`] does.
#[derive(Debug, Default)]
pub(super) struct Chain {
    logs: BTreeMap<JobId, Vec<Stamped<Event>>>,
}

impl Chain {
    /// Orders an action if envelope and rules allow. The same action again changes nothing.
    pub(super) fn order(
        &mut self,
        ledger: &mut Ledger,
        at: Timestamp,
        proposal: Proposal,
    ) -> Option<Stamped<Event>> {
        let Proposal { author, signed } = proposal;
        let action = signed.action;
        let known = self.logs.get(&action.job).map_or(&[][..], Vec::as_slice);
        let count = known.iter().filter(|stamped| stamped.author == author).count();
        if action.sequence != u64::try_from(count).unwrap() {
            return None;
        }
        let facts = ledger.facts(action.job, author, &action.event);
        let (job, revision, event) = (action.job, action.revision, action.event);
        let stamped = Stamped { job, author, at, revision, facts, event };
        ledger.apply(&stamped).ok()?;
        self.logs.entry(job).or_default().push(stamped.clone());
        Some(stamped)
    }

    pub(super) fn height(&self, job: JobId) -> u64 {
        u64::try_from(self.logs.get(&job).map_or(0, Vec::len)).unwrap()
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.logs.keys().copied()
    }

    pub(super) fn after(&self, job: JobId, height: u64) -> Vec<Item> {
        let entries = (1..).zip(self.logs.get(&job).into_iter().flatten());
        let later = entries.filter(|(place, _)| *place > height);
        later.map(|(height, stamped)| Item::Plain { height, stamped: Box::new(stamped.clone()) }).collect()
    }
}

/// Orders an action in the requester's own log.
pub(super) fn sequence(
    sequencer: &mut Sequencer,
    at: Timestamp,
    proposal: Proposal,
) -> Option<Stamped<Event>> {
    match sequencer.append(at, proposal.signed) {
        Ok(Place::New(entry)) => Some(entry.stamped(DOMAIN).expect("a sequencer checks signatures")),
        Ok(Place::Known(_)) | Err(_) => None,
    }
}
