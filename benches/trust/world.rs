//! A thousand nodes, some of which lie, and what they answer.

use assay::domain::{JobId, NodeId};

/// How many nodes there are.
pub(super) const NODES: usize = 1000;

/// A sound machine's result is wrong once in so many runs.
const ERRS_ONCE_IN: u64 = 1000;

/// The right result. Every other number is wrong.
pub(super) const RIGHT: u32 = 0;

/// The wrong result of those who agree on one.
const SHARED: u32 = 1;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs every job.
    Honest,
    /// Never runs one, and invents a result of its own.
    Always,
    /// Never runs one, and shares its invention with all liars.
    Together,
    /// Lies in one of ten jobs.
    OneInTen,
    /// Earns trust first; once it could be alone, it shares an invention with all liars.
    Sleeper,
    /// Lies where it sees that its like are the majority of the seats, and where it may be alone.
    Cartel,
    /// Never runs a job, and takes a new name once it is found out.
    Whitewash,
}

/// All liars, as the table names them.
pub(super) const LIARS: [(Kind, &str); 6] = [
    (Kind::Always, "alone"),
    (Kind::Together, "together"),
    (Kind::OneInTen, "one in ten"),
    (Kind::Sleeper, "sleepers"),
    (Kind::Cartel, "cartel"),
    (Kind::Whitewash, "new names"),
];

/// SplitMix64.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A lot, uniform among all numbers.
    pub(super) fn lot(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// Whether a chance of one in `odds` comes true.
    pub(super) fn once_in(&mut self, odds: u64) -> bool {
        self.lot().is_multiple_of(odds)
    }

    fn node(&mut self) -> usize {
        usize::try_from(self.lot() % NODES as u64).expect("a remainder is below its divisor")
    }
}

/// What a liar knows when it takes a seat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    /// The seats of the job so far, its own wave's included.
    pub(super) seats: &'a [usize],
    /// Whether the requester trusts it by now.
    pub(super) is_trusted: bool,
    /// Whether the number of seats is public, and is one for good; `None` where nobody can know.
    pub(super) is_single: Option<bool>,
}

/// All nodes.
#[derive(Debug)]
pub(super) struct World {
    /// Where chance comes from.
    pub(super) dice: Dice,
    kinds: Vec<Kind>,
    names: Vec<u32>,
}

impl World {
    /// The first `liars` of the nodes are of this kind.
    pub(super) fn new(kind: Kind, liars: usize, seed: u64) -> Self {
        let kinds = (0..NODES).map(|node| if node < liars { kind } else { Kind::Honest }).collect();
        Self { dice: Dice(seed), kinds, names: vec![0; NODES] }
    }

    /// Under which name others know it.
    pub(super) fn name(&self, node: usize) -> NodeId {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&(node as u64).to_be_bytes());
        bytes[8..12].copy_from_slice(&self.names[node].to_be_bytes());
        NodeId::new(bytes)
    }

    /// It takes another name, if that is its way.
    pub(super) fn renames(&mut self, node: usize) -> bool {
        let renames = self.kinds[node] == Kind::Whitewash;
        self.names[node] += u32::from(renames);
        renames
    }

    /// A node by lot that is not among `taken`: one that the requester prefers if there is one, else one that it allows.
    pub(super) fn draw(&mut self, taken: &[usize], ranks: impl Fn(NodeId) -> Rank) -> Option<usize> {
        for rank in [Rank::Preferred, Rank::Fallback, Rank::Allowed] {
            for _ in 0..5 * NODES {
                let node = self.dice.node();
                if !taken.contains(&node) && ranks(self.name(node)) <= rank {
                    return Some(node);
                }
            }
        }
        None
    }

    /// What a node answers.
    pub(super) fn result(&mut self, node: usize, sight: Sight<'_>) -> u32 {
        let own = 2 + u32::try_from(node).expect("there are few nodes");
        let lies_alone = sight.is_trusted && sight.is_single != Some(false);
        match self.kinds[node] {
            Kind::Honest if self.dice.once_in(ERRS_ONCE_IN) => own,
            Kind::Honest => RIGHT,
            Kind::Always | Kind::Whitewash => own,
            Kind::Together => SHARED,
            Kind::OneInTen => {
                let lies = sight.is_single.unwrap_or_else(|| self.dice.once_in(10));
                if lies { own } else { RIGHT }
            }
            Kind::Sleeper => {
                if lies_alone {
                    SHARED
                } else {
                    RIGHT
                }
            }
            Kind::Cartel => {
                let like = sight.seats.iter().filter(|seat| self.kinds[**seat] == Kind::Cartel).count();
                let lies = match sight.seats {
                    [_alone] => lies_alone,
                    seats => 2 * like > seats.len(),
                };
                if lies { SHARED } else { RIGHT }
            }
        }
    }
}

/// Whether a requester asks a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// As any other.
    Preferred,
    /// If preferred ones are too few.
    Fallback,
    /// If others are too few.
    Allowed,
    /// Never.
    Barred,
}

/// The job of this number.
pub(super) fn job_id(job: usize) -> JobId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(job as u64).to_be_bytes());
    JobId::new(bytes)
}

/// What came of many jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// How many there were.
    pub(super) jobs: u64,
    /// Runs, the requesters' own included.
    pub(super) runs: u64,
    /// Jobs whose accepted result is wrong in the end.
    pub(super) wrong: u64,
    /// Jobs whose wrong result was believed, and found out by the requester's own run.
    pub(super) corrected: u64,
    /// Jobs without a verdict.
    pub(super) none: u64,
    /// Right results of sound nodes that were rejected.
    pub(super) honest_rejected: u64,
}

/// The result that more than half of the runs agree on: of several runs at least two.
pub(super) fn majority(results: &[u32]) -> Option<u32> {
    let agree = |result: &u32| results.iter().filter(|other| *other == result).count();
    let wins = |result: &&u32| 2 * agree(result) > results.len() && (results.len() == 1 || agree(result) > 1);
    results.iter().find(wins).copied()
}
