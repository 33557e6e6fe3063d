//! How slow the log of a backend is, and for how long it may stand still.

use super::{MIN_REVEAL, Span};

/// The least to allow for two transactions: each may have to be sent again at a higher fee, after 20 s without a block.
const LEAST_FOR_TWO: Span = Span::from_secs(40);

/// What requesters and nodes allow for.
///
/// A chain's blocks come seconds apart, and whole chains have stood still: Base for 33 minutes in 2025. Rollups stamp
/// blocks by a sequencer whose clock may be off by 30 to 60 minutes. A reveal phase must outlast that, or honest nodes
/// lose their bonds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// For how long a requester gathers bids before it takes fewer than it would like, in milliseconds. On a chain five
    /// blocks: a bid needs one, and some to be final.
    pub bid_window_ms: u64,
    /// The shortest reveal phase.
    pub shortest_reveal: Span,
    /// How long what a node sends may take until all have read it: a third of the shortest reveal phase at most.
    pub report_margin: Span,
}

impl Pace {
    /// A log among machines, or a chain for development: as fast as they answer.
    pub const QUICK: Self =
        Self { bid_window_ms: 500, shortest_reveal: MIN_REVEAL, report_margin: Span::from_secs(20) };
    /// A chain of its own with blocks of 12 s, such as Ethereum.
    pub const MAINNET: Self = Self {
        bid_window_ms: 60_000,
        shortest_reveal: Span::from_secs(30 * 60),
        report_margin: Span::from_secs(120),
    };
    /// A chain whose blocks one sequencer makes, every 2 s or so.
    pub const ROLLUP: Self = Self {
        bid_window_ms: 10_000,
        shortest_reveal: Span::from_secs(2 * 60 * 60),
        report_margin: Span::from_secs(40),
    };

    /// That of a chain by its id. One that is not known counts as a rollup, which asks for the most caution.
    pub const fn of_chain(chain_id: u64, is_for_development: bool) -> Self {
        match chain_id {
            _ if is_for_development => Self::QUICK,
            // Ethereum and its test networks Sepolia, Holesky and Hoodi; Gnosis and Chiado.
            1 | 11_155_111 | 17_000 | 560_048 | 100 | 10_200 => Self::MAINNET,
            _ => Self::ROLLUP,
        }
    }

    /// Enough time for two transactions, one after the other, each with blocks that follow.
    pub fn two_transactions(self) -> Span {
        let windows = u32::try_from(self.bid_window_ms.saturating_mul(2) / 1000).unwrap_or(u32::MAX);
        LEAST_FOR_TWO.max(Span::from_secs(windows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_chain_gets_more_time_than_a_quick_one() {
        assert_eq!(Pace::of_chain(31_337, true), Pace::QUICK);
        assert_eq!(Pace::of_chain(1, true), Pace::QUICK, "a copy of a chain, for development");
        assert_eq!(Pace::of_chain(1, false), Pace::MAINNET);
        assert_eq!([10, 8453, 42_161, 31_337].map(|id| Pace::of_chain(id, false)), [Pace::ROLLUP; 4]);
        let worst = Span::from_secs(33 * 60 + 60 * 60);
        assert!(Pace::ROLLUP.shortest_reveal > worst, "a stop and a wrong clock");
    }
}
