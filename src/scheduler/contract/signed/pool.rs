//! Commitments and openings on their way to the contract: what of each job this node holds, and who has its own.
//!
//! Only memory: an author hands its own over again until the log has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::domain::{
    AuditStage, Event, Job, JobId, JobState, NodeId, Opening, Pace, SeatStatus, SignedAction, Span, Timestamp,
};

/// How long each further party waits for those before it to submit what all have signed.
const TURN: Duration = Duration::from_secs(5);

/// How long a seat that is still to commit may be unreachable before nobody waits for it.
const UNREACHED: Duration = Duration::from_secs(10);

/// How long openings are waited for, and how much longer for each block that must follow.
const OPENINGS: Duration = Duration::from_secs(10);
const A_CONFIRMATION: Duration = Duration::from_secs(15);
const MOST_DEPTH: Duration = Duration::from_secs(600);

/// What is gathered of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Commitments,
    Openings,
}

/// Something for another node.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) job: JobId,
    pub(super) stage: Stage,
    pub(super) to: NodeId,
    pub(super) action: SignedAction,
}

/// What every seat has signed, to be submitted now.
#[derive(Debug, Clone)]
pub(super) enum Batch {
    Commitments(Vec<SignedAction>),
    Openings(BTreeMap<u8, Opening>),
}

#[derive(Debug)]
struct Gathered {
    stage: Stage,
    /// By seat.
    actions: BTreeMap<u8, SignedAction>,
    since: Instant,
    complete_since: Option<Instant>,
    /// Who has this node's own; a failed delivery is begun again.
    given: BTreeSet<NodeId>,
    under_way: BTreeSet<NodeId>,
    unreached_since: BTreeMap<NodeId, Instant>,
    is_sent: bool,
    /// Not by this path: the contract has the seats one by one, or will not take them together.
    given_up: bool,
}

/// What a node holds.
#[derive(Debug)]
pub(in super::super) struct Pool {
    jobs: Mutex<BTreeMap<JobId, Gathered>>,
    /// How long a transaction takes to be deep enough, roughly.
    depth: Duration,
    two_transactions: Span,
    pub(super) changed: Notify,
}

/// The last moment at which a node waits for others to bring its commitment to the contract.
fn own_commitment_at(job: &Job, two_transactions: Span) -> Timestamp {
    last_wait(job.seats_changed_at, job.commit_by, two_transactions)
}

/// As [`own_commitment_at`], of openings.
fn own_opening_at(job: &Job, two_transactions: Span) -> Timestamp {
    last_wait(job.seats_changed_at, job.seats_changed_at.plus(job.deal.reveal), two_transactions)
}

/// Half of the time, and less where the rest would not do for two transactions of the node's own: one gives the seats
/// slots, and the other is its step.
fn last_wait(from: Timestamp, to: Timestamp, two_transactions: Span) -> Timestamp {
    let half = from.plus(Span::from_secs(to.since(from).as_secs() / 2));
    half.min(to.minus(two_transactions))
}

/// What of a job is gathered as it is now, if anything.
fn stage(job: &Job) -> Option<Stage> {
    match job.state {
        JobState::Running if job.committed.is_empty() && job.failed.is_empty() => Some(Stage::Commitments),
        // Before the draw an opening would tell a second wave what to say.
        JobState::Revealing
            if job.audit != AuditStage::Undrawn
                && job.committed.len() == job.asked()
                && job.revealed.is_empty() =>
        {
            Some(Stage::Openings)
        }
        JobState::Running
        | JobState::Revealing
        | JobState::Open
        | JobState::Verified
        | JobState::Inconclusive
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => None,
    }
}

const fn stage_of(event: &Event) -> Option<Stage> {
    if matches!(event, Event::Committed { .. }) {
        Some(Stage::Commitments)
    } else if matches!(event, Event::Revealed { .. }) {
        Some(Stage::Openings)
    } else {
        None
    }
}

