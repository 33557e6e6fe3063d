//! Which job gets the next slot, and which the next promise of one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use super::{
    Capacity, FIRM_MS, FIRM_NEUTRAL_MS, LEAST_FIRM_MS, Leaving, PROMISES_A_SLOT, Place, Stage,
    holders::{Holders, Runner},
    places::{Share, Tally},
};
use crate::{
    domain::{JobId, NodeId, Pace, Resources, Timestamp},
    policy::{Moment, compute::LogTrust},
};

impl Capacity {
    /// How many runs have a slot, or are about to get one.
    pub fn running(&self) -> usize {
        self.count(|place| place.stage.has_slot())
    }

    /// How many seats wait for a slot.
    pub fn queued(&self) -> usize {
        self.count(|place| place.stage.is_queued())
    }

    /// How many promises bind the node at `now_ms`: runs, queued seats and fresh bids.
    pub fn firm(&self, now_ms: u64) -> usize {
        self.count(|place| place.is_firm(now_ms))
    }

    fn count(&self, is_so: impl Fn(&Place) -> bool) -> usize {
        self.places.iter().filter(|(_, place)| is_so(place)).count()
    }

    /// Gives slots to queued seats and promises to candidates while there is room. Returns who got something.
    pub(super) fn share_out(&mut self, moment: Moment) -> Vec<JobId> {
        let (now_ms, mut given) = (moment.elapsed_ms, Vec::new());
        self.keep_tally(now_ms);
        let mut running = self.tally(now_ms).runs().count();
        if self.takes_on() {
            // Promises first, because a seat may have to leave its slot to one.
            while let Some(job) = self.next_candidate(now_ms) {
                let Some(Place { requester, log, pace, .. }) = self.places.get(job).copied() else { break };
                let firm_until_ms = now_ms.saturating_add(self.firm_ms(requester, (log, pace), now_ms));
                self.places.set(job, Stage::Promised { firm_until_ms });
                self.keep_tally(now_ms);
                given.push(job);
            }
        }
        if self.leaving == Leaving::No {
            while running < self.slots
                && let Some(job) = self.most_urgent(moment)
            {
                self.last_run = self.places.get(job).map(Runner::of);
                self.places.set(job, Stage::Runs { since_ms: now_ms });
                self.keep_tally(now_ms);
                given.push(job);
                running += 1;
            }
        }
        let busy = running >= self.slots;
        self.busy_since_ms = busy.then(|| self.busy_since_ms.unwrap_or(now_ms));
        given
    }

    /// The queued seat whose run must begin first. A seat that is too late for a whole run may still succeed. It comes first
    /// if the most urgent of the others can wait for its whole run, and last otherwise.
    fn most_urgent(&self, moment: Moment) -> Option<JobId> {
        let (now, tally) = (moment.now, self.tally(moment.elapsed_ms));
        let may_begin = |place: &Place| {
            place.stage.is_queued() && self.may_run(place, &tally) && !self.lets_others_go(place, &tally)
        };
        let queued = || tally.firm.iter().filter(|(_, place)| may_begin(place));
        let first = |late: bool| {
            let alike = queued().filter(move |(_, place)| place.is_late(now) == late);
            alike.min_by_key(|(id, place)| place.urgency(*id, now))
        };
        let (Some((timely, next)), Some((late, other))) = (first(false), first(true)) else {
            return first(false).or(first(true)).map(|(id, _)| *id);
        };
        let after_ms = now.as_secs().saturating_mul(1000).saturating_add(other.timeout_ms);
        let can_wait = next.start_by.is_none_or(|by| by.as_secs().saturating_mul(1000) >= after_ms);
        Some(if can_wait { *late } else { *timely })
    }

