//! What keeps nodes from their work for a while.

use super::{Happening, World};

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageKind {
    /// Its process is dead.
    Down,
    /// It and the chain, or most others, do not hear each other.
    Apart,
    /// Its disk takes nothing.
    Full,
}

/// A time in which something is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The node's place among all.
    pub node: usize,
    /// What is wrong.
    pub kind: OutageKind,
    /// From when, in milliseconds since the world began.
    pub from_ms: u64,
    /// Until when.
    pub to_ms: u64,
}

impl World {
    /// The outages so far, in the order in which they began.
    pub fn outages(&self) -> &[Outage] {
        &self.outages
    }

    /// A node goes down for so long.
    pub fn crash(&mut self, from_ms: u64, node: usize, for_ms: u64) {
        let outage = Outage { node, kind: OutageKind::Down, from_ms, to_ms: from_ms.saturating_add(for_ms) };
        self.queue.put(from_ms, Happening::Begins(outage));
    }

    /// Sets the first outage of each kind.
    pub(super) fn brew(&mut self) {
        for node in 0..self.nodes.len() {
            self.brew_for(node, OutageKind::Down);
            self.brew_for(node, OutageKind::Full);
        }
        // One for all: the first to be apart takes others with it.
        if !self.nodes.is_empty() {
            self.brew_for(0, OutageKind::Apart);
        }
    }

    fn brew_for(&mut self, node: usize, kind: OutageKind) {
        let (every_ms, longest_ms) = match kind {
            OutageKind::Down => (self.weather.crash_every_ms, 15_000),
            OutageKind::Apart => (self.weather.partition_every_ms, 15_000),
            OutageKind::Full => (self.weather.disk_every_ms, 10_000),
        };
        if every_ms == 0 {
            return;
        }
        let from_ms = self.queue.now_ms() + self.troubles.within(1_000..2 * every_ms);
        let to_ms = from_ms + self.troubles.within(500..longest_ms);
        self.queue.put(from_ms, Happening::Begins(Outage { node, kind, from_ms, to_ms }));
    }

    pub(super) fn begin(&mut self, outage: Outage) {
        self.queue.put(outage.to_ms, Happening::Ends(outage));
        match outage.kind {
            OutageKind::Down => self.nodes[outage.node].crash(),
            OutageKind::Full => self.nodes[outage.node].full = true,
            OutageKind::Apart => {
                let most = self.nodes.len().div_ceil(2).max(1);
                for _ in 0..=self.troubles.index(most) {
                    let node = self.troubles.index(self.nodes.len());
                    if self.apart.insert(node) {
                        self.outages.push(Outage { node, ..outage });
                    }
                }
                return;
            }
        }
        self.outages.push(outage);
    }

    pub(super) fn end(&mut self, outage: Outage) {
        match outage.kind {
            OutageKind::Down => self.start(outage.node),
            OutageKind::Full => self.nodes[outage.node].full = false,
            OutageKind::Apart => self.apart.clear(),
        }
        self.brew_for(outage.node, outage.kind);
    }
}
