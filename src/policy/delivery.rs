//! When a node delivers a result to the contract that asked for it.
//!
//! Any node may, and the first one earns the fee. Others would pay gas for nothing, so nodes take turns. Those that made
//! the result come first, since they have it.

use super::compute::rank;
use crate::domain::{Amount, Job, NodeId, SeatOpening, SeatStatus, Span, Timestamp};

/// The most turns: nodes that never deliver must not hold the others up for long. Behind it, all have the last one.
const MOST_TURNS: u32 = 32;

/// The gas of a small delivery. A fee that does not pay for it is not worth fetching a result.
pub const BASE_GAS: u64 = 100_000;

/// What proves the result of a job to a contract, and who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Openings of the result: as many as the verdict needed, in the order of seats. A liar among them may state another
    /// exit code: only the result hash counts.
    pub openings: Vec<SeatOpening>,
    /// The exit code of the result, from an accepted seat.
    pub exit_code: i32,
    /// The accepted seats with this result. Others are not paid, so they serve nothing.
    pub holders: Vec<SeatOpening>,
}

/// The proof of a job's result; `None` where too few results are equal, as bytes, for anybody to prove one, or none of
/// them is accepted.
pub fn proof(job: &Job) -> Option<Proof> {
    let accepted = job.verdict.as_ref()?.accepted;
    let revealed = (0..).zip(&job.seats).filter_map(|(seat, held)| match held.status {
        SeatStatus::Revealed(opening) => Some(SeatOpening { seat, opening }),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
    });
    let revealed: Vec<SeatOpening> = revealed.collect();
    let needed = usize::from(job.quorum());
    // More than half of the seats: at most one result has so many.
    let equal = |one: &SeatOpening| {
        let hash = one.opening.result_hash;
        revealed.iter().filter(move |other| other.opening.result_hash == hash)
    };
    let is_accepted = |given: &&SeatOpening| accepted.contains(given.seat);
    let first = revealed.iter().filter(is_accepted).find(|one| equal(one).count() >= needed)?;
    Some(Proof {
        openings: equal(first).take(needed).copied().collect(),
        exit_code: first.opening.exit_code,
        holders: equal(first).filter(is_accepted).copied().collect(),
    })
}

/// When this node may deliver the result of a job that has ended. `step` is the time that others have between two turns.
pub fn turn(job: &Job, me: NodeId, members: &[NodeId], step: Span) -> Timestamp {
    let accepted = job.verdict.iter().flat_map(|verdict| verdict.accepted.iter());
    let makers: Vec<NodeId> = accepted.filter_map(|seat| job.seat(seat)).map(|seat| seat.node).collect();
    let place = if makers.contains(&me) {
        rank(job.id, me, &makers)
    } else {
        let others: Vec<NodeId> = members.iter().copied().filter(|member| !makers.contains(member)).collect();
        makers.len().saturating_add(rank(job.id, me, &others))
    };
    let place = u32::try_from(place).unwrap_or(u32::MAX).min(MOST_TURNS);
    job.ended_at.plus(Span::from_secs(step.as_secs().saturating_mul(place)))
}

