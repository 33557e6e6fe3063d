//! The sequencer of a job's log and its followers, as pure values: no I/O, no clock, no task.
//!
//! The requester's node holds a [`Sequencer`] for each of its jobs, every other node a [`Follower`] for each job
//! that it takes part in. Both check the same things ([`super::job_log`]), so every reader of the log notices if a
//! sequencer accepts what it must refuse. Its signatures prove it: [`Fault`] keeps the proof.
//! Both are rebuilt from the entries alone.

use alloy_primitives::hex;

use super::{
    entry::{Entry, Hashed},
    job_log::{Checked, CheckedLog},
};
use crate::{
    domain::{Digest, Job, LogDomain, NodeId, SignedAction, Span, Timestamp},
    identity::NodeKey,
    rules::Rejection,
    scheduler::{BackendError, Evidence, FaultKind, SubmitError},
};

/// How far a live entry's stamp may be from a follower's clock: more than clock drift and delays of packets, and less
/// than any deadline that it could move.
pub const MAX_SKEW: Span = Span::from_secs(30);

/// Orders the log of one job that this node's key submitted.
#[derive(Debug, Clone)]
pub struct Sequencer {
    key: NodeKey,
    job_log: CheckedLog,
}

/// The place of an action in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is new: this entry holds it, and must be stored before anyone hears of it.
    New(Box<Entry>),
    /// It is there already, at this height.
    Known(u64),
}

impl Sequencer {
    /// Starts the log of a submission that `key` signed. `parent` is the job that the deal names, if known.
    ///
    /// # Errors
    /// What the envelope or the rules refuse; a submission by another key is `NotRequester`.
    pub fn open(
        key: NodeKey,
        domain: LogDomain,
        parent: Option<&Job>,
        now: Timestamp,
        action: SignedAction,
    ) -> Result<Self, SubmitError> {
        let next = CheckedLog::check_submission(domain, parent, &action, now)?;
        if next.author() != key.node_id() {
            return Err(SubmitError::Rejected(Rejection::NotRequester));
        }
        let entry = Entry::sign(&key, domain, (1, Digest::ZERO), now, action);
        let job_log = CheckedLog::open(domain, parent, Hashed::new(entry, domain), next);
        Ok(Self { key, job_log })
    }

    /// Continues a log from its stored entries.
    ///
    /// # Errors
    /// The fault, if the entries are not those of this key's sequencer.
    pub fn rebuild(
        key: NodeKey,
        domain: LogDomain,
        parent: Option<&Job>,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, RebuildError> {
        let kept = entries.into_iter().map(|entry| Kept::new(entry, domain));
        Self::rebuild_kept(key, domain, parent, kept)
    }

    /// As [`Self::rebuild`], where the authors of entries may be known.
    pub(super) fn rebuild_kept(
        key: NodeKey,
        domain: LogDomain,
        parent: Option<&Job>,
        entries: impl IntoIterator<Item = Kept>,
    ) -> Result<Self, RebuildError> {
        let follower = Follower::rebuild_kept(domain, parent, entries)?;
        if follower.job_log.job().requester != key.node_id() {
            return Err(RebuildError::Forged);
        }
        Ok(Self { key, job_log: follower.job_log })
    }

    /// Gives an action its place. Stamps never decrease, even if the clock does.
    ///
    /// # Errors
    /// What [`super::job_log`] refuses; nothing has changed then.
    pub fn append(&mut self, now: Timestamp, action: SignedAction) -> Result<Place, SubmitError> {
        let at = now.max(self.job_log.at());
        match self.job_log.check(&action, at)? {
            Checked::Known(height) => Ok(Place::Known(height)),
            Checked::Next(next) => {
                let place = (self.job_log.height() + 1, self.job_log.head());
                let entry = Entry::sign(&self.key, self.job_log.domain(), place, at, action);
                self.job_log.adopt(Hashed::new(entry.clone(), self.job_log.domain()), *next);
                Ok(Place::New(Box::new(entry)))
            }
        }
    }

    /// The log so far.
    pub const fn job_log(&self) -> &CheckedLog {
        &self.job_log
    }
}

/// Follows a log that another node orders, and checks everything.
#[derive(Debug, Clone)]
pub struct Follower {
    job_log: CheckedLog,
    fault: Option<Fault>,
    skew: Option<Skew>,
}

/// An entry to continue a log from.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) hashed: Hashed,
    /// Who signed its action, if this node checked both signatures before it kept the entry; they are not checked
    /// again then.
    pub(super) author: Option<NodeId>,
}

