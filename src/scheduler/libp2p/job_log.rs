//! The log of one job, held and folded: what the sequencer and every follower check alike.
//!
//! # What an action must be, in this order; the first failure is the answer
//!
//! 1. Signed by somebody, over this domain, for this job.
//! 2. Its author's next one in this job, counted from 0. The same action again has the place it had.
//! 3. Within the bounds: actions of an author, entries and bytes of a log.
//! 4. Its `seen` names an entry of this log. Zero will do for the submission, and for an author's first action
//!    if that is a bid: the announcement is all that a bidder holds.
//! 5. No commitment after the *closing entry*, the first one after which seats may reveal (the last commitment, the last
//!    failure, or a tick past the deadline; with an audit the secret that spares the job, or what closes the second wave). No opening before it, and a reveal names it,
//!    or a later one, in `seen`.
//! 6. No price, bond or fee, since there is no money.
//! 7. Allowed by the rules.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Entry, Hashed, MAX_ENTRY_BYTES};
use crate::{
    domain::{
        AuditStage, BidStatus, Deal, Digest, Event, Facts, Job, JobId, JobState, LogDomain, NodeId,
        SignedAction, Stamped, Timestamp,
    },
    rules,
    scheduler::{EnvelopeRefusal, SubmitError},
};

/// Most entries of a log: every bid, its rejection and its withdrawal, and a thousand for the rest.
pub const MAX_LOG_ENTRIES: usize = 4096;

/// Most bytes of a log, encoded.
pub const MAX_LOG_BYTES: usize = 4 * 1024 * 1024;

/// Most actions of one author in one job, the requester apart.
pub const MAX_AUTHOR_ACTIONS: usize = 32;

/// Entries, and bytes a quarter of [`MAX_LOG_BYTES`], that bidders leave to the requester and the seats, so that
/// a flood of bids cannot keep a job from its end.
const RESERVED_ENTRIES: usize = 1024;

/// A job's log as far as it is known, whole from its first entry.
#[derive(Debug, Clone)]
pub struct CheckedLog {
    domain: LogDomain,
    job: Job,
    sat_in_parent: BTreeSet<NodeId>,
    entries: Vec<Entry>,
    heights: BTreeMap<Digest, u64>,
    head: Digest,
    /// Who signed the action of each entry.
    signers: Vec<NodeId>,
    authors: BTreeMap<NodeId, Vec<(Digest, u64)>>,
    closing_height: Option<u64>,
    bytes: usize,
}

/// What a log makes of an action that it does not refuse.
#[derive(Debug)]
pub(super) enum Checked {
    /// It has this place already.
    Known(u64),
    /// It may come next.
    Next(Box<Next>),
}

/// An action that may come next, and what it makes of the job.
#[derive(Debug)]
pub(super) struct Next {
    author: NodeId,
    digest: Digest,
    job: Job,
}

impl Next {
    /// Who signed the action.
    pub(super) const fn author(&self) -> NodeId {
        self.author
    }
}

impl CheckedLog {
    /// Checks a submission: what the first entry of a log must hold.
    pub(super) fn check_submission(
        domain: LogDomain,
        parent: Option<&Job>,
        signed: &SignedAction,
        at: Timestamp,
    ) -> Result<Next, SubmitError> {
        Self::check_submission_of(author_of(domain, signed)?, domain, parent, signed, at)
    }

    /// As [`Self::check_submission`], given who signed it.
    pub(super) fn check_submission_of(
        author: NodeId,
        domain: LogDomain,
        parent: Option<&Job>,
        signed: &SignedAction,
        at: Timestamp,
    ) -> Result<Next, SubmitError> {
        let action = &signed.action;
        if action.sequence != 0 {
            return Err(SubmitError::Refused(EnvelopeRefusal::WrongSequence { expected: 0 }));
        }
        if !action.seen.is_zero() {
            return Err(SubmitError::Refused(EnvelopeRefusal::WrongSeen));
        }
        check_moneyless(&action.event)?;
        let stamped = stamp(signed, author, at, Facts::MONEYLESS);
        let job = rules::open(domain, parent, &stamped).map_err(SubmitError::Rejected)?;
        Ok(Next { author, digest: action.signing_digest(domain), job })
    }

