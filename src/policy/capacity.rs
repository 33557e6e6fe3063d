//! Which of its jobs a compute node bids on, starts and gives up: how it shares out its slots.
//!
//! # Nothing holds a slot and waits
//!
//! Only a run holds a slot. Bids and seats are *promises* of a slot:
//!
//! - A bid is *firm* while it is fresh. A node makes a firm promise only if it can keep it even when every run before takes
//!   its whole timeout. Jobs take turns: first those of requesters that answer, then of those that hold less here, then the
//!   oldest. All nodes share that order, so they meet in the same jobs.
//! - A bid without an answer for a while is *loose*: it still stands, but no longer keeps the node from other jobs. That
//!   while is shorter for a requester that leaves more bids unanswered. So a job that cannot fill, or whose requester is gone,
//!   delays younger jobs no longer than that, and no set of bids blocks the nodes for good, in whatever order each saw them.
//! - A seat of a running job queues for a slot, the most urgent first. A requester that holds its part of the slots lets
//!   others go first, and so do strangers that together hold theirs (`holders`). If no slot comes while the job can still give
//!   the seat to another bid, the node reports that. Otherwise the seat waits for as long as a commitment counts.
//! - Where the operator bounds what all containers take together, every firm promise counts whole, as if all ran at once.
//! - When all slots have been busy for a while with work that may last, the node withdraws loose bids that it could not
//!   honour. It bids again once it has room, after a pause that triples each time. So a job sees few withdrawals of a node:
//!   ten if it is open for 30 days.

mod holders;
mod places;
mod shares;

use places::Places;
use serde::{Deserialize, Serialize};

use super::{
    Moment, Wake,
    admission::Together,
    compute::{self, ComputeStep, ComputeView, Execution, LogTrust, report_margin},
};
use crate::domain::{
    Acceptance, Event, FailureKind, JobId, JobState, NodeId, Pace, Resources, SeatStatus, Span, Timestamp,
};

/// How long a bid stays firm where the requester orders the log: a live requester answers at once.
pub const FIRM_MS: u64 = 10_000;

/// How long a bid stays firm in a neutral log, at least: two blocks of a chain, with a margin.
pub const FIRM_NEUTRAL_MS: u64 = 30_000;

/// How long all slots must have been busy, without a run ending, before the node withdraws loose bids.
pub const BUSY_MS: u64 = 30_000;

/// The pause after a node's first withdrawal in a job; each further one triples it.
pub const FIRST_PAUSE_MS: u64 = 60_000;

/// The most firm promises for each slot, however short the runs are.
pub const PROMISES_A_SLOT: usize = 8;

/// How long a bid to a requester that leaves many unanswered stays firm.
pub const LEAST_FIRM_MS: u64 = 2_000;

/// From this many unanswered bids on, a requester gets further ones one at a time.
pub const MANY_UNANSWERED: usize = 16;

/// The least time that a seat waits for a slot before the node hands it over.
const PATIENCE: Span = Span::from_secs(5);

/// The slots of one node, and every job that has, or wants, a share in them.
#[derive(Debug, Clone)]
pub struct Capacity {
    slots: usize,
    places: Places,
    /// Since when no slot has been free and no run has ended.
    busy_since_ms: Option<u64>,
    /// The requester whose run got a slot last.
    last_run: Option<holders::Runner>,
    leaving: Leaving,
    /// What all containers may take at the same time.
    together: Together,
    /// What a run without a seat takes.
    own_run: Option<Resources>,
    /// The node takes nothing on for now.
    paused: bool,
}

/// The answer to a question about one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The next step in that job.
    pub step: ComputeStep,
    /// Other jobs that may go on now. Ask about each of them.
    pub ring: Vec<JobId>,
}

/// Whether a node is about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Leaving {
    /// The node goes on.
    #[default]
    No,
    /// The node takes nothing on, withdraws its bids and finishes its runs.
    Draining,
    /// The node also gives up its runs, and reports that.
    GivingUp,
}

