//! Every case of (state, event, author's role, time around a deadline), enumerated from the rules.
//!
//! `tests/vectors/transition.json` is [`Table::enumerate`] written down; the Solidity twin replays the file.
//! Folding real events builds a job once for each *situation*. Then every event of a list is tried on it, by every
//! author, a second before, at and after each of its deadlines, with and without money.

use std::collections::BTreeMap;

use serde::Serialize;

mod situations;

use situations::{bidder, deal, dirty, dirty_summary, opening, secret, situations, units};

use super::{Rejection, transition};
use crate::domain::{
    AuditSecret, AuditStage, Deal, Digest, Event, Facts, FailureKind, Job, JobId, JobState, LogDomain,
    NodeId, Opening, SeatOpening, SeatSet, Spec, Stamped, Timestamp,
};

/// The authors: the requester, five bidders, and a stranger.
const REQUESTER: NodeId = NodeId::new([0xAA; 20]);
const STRANGER: NodeId = NodeId::new([0xEE; 20]);

/// All cases, with everything that they share written once.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The log that every job belongs to.
    pub domain: LogDomain,
    /// Who acts; cases name authors by their index here.
    pub authors: Vec<NodeId>,
    /// What happens; cases name events by their index here.
    pub events: Vec<Event>,
    /// Jobs that it happens to.
    pub situations: Vec<Situation>,
    /// Heads of jobs after an accepted event; cases name them by their index here.
    pub heads: Vec<Head>,
    /// How many cases there are in all situations.
    pub count: usize,
}

/// A job, and every event tried on it.
#[derive(Debug, Serialize)]
pub struct Situation {
    /// What is special about it.
    pub name: String,
    /// The job.
    pub job: Job,
    /// `[author, event, at, facts, outcome]`: facts bit 0 funded, bit 1 sat in the parent, bit 2 names
    /// another revision, the rest what was paid;
    /// an outcome below 1000 is a rejection's index, otherwise 1000 + the index of the head.
    pub cases: Vec<[u64; 5]>,
}

/// What of a job every rule may look at and change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the fields of a job record, documented there")]
pub struct Head {
    pub state: JobState,
    pub revision: Digest,
    pub epoch: u32,
    pub open_by: Timestamp,
    pub commit_by: Timestamp,
    pub reveal_by: Timestamp,
    pub seats_changed_at: Timestamp,
    pub ended_at: Timestamp,
    pub holders: Vec<NodeId>,
    pub failed: SeatSet,
    pub committed: SeatSet,
    pub revealed: SeatSet,
    pub failures: [u8; FailureKind::ALL.len()],
    pub audit: AuditStage,
    /// Of every bid: node, epoch, and 0 standing, 1 withdrawn, 2 rejected, 3 skipped, 4 + its seat.
    pub bids: Vec<(NodeId, u32, u8)>,
    pub accepted: SeatSet,
}

impl Head {
    /// The head of a job.
    pub fn of(job: &Job) -> Self {
        use crate::domain::BidStatus;
        let status = |status| match status {
            BidStatus::Standing => 0,
            BidStatus::Withdrawn => 1,
            BidStatus::Rejected => 2,
            BidStatus::Skipped => 3,
            BidStatus::Seated(seat) => 4 + seat,
        };
        Self {
            state: job.state,
            revision: job.revision,
            epoch: job.epoch,
            open_by: job.open_by,
            commit_by: job.commit_by,
            reveal_by: job.reveal_by,
            seats_changed_at: job.seats_changed_at,
            ended_at: job.ended_at,
            holders: job.seats.iter().map(|seat| seat.node).collect(),
            failed: job.failed,
            committed: job.committed,
            revealed: job.revealed,
            failures: job.failures,
            audit: job.audit,
            bids: job.bids.iter().map(|(node, bid)| (*node, bid.epoch, status(bid.status))).collect(),
            accepted: job.verdict.as_ref().map_or(SeatSet::EMPTY, |verdict| verdict.accepted),
        }
    }
}

impl Table {
    /// Enumerates every case.
    pub fn enumerate() -> Self {
        let authors: Vec<NodeId> =
            [REQUESTER].into_iter().chain((0..5).map(bidder)).chain([STRANGER]).collect();
        let situations = situations();
        let events = events(&situations);
        let mut heads = Vec::new();
        let mut known = BTreeMap::new();
        let situations: Vec<Situation> = situations
            .into_iter()
            .map(|(name, job)| {
                let mut cases = Vec::new();
                for_each_case(&job, &authors, &events, |row, outcome| {
                    let outcome = match outcome {
                        Err(rejection) => u64::from(rejection.index()),
                        Ok(next) => {
                            let head = Head::of(&next);
                            1000 + *known.entry(head.clone()).or_insert_with(|| {
                                heads.push(head);
                                index(heads.len() - 1)
                            })
                        }
                    };
                    let [author, event, at, facts] = row;
                    cases.push([author, event, at, facts, outcome]);
                });
                Situation { name: name.to_owned(), job, cases }
            })
            .collect();
        let count = situations.iter().map(|situation| situation.cases.len()).sum();
        Self { domain: LogDomain::default(), authors, events, situations, heads, count }
    }
}

fn for_each_case(
    job: &Job,
    authors: &[NodeId],
    events: &[Event],
    mut visit: impl FnMut([u64; 4], Result<Job, Rejection>),
) {
    for (event_index, event) in events.iter().enumerate() {
        for (author_index, author) in authors.iter().enumerate() {
            for at in times(job) {
                for (bits, facts, knows_deal) in facts_for(event) {
                    let revision = if knows_deal { job.revision } else { Digest::ZERO };
                    let stamped =
                        Stamped { job: job.id, author: *author, at, revision, facts, event: event.clone() };
                    let row = [index(author_index), index(event_index), at.as_secs(), bits];
                    visit(row, transition(job, &stamped));
                }
            }
        }
    }
}

