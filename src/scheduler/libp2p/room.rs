//! Which announced jobs of others a node keeps when it cannot keep all of them: a pure choice.
//!
//! Announcements and keys cost nothing. So strangers' jobs are bounded in number, bytes and time, for each signer and
//! in all. When a bound is reached, the least valuable job goes. In this order: a job that is over, of an unknown
//! requester, unpaid, of the signer with the most jobs, long, or announced long ago. The newest of equals stays,
//! since a node decides at once whether to bid.
//!
//! A node's own jobs, and those in which it has a bid or a seat, are never part of the choice.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::job_log::CheckedLog;
use crate::domain::{BidStatus, Job, JobId, JobState, NodeId, Span, Timestamp};

/// The bounds on announced jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Jobs in all.
    pub(super) jobs: usize,
    /// Jobs of one requester.
    pub(super) jobs_of_requester: usize,
    /// Encoded bytes in all; a job takes several times as much memory.
    pub(super) bytes: usize,
    /// Encoded bytes of one requester.
    pub(super) bytes_of_requester: usize,
    /// How long a job is kept after its announcement was last heard.
    pub(super) silence: Span,
}

pub(super) const BOUNDS: Bounds = Bounds {
    jobs: 1024,
    jobs_of_requester: 256,
    bytes: 16 << 20,
    bytes_of_requester: 4 << 20,
    silence: Span::from_secs(24 * 60 * 60),
};

/// Bounds on logs that prove a fault of their requester, which no flood and no silence can displace: in all, of one
/// requester, and in encoded bytes. The first ones stay.
const MOST_PROOFS: usize = 256;
const MOST_PROOFS_OF_REQUESTER: usize = 4;
const MOST_PROOF_BYTES: usize = 16 << 20;

/// Whether a node keeps a log of `bytes` that proves a fault of `requester`, given those that it keeps already.
pub(super) fn has_room_for_proof(kept: &[(NodeId, usize)], requester: NodeId, bytes: usize) -> bool {
    let of_requester = kept.iter().filter(|(of, _)| *of == requester).count();
    let taken: usize = kept.iter().map(|(_, bytes)| bytes).sum();
    kept.len() < MOST_PROOFS
        && of_requester < MOST_PROOFS_OF_REQUESTER
        && taken.saturating_add(bytes) <= MOST_PROOF_BYTES
}

/// What the value of an announced job depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) job: JobId,
    pub(super) requester: NodeId,
    /// Encoded.
    pub(super) bytes: usize,
    /// Whether nothing can happen in it any more.
    pub(super) is_over: bool,
    /// Whether a verdict accepted earlier work of this node for its requester.
    pub(super) is_known: bool,
    /// Whether its requester pays.
    pub(super) is_funded: bool,
    /// Whether a kept job follows it up and needs it.
    pub(super) is_parent: bool,
    /// How long it may last from its submission; the remaining time would favour older jobs.
    pub(super) lasts: Span,
    /// When its announcement was last heard.
    pub(super) heard_at: Timestamp,
}

impl Heard {
    /// A job of an unknown requester, heard now.
    fn new(job: &Job, bytes: usize, now: Timestamp) -> Self {
        Self {
            job: job.id,
            requester: job.requester,
            bytes,
            is_over: job.state.is_terminal() || now > over_by(job),
            is_known: false,
            is_funded: !job.deal.price.is_zero(),
            is_parent: false,
            lasts: job.deal.open.plus(job.deal.run).plus(job.deal.reveal),
            heard_at: now,
        }
    }
}

/// The followed logs in which `me` has neither bid nor seat.
///
/// A requester is known if a verdict accepted work of `me` for it, in one of these jobs or, as `known` has it, in one
/// that was retired. `children` names each job's follow-up, `heard_at`
/// when a job was announced last.
pub(super) fn heard(
    logs: &[&CheckedLog],
    known: &BTreeSet<NodeId>,
    children: &BTreeMap<JobId, JobId>,
    heard_at: &BTreeMap<JobId, Timestamp>,
    (me, now): (NodeId, Timestamp),
) -> Vec<Heard> {
    let was_accepted = |job: &&Job| {
        let verdict = job.verdict.as_ref().filter(|_| job.state == JobState::Verified);
        verdict.zip(job.seat_of(me)).is_some_and(|(verdict, seat)| verdict.accepted.contains(seat))
    };
    let jobs = logs.iter().map(|log| log.job());
    let live: BTreeSet<NodeId> = jobs.filter(was_accepted).map(|job| job.requester).collect();
    let is_known = |requester| live.contains(&requester) || known.contains(&requester);
    let free = logs.iter().filter(|log| !is_bound(log.job(), me, now));
    let heard = free.map(|log| {
        let job = log.job();
        let heard = Heard::new(job, log.bytes(), now);
        Heard {
            is_known: is_known(job.requester),
            is_parent: children.contains_key(&job.id),
            heard_at: heard_at.get(&job.id).copied().unwrap_or(now),
            ..heard
        }
    });
    heard.collect()
}