/// What a node still owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Obligations {
    /// Bids that still stand.
    pub bids: usize,
    /// Seats of running jobs without a commitment or a report.
    pub seats: usize,
    /// Commitments that are not opened yet.
    pub openings: usize,
}

/// One job's share of the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    requester: NodeId,
    /// Whether the requester has given this node honest work before.
    is_known: bool,
    submitted_at: Timestamp,
    timeout_ms: u64,
    /// What its container may take.
    asked: Resources,
    /// How long after the last acceptance a run may begin and still take its whole timeout.
    window_ms: u64,
    /// The same as a time; `None` before the last acceptance.
    start_by: Option<Timestamp>,
    log: LogTrust,
    pace: Pace,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The node would bid.
    Candidate,
    /// A bid in flight or standing, or a seat of a job that lacks others.
    Promised { firm_until_ms: u64 },
    /// The node is withdrawing the bid.
    Withdrawing,
    /// A seat of a running job that queues for a slot. It is promised if the bid was still firm when it became a seat.
    Queued { promised: bool },
    /// The run has a slot.
    Runs { since_ms: u64 },
    /// The run is over; the node owes a commitment or a report.
    Reports,
    /// The node owes the opening of its commitment.
    Opens,
}

/// Why the node does not bid on a job for now.
#[derive(Debug, Clone, Copy)]
struct Pause {
    requester: NodeId,
    until_ms: u64,
    withdrawals: u32,
    /// The last bid failed to arrive.
    unanswered: bool,
}

impl Capacity {
    /// For this many runs at once.
    pub const fn new(slots: usize) -> Self {
        Self {
            slots,
            places: Places::new(),
            busy_since_ms: None,
            last_run: None,
            leaving: Leaving::No,
            together: Together { memory_bytes: None, cpu_millis: None, disk_bytes: None },
            own_run: None,
            paused: false,
        }
    }

    /// The same, where all containers together may take no more than this.
    #[must_use]
    pub fn within(mut self, together: Together) -> Self {
        self.together = together;
        self.places.recount();
        self
    }

    /// The next step in a job: that of [`compute::next`], if there is room.
    pub fn next(&mut self, view: &ComputeView<'_>) -> Decision {
        let step = compute::next(view);
        self.keep_tally(view.moment.elapsed_ms);
        self.note(view, &step);
        let mut ring = self.share_out(view.moment);
        ring.retain(|other| *other != view.job.id);
        Decision { step: self.gate(view, step), ring }
    }

    /// Records that a bid did not reach the sequencer, or that the sequencer refused it. Returns the jobs that may go on
    /// now.
    pub fn bid_failed(&mut self, job: JobId, moment: Moment) -> Vec<JobId> {
        if let Some(place) = self.places.remove(job) {
            let withdrawals = self.places.pause_of(job).map_or(0, |pause| pause.withdrawals);
            let (requester, until_ms) = (place.requester, moment.elapsed_ms);
            self.places.pause(job, Pause { requester, until_ms, withdrawals, unanswered: true });
        }
        self.share_out(moment)
    }

    /// Takes a slot for a run without a seat, by which a requester checks a result of its own job, if no run and no promise
    /// needs it. Until [`Self::end_own_run`] the node has one slot less, and promises no more than that.
    pub fn begin_own_run(&mut self, asked: Resources, moment: Moment) -> bool {
        let now_ms = moment.elapsed_ms;
        let is_free = self.takes_on()
            && self.firm(now_ms) < self.slots
            && self.has_room_beside(asked, self.tally(now_ms).firm());
        self.slots -= usize::from(is_free);
        self.places.recount();
        self.own_run = self.own_run.or(is_free.then_some(asked));
        is_free
    }