impl Kept {
    /// An unchecked entry.
    fn new(entry: Entry, domain: LogDomain) -> Self {
        Self { hashed: Hashed::new(entry, domain), author: None }
    }
}

/// How an entry reached a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// As it was ordered: its stamp is compared with the follower's clock.
    Live(Timestamp),
    /// Later, as history: it may be of any age, but not ahead of the follower's clock. Else a requester could end a
    /// job early by making a follower ask.
    Synced(Timestamp),
    /// From the follower's own store: it was compared when it came.
    Stored,
}

impl Arrival {
    /// The follower's clock when the entry came.
    pub const fn now(self) -> Option<Timestamp> {
        match self {
            Self::Live(now) | Self::Synced(now) => Some(now),
            Self::Stored => None,
        }
    }
}

/// What a follower made of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// It is the newest entry of the log now.
    Appended,
    /// It was there.
    Duplicate,
    /// Entries above this height are missing in between; the entry was not kept.
    Gap {
        /// The height held.
        after_height: u64,
    },
    /// The requester did not sign it, or it belongs to another job: it says nothing about the log.
    Forged,
    /// The requester broke the log, now or before; the follower has stopped.
    Broken,
}

/// The requester broke its log: what it signed is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It signed two entries at one height.
    Equivocation {
        /// The entry that came first.
        held: Box<Entry>,
        /// The other one.
        other: Box<Entry>,
    },
    /// It signed an entry over another history than it gave us.
    Fork {
        /// Our newest entry.
        held: Box<Entry>,
        /// The entry that should follow it.
        other: Box<Entry>,
    },
    /// It signed an entry that is stamped before the one it follows.
    StampDecreased {
        /// The entry.
        entry: Box<Entry>,
    },
    /// It ordered an action that envelope or rules refuse, or that is in the log already.
    Refused {
        /// The entry.
        entry: Box<Entry>,
        /// Why it has no place; `None` for an action that is in the log already.
        error: Option<SubmitError>,
    },
}

/// An entry was stamped too far from the follower's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// The height of the entry.
    pub height: u64,
    /// Its stamp.
    pub at: Timestamp,
    /// The follower's clock when it came.
    pub now: Timestamp,
}

/// Why entries do not make a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// There is no first entry.
    #[error("the log is empty")]
    Empty,
    /// The author of the submission in the first entry did not sign the entry.
    #[error("an entry was not signed by the requester")]
    Forged,
    /// The first entry's submission is refused.
    #[error("the submission is refused")]
    Submission(#[source] SubmitError),
    /// An entry is missing.
    #[error("the entry after height {after_height} is missing")]
    Gap {
        /// The height before the missing entry.
        after_height: u64,
    },
    /// The requester broke the log at this height.
    #[error("the log is broken at height {0}")]
    Broken(u64),
}

impl Follower {
    /// Follows a log from its first entry. `parent` is the job that the deal names, if known.
    ///
    /// # Errors
    /// [`RebuildError::Forged`] and [`RebuildError::Submission`].
    pub fn open(domain: LogDomain, parent: Option<&Job>, first: Entry) -> Result<Self, RebuildError> {
        let signer = first.signer(domain).map_err(|_| RebuildError::Forged)?;
        if first.action.author(domain) != Ok(signer) {
            return Err(RebuildError::Forged);
        }
        Self::open_signed(signer, domain, parent, Hashed::new(first, domain))
    }

