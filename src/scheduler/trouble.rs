//! What keeps a backend as a whole from its work, as it stands now.

use super::BackendError;
use crate::domain::NodeId;

/// Something that its operator has to know of. Gone as soon as it is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The log cannot be read on.
    #[error("cannot follow the chain: {reason}")]
    NotFollowed {
        /// What was seen.
        reason: String,
    },
    /// No news comes from a chain that has always some.
    #[error(
        "no block came after block {block} for {seconds} s: {endpoint} is stalled, or the whole chain is"
    )]
    Stalled {
        /// Since when, in seconds.
        seconds: u64,
        /// The newest block.
        block: u64,
        /// Who told it.
        endpoint: String,
    },
    /// Blocks are from the future of this machine.
    #[error("this machine's clock is {seconds} s behind the chain: block {block} is stamped so much later")]
    ClockBehind {
        /// By how many seconds.
        seconds: u64,
        /// The block that tells.
        block: u64,
    },
    /// Blocks are old when they come.
    #[error(
        "this machine's clock is {seconds} s ahead of the chain, or {endpoint} is behind it: block {block} was so old \
         when it came"
    )]
    ClockAhead {
        /// By how many seconds.
        seconds: u64,
        /// The block that tells.
        block: u64,
        /// Who told it.
        endpoint: String,
    },
    /// The clocks of most peers and this machine's differ.
    #[error("this machine's clock is {} s {} {}", seconds.unsigned_abs(), side(*seconds), whose(*peers, *of))]
    ClockOfPeers {
        /// By how many seconds this machine is ahead: the median of those that differ.
        seconds: i64,
        /// How many differ by more than logs allow, all to this side.
        peers: usize,
        /// How many were asked.
        of: usize,
    },
    /// The clock of a job's requester and this machine's differ.
    #[error("this machine's clock is {} s {} that of requester {requester}", seconds.unsigned_abs(), side(*seconds))]
    ClockOfRequester {
        /// Who orders the log.
        requester: NodeId,
        /// By how many seconds this machine is ahead.
        seconds: i64,
    },
    /// Nobody is told where this node can be reached.
    #[error("nobody learns where to reach this node, so it gets no jobs")]
    NotAnnounced(#[source] BackendError),
}

fn whose(peers: usize, of: usize) -> String {
    match (peers, of) {
        (_, 1) => "that of its only peer".to_owned(),
        _ if peers == of => format!("those of all its {of} peers"),
        _ => format!("those of {peers} of its {of} peers"),
    }
}

const fn side(seconds: i64) -> &'static str {
    if seconds < 0 { "behind" } else { "ahead of" }
}