/// Whether the fee pays for the gas at this price, in wei.
pub fn pays(fee: Amount, gas: u64, wei_per_gas: u128) -> bool {
    u128::from(gas).checked_mul(wei_per_gas).is_some_and(|cost| cost <= fee.units())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Digest, Event, FingerprintWord, Job, Opening, SeatSet},
        policy::fixture::{accept, at, bid, deal, node, open, then},
    };

    const STEP: Span = Span::from_secs(10);

    /// A job in which the nodes 0, 1 and 2 have revealed these results and exit codes at 1020, with equal traces.
    fn revealed(results: [(&str, i32); 3]) -> Job {
        let mut job = open(deal());
        (0..3).for_each(|index| bid(&mut job, index, 1010));
        (0..3).for_each(|index| accept(&mut job, index, 1010));
        let given = |index: u8| {
            let (result, exit_code) = results[usize::from(index)];
            let (result_hash, fingerprint) = (Digest::sha256(result), FingerprintWord([0; 32]));
            Opening { result_hash, exit_code, fingerprint, ..Opening::sample(index) }
        };
        for index in 0..3 {
            let (seat, me) = (job.seat_of(node(index)).unwrap(), node(index));
            let commitment = given(index).commitment(job.domain, job.id, seat, me);
            then(&mut job, me, 1020, Event::Committed { commitment }).unwrap();
        }
        for index in 0..3 {
            let seat = job.seat_of(node(index)).unwrap();
            then(&mut job, node(index), 1020, Event::Revealed { seat, opening: given(index) }).unwrap();
        }
        job
    }

    /// The same after a verdict that accepts these seats.
    fn judged(results: [(&str, i32); 3], accepted: u32) -> Job {
        let mut job = revealed(results);
        let verdict = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(accepted) };
        then(&mut job, node(9), 1030, verdict).unwrap();
        job
    }

    fn seats(openings: &[SeatOpening]) -> Vec<u8> {
        openings.iter().map(|given| given.seat).collect()
    }

    #[test]
    fn as_many_equal_openings_prove_a_result_as_the_verdict_needed() {
        let proven = |results: [&str; 3], accepted| {
            let proof = proof(&judged(results.map(|result| (result, 0)), accepted))?;
            Some((seats(&proof.openings), seats(&proof.holders)))
        };
        assert_eq!(proven(["a", "a", "b"], 0b011), Some((vec![0, 1], vec![0, 1])));
        assert_eq!(proven(["b", "a", "a"], 0b110), Some((vec![1, 2], vec![1, 2])));
        let all = Some((vec![0, 1], vec![0, 1, 2]));
        assert_eq!(proven(["a", "a", "a"], 0b111), all, "no more openings than needed: each costs gas");
        let unjudged = revealed([("a", 0), ("a", 0), ("a", 0)]);
        assert_eq!(proof(&unjudged), None, "nobody is paid, so nobody serves a result");
    }

    #[test]
    fn alike_traces_prove_no_bytes() {
        assert_eq!(proof(&judged([("a", 0), ("b", 0), ("c", 0)], 0b111)), None);
    }

    #[test]
    fn a_liar_with_the_true_hash_and_another_exit_code_does_not_keep_a_result_from_delivery() {
        for liar in 0..3 {
            let mut results = [("a", 3); 3];
            results[liar].1 = 0;
            let proof = proof(&judged(results, 0b111 & !(1 << liar))).unwrap();
            assert_eq!(
                (proof.exit_code, seats(&proof.openings)),
                (3, vec![0, 1]),
                "the hash alone is proven"
            );
            let honest: Vec<u8> = (0..3).filter(|seat| usize::from(*seat) != liar).collect();
            assert_eq!(seats(&proof.holders), honest, "the liar is not asked for the result");
        }
    }

    #[test]
    fn each_node_has_a_turn_of_its_own_and_those_that_made_the_result_come_first() {
        let job = judged([("a", 0), ("a", 0), ("b", 0)], 0b011);
        assert_eq!(job.ended_at, at(1030));
        let all: Vec<NodeId> = (0..6).map(node).collect();
        let after = |me: NodeId, all: &[NodeId]| {
            let others: Vec<NodeId> = all.iter().copied().filter(|other| *other != me).collect();
            turn(&job, me, &others, STEP).since(job.ended_at).as_secs()
        };
        let mut makers = [after(node(0), &all), after(node(1), &all)];
        let mut others: Vec<u32> = (2..6).map(|index| after(node(index), &all)).collect();
        makers.sort_unstable();
        others.sort_unstable();
        assert_eq!((makers, others), ([0, 10], vec![20, 30, 40, 50]));
        let many: Vec<NodeId> = (0..200).map(node).collect();
        let latest = many.iter().map(|me| after(*me, &many)).max();
        assert_eq!(latest, Some(320), "nobody waits for longer");
    }

    #[test]
    fn a_fee_pays_for_the_gas_or_does_not() {
        let fee = Amount::new(1_000).unwrap();
        assert!(pays(fee, 100, 10) && !pays(fee, 101, 10) && !pays(fee, u64::MAX, u128::MAX));
        assert!(!pays(Amount::ZERO, 1, 1));
    }
}
