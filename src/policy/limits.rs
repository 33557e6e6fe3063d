//! The limits on the jobs that a compute node takes on.

use crate::domain::{Amount, Ask, Deal, MIN_REVEAL, NodeId, Resources, Span};

/// The limits on the jobs that a compute node takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComputeLimits {
    /// The highest bond that it risks.
    pub max_bond: Amount,
    /// What it asks for a seat.
    pub ask: Ask,
    /// The most that it gives to one container.
    pub max_resources: Resources,
    /// The longest timeout of a run.
    pub max_timeout: Span,
    /// The longest time from the last acceptance to the close of commits, during which its seat is bound.
    pub max_run: Span,
    /// The shortest time for reveals: in a shorter one a chain that stands still costs it the bond.
    pub min_reveal: Span,
    /// The longest time for reveals, during which its result and its bond are bound.
    pub max_reveal: Span,
    /// The lowest price of a seat.
    pub min_price: Amount,
}

impl ComputeLimits {
    /// Whether a node with these limits may ever bid: the terms that never change admit it, and ask for no more than it
    /// gives.
    pub fn suit(&self, deal: &Deal, asked: Resources, me: NodeId) -> bool {
        let admits = deal.allow_list.is_empty() || deal.allow_list.binary_search(&me).is_ok();
        let most = self.max_resources;
        admits
            && asked.memory_bytes <= most.memory_bytes
            && asked.cpu_millis <= most.cpu_millis
            && asked.pids <= most.pids
            && asked.disk_bytes <= most.disk_bytes
            && asked.scratch_bytes <= most.scratch_bytes
            && deal.timeout <= self.max_timeout
            && deal.run <= self.max_run.min(deal.longest_run())
            && (self.min_reveal..=self.max_reveal).contains(&deal.reveal)
            && deal.price >= self.min_price
    }
}

impl Default for ComputeLimits {
    fn default() -> Self {
        let max_resources = Resources {
            memory_bytes: 4 << 30,
            cpu_millis: 4000,
            pids: 4096,
            disk_bytes: 8 << 30,
            tmp_bytes: 4 << 30,
            scratch_bytes: 8 << 30,
        };
        Self {
            max_bond: Amount::ZERO,
            ask: Ask::ALL,
            max_resources,
            max_timeout: Span::from_secs(24 * 60 * 60),
            max_run: Span::from_secs(25 * 60 * 60),
            min_reveal: MIN_REVEAL,
            max_reveal: Span::from_secs(3 * 60 * 60),
            min_price: Amount::ZERO,
        }
    }
}