/// Whether `me` holds a seat of the job, or a bid that may still get one.
fn is_bound(job: &Job, me: NodeId, now: Timestamp) -> bool {
    let bid = job.bids.get(&me).is_some_and(|bid| match bid.status {
        BidStatus::Standing => !job.state.is_terminal() && now <= over_by(job),
        BidStatus::Seated(_) => true,
        BidStatus::Withdrawn | BidStatus::Rejected | BidStatus::Skipped => false,
    });
    bid || job.seat_of(me).is_some()
}

/// The kept jobs of one requester.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    jobs: usize,
    bytes: usize,
}

/// The jobs to forget to keep the bounds at `now`, the least valuable first. Parents stay.
pub(super) fn to_forget(heard: &[Heard], bounds: &Bounds, now: Timestamp) -> Vec<JobId> {
    let silent = |job: &Heard| now > job.heard_at.plus(bounds.silence) && !job.is_parent;
    let (gone, mut kept): (Vec<Heard>, Vec<Heard>) = heard.iter().partition(|job| silent(job));
    let mut gone: Vec<JobId> = gone.into_iter().map(|job| job.job).collect();
    let mut shares: BTreeMap<NodeId, Share> = BTreeMap::new();
    let mut total = Share::default();
    for job in &kept {
        for share in [shares.entry(job.requester).or_default(), &mut total] {
            share.jobs += 1;
            share.bytes += job.bytes;
        }
    }
    loop {
        let is_greedy = |node: &NodeId| {
            let share = shares.get(node).copied().unwrap_or_default();
            share.jobs > bounds.jobs_of_requester || share.bytes > bounds.bytes_of_requester
        };
        let is_full = total.jobs > bounds.jobs || total.bytes > bounds.bytes;
        let candidates = kept.iter().enumerate().filter(|(_, job)| !job.is_parent);
        let candidates = candidates.filter(|(_, job)| is_full || is_greedy(&job.requester));
        let Some((index, _)) = candidates.min_by_key(|(_, job)| {
            (!is_greedy(&job.requester), worth(job, shares.get(&job.requester).copied().unwrap_or_default()))
        }) else {
            return gone;
        };
        let job = kept.swap_remove(index);
        for share in [shares.entry(job.requester).or_default(), &mut total] {
            share.jobs -= 1;
            share.bytes -= job.bytes;
        }
        gone.push(job.job);
    }
}

/// The sort key of jobs by value, the least first.
fn worth(job: &Heard, share: Share) -> impl Ord + use<> {
    (
        !job.is_over,
        job.is_known,
        job.is_funded,
        Reverse(share.jobs),
        Reverse(share.bytes),
        Reverse(job.lasts.as_secs()),
        job.heard_at,
        job.job,
    )
}