    /// Whether a queued seat's run may begin too late for its whole timeout if those before it take theirs.
    pub(super) fn may_be_late(&self, job: JobId, moment: Moment) -> bool {
        let Some(place) = self.places.get(job) else { return false };
        let tally = self.tally(moment.elapsed_ms);
        let (urgency, holders) = (place.urgency(job, moment.now), Holders::of(self, &tally));
        let before = tally.firm.iter().filter(|(id, other)| {
            let first = holders.yields(place, other)
                || (!holders.yields(other, place) && other.urgency(*id, moment.now) < urgency);
            other.stage.has_slot() || (other.stage.is_queued() && first)
        });
        let free_ms = free_after_ms(self.slots, before.map(|(_, place)| place), moment.elapsed_ms);
        let left_secs = place.start_by.map_or(0, |by| by.as_secs().saturating_sub(moment.now.as_secs()));
        free_ms > moment.elapsed_ms.saturating_add(left_secs.saturating_mul(1000))
    }

    /// The next job to bid on, if the node can promise it a slot. A younger job that would fit does not overtake it, or a
    /// job with a long timeout would wait for ever.
    fn next_candidate(&self, now_ms: u64) -> Option<JobId> {
        let tally = self.tally(now_ms);
        let job = tally.first?;
        let place = self.places.get(job)?;
        let fits =
            self.fits_at_ms(place, now_ms).is_none() && self.has_room_beside(place.asked, tally.firm());
        (fits && tally.firm.len() < self.slots.saturating_mul(PROMISES_A_SLOT)).then_some(job)
    }

    /// The job whose turn it is to get a bid.
    pub(super) fn first_candidate(&self, shares: &BTreeMap<NodeId, Share>) -> Option<JobId> {
        let candidates = self.places.iter().filter(|(_, place)| place.stage == Stage::Candidate);
        let ranked = candidates.filter_map(|(id, place)| {
            let share = shares.get(&place.requester).copied().unwrap_or_default();
            // One that never fits would keep the others waiting for ever.
            self.could_ever_run(place.asked).then_some(())?;
            share.admits_one_more(self.slots).then_some((share, place.submitted_at, *id))
        });
        ranked.min().map(|(.., job)| job)
    }

    /// Whether a container with these limits fits beside those of `others`.
    pub(super) fn has_room_beside<'a>(
        &self,
        asked: Resources,
        others: impl Iterator<Item = &'a Place>,
    ) -> bool {
        let others = others.map(|place| place.asked);
        self.together.has_room_for(others.chain(self.own_run).chain([asked]))
    }

    /// Whether a seat's container fits beside those that run. Beside none each does: the bound may be lower than it was when the
    /// node took the seat, and a seat that never runs costs its bond.
    pub(super) fn may_run(&self, place: &Place, tally: &Tally) -> bool {
        let is_alone = tally.runs().next().is_none() && self.own_run.is_none();
        is_alone || self.has_room_beside(place.asked, tally.runs())
    }

    /// How long a new bid to a requester stays firm. A requester on a chain gathers bids for a while, and its acceptance
    /// takes about as long to be read; so it does for an offer, whose log is the requester's until the chain has the job.
    pub(super) fn firm_ms(&self, requester: NodeId, (log, pace): (LogTrust, Pace), now_ms: u64) -> u64 {
        let least = match log {
            LogTrust::Neutral => FIRM_NEUTRAL_MS,
            LogTrust::Requester { .. } => FIRM_MS,
        };
        let most = least.max(pace.bid_window_ms.saturating_mul(2));
        let unanswered = self.tally(now_ms).shares.get(&requester).map_or(0, |share| share.unanswered);
        (most / u64::try_from(unanswered + 1).unwrap_or(u64::MAX)).max(LEAST_FIRM_MS)
    }

    /// When the node could keep a promise to this job in any case; `None` if it can now.
    pub(super) fn fits_at_ms(&self, place: &Place, now_ms: u64) -> Option<u64> {
        let free_ms = self.free_for_ms(place, now_ms).saturating_sub(place.window_ms);
        (free_ms > now_ms).then_some(free_ms)
    }

    /// When the next slot is free for this job, if every promised run takes its whole timeout.
    ///
    /// Seats that let it go first keep the slots that their party holds. The node promises a job that would have to wait no
    /// more than the job's own party can keep when others come.
    fn free_for_ms(&self, place: &Place, now_ms: u64) -> u64 {
        let tally = self.tally(now_ms);
        if self.slots < 2 {
            return self.next_free_ms(now_ms);
        }
        let holders = Holders::of(self, &tally);
        let (party, others): (Vec<&Place>, Vec<&Place>) =
            tally.firm().partition(|other| !other.is_fresh() && holders.yields(other, place));
        let held = party.iter().filter(|other| other.stage.has_slot()).count();
        let theirs = free_after_ms(held, party.into_iter(), now_ms);
        let free_ms = theirs.min(free_after_ms(self.slots.saturating_sub(held), others.into_iter(), now_ms));
        if free_ms <= now_ms {
            return free_ms;
        }
        let most = Holders::most(self.slots);
        let own = tally.firm().filter(|other| other.requester == place.requester);
        let strangers = tally.firm().filter(|other| !other.is_known && !place.is_known);
        free_ms.max(free_after_ms(most, own, now_ms)).max(free_after_ms(most, strangers, now_ms))
    }

    /// When there may be room for this job even if nothing happens: a bid becomes loose, or runs near their timeouts.
    pub(super) fn room_at_ms(&self, place: &Place, now_ms: u64) -> Option<u64> {
        let loosens_ms = self.tally(now_ms).loosens_ms;
        loosens_ms.into_iter().chain(self.fits_at_ms(place, now_ms)).min()
    }

    /// When the next slot is free, if every promised run takes its whole timeout.
    pub(super) fn next_free_ms(&self, now_ms: u64) -> u64 {
        free_after_ms(self.slots, self.tally(now_ms).firm(), now_ms)
    }
}