    /// Whether a container with these limits fits into what the operator gives all of them. The node bids on no other job, and
    /// makes no own run of it.
    pub fn could_ever_run(&self, asked: Resources) -> bool {
        self.together.has_room_for(std::iter::once(asked))
    }

    /// Gives the slot of a run without a seat back. Returns the jobs that may go on now.
    pub fn end_own_run(&mut self, moment: Moment) -> Vec<JobId> {
        self.slots += 1;
        self.places.recount();
        self.own_run = None;
        self.share_out(moment)
    }

    /// The job is no longer known.
    pub fn forget(&mut self, job: JobId) {
        self.places.remove(job);
        self.places.end_pause(job);
    }

    /// Records that the node is about to end. Returns every job to ask about again.
    pub fn leave(&mut self, leaving: Leaving) -> Vec<JobId> {
        self.leaving = leaving.max(self.leaving);
        self.places.iter().map(|(job, _)| *job).collect()
    }

    /// Has the node take nothing on, or go on. A paused node withdraws its bids and finishes what it has a seat for. Every job
    /// is to be asked about again, those without a place here among them.
    pub const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether the node takes on work.
    pub(super) fn takes_on(&self) -> bool {
        !self.paused && self.leaving == Leaving::No
    }

    /// What the node still owes.
    pub fn obligations(&self) -> Obligations {
        let mut owed = Obligations::default();
        for (_, place) in self.places.iter() {
            match place.stage {
                Stage::Candidate => {}
                Stage::Promised { .. } | Stage::Withdrawing => owed.bids += 1,
                Stage::Queued { .. } | Stage::Runs { .. } | Stage::Reports => owed.seats += 1,
                Stage::Opens => owed.openings += 1,
            }
        }
        owed
    }

    /// Records the state of a job.
    fn note(&mut self, view: &ComputeView<'_>, step: &ComputeStep) {
        let job = view.job;
        let before = self.places.get(job.id).map(|place| place.stage);
        let stage = self.stage(view, step, before);
        if before.is_some_and(Stage::has_slot) && !stage.is_some_and(Stage::has_slot) {
            self.busy_since_ms = None;
        }
        let answered = stage.is_some_and(Stage::is_seat);
        let stands = job.standing_bids().any(|(node, _)| node == view.me);
        if job.state != JobState::Open || view.moment.now > job.open_by {
            self.places.end_pause(job.id);
        } else if stands {
            self.places.bid_arrived(job.id);
        }
        if answered {
            self.places.requester_answers(job.requester);
        }
        let Some(stage) = stage else {
            self.places.remove(job.id);
            return;
        };
        let running = job.state_at(view.moment.now).0 == JobState::Running;
        let window = job
            .deal
            .run
            .as_secs()
            .saturating_sub(job.deal.timeout.plus(report_margin(job, view.pace)).as_secs());
        let place = Place {
            requester: job.requester,
            is_known: view.knows_requester,
            submitted_at: job.submitted_at,
            timeout_ms: millis(job.deal.timeout),
            asked: job.spec.resources,
            window_ms: millis(Span::from_secs(window)),
            start_by: running.then(|| compute::start_by(job, view.pace)),
            log: view.log,
            pace: view.pace,
            stage,
        };
        self.places.put(job.id, place);
    }

