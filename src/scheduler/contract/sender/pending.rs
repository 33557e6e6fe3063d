//! A transaction in flight.

use alloy::{
    consensus::TxEip1559,
    primitives::{B256, Bytes},
};
use tokio::time::Instant;

use super::{super::outbox::Kept, Outcome, Reply, shared::Step};

/// Who waits for a transaction.
#[derive(Default)]
pub(super) enum Callers {
    /// Nobody: they were answered, or it was resent after a reorganisation.
    #[default]
    Nobody,
    One(Reply),
    /// Those of the steps that share it.
    Several(Vec<Step>),
}

impl Callers {
    /// Gives all of them this answer, if they still wait.
    pub(super) fn answer(self, outcome: &Outcome) {
        match self {
            Self::Nobody => {}
            Self::One(reply) => drop(reply.send(outcome.clone())),
            Self::Several(steps) => steps.into_iter().for_each(|step| step.answer(outcome)),
        }
    }
}

/// A transaction in flight, with every version that was sent: at most one is mined.
pub(super) struct Pending {
    pub(super) transaction: TxEip1559,
    pub(super) raw: Bytes,
    pub(super) hashes: Vec<B256>,
    pub(super) placed_at: Instant,
    pub(super) sent_at: Instant,
    /// The newest block when it was first looked for since then.
    pub(super) sent_in: Option<u64>,
    /// Whether an endpoint said that it has it.
    pub(super) is_taken: bool,
    /// Whether an endpoint said that the next block asks for more than it offers.
    pub(super) is_too_cheap: bool,
    /// Whether it was in a block when last looked for.
    pub(super) in_block: bool,
    /// Since when the nonce is used up without a receipt.
    pub(super) missing_since: Option<Instant>,
    pub(super) callers: Callers,
}

impl Pending {
    /// A transaction that was just sent.
    pub(super) fn new(sent: Kept, is_taken: bool, callers: Callers) -> Self {
        let now = Instant::now();
        Self {
            transaction: sent.transaction,
            raw: sent.raw,
            hashes: vec![sent.hash],
            placed_at: now,
            sent_at: now,
            sent_in: None,
            is_taken,
            is_too_cheap: false,
            in_block: false,
            missing_since: None,
            callers,
        }
    }
}