/// When one of `slots` slots is free after these runs and promises, in any order; never if there are none.
fn free_after_ms<'a>(slots: usize, firm: impl Iterator<Item = &'a Place>, now_ms: u64) -> u64 {
    let mut free: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let mut waiting = Vec::new();
    for place in firm {
        match place.stage {
            Stage::Runs { since_ms } => {
                free.push(Reverse(since_ms.saturating_add(place.timeout_ms).max(now_ms)));
            }
            Stage::Candidate
            | Stage::Promised { .. }
            | Stage::Withdrawing
            | Stage::Queued { .. }
            | Stage::Reports
            | Stage::Opens => waiting.push(place.timeout_ms),
        }
    }
    // A party may run more than its part while nobody else waits.
    while free.len() > slots.max(1) {
        free.pop();
    }
    while free.len() < slots {
        free.push(Reverse(now_ms));
    }
    for timeout_ms in waiting {
        if let Some(Reverse(at_ms)) = free.pop() {
            free.push(Reverse(at_ms.saturating_add(timeout_ms)));
        }
    }
    free.peek().map_or(u64::MAX, |Reverse(at_ms)| *at_ms)
}

impl Place {
    /// The order in which queued seats get slots.
    fn urgency(&self, job: JobId, now: Timestamp) -> (bool, Option<Timestamp>, Timestamp, JobId) {
        (self.is_late(now), self.start_by, self.submitted_at, job)
    }

    /// Whether a run that takes its whole timeout comes too late.
    fn is_late(&self, now: Timestamp) -> bool {
        self.start_by.is_some_and(|start_by| now > start_by)
    }

    /// Whether the promise binds the node.
    pub(super) fn is_firm(&self, now_ms: u64) -> bool {
        match self.stage {
            Stage::Queued { .. } | Stage::Runs { .. } => true,
            Stage::Promised { .. } => !self.is_loose(now_ms),
            Stage::Candidate | Stage::Withdrawing | Stage::Reports | Stage::Opens => false,
        }
    }

    /// Whether the place is a bid's.
    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self.stage, Stage::Promised { .. })
    }

    pub(super) fn is_loose(&self, now_ms: u64) -> bool {
        self.stage == Stage::Withdrawing || self.loose_at_ms().is_some_and(|at_ms| now_ms >= at_ms)
    }

    /// When the bid has waited long enough.
    pub(super) fn loose_at_ms(&self) -> Option<u64> {
        match self.stage {
            Stage::Promised { firm_until_ms } => Some(firm_until_ms),
            Stage::Candidate
            | Stage::Withdrawing
            | Stage::Queued { .. }
            | Stage::Runs { .. }
            | Stage::Reports
            | Stage::Opens => None,
        }
    }
}
