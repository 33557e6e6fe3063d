//! Which bids have the money for their bond.
//!
//! A bid costs its bidder next to nothing, and its bond is locked only when it takes a seat. So bids without the money count
//! for nothing: they keep no other node from bidding, and no requester chooses them.

use std::fmt;

use crate::domain::{Amount, Funds, Job, NodeId};

/// What each node has in the log; `None` while that is not known yet.
#[derive(Clone, Copy)]
pub struct Purses<'a>(pub &'a dyn Fn(NodeId) -> Option<Funds>);

impl Purses<'_> {
    /// Where there is no money, or all that anybody needs.
    pub const FULL: Purses<'static> = Purses(&|_| Some(Funds { free: Amount::MAX, paid: Amount::ZERO }));

    /// Whether a bid of `node` has the money for its bond, if this node knows.
    pub fn back(self, job: &Job, node: NodeId) -> Option<bool> {
        if job.deal.bond.is_zero() {
            return Some(true);
        }
        (self.0)(node).map(|funds| funds.free >= job.deal.bond)
    }

    /// Bids of the job that stand and are not known to lack their money.
    pub(super) fn backed_bids(self, job: &Job) -> usize {
        job.standing_bids().filter(|(node, _)| self.back(job, *node) != Some(false)).count()
    }
}

impl fmt::Debug for Purses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Purses")
    }
}
