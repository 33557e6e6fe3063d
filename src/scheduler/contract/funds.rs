//! What bidders have in the contract, as this node knows it: whether a bid has the money for its bond, and what its node was
//! paid before.
//!
//! The log of jobs does not tell: who bids may withdraw its money in the next block. So the contract is asked, once for each
//! bidder of a job that fills its seats, again once an event names the account, and again after a while.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::{primitives::B256, rpc::types::Log};
use alloy_sol_types::SolEvent;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{abi::IJobScheduler as abi, signed::drafts::LONGEST};
use crate::domain::{Amount, Funds, JobId, NodeId};

/// Accounts that somebody asked about who is no bidder yet, and how long they are kept.
const MAX_ASKED: usize = 64;
const ASKED_FOR: Duration = Duration::from_secs(30);

/// Accounts that are asked for before it is looked anew which are the most urgent.
pub(super) const BATCH: usize = 64;

/// After so long an account is looked at again though no event named it: an endpoint may have answered from an older block.
pub(super) const OLD: Duration = Duration::from_secs(30);

/// No offer is kept for longer.
const LATELY: Duration = Duration::from_secs(LONGEST.as_secs() as u64);

/// What that takes of the endpoint at most: one question in so long.
const BETWEEN: Duration = Duration::from_millis(250);

/// What this node knows of accounts.
#[derive(Debug, Default)]
pub(super) struct FundsBook {
    inner: Mutex<Inner>,
    /// How often something new was learnt.
    news: watch::Sender<u64>,
    /// Somebody asked about an account that is not known.
    pub(super) asked: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    known: BTreeMap<NodeId, Known>,
    asked: BTreeMap<NodeId, Instant>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// `None` until the first answer.
    funds: Option<Funds>,
    /// When that was asked for; `None` once an event named the account.
    at: Option<Instant>,
    /// When an event last named the account.
    touched: Option<Instant>,
    /// What it had free before, until when, for as long as [`LATELY`]; each more than the next.
    before: Vec<(Instant, Amount)>,
}

impl Known {
    fn touch(&mut self, now: Instant) {
        (self.at, self.touched) = (None, Some(now));
    }

    fn remember(&mut self, free: Amount, until: Instant) {
        self.before.retain(|(at, more)| until.duration_since(*at) < LATELY && *more > free);
        self.before.push((until, free));
    }
}

/// Why an account is asked for, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Unknown,
    Touched,
    /// Asked for then.
    Old(Instant),
}

/// Whether an account is to be asked for.
fn urgency(known: Option<&Known>, now: Instant, old: Duration) -> Option<Urgency> {
    let Some(known) = known.filter(|known| known.funds.is_some()) else { return Some(Urgency::Unknown) };
    match known.at {
        None => Some(Urgency::Touched),
        Some(at) => (now.duration_since(at) >= old).then_some(Urgency::Old(at)),
    }
}

impl FundsBook {
    /// What a node has, if it was asked for.
    pub(super) fn of(&self, node: NodeId) -> Option<Funds> {
        self.lock().known.get(&node)?.funds
    }

    /// The most that a node had free of late. The contract locks the escrow of an offered job some blocks before this node
    /// reads of the job: in between, the offer still counts, and so must the money.
    pub(super) fn lately(&self, node: NodeId, now: Instant) -> Option<Amount> {
        let inner = self.lock();
        let known = inner.known.get(&node)?;
        let before = known.before.iter().find(|(at, _)| now.duration_since(*at) < LATELY);
        Some(known.funds?.free.max(before.map_or(Amount::ZERO, |(_, free)| *free)))
    }

    /// Somebody needs to know what a node has that is no bidder: it will be known soon.
    pub(super) fn ask(&self, node: NodeId) {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.asked.retain(|_, at| now.duration_since(*at) < ASKED_FOR);
        if inner.asked.len() >= MAX_ASKED && !inner.asked.contains_key(&node) {
            // Keys cost nothing, so the place of an older question must not keep a new one out.
            let oldest = inner.asked.iter().min_by_key(|(_, at)| **at).map(|(node, _)| *node);
            oldest.map(|node| inner.asked.remove(&node));
        }
        inner.asked.insert(node, now);
        drop(inner);
        self.asked.notify_one();
    }

    /// Changes with everything new.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Events of the contract were read: what they name may have changed. `requester_of` knows the jobs of the log.
    pub(super) fn touch<'a>(
        &self,
        logs: impl Iterator<Item = &'a Log>,
        requester_of: impl Fn(JobId) -> Option<NodeId>,
    ) {
        let mut named = BTreeSet::new();
        for log in logs {
            named.extend(log.topics().iter().skip(1).filter_map(address_in));
            if let Ok(settled) = abi::Settled::decode_log(&log.inner) {
                named.extend(settled.payments.iter().map(|payment| NodeId::from(payment.node)));
            }
            // An update of the terms moves money of the requester, whom it does not name.
            if let Ok(updated) = abi::DealUpdated::decode_log(&log.inner) {
                named.extend(requester_of(updated.job.into()));
            }
        }
        let mut inner = self.lock();
        let now = Instant::now();
        for node in named {
            if let Some(known) = inner.known.get_mut(&node) {
                known.touch(now);
            }
        }
    }

    /// Anything may have changed.
    pub(super) fn touch_all(&self) {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.known.values_mut().for_each(|known| known.touch(now));
    }

    /// Which accounts to ask for next: of `first`, of those that somebody asked about, and of `rest`. Drops all others.
    ///
    /// An account that is not known comes before one that may have changed, and that before one that is only old.
    pub(super) fn due(&self, first: Vec<NodeId>, rest: Vec<NodeId>, now: Instant) -> Vec<NodeId> {
        let mut inner = self.lock();
        let Inner { known, asked } = &mut *inner;
        asked.retain(|_, at| now.duration_since(*at) < ASKED_FOR);
        let mut all = BTreeSet::new();
        let mut wanted: Vec<NodeId> = first.into_iter().chain(asked.keys().copied()).chain(rest).collect();
        wanted.retain(|node| all.insert(*node));
        known.retain(|node, _| all.contains(node));
        // An event may name an account while the first question about it is under way.
        for node in &wanted {
            known.entry(*node).or_default();
        }
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let old = OLD.max(BETWEEN.saturating_mul(count));
        let mut due: Vec<(Urgency, NodeId)> = wanted
            .into_iter()
            .filter_map(|node| Some((urgency(known.get(&node), now, old)?, node)))
            .collect();
        drop(inner);
        due.sort_by_key(|(urgency, _)| *urgency);
        due.truncate(BATCH);
        due.into_iter().map(|(_, node)| node).collect()
    }

    /// The contract answered a question that was asked at that time. It may not know of what was read of the account since.
    pub(super) fn learn(&self, node: NodeId, funds: Funds, asked_at: Instant) {
        let mut inner = self.lock();
        let known = inner.known.entry(node).or_default();
        let before = known.funds.replace(funds);
        known.at = known.touched.is_none_or(|touched| touched < asked_at).then_some(asked_at);
        if let Some(before) = before.filter(|before| *before != funds) {
            known.remember(before.free, asked_at);
        }
        drop(inner);
        if before != Some(funds) {
            self.news.send_modify(|news| *news += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address in a topic, if it may be one.
fn address_in(topic: &B256) -> Option<NodeId> {
    let (zeros, address) = topic.split_at(12);
    let address: [u8; 20] = address.try_into().ok()?;
    zeros.iter().all(|byte| *byte == 0).then(|| NodeId::new(address))
}

#[cfg(test)]
mod tests;