    fn stage(&self, view: &ComputeView<'_>, step: &ComputeStep, before: Option<Stage>) -> Option<Stage> {
        let (job, since_ms) = (view.job, view.moment.elapsed_ms);
        let slot = before.filter(|stage| stage.has_slot());
        if matches!(view.execution, Execution::Running) {
            return slot.or(Some(Stage::Runs { since_ms }));
        }
        match step {
            ComputeStep::Run => {
                let promised = match before {
                    Some(Stage::Promised { firm_until_ms }) => since_ms < firm_until_ms,
                    Some(Stage::Queued { promised }) => promised,
                    Some(
                        Stage::Candidate
                        | Stage::Withdrawing
                        | Stage::Runs { .. }
                        | Stage::Reports
                        | Stage::Opens,
                    )
                    | None => false,
                };
                return slot.or(Some(Stage::Queued { promised }));
            }
            ComputeStep::Submit(Event::BidPlaced { .. }) => {
                let on_its_way = before.filter(|stage| matches!(stage, Stage::Promised { .. }));
                let may = self.takes_on() && !self.is_paused(job.id, since_ms);
                return on_its_way.filter(|_| may).or(may.then_some(Stage::Candidate));
            }
            ComputeStep::Done => return None,
            ComputeStep::Wait(_) | ComputeStep::Submit(_) => {}
        }
        let is_open = job.state_at(view.moment.now).0 == JobState::Open;
        let promised = job.standing_bids().any(|(node, _)| node == view.me);
        match job.seat_of(view.me).map(|seat| job.seats[usize::from(seat)].status) {
            Some(SeatStatus::Failed(_) | SeatStatus::Revealed(_)) => None,
            Some(SeatStatus::Committed(_)) => Some(Stage::Opens),
            Some(SeatStatus::Accepted) if !is_open => Some(Stage::Reports),
            None if !is_open || !promised => None,
            Some(SeatStatus::Accepted) | None => {
                let known = |stage: &Stage| matches!(stage, Stage::Promised { .. } | Stage::Withdrawing);
                let known = before.filter(known).filter(|stage| {
                    *stage != Stage::Withdrawing || self.is_paused(job.id, since_ms) || !self.takes_on()
                });
                let firm_ms = self.firm_ms(job.requester, (view.log, view.pace), since_ms);
                Some(known.unwrap_or(Stage::Promised { firm_until_ms: since_ms.saturating_add(firm_ms) }))
            }
        }
    }

    fn is_paused(&self, job: JobId, now_ms: u64) -> bool {
        self.places.pause_of(job).is_some_and(|pause| now_ms < pause.until_ms)
    }

    /// Turns what a job wants into what it gets.
    fn gate(&mut self, view: &ComputeView<'_>, step: ComputeStep) -> ComputeStep {
        let (job, now_ms) = (view.job, view.moment.elapsed_ms);
        let Some(place) = self.places.get(job.id).copied() else {
            // Without a place, only what needs no room goes on.
            let until_ms = self.places.pause_of(job.id).map(|pause| pause.until_ms);
            return match step {
                ComputeStep::Submit(Event::BidPlaced { .. }) => waits(view, until_ms),
                ComputeStep::Run | ComputeStep::Wait(_) | ComputeStep::Submit(_) | ComputeStep::Done => step,
            };
        };
        match (place.stage, step) {
            (Stage::Candidate, _) => waits(view, self.room_at_ms(&place, now_ms)),
            (Stage::Queued { .. }, _) => self.queue(view, &place),
            (Stage::Runs { .. }, ComputeStep::Wait(_)) if self.leaving == Leaving::GivingUp => gives_up(),
            (Stage::Promised { .. } | Stage::Withdrawing, ComputeStep::Wait(_)) => self.stand(view, place),
            (_, step) => step,
        }
    }

