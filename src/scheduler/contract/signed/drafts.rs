//! Jobs that are offered and not in the log: what a requester and the nodes it asks know of them.
//!
//! A draft is folded by the rules, from the submission that its requester signed and the bids that reached this node.
//! Each of its entries has the same name: the last second in which a bid for it is valid. So whoever signs the next
//! action names that second as what it has seen, which is what the contract asks of a signed bid.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use tokio::sync::watch;

use super::super::convert::CHECKED;
use crate::{
    domain::{
        Acceptance, Action, Amount, Deal, Digest, Event, Job, JobId, LogDomain, NodeId, SignedAction, Span,
        Stamped, Timestamp,
    },
    rules::{self, Rejection},
    scheduler::{Cursor, LogItem},
};

/// How long a bid for an offer is valid: some blocks of a slow chain.
pub(super) const OFFERED: Span = Span::from_secs(120);

/// The longest that a node agrees to: clocks differ.
pub(in super::super) const LONGEST: Span = Span::from_secs(240);

/// Offers of others that are kept, those among them that have no escrow, and those of one requester. Offers cost nothing, so
/// further ones are refused, and so are those that their requester's money does not cover.
const MAX_OFFERS: usize = 256;
const MAX_FREE_OFFERS: usize = 128;
const MAX_OFFERS_OF_ONE: usize = 32;

/// An offered job.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// Tells a draft from an earlier one of the same job.
    serial: u64,
    /// Until when bids are valid.
    until: Timestamp,
    pub(super) job: Job,
    pub(super) bids: BTreeMap<NodeId, SignedAction>,
    items: Vec<LogItem>,
    /// Of a draft of this node's requester: the nodes that were asked, which alone may bid.
    asked: Option<BTreeSet<NodeId>>,
    /// Whether its transaction is on its way.
    is_closing: bool,
}

/// How far a reader of the log was told of a draft.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Told {
    serial: u64,
    count: usize,
}

/// What a reader is to be told next.
#[derive(Debug)]
pub(in super::super) enum DraftUpdate {
    /// The draft is no more.
    Forgotten(JobId),
    /// The next entry of a draft.
    Entry(Box<LogItem>),
}

/// Why an offer or a bid is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Refusal {
    /// The rules say no.
    Rejected(Rejection),
    /// Nobody knows now whether the job is there already, or what its requester has.
    Unread,
    /// The requester cannot pay for all that it offers here.
    Unfunded,
    /// There are too many offers.
    Full,
    /// There is no such offer, or it takes no bids any more.
    Closed,
    /// A bid that is not valid as long as the offer says.
    WrongSeen,
}

/// Whose offer it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum OfferOf {
    /// This node's own, to these nodes.
    Me { asked: BTreeSet<NodeId> },
    /// Another requester's, who has so much in the contract; `None` while that is not known.
    Other { free: Option<Amount> },
}

type Kept = BTreeMap<JobId, Draft>;

/// All drafts of a node.
#[derive(Debug, Default)]
pub(in super::super) struct Drafts {
    kept: watch::Sender<Kept>,
    /// How many entries of each draft readers were told.
    told: watch::Sender<BTreeMap<JobId, Told>>,
    serials: std::sync::atomic::AtomicU64,
}

/// Whether a job may be offered: the contract takes signed bids for such a deal.
///
/// A follow-up is refused there, and under `FirstCome` there is no acceptance. What a node was paid before only the
/// contract knows, and one bid too many reverts the whole call.
pub(super) fn may_be_offered(deal: &Deal) -> bool {
    deal.parent.is_none() && deal.acceptance == Acceptance::Requester && deal.min_paid == Amount::ZERO
}

/// Whether an offer costs its requester nothing.
fn is_free(draft: &Draft) -> bool {
    draft.job.deal.escrow() == Some(Amount::ZERO)
}

/// Whether `free` money pays the escrow of all these. An honest requester deposits before it offers.
fn covers<'a>(free: Option<Amount>, mut drafts: impl Iterator<Item = &'a Draft>) -> Result<(), Refusal> {
    let add = |sum: Amount, draft: &Draft| sum.checked_add(draft.job.deal.escrow()?);
    match (drafts.try_fold(Amount::ZERO, add), free) {
        (Some(Amount::ZERO), _) => Ok(()),
        (Some(_), None) => Err(Refusal::Unread),
        (Some(needed), Some(free)) if needed <= free => Ok(()),
        (Some(_) | None, Some(_)) | (None, None) => Err(Refusal::Unfunded),
    }
}

/// The name of every entry of a draft.
fn name(until: Timestamp) -> Digest {
    Digest::new(U256::from(until.as_secs()).to_be_bytes())
}