fn index(value: usize) -> u64 {
    u64::try_from(value).expect("an index fits 64 bits")
}

/// A second before, at and after every deadline of the job.
fn times(job: &Job) -> Vec<Timestamp> {
    let far = job.commits_closed_at(Timestamp::from_secs(u64::MAX)).unwrap_or_default();
    let reveal_by = job.state_at(far.plus(one())).1;
    let mut deadlines = vec![job.open_by];
    if job.commit_by != Timestamp::ZERO {
        deadlines.extend([job.refill_by(), job.commit_by, reveal_by]);
    }
    let mut times: Vec<Timestamp> =
        deadlines.into_iter().flat_map(|at| [at.minus(one()), at, at.plus(one())]).collect();
    times.retain(|at| *at >= job.seats_changed_at);
    times.sort_unstable();
    times.dedup();
    times
}

const fn one() -> crate::domain::Span {
    crate::domain::Span::from_secs(1)
}

/// The facts that matter to an event, and whether it names the job's revision: all good, and each bad one.
fn facts_for(event: &Event) -> Vec<(u64, Facts, bool)> {
    let good = Facts { paid: units(2), ..Facts::MONEYLESS };
    let poor = (Facts { funded: false, ..good }, true);
    let mut facts = vec![(good, true)];
    match event {
        Event::BidPlaced { .. } => facts.extend([
            poor,
            (Facts { paid: units(0), ..good }, true),
            (Facts { sat_in_parent: true, ..good }, true),
            (good, false),
        ]),
        Event::BidAccepted { .. } | Event::DealUpdated { .. } => facts.push(poor),
        Event::Submitted { .. }
        | Event::Cancelled
        | Event::BidWithdrawn
        | Event::BidRejected { .. }
        | Event::FailureReported { .. }
        | Event::Committed { .. }
        | Event::Stopped
        | Event::Revealed { .. }
        | Event::VerdictPosted { .. }
        | Event::Expired
        | Event::Remarked { .. }
        | Event::SecretPublished { .. }
        | Event::Ticked => {}
    }
    let bits = |facts: &Facts, knows_deal: bool| {
        let flags = [facts.funded, facts.sat_in_parent, !knows_deal];
        let flags = (0..).zip(flags).map(|(bit, flag)| u64::from(flag) << bit).sum::<u64>();
        flags | u64::try_from(facts.paid.units()).expect("the cases have small amounts") << 3
    };
    facts.into_iter().map(|(facts, knows_deal)| (bits(&facts, knows_deal), facts, knows_deal)).collect()
}

/// Every kind of event, good and bad, on any of the situations.
fn events(situations: &[(&str, Job)]) -> Vec<Event> {
    let opening = |seat| SeatOpening { seat, opening: opening(seat) };
    let wrong = Opening { exit_code: 1, ..self::opening(0) };
    let verdict = |openings: &[u8], accepted: &[u8]| Event::VerdictPosted {
        openings: openings.iter().map(|seat| opening(*seat)).collect(),
        accepted: accepted.iter().copied().collect(),
    };
    let invalid = Deal { confidence: 0, ..deal() };
    let spec = Spec::sample().to_document();
    let mut events = vec![
        Event::Submitted { deal: deal(), spec, nonce: 0 },
        Event::DealUpdated { deal: Deal { tolerance_kib: 1, ..deal() } },
        Event::DealUpdated { deal: invalid },
        Event::DealUpdated { deal: Deal { parent: Some(JobId::new([9; 32])), ..deal() } },
        Event::Cancelled,
        Event::BidPlaced { price: units(10) },
        Event::BidPlaced { price: units(11) },
        Event::BidWithdrawn,
        Event::FailureReported { kind: FailureKind::Engine },
        Event::Committed { commitment: Digest::new([7; 32]) },
        Event::Stopped,
        Event::Revealed { seat: 0, opening: wrong },
        Event::Revealed { seat: 0, opening: dirty() },
        Event::Revealed { seat: 0, opening: dirty_summary() },
        verdict(&[], &[]),
        verdict(&[], &[0, 1, 2]),
        verdict(&[], &[0, 1]),
        verdict(&[0, 1, 2], &[0, 1]),
        verdict(&[0, 1], &[0, 1]),
        verdict(&[2], &[0, 1]),
        verdict(&[1, 0, 2], &[0, 1]),
        verdict(&[0, 0], &[0, 1]),
        verdict(&[31], &[0, 1]),
        Event::VerdictPosted {
            openings: vec![SeatOpening { seat: 0, opening: wrong }],
            accepted: SeatSet::from_bits(3),
        },
        Event::Expired,
        Event::Remarked { node: bidder(0), remark: "late".to_owned() },
        Event::Remarked { node: STRANGER, remark: "late".to_owned() },
        Event::Remarked { node: bidder(0), remark: "x".repeat(crate::domain::MAX_REMARK_BYTES + 1) },
        Event::Ticked,
        Event::SecretPublished { secret: secret(true) },
        Event::SecretPublished { secret: secret(false) },
        Event::SecretPublished { secret: AuditSecret::ZERO },
    ];
    events.extend((0..3).map(|seat| Event::Revealed { seat, opening: self::opening(seat) }));
    let nodes = (0..5).map(bidder).chain([STRANGER]);
    events.extend(nodes.flat_map(|node| [Event::BidAccepted { node }, Event::BidRejected { node }]));
    let kinds: std::collections::BTreeSet<_> = events.iter().map(Event::kind).collect();
    debug_assert_eq!(kinds.len(), crate::domain::EventKind::ALL.len());
    debug_assert!(!situations.is_empty());
    events
}
