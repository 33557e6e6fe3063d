//! What the contract itself has stored of a job, asked for by its views and compared with what the rules say.

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use assay::{
    domain::{Acceptance, BidStatus, Digest, Job, JobState, NodeId, SeatStatus, Timestamp},
    rules::Ledger,
};
use serde_json::json;

use crate::contract::chain::Chain;

alloy_sol_types::sol!(
    #[sol(all_derives)]
    "contracts/src/IJobScheduler.sol"
);

pub(crate) use IJobScheduler as abi;

fn ask<C: SolCall>(chain: &Chain, call: &C) -> C::Return {
    let data = hex::encode_prefixed(call.abi_encode());
    let request = json!({ "to": chain.deployed.contract, "data": data });
    let answer = chain.rpc("eth_call", &json!([request, "latest"]));
    C::abi_decode_returns(&hex::decode(answer.as_str().unwrap()).unwrap()).unwrap()
}

/// A job's head as `Packing.sol` lays it out. Revealing is what time makes of running, and never stored.
pub(super) fn head_word(job: &Job) -> U256 {
    let is_running = job.commit_by != Timestamp::ZERO;
    let state = if job.state == JobState::Revealing { JobState::Running } else { job.state };
    let count = |length: usize| u64::try_from(length).unwrap();
    // The value and its width, from the lowest bit on.
    let fields = [
        (u64::from(job.asked()), 5),
        (u64::from(job.deal.confidence), 5),
        (u64::from(job.deal.acceptance == Acceptance::FirstCome), 1),
        (0, 1),
        (u64::from(state as u8), 3),
        (count(job.seats.len()), 5),
        (u64::from(job.failed.bits()), 31),
        (u64::from(job.committed.bits()), 31),
        (u64::from(job.revealed.bits()), 31),
        (u64::from(job.deal.timeout.as_secs()), 22),
        (u64::from(job.deal.reveal.as_secs()), 22),
        (u64::from(job.failures.iter().any(|count| *count > 0)), 1),
        (u64::from(job.audit as u8), 2),
        (0, 8),
        (u64::from(job.epoch), 24),
        (if is_running { job.commit_by } else { job.open_by }.as_secs(), 32),
        (job.seats_changed_at.as_secs(), 32),
    ];
    fields.iter().rev().fold(U256::ZERO, |word, (value, width)| word << *width | U256::from(*value))
}

/// A node's slot as `Packing.sol` lays it out; zero without a bid.
pub(super) fn slot_word(job: &Job, node: NodeId) -> U256 {
    let Some(bid) = job.bids.get(&node) else { return U256::ZERO };
    let price = U256::from(bid.price.units());
    let sealed = |commitment: Digest, seat: u8| {
        let hash =
            keccak256((B256::from(commitment), B256::from(price | U256::from(seat) << 96)).abi_encode());
        U256::from_be_bytes(hash.0) | U256::from(1) << 255
    };
    let (status, seat) = match bid.status {
        BidStatus::Standing => (abi::BidStatus::Standing, 0),
        BidStatus::Withdrawn => (abi::BidStatus::Withdrawn, 0),
        BidStatus::Rejected => (abi::BidStatus::Rejected, 0),
        BidStatus::Skipped => (abi::BidStatus::Skipped, 0),
        BidStatus::Seated(seat) => {
            let held = job.seat(seat).filter(|held| held.node == node);
            match held.map(|held| held.status) {
                Some(SeatStatus::Accepted) => (abi::BidStatus::Seated, seat),
                // Of whoever lost its seat to another node it is kept that it failed.
                Some(SeatStatus::Failed(_)) | None => (abi::BidStatus::Failed, seat),
                Some(SeatStatus::Committed(commitment)) => return sealed(commitment, seat),
                Some(SeatStatus::Revealed(opening)) => {
                    return sealed(opening.commitment(job.domain, job.id, seat, node), seat);
                }
            }
        }
    };
    price | U256::from(bid.epoch) << 96 | U256::from(status as u8) << 120 | U256::from(seat) << 123
}

/// Compares head, root and every party's slot.
pub(super) fn same_job(chain: &Chain, job: &Job, parties: &[NodeId], now: Timestamp) {
    let found = ask(chain, &abi::jobsCall { job: job.id.into() });
    let (state, reveal_by) = job.state_at(now);
    assert_eq!(found.state as u8, state as u8, "the state in the contract");
    if state == JobState::Revealing {
        assert_eq!(
            found.revealBy,
            U256::from(reveal_by.as_secs()),
            "the deadline of reveals in the contract"
        );
    }
    let changed = (Address::from(job.requester), B256::from(job.revision)).abi_encode();
    let root = if job.epoch == 0 { B256::ZERO } else { keccak256(changed) };
    assert_eq!(found.root, root, "the root in the contract");
    assert_eq!(found.head, head_word(job), "the head in the contract");
    for node in parties {
        let found = ask(chain, &abi::bidsCall { job: job.id.into(), node: (*node).into() });
        assert_eq!(found.slot, slot_word(job, *node), "the slot of {node} in the contract");
    }
}

/// Compares everybody's money and record, and what was burnt.
pub(super) fn same_money(chain: &Chain, ledger: &Ledger, parties: &[NodeId]) {
    let accounts = ledger.accounts();
    for party in parties {
        let found = ask(chain, &abi::accountsCall { party: (*party).into() });
        let there = (u128::try_from(found.free).unwrap(), u128::try_from(found.paid).unwrap());
        assert_eq!(
            there,
            (accounts.free(*party).units(), accounts.paid(*party).units()),
            "the account of {party}"
        );
    }
    let burnt = ask(chain, &abi::burntCall {});
    assert_eq!(burnt, U256::from(accounts.burnt().units()), "what was burnt");
}