impl Drafts {
    /// Begins a draft whose bids are valid until `until`. An own one takes them from those that are asked. The log says
    /// first whether it has the job (`ChainLog::open_draft`).
    pub(in super::super) fn open(
        &self,
        domain: LogDomain,
        submission: &SignedAction,
        author: NodeId,
        (now, until): (Timestamp, Timestamp),
        by: OfferOf,
    ) -> Result<(), Refusal> {
        let stamped = stamped(&submission.action, author, now);
        let job = rules::open(domain, None, &stamped).map_err(Refusal::Rejected)?;
        if until <= now || until > now.plus(LONGEST) || !may_be_offered(&job.deal) {
            return Err(Refusal::Closed);
        }
        let serial = self.serials.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let item = item(stamped, until);
        let (asked, free) = match by {
            OfferOf::Me { asked } => (Some(asked), None),
            OfferOf::Other { free } => (None, free),
        };
        let is_own = asked.is_some();
        let draft =
            Draft { serial, until, bids: BTreeMap::new(), items: vec![item], asked, is_closing: false, job };
        let mut opened = Ok(());
        self.kept.send_if_modified(|kept| {
            let of_others = || kept.values().filter(|draft| !draft.is_own());
            let of_one = of_others().filter(|known| known.job.requester == author).count();
            if kept.contains_key(&draft.job.id) {
                return false;
            }
            let free_offers = of_others().filter(|known| is_free(known)).count();
            let is_full = of_others().count() >= MAX_OFFERS
                || of_one >= MAX_OFFERS_OF_ONE
                || (is_free(&draft) && free_offers >= MAX_FREE_OFFERS);
            if !is_own {
                let own = of_others().filter(|known| known.job.requester == author).chain([&draft]);
                opened = if is_full { Err(Refusal::Full) } else { covers(free, own) };
            }
            if opened.is_err() {
                return false;
            }
            kept.insert(draft.job.id, draft);
            true
        });
        opened
    }

    /// Adds a bid, or takes one back.
    pub(super) fn add(&self, signed: &SignedAction, author: NodeId, now: Timestamp) -> Result<(), Refusal> {
        let stamped = stamped(&signed.action, author, now);
        let mut added = Err(Refusal::Closed);
        self.kept.send_if_modified(|kept| {
            let Some(draft) = kept.get_mut(&stamped.job) else { return false };
            if draft.is_closing || now > draft.until {
                return false;
            }
            if draft.bids.get(&author) == Some(signed) {
                added = Ok(());
                return false;
            }
            if signed.action.seen != name(draft.until) {
                added = Err(Refusal::WrongSeen);
                return false;
            }
            // Nodes pay nothing for a bid here, so that those that were asked are the bound.
            if draft.asked.as_ref().is_some_and(|asked| !asked.contains(&author)) {
                added = Err(Refusal::Rejected(Rejection::NotAllowed));
                return false;
            }
            added = draft.fold(stamped).map_err(Refusal::Rejected);
            if added.is_ok() {
                if matches!(signed.action.event, Event::BidPlaced { .. }) {
                    draft.bids.insert(author, signed.clone());
                } else {
                    draft.bids.remove(&author);
                }
            }
            added.is_ok()
        });
        added
    }

    /// Whose money matters: who has bid for a draft that asks for a bond, and other requesters, who may offer more.
    pub(in super::super) fn parties(&self) -> Vec<NodeId> {
        let kept = self.kept.borrow();
        let bonded = kept.values().filter(|draft| !draft.job.deal.bond.is_zero());
        let bidders = bonded.flat_map(|draft| draft.bids.keys().copied());
        let paid = kept.values().filter(|draft| !draft.is_own() && !is_free(draft));
        bidders.chain(paid.map(|draft| draft.job.requester)).collect()
    }

    /// Whether a job is a draft here.
    pub(in super::super) fn holds(&self, job: JobId) -> bool {
        self.kept.borrow().contains_key(&job)
    }

    /// The requester of a draft.
    pub(super) fn requester(&self, job: JobId) -> Option<NodeId> {
        self.kept.borrow().get(&job).map(|draft| draft.job.requester)
    }

    /// Has an own draft take no more bids, and returns it as it is then; nothing if that was done already.
    ///
    /// Who finds a second choice better while the transaction of the first is on its way comes too late.
    pub(super) fn close(&self, job: JobId) -> Option<Draft> {
        let mut closed = None;
        self.kept.send_if_modified(|kept| {
            let is_open = |draft: &&mut Draft| draft.is_own() && !draft.is_closing;
            let Some(draft) = kept.get_mut(&job).filter(is_open) else { return false };
            draft.is_closing = true;
            closed = Some(draft.clone());
            true
        });
        closed
    }

    /// Ends a draft unless its transaction is on its way.
    pub(super) fn give_up(&self, job: JobId) {
        self.remove(|id, draft| id == job && !draft.is_closing);
    }

    /// Ends a draft: the log has the job, or will not have it so.
    pub(in super::super) fn end(&self, job: JobId) {
        self.remove(|id, _| id == job);
    }