impl Gathered {
    fn new(stage: Stage, at: Instant) -> Self {
        Self {
            stage,
            actions: BTreeMap::new(),
            since: at,
            complete_since: None,
            given: BTreeSet::new(),
            under_way: BTreeSet::new(),
            unreached_since: BTreeMap::new(),
            is_sent: false,
            given_up: false,
        }
    }

    /// Whether a seat that owes something has been unreachable for so long that nobody waits for it.
    fn lacks_somebody(&self, job: &Job, at: Instant) -> bool {
        (0_u8..).zip(&job.seats).any(|(seat, held)| {
            let gone = self.unreached_since.get(&held.node);
            !self.actions.contains_key(&seat)
                && gone.is_some_and(|since| at.saturating_duration_since(*since) >= UNREACHED)
        })
    }
}

impl Pool {
    /// On a chain where so many blocks must follow.
    pub(in super::super) fn new(confirmations: u64, pace: Pace) -> Self {
        let blocks = u32::try_from(confirmations).unwrap_or(u32::MAX);
        let depth = A_CONFIRMATION.saturating_mul(blocks).min(MOST_DEPTH);
        let two_transactions = pace.two_transactions();
        Self { jobs: Mutex::default(), depth, two_transactions, changed: Notify::new() }
    }

    /// Whoever is next must be able to see what those before it submitted.
    fn turn(&self) -> Duration {
        TURN + self.depth
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Gathered>> {
        // What is gathered may be lost at any time.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a signed action of a seat; `false` if it is of no use in the job as it is.
    pub(super) fn take(&self, job: &Job, author: NodeId, signed: &SignedAction, at: Instant) -> bool {
        let event = &signed.action.event;
        let fits = stage_of(event).is_some() && stage_of(event) == stage(job);
        let Some((stage, seat)) = stage(job).filter(|_| fits).zip(job.seat_of(author)) else { return false };
        let opens = |opening: &Opening| {
            let commitment = opening.commitment(job.domain, job.id, seat, author);
            job.seat(seat).is_some_and(|held| held.status == SeatStatus::Committed(commitment))
        };
        let is_opening = |event: &Event| matches!(event, Event::Revealed { seat: opened, opening } if *opened == seat && opens(opening));
        let is_sound = stage == Stage::Commitments || is_opening(event);
        let is_sound = is_sound && signed.action.revision == job.revision;
        if !is_sound {
            return false;
        }
        let mut jobs = self.lock();
        let gathered = jobs.entry(job.id).or_insert_with(|| Gathered::new(stage, at));
        if gathered.stage != stage {
            *gathered = Gathered::new(stage, at);
        }
        // The first that a node signs counts: it may not open both.
        gathered.actions.entry(seat).or_insert_with(|| signed.clone());
        if gathered.actions.len() == usize::from(job.asked()) {
            gathered.complete_since.get_or_insert(at);
        }
        drop(jobs);
        self.changed.notify_one();
        true
    }

    /// Whether an author is to submit this itself, as others did not.
    pub(super) fn is_own_turn(&self, job: &Job, event: &Event, (now, at): (Timestamp, Instant)) -> bool {
        let Some(stage) = stage(job).filter(|stage| stage_of(event) == Some(*stage)) else { return true };
        let jobs = self.lock();
        let Some(gathered) = jobs.get(&job.id).filter(|gathered| gathered.stage == stage) else {
            return false;
        };
        gathered.given_up
            || gathered.lacks_somebody(job, at)
            || match stage {
                Stage::Commitments => now > own_commitment_at(job, self.two_transactions),
                Stage::Openings => {
                    now > own_opening_at(job, self.two_transactions)
                        || at.saturating_duration_since(gathered.since) >= OPENINGS + self.depth
                }
            }
    }

    /// The seats of a job are not to be had together.
    pub(super) fn give_up(&self, job: JobId) {
        if let Some(gathered) = self.lock().get_mut(&job) {
            gathered.given_up = true;
        }
    }

    /// A batch was not taken for a reason that may pass.
    pub(super) fn again(&self, job: JobId, at: Instant) {
        if let Some(gathered) = self.lock().get_mut(&job) {
            (gathered.is_sent, gathered.complete_since) = (false, Some(at + self.turn()));
        }
    }

    /// What of a job this node delivers, and submits, now. `rostered` finds the jobs that may go this path.
    pub(super) fn due(
        &self,
        me: NodeId,
        rostered: impl Fn(JobId) -> Option<Job>,
        now: Instant,
    ) -> (Vec<Parcel>, Vec<(Job, Batch)>) {
        let (mut parcels, mut batches) = (Vec::new(), Vec::new());
        self.lock().retain(|id, gathered| {
            let Some(job) = rostered(*id).filter(|job| stage(job).is_some()) else { return false };
            if stage(&job) != Some(gathered.stage) {
                // Its openings are not here yet.
                return false;
            }
            if gathered.given_up {
                return true;
            }
            let mine = job.seat_of(me);
            if let Some(own) = mine.and_then(|seat| gathered.actions.get(&seat)) {
                let holders = job.seats.iter().map(|seat| seat.node).chain([job.requester]);
                let wanted = holders.filter(|node| *node != me && !gathered.given.contains(node));
                for to in wanted.collect::<BTreeSet<_>>() {
                    if gathered.under_way.insert(to) {
                        let (job, stage, action) = (*id, gathered.stage, own.clone());
                        parcels.push(Parcel { job, stage, to, action });
                    }
                }
            }
            let place = if job.requester == me { Some(0) } else { mine.map(|seat| u32::from(seat) + 1) };
            let is_turn = place.zip(gathered.complete_since).is_some_and(|(place, since)| {
                since.checked_add(self.turn().saturating_mul(place)).is_some_and(|at| at <= now)
            });
            if is_turn && !gathered.is_sent {
                gathered.is_sent = true;
                batches.push((job, gathered.batch()));
            }
            true
        });
        (parcels, batches)
    }

    /// What became of a parcel.
    pub(super) fn delivered(&self, parcel: &Parcel, (reached, taken): (bool, bool), at: Instant) {
        let mut jobs = self.lock();
        let Some(gathered) = jobs.get_mut(&parcel.job).filter(|known| known.stage == parcel.stage) else {
            return;
        };
        gathered.under_way.remove(&parcel.to);
        if taken {
            gathered.given.insert(parcel.to);
        }
        if reached {
            gathered.unreached_since.remove(&parcel.to);
        } else {
            gathered.unreached_since.entry(parcel.to).or_insert(at);
        }
    }

    /// Whether nothing is gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl Gathered {
    fn batch(&self) -> Batch {
        match self.stage {
            Stage::Commitments => Batch::Commitments(self.actions.values().cloned().collect()),
            Stage::Openings => {
                let opening = |(seat, signed): (&u8, &SignedAction)| {
                    let Event::Revealed { opening, .. } = signed.action.event else { return None };
                    Some((*seat, opening))
                };
                Batch::Openings(self.actions.iter().filter_map(opening).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            Acceptance, Action, Amount, Audit, AuditSecret, Deal, Digest, Facts, FingerprintWord, LogDomain,
            Signature, Spec, Stamped, SummaryWord,
        },
        rules,
    };

    const REQUESTER: NodeId = NodeId::new([9; 20]);
    const NOW: Timestamp = Timestamp::from_secs(1000);

    const fn node(seat: u8) -> NodeId {
        NodeId::new([seat + 1; 20])
    }

    fn then(job: &Job, author: NodeId, event: Event) -> Job {
        let (job_id, revision) = (job.id, job.revision);
        let stamped = Stamped { job: job_id, author, at: NOW, revision, facts: Facts::MONEYLESS, event };
        rules::transition(job, &stamped).unwrap()
    }

    /// A job of three seats that all of its nodes begin to run now.
    fn running() -> Job {
        running_with(None)
    }

    fn running_with(audit: Option<Audit>) -> Job {
        let acceptance = Acceptance::Requester;
        let deal = Deal { concurrency: 3, confidence: 2, acceptance, audit, ..Deal::default() };
        let (spec, revision, domain) = (Spec::sample().to_document(), deal.revision(), LogDomain::default());
        let job = domain.job_id(REQUESTER, 0, Spec::hash_document(&spec), revision);
        let event = Event::Submitted { deal, spec, nonce: 0 };
        let stamped = Stamped { job, author: REQUESTER, at: NOW, revision, facts: Facts::MONEYLESS, event };
        let mut job = rules::open(domain, None, &stamped).unwrap();
        for seat in 0..3 {
            job = then(&job, node(seat), Event::BidPlaced { price: Amount::ZERO });
        }
        (0..3).fold(job, |job, seat| then(&job, REQUESTER, Event::BidAccepted { node: node(seat) }))
    }

    fn opening(seat: u8) -> Opening {
        let word = |byte| Digest::new([byte; 32]);
        Opening {
            result_hash: word(1),
            output_root: word(2),
            exit_code: 0,
            fingerprint: FingerprintWord::VOID,
            summary: SummaryWord::VOID,
            salt: word(seat),
        }
    }

    fn signed(job: &Job, event: Event) -> SignedAction {
        let action = Action { job: job.id, revision: job.revision, sequence: 1, seen: Digest::ZERO, event };
        SignedAction { action, signature: Signature::new([7; 65]) }
    }

    fn commitment(job: &Job, seat: u8) -> Event {
        Event::Committed { commitment: opening(seat).commitment(job.domain, job.id, seat, node(seat)) }
    }

    fn due(pool: &Pool, me: NodeId, job: &Job, at: Instant) -> (usize, usize) {
        let (parcels, batches) = pool.due(me, |_| Some(job.clone()), at);
        (parcels.len(), batches.len())
    }

    #[test]
    fn the_requester_submits_at_once_and_the_seats_in_turn() {
        let start = Instant::now();
        let job = running();
        let (of_requester, of_seat) = (Pool::new(0, Pace::QUICK), Pool::new(0, Pace::QUICK));
        for pool in [&of_requester, &of_seat] {
            for seat in 0..3 {
                assert_eq!(due(pool, REQUESTER, &job, start).1, 0, "not all are here");
                assert!(pool.take(&job, node(seat), &signed(&job, commitment(&job, seat)), start));
            }
            assert!(
                !pool.take(&job, NodeId::new([8; 20]), &signed(&job, commitment(&job, 0)), start),
                "has no seat"
            );
        }
        assert_eq!(due(&of_requester, REQUESTER, &job, start), (0, 1));
        assert_eq!(due(&of_requester, REQUESTER, &job, start), (0, 0), "once");
        assert_eq!(due(&of_seat, node(1), &job, start), (3, 0), "its own goes to the others");
        let turn = start + TURN * 2;
        assert_eq!(due(&of_seat, node(1), &job, turn - Duration::from_millis(1)), (0, 0));
        assert_eq!(due(&of_seat, node(1), &job, turn), (0, 1));
    }

    #[test]
    fn a_node_waits_for_others_until_half_of_the_run_or_until_one_is_gone() {
        let start = Instant::now();
        let job = running();
        let (pool, event) = (Pool::new(0, Pace::QUICK), commitment(&job, 0));
        assert!(pool.take(&job, node(0), &signed(&job, event.clone()), start));
        let half = own_commitment_at(&job, Pace::QUICK.two_transactions());
        assert_eq!(half.since(NOW).as_secs(), job.deal.run.as_secs() / 2);
        assert!(!pool.is_own_turn(&job, &event, (half, start)));
        assert!(pool.is_own_turn(&job, &event, (half.plus(Span::from_secs(1)), start)));
        let (parcels, _) = pool.due(node(0), |_| Some(job.clone()), start);
        let to_other = parcels.iter().find(|parcel| parcel.to == node(1)).unwrap();
        pool.delivered(to_other, (false, false), start);
        let later = start + UNREACHED;
        assert!(pool.is_own_turn(&job, &event, (NOW, later)));
        assert!(pool.take(&job, node(1), &signed(&job, commitment(&job, 1)), start));
        assert!(!pool.is_own_turn(&job, &event, (NOW, later)), "nothing is owed by the one that is gone");
        pool.give_up(job.id);
        assert!(pool.is_own_turn(&job, &event, (NOW, later)));
    }

    #[test]
    fn a_node_keeps_time_for_two_transactions_of_its_own() {
        for (phase, pace, waits) in [
            (600, Pace::QUICK, 300),
            (61, Pace::QUICK, 21),
            (40, Pace::QUICK, 0),
            (61, Pace::ROLLUP, 21),
            (600, Pace::MAINNET, 300),
            (180, Pace::MAINNET, 60),
            (60, Pace::MAINNET, 0),
        ] {
            let last = last_wait(NOW, NOW.plus(Span::from_secs(phase)), pace.two_transactions());
            assert_eq!(last.since(NOW).as_secs(), waits, "of {phase} s at {pace:?}");
        }
    }

    #[test]
    fn no_opening_is_gathered_or_delivered_before_the_draw() {
        let secret = AuditSecret::new([3; 32]);
        let reveal = |seat| Event::Revealed { seat, opening: opening(seat) };
        for permille in [1, 1000] {
            let (start, pool) = (Instant::now(), Pool::new(0, Pace::QUICK));
            let audit = Audit { secret_hash: secret.hash(), ..Audit::requested(permille, 2) };
            let mut job = running_with(Some(audit));
            for seat in 0..3 {
                job = then(&job, node(seat), commitment(&job, seat));
            }
            assert_eq!((job.state, job.audit), (JobState::Revealing, AuditStage::Undrawn));
            assert!(
                !pool.take(&job, node(0), &signed(&job, reveal(0)), start),
                "the second wave could copy it"
            );
            job = then(&job, REQUESTER, Event::SecretPublished { secret });
            let is_spared = job.audit == AuditStage::Spared;
            assert_eq!(is_spared, permille == 1, "as it is with these commitments");
            assert_eq!(pool.take(&job, node(0), &signed(&job, reveal(0)), start), is_spared);
        }
    }

    #[test]
    fn openings_are_gathered_once_all_have_committed_and_only_sound_ones() {
        let start = Instant::now();
        let mut job = running();
        let pool = Pool::new(0, Pace::QUICK);
        let reveal = |seat| Event::Revealed { seat, opening: opening(seat) };
        assert!(!pool.take(&job, node(0), &signed(&job, reveal(0)), start), "a seat may still commit");
        for seat in 0..3 {
            job = then(&job, node(seat), commitment(&job, seat));
        }
        assert!(
            !pool.take(&job, node(0), &signed(&job, commitment(&job, 0)), start),
            "it is too late for those"
        );
        assert!(
            !pool.take(&job, node(0), &signed(&job, reveal(1)), start),
            "it does not open what was committed to"
        );
        for seat in 0..3 {
            assert!(pool.take(&job, node(seat), &signed(&job, reveal(seat)), start));
        }
        let (_, batches) = pool.due(REQUESTER, |_| Some(job.clone()), start);
        assert!(matches!(&batches[..], [(_, Batch::Openings(openings))] if openings.len() == 3));
        assert!(!pool.is_own_turn(&job, &reveal(0), (NOW, start)));
        assert!(
            pool.is_own_turn(&job, &reveal(0), (NOW, start + OPENINGS)),
            "whoever has them all does not submit them"
        );
    }
}