/// When the job is over at the latest, whatever its requester does.
pub(super) fn over_by(job: &Job) -> Timestamp {
    job.submitted_at.plus(job.deal.open.plus(job.deal.run).plus(job.deal.reveal))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const TIGHT: Bounds = Bounds {
        jobs: 6,
        jobs_of_requester: 3,
        bytes: 600,
        bytes_of_requester: 250,
        silence: Span::from_secs(100),
    };

    fn job(id: u8, requester: u8) -> Heard {
        Heard {
            job: JobId::new([id; 32]),
            requester: NodeId::new([requester; 20]),
            bytes: 10,
            is_over: false,
            is_known: false,
            is_funded: false,
            is_parent: false,
            lasts: Span::from_secs(600),
            heard_at: NOW,
        }
    }

    /// What goes when `odd` is among seven jobs of seven requesters, one too many.
    fn goes(odd: Heard) -> Vec<JobId> {
        let heard: Vec<Heard> = (1..7).map(|id| job(id, id)).chain([odd]).collect();
        to_forget(&heard, &TIGHT, NOW)
    }

    #[test]
    fn what_is_over_long_or_old_goes_first() {
        let odd = job(9, 9);
        for worse in [
            Heard { is_over: true, is_known: true, ..odd },
            Heard { lasts: Span::from_secs(90 * 86_400), ..odd },
            Heard { heard_at: NOW.minus(Span::from_secs(1)), ..odd },
            Heard { requester: job(6, 6).requester, lasts: Span::from_secs(601), ..odd },
        ] {
            assert_eq!(goes(worse), [odd.job], "{worse:?}");
        }
    }

    #[test]
    fn what_is_known_paid_short_or_new_stays() {
        let odd = job(0, 0);
        let long = Span::from_secs(601);
        for better in [
            Heard { is_known: true, lasts: long, ..odd },
            Heard { is_funded: true, lasts: long, ..odd },
            Heard { lasts: Span::from_secs(599), ..odd },
            Heard { heard_at: NOW.plus(Span::from_secs(1)), ..odd },
            Heard { is_parent: true, is_over: true, ..odd },
        ] {
            assert_ne!(goes(better), [odd.job], "{better:?}");
        }
    }

    #[test]
    fn one_requester_pushes_out_its_own_jobs_alone() {
        let flood = (10..30).map(|id| Heard { is_known: true, ..job(id, 1) });
        let heard: Vec<Heard> = [job(1, 2), job(2, 3)].into_iter().chain(flood).collect();
        let gone: BTreeSet<JobId> = to_forget(&heard, &TIGHT, NOW).into_iter().collect();
        assert_eq!(gone.len(), 17);
        assert!(!gone.contains(&heard[0].job) && !gone.contains(&heard[1].job));
    }

    #[test]
    fn proofs_are_bounded_in_all_for_each_requester_and_in_bytes() {
        let node = |byte: usize| {
            let mut id = [0; 20];
            id[..8].copy_from_slice(&byte.to_be_bytes());
            NodeId::new(id)
        };
        let of = |count: usize| (0..count).map(|index| (node(index), 10)).collect::<Vec<_>>();
        assert!(has_room_for_proof(&of(MOST_PROOFS - 1), node(1), 10));
        assert!(!has_room_for_proof(&of(MOST_PROOFS), node(MOST_PROOFS), 10));
        let greedy = vec![(node(1), 10); MOST_PROOFS_OF_REQUESTER];
        assert!(!has_room_for_proof(&greedy, node(1), 10) && has_room_for_proof(&greedy, node(2), 10));
        let large = [(node(1), MOST_PROOF_BYTES - 10)];
        assert!(has_room_for_proof(&large, node(2), 10) && !has_room_for_proof(&large, node(2), 11));
    }

    #[test]
    fn a_requester_that_fell_silent_keeps_no_place_for_ever() {
        let silent = Heard { heard_at: NOW.minus(Span::from_secs(101)), is_known: true, ..job(1, 1) };
        assert_eq!(to_forget(&[silent, job(2, 2)], &TIGHT, NOW), [silent.job]);
    }

    prop_compose! {
        fn any_job(id: u8)(
            requester in 0_u8..4, bytes in 0_usize..120, flags in any::<[bool; 4]>(), lasts in 0_u32..1000,
            age in 0_u32..150,
        ) -> Heard {
            let [is_over, is_known, is_funded, is_parent] = flags;
            Heard {
                bytes, is_over, is_known, is_funded, is_parent, lasts: Span::from_secs(lasts),
                heard_at: NOW.minus(Span::from_secs(age)), ..job(id, requester)
            }
        }
    }

    fn any_jobs() -> impl Strategy<Value = Vec<Heard>> {
        (0_u8..20).prop_flat_map(|count| (0..count).map(any_job).collect::<Vec<_>>())
    }

    fn exceeds(kept: &[Heard], bounds: &Bounds) -> bool {
        let over = |jobs: &[&Heard], most, most_bytes| {
            jobs.len() > most || jobs.iter().map(|job| job.bytes).sum::<usize>() > most_bytes
        };
        let all: Vec<&Heard> = kept.iter().collect();
        over(&all, bounds.jobs, bounds.bytes)
            || kept.iter().any(|one| {
                let of: Vec<&Heard> = kept.iter().filter(|job| job.requester == one.requester).collect();
                over(&of, bounds.jobs_of_requester, bounds.bytes_of_requester)
            })
    }

    proptest! {
        #[test]
        fn what_is_left_keeps_the_bounds_and_nothing_goes_needlessly(heard in any_jobs()) {
            let gone = to_forget(&heard, &TIGHT, NOW);
            let set: BTreeSet<JobId> = gone.iter().copied().collect();
            prop_assert_eq!(set.len(), gone.len(), "each goes once");
            let kept: Vec<Heard> = heard.iter().filter(|job| !set.contains(&job.job)).copied().collect();
            prop_assert!(heard.iter().filter(|job| job.is_parent).all(|job| !set.contains(&job.job)));
            if kept.iter().all(|job| !job.is_parent) {
                prop_assert!(!exceeds(&kept, &TIGHT));
            }
            // The last one to go was one too many: with it, a bound is exceeded, or it was silent.
            if let Some(last) = gone.last().and_then(|last| heard.iter().find(|job| job.job == *last)) {
                let with: Vec<Heard> = kept.iter().copied().chain([*last]).collect();
                prop_assert!(exceeds(&with, &TIGHT) || NOW > last.heard_at.plus(TIGHT.silence));
            }
            prop_assert!(to_forget(&kept, &TIGHT, NOW).is_empty(), "a second look finds nothing");
        }

        #[test]
        fn no_order_of_arrival_changes_the_choice(heard in any_jobs(), seed: u64) {
            let mut shuffled = heard.clone();
            let len = shuffled.len().max(1);
            shuffled.rotate_left(usize::try_from(seed).unwrap_or(0) % len);
            let set = |heard: &[Heard]| to_forget(heard, &TIGHT, NOW).into_iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(set(&heard), set(&shuffled));
        }
    }
}