    /// The log of a checked submission in its entry.
    pub(super) fn open(domain: LogDomain, parent: Option<&Job>, entry: Hashed, next: Next) -> Self {
        let seated = parent.into_iter().flat_map(|parent| &parent.bids);
        let seated = seated.filter(|(_, bid)| matches!(bid.status, BidStatus::Seated(_)));
        let mut log = Self {
            domain,
            job: next.job.clone(),
            sat_in_parent: seated.map(|(node, _)| *node).collect(),
            entries: Vec::new(),
            heights: BTreeMap::new(),
            head: Digest::ZERO,
            signers: Vec::new(),
            authors: BTreeMap::new(),
            closing_height: None,
            bytes: 0,
        };
        log.adopt(entry, next);
        log
    }

    /// Checks `signed` at `at`, in the order of the module's documentation.
    pub(super) fn check(&self, signed: &SignedAction, at: Timestamp) -> Result<Checked, SubmitError> {
        self.check_of(author_of(self.domain, signed)?, signed, at)
    }

    /// As [`Self::check`], given who signed it.
    pub(super) fn check_of(
        &self,
        author: NodeId,
        signed: &SignedAction,
        at: Timestamp,
    ) -> Result<Checked, SubmitError> {
        let action = &signed.action;
        if action.job != self.job.id {
            return Err(SubmitError::Rejected(rules::Rejection::NoSuchJob));
        }
        let digest = action.signing_digest(self.domain);
        let known = self.authors.get(&author).map_or(&[][..], Vec::as_slice);
        let place = usize::try_from(action.sequence).ok().and_then(|index| known.get(index));
        if let Some((_, height)) = place.filter(|(known, _)| *known == digest) {
            return Ok(Checked::Known(*height));
        }
        let expected = count(known.len());
        if action.sequence != expected {
            return Err(SubmitError::Refused(EnvelopeRefusal::WrongSequence { expected }));
        }
        self.check_envelope(signed, author, known.len()).map_err(SubmitError::Refused)?;
        check_moneyless(&action.event)?;
        let facts = Facts { sat_in_parent: self.sat_in_parent.contains(&author), ..Facts::MONEYLESS };
        let stamped = stamp(signed, author, at, facts);
        let job = rules::transition(&self.job, &stamped).map_err(SubmitError::Rejected)?;
        Ok(Checked::Next(Box::new(Next { author, digest, job })))
    }

    fn check_envelope(
        &self,
        signed: &SignedAction,
        author: NodeId,
        sequence: usize,
    ) -> Result<(), EnvelopeRefusal> {
        let privileged = author == self.job.requester || self.job.seat_of(author).is_some();
        let (reserved, reserved_bytes) =
            if privileged { (0, 0) } else { (RESERVED_ENTRIES, MAX_LOG_BYTES / 4) };
        let greedy = author != self.job.requester && sequence >= MAX_AUTHOR_ACTIONS;
        let full = self.entries.len() + reserved >= MAX_LOG_ENTRIES
            || self.bytes + reserved_bytes + MAX_ENTRY_BYTES > MAX_LOG_BYTES;
        if greedy || full {
            return Err(EnvelopeRefusal::TooMany);
        }
        let first_bid = sequence == 0 && matches!(signed.action.event, Event::BidPlaced { .. });
        let seen = match self.heights.get(&signed.action.seen) {
            Some(height) => *height,
            None if first_bid && signed.action.seen.is_zero() => 0,
            None => return Err(EnvelopeRefusal::WrongSeen),
        };
        let (event, closing) = (&signed.action.event, self.closing_height);
        if matches!(event, Event::Committed { .. }) && closing.is_some() {
            return Err(EnvelopeRefusal::CommitsClosed);
        }
        let opens = matches!(event, Event::Revealed { .. } | Event::VerdictPosted { .. });
        let too_early =
            matches!(event, Event::Revealed { .. }) && closing.is_some_and(|closing| seen < closing);
        if opens && (closing.is_none() || too_early) {
            return Err(EnvelopeRefusal::WrongSeen);
        }
        // An opening that its node never revealed in this log comes from another history.
        let foreign = matches!(event, Event::VerdictPosted { openings, .. }
            if openings.iter().any(|given| !self.job.revealed.contains(given.seat)));
        if foreign { Err(EnvelopeRefusal::NotRevealed) } else { Ok(()) }
    }

