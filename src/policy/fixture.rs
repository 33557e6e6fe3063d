//! Jobs for the tests of policies. The rules make them, as they make all jobs.

use super::{ComputeLimits, Moment};
use crate::{
    domain::{
        Amount, Ask, Deal, Event, Facts, Job, LogDomain, NodeId, Opening, Resources, Span, Spec, Stamped,
        Timestamp,
    },
    rules::{self, Rejection},
};

pub(super) const REQUESTER: NodeId = NodeId::new([0xee; 20]);

/// The limits of a node that takes on everything except high bonds.
pub(super) const LIMITS: ComputeLimits = ComputeLimits {
    max_bond: Amount::ZERO,
    ask: Ask::ALL,
    max_resources: Resources {
        memory_bytes: 1 << 40,
        cpu_millis: 64_000,
        pids: 1 << 20,
        disk_bytes: 1 << 40,
        tmp_bytes: 1 << 40,
        scratch_bytes: 1 << 40,
    },
    max_timeout: Span::from_secs(u32::MAX),
    max_run: Span::from_secs(u32::MAX),
    min_reveal: Span::from_secs(0),
    max_reveal: Span::from_secs(u32::MAX),
    min_price: Amount::ZERO,
};

pub(super) const fn node(index: u8) -> NodeId {
    NodeId::new([index; 20])
}

pub(super) const fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

pub(super) const fn moment(secs: u64) -> Moment {
    Moment { now: at(secs), elapsed_ms: secs * 1000 }
}

/// Three seats; 100 s to fill them, 400 s to commit with 100 s of run time, 60 s to reveal.
pub(super) fn deal() -> Deal {
    Deal {
        open: Span::from_secs(100),
        timeout: Span::from_secs(100),
        run: Span::from_secs(400),
        ..Deal::default()
    }
}

pub(super) fn opening(index: u8) -> Opening {
    Opening::sample(index)
}

/// The facts about `author`.
pub(super) fn stamped(job: &Job, author: NodeId, secs: u64, event: Event) -> Stamped<Event> {
    let facts = Facts::MONEYLESS;
    Stamped { job: job.id, author, at: at(secs), revision: job.revision, facts, event }
}

/// A job submitted at 1000.
pub(super) fn open(deal: Deal) -> Job {
    open_of(REQUESTER, 0, 1000, deal)
}

/// The job of a requester with this nonce, submitted at `secs`.
pub(super) fn open_of(requester: NodeId, nonce: u64, secs: u64, deal: Deal) -> Job {
    open_spec(&Spec::sample(), requester, nonce, secs, deal)
}

pub(super) fn open_spec(spec: &Spec, requester: NodeId, nonce: u64, secs: u64, deal: Deal) -> Job {
    let (spec, revision) = (spec.to_document(), deal.revision());
    let domain = LogDomain::default();
    let event = Event::Submitted { deal, spec: spec.clone(), nonce };
    let submission = Stamped {
        job: domain.job_id(requester, nonce, Spec::hash_document(&spec), revision),
        author: requester,
        at: at(secs),
        revision,
        facts: Facts::MONEYLESS,
        event,
    };
    rules::open(domain, None, &submission).unwrap()
}

pub(super) fn then(job: &mut Job, author: NodeId, secs: u64, event: Event) -> Result<(), Rejection> {
    *job = rules::transition(job, &stamped(job, author, secs, event))?;
    Ok(())
}

pub(super) fn bid(job: &mut Job, index: u8, secs: u64) {
    then(job, node(index), secs, Event::BidPlaced { price: job.deal.price }).unwrap();
}

pub(super) fn accept(job: &mut Job, index: u8, secs: u64) {
    then(job, job.requester, secs, Event::BidAccepted { node: node(index) }).unwrap();
}

/// A job whose seats 0, 1, 2 went to nodes 0, 1, 2 at 1010. Node 3 has also bid.
pub(super) fn running() -> Job {
    let mut job = open(deal());
    (0..4).for_each(|index| bid(&mut job, index, 1010));
    (0..3).for_each(|index| accept(&mut job, index, 1010));
    job
}

pub(super) fn commit(job: &mut Job, index: u8, secs: u64) {
    let seat = job.seat_of(node(index)).unwrap();
    let commitment = opening(index).commitment(job.domain, job.id, seat, node(index));
    then(job, node(index), secs, Event::Committed { commitment }).unwrap();
}

pub(super) fn reveal(job: &mut Job, index: u8, secs: u64) {
    let seat = job.seat_of(node(index)).unwrap();
    then(job, node(index), secs, Event::Revealed { seat, opening: opening(index) }).unwrap();
}