    /// As [`Self::open`], where the signatures of entry and submission are known to be `signer`'s.
    pub(super) fn open_signed(
        signer: NodeId,
        domain: LogDomain,
        parent: Option<&Job>,
        hashed: Hashed,
    ) -> Result<Self, RebuildError> {
        let first = &hashed.entry;
        if first.height != 1 || !first.prev.is_zero() {
            return Err(RebuildError::Forged);
        }
        let next = CheckedLog::check_submission_of(signer, domain, parent, &first.action, first.at)
            .map_err(RebuildError::Submission)?;
        Ok(Self { job_log: CheckedLog::open(domain, parent, hashed, next), fault: None, skew: None })
    }

    /// Follows a log from its stored entries on.
    ///
    /// # Errors
    /// The first fault in them.
    pub fn rebuild(
        domain: LogDomain,
        parent: Option<&Job>,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, RebuildError> {
        Self::rebuild_kept(domain, parent, entries.into_iter().map(|entry| Kept::new(entry, domain)))
    }

    /// As [`Self::rebuild`], where the authors of entries may be known.
    pub(super) fn rebuild_kept(
        domain: LogDomain,
        parent: Option<&Job>,
        entries: impl IntoIterator<Item = Kept>,
    ) -> Result<Self, RebuildError> {
        let mut entries = entries.into_iter();
        let Kept { hashed: first, author } = entries.next().ok_or(RebuildError::Empty)?;
        let mut follower = match author {
            Some(signer) => Self::open_signed(signer, domain, parent, first)?,
            None => Self::open(domain, parent, first.entry)?,
        };
        for kept in entries {
            let height = kept.hashed.entry.height;
            match follower.take(kept, Arrival::Stored) {
                Receipt::Appended | Receipt::Duplicate => {}
                Receipt::Gap { after_height } => return Err(RebuildError::Gap { after_height }),
                Receipt::Forged => return Err(RebuildError::Forged),
                Receipt::Broken => return Err(RebuildError::Broken(height)),
            }
        }
        Ok(follower)
    }

    /// Takes an entry of this log from any node. Only entries signed by the requester can break the log.
    pub fn receive(&mut self, entry: Entry, arrival: Arrival) -> Receipt {
        let hash = entry.hash(self.job_log.domain());
        if self.job_log.height_of(hash).is_some() {
            return Receipt::Duplicate;
        }
        let length = entry.encode().len();
        self.take(Kept { hashed: Hashed { entry, hash, length }, author: None }, arrival)
    }

    fn take(&mut self, Kept { hashed, author }: Kept, arrival: Arrival) -> Receipt {
        let (entry, hash) = (&hashed.entry, hashed.hash);
        if self.job_log.height_of(hash).is_some() {
            return Receipt::Duplicate;
        }
        let requester = self.job_log.job().requester;
        let is_signed = || author.is_some() || entry.signature.recover(hash) == Ok(requester);
        if entry.job() != self.job_log.job().id || !is_signed() {
            return Receipt::Forged;
        }
        if self.fault.is_some() {
            return Receipt::Broken;
        }
        if let Some(held) = self.job_log.entry(entry.height) {
            let held = Box::new(held.clone());
            return self.break_with(Fault::Equivocation { held, other: Box::new(hashed.entry) });
        }
        if entry.height != self.job_log.height() + 1 {
            return Receipt::Gap { after_height: self.job_log.height() };
        }
        self.follow(Kept { hashed, author }, arrival)
    }

    fn follow(&mut self, Kept { hashed, author }: Kept, arrival: Arrival) -> Receipt {
        let entry = &hashed.entry;
        if entry.prev != self.job_log.head() {
            let held = self.job_log.entry(self.job_log.height()).expect("a log has a first entry");
            let held = Box::new(held.clone());
            return self.break_with(Fault::Fork { held, other: Box::new(hashed.entry) });
        }
        if entry.at < self.job_log.at() {
            return self.break_with(Fault::StampDecreased { entry: Box::new(hashed.entry) });
        }
        let checked = match author {
            Some(author) => self.job_log.check_of(author, &entry.action, entry.at),
            None => self.job_log.check(&entry.action, entry.at),
        };
        let next = match checked {
            Ok(Checked::Next(next)) => next,
            Ok(Checked::Known(_)) => {
                return self.break_with(Fault::Refused { entry: Box::new(hashed.entry), error: None });
            }
            Err(error) => {
                return self.break_with(Fault::Refused { entry: Box::new(hashed.entry), error: Some(error) });
            }
        };
        let clock = match arrival {
            Arrival::Live(now) => Some((now, now > entry.at.plus(MAX_SKEW))),
            Arrival::Synced(now) => Some((now, false)),
            Arrival::Stored => None,
        };
        if let Some((now, stale)) = clock
            && (stale || entry.at > now.plus(MAX_SKEW))
        {
            self.skew.get_or_insert(Skew { height: entry.height, at: entry.at, now });
        }
        self.job_log.adopt(hashed, *next);
        Receipt::Appended
    }

    fn break_with(&mut self, fault: Fault) -> Receipt {
        self.fault.get_or_insert(fault);
        Receipt::Broken
    }

    /// The log as far as it is sound.
    pub const fn job_log(&self) -> &CheckedLog {
        &self.job_log
    }

    /// The proof that the requester broke the log, if it did.
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Whether an entry was stamped too far from this follower's clock.
    pub const fn skew(&self) -> Option<Skew> {
        self.skew
    }

    /// Whether this node may act in the job: not if the log is broken, or its requester's clock is wrong.
    ///
    /// # Errors
    /// [`BackendError::BrokenLog`].
    pub fn may_act(&self) -> Result<(), BackendError> {
        let (height, reason) = match (&self.fault, self.skew) {
            (Some(fault), _) => (fault.height(), fault.to_string()),
            (None, Some(Skew { height, at, now })) => {
                (height, format!("stamped {at} when the clock here said {now}"))
            }
            (None, None) => return Ok(()),
        };
        Err(BackendError::BrokenLog { job: self.job_log.job().id, height, reason })
    }
}

impl Fault {
    /// The entry that broke the log. A follower of the log before it finds the same fault in it again.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::Equivocation { other, .. } | Self::Fork { other, .. } => other,
            Self::StampDecreased { entry } | Self::Refused { entry, .. } => entry,
        }
    }

    /// What the requester did.
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Equivocation { .. } | Self::Fork { .. } => FaultKind::TwoHistories,
            Self::StampDecreased { .. } | Self::Refused { .. } => FaultKind::RuleBroken,
        }
    }

    /// The proof, for others.
    pub fn evidence(&self) -> Evidence {
        let entries: &[&Entry] = match self {
            Self::Equivocation { held, other } | Self::Fork { held, other } => &[&**held, &**other],
            Self::StampDecreased { entry } | Self::Refused { entry, .. } => &[&**entry],
        };
        let entries = entries.iter().map(|entry| hex::encode(entry.encode())).collect();
        Evidence { kind: self.kind(), height: self.height(), entries }
    }

    /// The height at which the log broke.
    pub fn height(&self) -> u64 {
        self.entry().height
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Equivocation { .. } => f.write_str("its requester signed two entries at this height"),
            Self::Fork { .. } => f.write_str("its requester signed an entry over another history"),
            Self::StampDecreased { .. } => f.write_str("the entry is stamped before the one it follows"),
            Self::Refused { error: Some(error), .. } => write!(f, "the entry is {error}"),
            Self::Refused { error: None, .. } => f.write_str("the action is in the log already"),
        }
    }
}

#[cfg(test)]
mod tests;