    /// Appends an entry that holds the action which `next` was made of.
    pub(super) fn adopt(&mut self, Hashed { entry, hash, length }: Hashed, next: Next) {
        self.bytes += length;
        self.heights.insert(hash, entry.height);
        self.head = hash;
        self.authors.entry(next.author).or_default().push((next.digest, entry.height));
        self.signers.push(next.author);
        self.job = next.job;
        let opens = self.job.state == JobState::Revealing && self.job.audit != AuditStage::Undrawn;
        if self.closing_height.is_none() && opens {
            self.closing_height = Some(entry.height);
        }
        self.entries.push(entry);
    }

    /// The log's domain.
    pub const fn domain(&self) -> LogDomain {
        self.domain
    }

    /// The length of all entries, encoded.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The job as of the newest entry.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The hash of the newest entry.
    pub const fn head(&self) -> Digest {
        self.head
    }

    /// The height of the newest entry: the number of entries.
    pub fn height(&self) -> u64 {
        count(self.entries.len())
    }

    /// When the newest entry was ordered.
    pub fn at(&self) -> Timestamp {
        self.entries.last().map_or(Timestamp::ZERO, |entry| entry.at)
    }

    /// The entries above `after_height`, in their order.
    pub fn entries_after(&self, after_height: u64) -> &[Entry] {
        let from = usize::try_from(after_height).unwrap_or(usize::MAX).min(self.entries.len());
        &self.entries[from..]
    }

    /// The entry at this height.
    pub fn entry(&self, height: u64) -> Option<&Entry> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.entries.get(index)
    }

    /// Who signed the action of the entry at this height.
    pub fn author_at(&self, height: u64) -> Option<NodeId> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.signers.get(index).copied()
    }

    /// The height of the entry with this hash.
    pub fn height_of(&self, hash: Digest) -> Option<u64> {
        self.heights.get(&hash).copied()
    }

    /// The height of the entry that closed commits, once one has; a reveal names it or a later one.
    pub const fn closing_height(&self) -> Option<u64> {
        self.closing_height
    }

    /// Every node that has acted in the job: the bidders, the requester, and a keeper that ended it.
    pub fn authors(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.authors.keys().copied()
    }

    /// The sequence number that the author's next action must have.
    pub fn next_sequence(&self, author: NodeId) -> u64 {
        count(self.authors.get(&author).map_or(0, Vec::len))
    }
}

/// The job that a submission follows up.
pub fn parent_of(event: &Event) -> Option<JobId> {
    if let Event::Submitted { deal, .. } = event { deal.parent } else { None }
}

fn author_of(domain: LogDomain, signed: &SignedAction) -> Result<NodeId, SubmitError> {
    signed.author(domain).map_err(|_| SubmitError::Refused(EnvelopeRefusal::BadSignature))
}

fn check_moneyless(event: &Event) -> Result<(), SubmitError> {
    let free = |deal: &Deal| deal.price.is_zero() && deal.bond.is_zero() && deal.keeper_fee.is_zero();
    let costs = |deal: &Deal| !free(deal) || !deal.min_paid.is_zero();
    if let Event::Submitted { deal, .. } | Event::DealUpdated { deal } = event
        && costs(deal)
    {
        return Err(SubmitError::Refused(EnvelopeRefusal::Moneyless));
    }
    Ok(())
}

fn stamp(signed: &SignedAction, author: NodeId, at: Timestamp, facts: Facts) -> Stamped<Event> {
    let action = &signed.action;
    Stamped { job: action.job, author, at, revision: action.revision, facts, event: action.event.clone() }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a usize fits 64 bits")
}