    /// A bid that stands: how long it stays, and whether the node withdraws it.
    fn stand(&mut self, view: &ComputeView<'_>, place: Place) -> ComputeStep {
        let (job, now_ms) = (view.job, view.moment.elapsed_ms);
        let suspended = matches!(view.log, LogTrust::Requester { suspended: true, .. });
        if job.seat_of(view.me).is_some() || suspended || view.moment.now > job.open_by {
            return waits(view, place.loose_at_ms().filter(|at| *at > now_ms));
        }
        if place.stage == Stage::Withdrawing || !self.takes_on() {
            self.places.set(job.id, Stage::Withdrawing);
            return ComputeStep::Submit(Event::BidWithdrawn);
        }
        if place.is_firm(now_ms) {
            return waits(view, place.loose_at_ms());
        }
        let Some(busy_since_ms) = self.busy_since_ms else { return waits(view, None) };
        let check_ms = busy_since_ms.saturating_add(BUSY_MS);
        if now_ms < check_ms {
            return waits(view, Some(check_ms));
        }
        if self.next_free_ms(now_ms) <= now_ms.saturating_add(place.window_ms) {
            return waits(view, Some(now_ms.saturating_add(BUSY_MS)));
        }
        let withdrawals = self.places.pause_of(job.id).map_or(0, |pause| pause.withdrawals);
        let until_ms =
            now_ms.saturating_add(FIRST_PAUSE_MS.saturating_mul(3_u64.saturating_pow(withdrawals)));
        let withdrawals = withdrawals.saturating_add(1);
        let pause = Pause { requester: job.requester, until_ms, withdrawals, unanswered: false };
        self.places.pause(job.id, pause);
        self.places.set(job.id, Stage::Withdrawing);
        ComputeStep::Submit(Event::BidWithdrawn)
    }

    /// A seat without a slot: how long it waits, and when another bid should have it.
    fn queue(&self, view: &ComputeView<'_>, place: &Place) -> ComputeStep {
        let (job, now, now_ms) = (view.job, view.moment.now, view.moment.elapsed_ms);
        if self.leaving > Leaving::No {
            return gives_up();
        }
        let margin = report_margin(job, view.pace);
        let give_up_after = job.commit_by.minus(margin);
        let hand_over_after = job.refill_by().minus(margin).max(job.seats_changed_at.plus(PATIENCE));
        let others = match job.deal.acceptance {
            Acceptance::FirstCome => true,
            Acceptance::Requester => job.standing_bids().count() > usize::from(job.failed.len()),
        };
        let can_go = others && now <= job.refill_by();
        let waits_for_others =
            || self.may_be_late(job.id, view.moment) || !self.may_run(place, &self.tally(now_ms));
        if can_go && now > hand_over_after && waits_for_others() {
            return gives_up();
        }
        let mut ends = [hand_over_after, job.refill_by(), give_up_after].into_iter();
        let next = Wake::after(ends.find(|end| now <= *end).unwrap_or(job.commit_by));
        let again_ms = (can_go && now > hand_over_after).then_some(now_ms.saturating_add(1000));
        let tally = self.tally(now_ms);
        let held = self.lets_others_go(place, &tally);
        // A seat that lets others go may begin then at the latest: a bid has stayed unanswered for long enough.
        let free_ms = tally.loosens_ms.filter(|_| held);
        ComputeStep::Wait(
            next.or(Wake { deadline: None, elapsed_ms: again_ms.into_iter().chain(free_ms).min() }),
        )
    }
}

impl Stage {
    const fn has_slot(self) -> bool {
        matches!(self, Self::Runs { .. })
    }

    const fn is_queued(self) -> bool {
        matches!(self, Self::Queued { .. })
    }

    /// Whether the requester gave the node a seat, and the job runs.
    const fn is_seat(self) -> bool {
        matches!(self, Self::Queued { .. } | Self::Runs { .. } | Self::Reports | Self::Opens)
    }
}

/// Hands the seat to another node, if there is one and time is left.
const fn gives_up() -> ComputeStep {
    ComputeStep::Submit(Event::FailureReported { kind: FailureKind::Interrupted })
}

/// Until bids end, or until `at_ms`.
fn waits(view: &ComputeView<'_>, at_ms: Option<u64>) -> ComputeStep {
    let wake = Wake::after_next_deadline(view.job, view.moment.now);
    let later = at_ms.map(|at_ms| at_ms.max(view.moment.elapsed_ms.saturating_add(1)));
    ComputeStep::Wait(Wake { elapsed_ms: later, ..wake })
}

fn millis(span: Span) -> u64 {
    u64::from(span.as_secs()) * 1000
}

#[cfg(test)]
mod tests;
