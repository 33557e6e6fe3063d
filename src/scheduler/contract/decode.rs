//! Decodes the contract's events, for `follow` and `history`.

use std::collections::BTreeSet;

use alloy::{
    primitives::{Address, B256},
    rpc::types::{Log, TransactionReceipt},
};
use alloy_sol_types::SolEventInterface;

use super::{
    abi::Events,
    convert::{ChainEvent, JobEvent, chain_event},
};
use crate::domain::{Digest, Event, JobId, NodeId, Timestamp};

/// An event about a job and its place on the chain.
#[derive(Debug, Clone)]
pub(super) struct Mined {
    pub(super) block: u64,
    pub(super) block_hash: Digest,
    /// The index of the log in its block.
    pub(super) index: u64,
    pub(super) transaction: Digest,
    pub(super) at: Timestamp,
    pub(super) job: JobId,
    /// What happened, or why it cannot be read. An unreadable event breaks the job's log.
    pub(super) log: Result<JobEvent, String>,
}

impl Mined {
    /// The jobs that it is about: its own, and the one that it follows up.
    pub(super) fn names(&self) -> impl Iterator<Item = JobId> + use<> {
        let event = self.log.as_ref().ok().map(|log| &log.event);
        let parent = if let Some(Event::Submitted { deal, .. }) = event { deal.parent } else { None };
        parent.into_iter().chain([self.job])
    }
}

/// What a log says.
#[derive(Debug, Clone)]
pub(super) enum Decoded {
    Job(Box<Mined>),
    /// Where a node can be reached.
    NodeAnnounced {
        node: NodeId,
        addresses: String,
    },
    /// Nothing that concerns the log of a job.
    Other,
}

/// What a log of a contract says of a job, from its topics and data: the job, and the event or why it cannot be read;
/// `None` if the log is about no job. An event that only requesters cause names no author.
pub fn read_log(topics: &[B256], data: &[u8]) -> Option<(JobId, Result<Event, String>)> {
    match event_of(topics, data)? {
        Said::Job(job, event) => Some((job, event.map(|event| event.event))),
        Said::NodeAnnounced { .. } => None,
    }
}

enum Said {
    Job(JobId, Result<Box<JobEvent>, String>),
    NodeAnnounced { node: NodeId, addresses: String },
}

/// Every event about a job names the job first, so that one that cannot be read is still the job's.
fn event_of(topics: &[B256], data: &[u8]) -> Option<Said> {
    let event = Events::decode_raw_log(topics, data).map_err(|error| error.to_string());
    match event.and_then(|event| chain_event(event).map_err(|error| error.to_string())) {
        Ok(ChainEvent::Job(event)) => Some(Said::Job(event.job, Ok(event))),
        Ok(ChainEvent::NodeAnnounced { node, addresses }) => Some(Said::NodeAnnounced { node, addresses }),
        Ok(ChainEvent::Other) => None,
        Err(error) => {
            let job = JobId::from(*topics.get(1)?);
            Some(Said::Job(job, Err(format!("an event cannot be read: {error}"))))
        }
    }
}

/// Reads one log and its place on the chain.
pub(super) fn decode(log: &Log, at: Timestamp) -> Decoded {
    let (Some(block), Some(block_hash), Some(index), Some(transaction)) =
        (log.block_number, log.block_hash, log.log_index, log.transaction_hash)
    else {
        // A log of a pending block.
        return Decoded::Other;
    };
    let (job, log) = match event_of(log.topics(), &log.data().data) {
        Some(Said::Job(job, event)) => (job, event.map(|event| *event)),
        Some(Said::NodeAnnounced { node, addresses }) => return Decoded::NodeAnnounced { node, addresses },
        None => return Decoded::Other,
    };
    let (block_hash, transaction) = (block_hash.into(), transaction.into());
    Decoded::Job(Box::new(Mined { block, block_hash, index, transaction, at, job, log }))
}

/// The jobs that a transaction did something in.
pub(super) fn jobs_in(receipt: &TransactionReceipt, contract: Address) -> BTreeSet<JobId> {
    let logs = receipt.logs().iter().filter(|log| log.address() == contract);
    let job =
        |log| if let Decoded::Job(mined) = decode(log, Timestamp::ZERO) { Some(mined.job) } else { None };
    logs.filter_map(job).collect()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256, Bytes, LogData};
    use alloy_sol_types::SolEvent;

    use super::*;
    use crate::scheduler::contract::abi::IJobScheduler as abi;

    fn placed(topics: Vec<B256>, data: &[u8]) -> Log {
        let data = LogData::new_unchecked(topics, Bytes::copy_from_slice(data));
        let inner = alloy::primitives::Log { address: Address::ZERO, data };
        let place = (Some(1), Some(B256::ZERO), Some(0), Some(B256::ZERO));
        let (block_number, block_hash, log_index, transaction_hash) = place;
        Log { inner, block_number, block_hash, log_index, transaction_hash, ..Log::default() }
    }

    #[test]
    fn an_event_that_cannot_be_read_is_still_its_jobs() {
        let job = B256::repeat_byte(7);
        for (signature, data) in [
            (abi::Submitted::SIGNATURE_HASH, &b"short"[..]),
            (abi::Expired::SIGNATURE_HASH, &[0xff; 32]),
            (B256::repeat_byte(9), &[]),
        ] {
            let Decoded::Job(mined) = decode(&placed(vec![signature, job], data), Timestamp::ZERO) else {
                panic!("{signature} is about a job");
            };
            assert!(mined.log.is_err() && mined.job == JobId::from(job), "{mined:?}");
        }
    }

    #[test]
    fn a_log_of_nobody_is_passed_over() {
        for topics in [vec![], vec![B256::repeat_byte(9)]] {
            assert!(matches!(decode(&placed(topics, &[]), Timestamp::ZERO), Decoded::Other));
        }
        let pending = Log { block_number: None, ..placed(vec![abi::Cancelled::SIGNATURE_HASH], &[]) };
        assert!(matches!(decode(&pending, Timestamp::ZERO), Decoded::Other));
    }
}
