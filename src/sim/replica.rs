//! A job's log as one node holds it, and as whoever orders it does, for both who may order it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    domain::{
        Action, Digest, Event, Job, JobId, LogDomain, NodeId, SignedAction, Stamped, Timestamp,
        codec::encode_event,
    },
    identity::NodeKey,
    policy::compute::LogTrust,
    rules::Ledger,
    scheduler::libp2p::{
        entry::Entry,
        job_log::parent_of,
        sequence::{Arrival, Follower, Place, Receipt, Sequencer},
    },
};

/// The log of every simulated world.
pub const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };

/// What an event takes on a chain beside its own bytes: envelope, signature, place.
const ENVELOPE_BYTES: usize = 200;

/// What a node sends to whoever orders the log.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) author: NodeId,
    pub(super) signed: SignedAction,
}

impl Proposal {
    pub(super) fn bytes(&self) -> usize {
        encode_event(&self.signed.action.event).len() + ENVELOPE_BYTES
    }
}

/// One entry of a log on its way.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// As a chain tells it, with what everybody makes of it: the fold is the same for all, so it is made once.
    Plain { height: u64, stamped: Arc<Stamped<Event>>, job: Arc<Job> },
    /// As a requester signed it: each node checks and folds it.
    Signed(Arc<Entry>),
}

impl Item {
    pub(super) fn job(&self) -> JobId {
        match self {
            Self::Plain { stamped, .. } => stamped.job,
            Self::Signed(entry) => entry.job(),
        }
    }

    pub(super) fn stamped(&self) -> Option<Stamped<Event>> {
        match self {
            Self::Plain { stamped, .. } => Some((**stamped).clone()),
            Self::Signed(entry) => entry.stamped(DOMAIN).ok(),
        }
    }

    pub(super) fn parent(&self) -> Option<JobId> {
        match self {
            Self::Plain { stamped, .. } => parent_of(&stamped.event),
            Self::Signed(entry) => parent_of(entry.event()),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain { stamped, .. } => encode_event(&stamped.event).len() + ENVELOPE_BYTES,
            Self::Signed(entry) => entry.encode().len(),
        }
    }
}

/// What a node made of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It goes on from there.
    New,
    /// It had it.
    Known,
    /// Earlier ones are missing.
    Gap,
    /// An honest log does not have it.
    Unsound,
}

/// What a node holds of a job's log; it survives a crash.
#[derive(Debug)]
pub(super) enum Replica {
    Plain { job: Arc<Job>, height: u64, mine: u64 },
    Followed(Box<Follower>),
    Ordered(Box<Sequencer>),
}

impl Replica {
    pub(super) fn open(me: NodeId, item: &Item, parent: Option<&Job>) -> Option<Self> {
        match item {
            Item::Plain { height: 1, stamped, job } => {
                Some(Self::Plain { job: Arc::clone(job), height: 1, mine: u64::from(stamped.author == me) })
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

    pub(super) fn take(&mut self, me: NodeId, item: &Item, arrival: Arrival) -> Taken {
        match (self, item) {
            (Self::Plain { job, height, mine }, Item::Plain { height: place, stamped, job: after }) => {
                if *place != *height + 1 {
                    return if *place <= *height { Taken::Known } else { Taken::Gap };
                }
                *job = Arc::clone(after);
                *height = *place;
                *mine += u64::from(stamped.author == me);
                Taken::New
            }
            (Self::Followed(follower), Item::Signed(entry)) => {
                match follower.receive((**entry).clone(), arrival) {
                    Receipt::Appended => Taken::New,
                    Receipt::Duplicate => Taken::Known,
                    Receipt::Gap { .. } => Taken::Gap,
                    Receipt::Forged | Receipt::Broken => Taken::Unsound,
                }
            }
            // One's own log comes back.
            (Self::Ordered(_), _) => Taken::Known,
            (Self::Plain { .. }, Item::Signed(_)) | (Self::Followed(_), Item::Plain { .. }) => Taken::Unsound,
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
            Self::Plain { mine, .. } => (*mine, Digest::ZERO),
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

    /// The same, as a process reads it from its disk.
    pub(super) fn reread(self, key: &NodeKey, parent: Option<&Job>) -> Option<Self> {
        Some(match self {
            Self::Plain { .. } => self,
            Self::Followed(follower) => {
                let entries = follower.job_log().entries_after(0).to_vec();
                Self::Followed(Box::new(Follower::rebuild(DOMAIN, parent, entries).ok()?))
            }
            Self::Ordered(sequencer) => {
                let entries = sequencer.job_log().entries_after(0).to_vec();
                Self::Ordered(Box::new(Sequencer::rebuild(key.clone(), DOMAIN, parent, entries).ok()?))
            }
        })
    }
}

/// Signs an action where signatures are checked; a chain is taken to have done that.
pub(super) fn proposal(key: &NodeKey, action: Action, sign: bool) -> Proposal {
    let digest = if sign { action.signing_digest(DOMAIN) } else { Digest::ZERO };
    let signature = if sign { key.sign(digest) } else { crate::domain::Signature::new([0; 65]) };
    Proposal { author: key.node_id(), signed: SignedAction { action, signature } }
}

/// Logs that nobody with a stake in a job orders, as a chain does: how far each is, and who wrote how much in it.
#[derive(Debug, Default)]
pub(super) struct Chain {
    heights: BTreeMap<JobId, u64>,
    written: BTreeMap<(JobId, NodeId), u64>,
}

impl Chain {
    /// Orders an action if envelope and rules allow. The same action again changes nothing.
    pub(super) fn order(&mut self, ledger: &mut Ledger, at: Timestamp, proposal: Proposal) -> Option<Item> {
        let Proposal { author, signed } = proposal;
        let Action { job, revision, sequence, event, .. } = signed.action;
        if sequence != self.written.get(&(job, author)).copied().unwrap_or_default() {
            return None;
        }
        let facts = ledger.facts(job, author, &event);
        let stamped = Stamped { job, author, at, revision, facts, event };
        let after = Arc::new(ledger.apply(&stamped).ok()?.clone());
        *self.written.entry((job, author)).or_default() += 1;
        let height = self.heights.entry(job).or_default();
        *height += 1;
        Some(Item::Plain { height: *height, stamped: Arc::new(stamped), job: after })
    }
}

/// Orders an action in the requester's own log.
pub(super) fn sequence(
    sequencer: &mut Sequencer,
    at: Timestamp,
    proposal: Proposal,
) -> Option<(Entry, Stamped<Event>)> {
    match sequencer.append(at, proposal.signed) {
        Ok(Place::New(entry)) => {
            let stamped = entry.stamped(DOMAIN).ok()?;
            Some((*entry, stamped))
        }
        Ok(Place::Known(_)) | Err(_) => None,
    }
}