    /// Ends a draft when dropped, as [`Self::give_up`] does: at the end of its offer, also of one that is cut short.
    pub(super) const fn offered(&self, job: JobId) -> EndsDraft<'_> {
        EndsDraft { drafts: self, job, is_closing: false }
    }

    /// As [`Self::offered`], at the end of a draft's transaction.
    pub(super) const fn closing(&self, job: JobId) -> EndsDraft<'_> {
        EndsDraft { drafts: self, job, is_closing: true }
    }

    /// Ends the drafts whose bids are not valid any more.
    pub(super) fn expire(&self, now: Timestamp) {
        self.remove(|_, draft| !draft.is_own() && draft.until < now);
    }

    fn remove(&self, ends: impl Fn(JobId, &Draft) -> bool) {
        self.kept.send_if_modified(|kept| {
            let before = kept.len();
            kept.retain(|id, draft| !ends(*id, draft));
            kept.len() != before
        });
    }

    /// Resolves when a job is no draft any more.
    pub(super) async fn ended(&self, job: JobId) {
        // The sender is in `self`, so that the wait cannot fail.
        let _ = self.kept.subscribe().wait_for(|kept| !kept.contains_key(&job)).await;
    }

    /// Resolves when a reader of the log was told all of a draft, or there is none.
    pub(super) async fn told(&self, job: JobId) {
        let wanted = self.kept.borrow().get(&job).map(|draft| (draft.serial, draft.items.len()));
        let Some((serial, count)) = wanted else { return };
        let is_told = |told: &BTreeMap<JobId, Told>| {
            told.get(&job)
                .is_some_and(|told| told.serial > serial || (told.serial, told.count) >= (serial, count))
        };
        let mut told = self.told.subscribe();
        tokio::select! {
            _ = told.wait_for(is_told) => {}
            () = self.ended(job) => {}
        }
    }

    /// Wakes with every change.
    pub(in super::super) fn watch(&self) -> DraftsWatch {
        DraftsWatch(self.kept.subscribe())
    }

    /// What a reader who was told so much is to be told next.
    pub(in super::super) fn next(&self, told: &mut BTreeMap<JobId, Told>) -> Option<DraftUpdate> {
        let kept = self.kept.borrow();
        let is_gone = |(job, told): (&JobId, &Told)| {
            let stands = kept.get(job).is_some_and(|draft| draft.serial == told.serial);
            (!stands).then_some(*job)
        };
        if let Some(gone) = told.iter().find_map(is_gone) {
            told.remove(&gone);
            self.told.send_modify(|known| {
                known.remove(&gone);
            });
            return Some(DraftUpdate::Forgotten(gone));
        }
        let next = kept.iter().find_map(|(job, draft)| {
            let count = told.get(job).map_or(0, |told| told.count);
            draft.items.get(count).map(|item| (*job, draft.serial, count + 1, item.clone()))
        });
        let (job, serial, count, item) = next?;
        told.insert(job, Told { serial, count });
        self.told.send_modify(|known| {
            known.insert(job, Told { serial, count });
        });
        Some(DraftUpdate::Entry(Box::new(item)))
    }
}

/// Ends a draft when dropped.
#[derive(Debug)]
pub(super) struct EndsDraft<'a> {
    drafts: &'a Drafts,
    job: JobId,
    is_closing: bool,
}

impl Drop for EndsDraft<'_> {
    fn drop(&mut self) {
        if self.is_closing {
            self.drafts.end(self.job);
        } else {
            self.drafts.give_up(self.job);
        }
    }
}

/// Wakes a reader of drafts.
#[derive(Debug)]
pub(in super::super) struct DraftsWatch(watch::Receiver<Kept>);

impl DraftsWatch {
    /// What changes from here on wakes [`Self::changed`].
    pub(in super::super) fn look(&mut self) {
        self.0.mark_unchanged();
    }

    /// Resolves when drafts changed since [`Self::look`]; never once the log is gone.
    pub(in super::super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Draft {
    /// Whether this node's requester made it.
    const fn is_own(&self) -> bool {
        self.asked.is_some()
    }

    fn fold(&mut self, stamped: Stamped<Event>) -> Result<(), Rejection> {
        self.job = rules::transition(&self.job, &stamped)?;
        self.items.push(item(stamped, self.until));
        Ok(())
    }
}

fn stamped(action: &Action, author: NodeId, at: Timestamp) -> Stamped<Event> {
    let (job, revision, event) = (action.job, action.revision, action.event.clone());
    Stamped { job, author, at, revision, facts: CHECKED, event }
}

fn item(stamped: Stamped<Event>, until: Timestamp) -> LogItem {
    LogItem { cursor: Cursor::default(), entry: name(until), stamped, proof: Vec::new() }
}

#[cfg(test)]
mod tests;
