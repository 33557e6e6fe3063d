//! Towards what was not seen yet: chance alone would need a hundred times as many jobs.

use assay::{
    domain::{
        Acceptance, AuditSecret, AuditStage, BidStatus, Digest, Event, EventKind, Facts, FailureKind, Job,
        JobState, NodeId, Opening, SeatOpening, SeatSet, SeatStatus, Span, Stamped, Timestamp,
    },
    rules::{self, Rejection},
};

use super::{
    super::{REQUESTER, STRANGER},
    Move, Script, secret,
};
use crate::differential::sides::{Act, Step};

impl Script {
    /// Steps of which a look at the job tells what comes of them: mostly refusals.
    pub(in crate::differential) fn pointed(&self, number: usize, job: &Job, now: Timestamp) -> Vec<Step> {
        let step = |who, act| Step { who, job: number, knows_deal: true, act };
        let plain = |who, event| step(who, Act::Plain(event));
        let who = |node: NodeId| self.ids.iter().position(|id| *id == node).unwrap();
        let price = job.deal.price;
        let mut steps = vec![
            plain(REQUESTER, Event::Cancelled),
            plain(REQUESTER, Event::Stopped),
            plain(REQUESTER, Event::Ticked),
            plain(REQUESTER, Event::SecretPublished { secret: secret(self.submissions[number].nonce) }),
            plain(REQUESTER, Event::SecretPublished { secret: AuditSecret::ZERO }),
        ];
        steps.extend((1..=STRANGER).map(|who| plain(who, Event::BidPlaced { price })));
        for (node, bid) in &job.bids {
            let (node, holder) = (*node, who(*node));
            steps.push(plain(holder, Event::BidPlaced { price: bid.price }));
            steps.push(plain(holder, Event::BidWithdrawn));
            steps.push(plain(holder, Event::FailureReported { kind: FailureKind::Disk }));
            steps.push(step(holder, Act::Commit { seat: 0, result: None }));
            steps.push(plain(REQUESTER, Event::BidAccepted { node }));
            steps.push(plain(REQUESTER, Event::BidRejected { node }));
            steps.push(plain(REQUESTER, Event::Remarked { node, remark: "x".repeat(257) }));
            let opening = self.sealed.values().next().copied();
            let seat = job.seat_of(node).unwrap_or(0);
            steps.extend(opening.map(|opening| plain(holder, Event::Revealed { seat, opening })));
        }
        if job.state_at(now).0 == JobState::Revealing {
            self.ends(number, job, |event| steps.push(plain(STRANGER, event)));
        }
        steps
    }

    /// Verdicts and other ends that are mostly refused.
    fn ends(&self, number: usize, job: &Job, mut end: impl FnMut(Event)) {
        let known = rules::openings_of(job);
        let given = |(seat, opening): (&u8, &Opening)| SeatOpening { seat: *seat, opening: *opening };
        let mut openings: Vec<SeatOpening> = known.iter().map(given).collect();
        let right = rules::verdict_of(job, &known).accepted;
        end(Event::Expired);
        end(Event::VerdictPosted { openings: Vec::new(), accepted: right });
        end(Event::VerdictPosted { openings: openings.clone(), accepted: right.with(30) });
        openings.reverse();
        end(Event::VerdictPosted { openings, accepted: right });
        let hidden = job.committed.iter().find(|seat| !job.revealed.contains(*seat));
        if let Some((seat, opening)) = hidden.and_then(|seat| Some((seat, self.opening(number, job, seat)?)))
        {
            let openings = vec![SeatOpening { seat, opening }];
            end(Event::VerdictPosted { openings, accepted: right });
        }
    }

    /// Something of which the outcome was not seen yet.
    pub(super) fn unseen(&mut self, number: usize, job: &Job, now: Timestamp) -> Option<Move> {
        let mut steps = self.pointed(number, job, now);
        steps.retain(|step| {
            let event = match &step.act {
                Act::Plain(event) => event.clone(),
                Act::Commit { .. } => Event::Committed { commitment: Digest::ZERO },
                Act::Submit(_) | Act::Update { .. } => return false,
            };
            let (kind, author) = (event.kind(), self.ids[step.who]);
            let parent = self.submissions[number].parent.and_then(|parent| self.seated.get(&parent));
            let sat_in_parent = parent.is_some_and(|seated| seated.contains(&author));
            let (facts, revision) = (Facts { sat_in_parent, ..Facts::MONEYLESS }, job.revision);
            let stamped = Stamped { job: job.id, author, at: now, revision, facts, event };
            match rules::transition(job, &stamped) {
                Ok(_) => !self.taken.contains(&kind),
                Err(rejection) => !self.rejected.contains(&rejection),
            }
        });
        let index = usize::try_from(self.chance.within(0..1 << 20)).unwrap() % steps.len().max(1);
        steps.into_iter().nth(index).map(|step| Move::Take(Box::new(step)))
    }

    /// A step towards what takes more than one, and was not seen yet.
    pub(super) fn steer(&mut self, number: usize, job: &Job, now: Timestamp) -> Option<Move> {
        let (state, reveal_by) = job.state_at(now);
        let lacks = |rejection| !self.rejected.contains(&rejection);
        let after = |at: Timestamp| Some(Move::Wait(at.plus(Span::from_secs(1))));
        let plain = |who, event| Some(Self::plain(who, number, event));
        let verdict = |openings| Event::VerdictPosted { openings, accepted: SeatSet::EMPTY };
        let has_quorum = |seats: SeatSet| seats.len() >= job.quorum();
        let who = |node: NodeId| self.ids.iter().position(|id| *id == node).unwrap();
        let by_requester = job.deal.acceptance == Acceptance::Requester;
        let with =
            |status: BidStatus| job.bids.iter().find(|(_, bid)| bid.status == status).map(|(node, _)| *node);
        match state {
            JobState::Open if now > job.open_by => None,
            JobState::Open => {
                if !self.taken.contains(&EventKind::DealUpdated)
                    && job.seats.is_empty()
                    && !job.bids.is_empty()
                {
                    return Some(self.update(number, job));
                }
                let withdrawn = with(BidStatus::Withdrawn).filter(|_| !self.skipped && by_requester);
                if let Some(node) = withdrawn {
                    return plain(REQUESTER, Event::BidAccepted { node });
                }
                // One more bid than seats, for a seat that fails.
                let spare = job.bids.len() <= usize::from(job.asked());
                (by_requester && !self.refilled && spare).then(|| self.bid(number, job))
            }
            JobState::Running => {
                let open = job.seats.iter().find(|seat| seat.status == SeatStatus::Accepted);
                let spare = with(BidStatus::Standing).filter(|_| by_requester && now < job.refill_by());
                if let (Some(node), Some(held)) = (spare.filter(|_| !self.refilled), open) {
                    let failed = Event::FailureReported { kind: FailureKind::Image };
                    let accepted = Event::BidAccepted { node };
                    return if job.failed.is_empty() {
                        plain(who(held.node), failed)
                    } else {
                        plain(REQUESTER, accepted)
                    };
                }
                let is_late_enough = has_quorum(job.committed) && open.is_some();
                let untold = lacks(Rejection::NotCommitted) || !self.taken.contains(&EventKind::Ticked);
                if is_late_enough && untold { after(job.commit_by) } else { None }
            }
            JobState::Revealing if job.audit == AuditStage::Undrawn => {
                // The one log that knows of a close only by an entry needs the tick first.
                if job.state == JobState::Running && !self.with_money {
                    return plain(REQUESTER, Event::Ticked);
                }
                let known = self.sealed.values().next().copied();
                let sealed = job.committed.first();
                if lacks(Rejection::WrongSecret) {
                    return plain(REQUESTER, Event::SecretPublished { secret: AuditSecret::ZERO });
                }
                if let (Some(opening), Some(seat), true) = (known, sealed, lacks(Rejection::AwaitsSecret)) {
                    return plain(STRANGER, Event::Revealed { seat, opening });
                }
                let secret = secret(self.submissions[number].nonce);
                plain(REQUESTER, Event::SecretPublished { secret })
            }
            JobState::Revealing if job.audit == AuditStage::Spared && lacks(Rejection::NoDrawDue) => {
                plain(REQUESTER, Event::SecretPublished { secret: AuditSecret::ZERO })
            }
            JobState::Revealing => {
                if job.state == JobState::Running && !self.taken.contains(&EventKind::Ticked) {
                    return plain(REQUESTER, Event::Ticked);
                }
                let idle = (0..).zip(&job.seats).find(|(_, held)| held.status == SeatStatus::Accepted);
                let known = self.sealed.values().next().copied();
                if let (Some((seat, held)), Some(opening), true) =
                    (idle, known, lacks(Rejection::NotCommitted))
                {
                    return plain(who(held.node), Event::Revealed { seat, opening });
                }
                let hidden = job.committed.iter().filter(|seat| !job.revealed.contains(*seat));
                let hidden = hidden
                    .filter_map(|seat| Some(SeatOpening { seat, opening: self.opening(number, job, seat)? }));
                let hidden: Vec<SeatOpening> = hidden.take(1).collect();
                if let (Some(SeatOpening { seat, opening }), false) = (hidden.first(), self.stranger_opened) {
                    self.stranger_opened = true;
                    return plain(STRANGER, Event::Revealed { seat: *seat, opening: *opening });
                }
                let late = now > reveal_by;
                let step = if has_quorum(job.revealed) && lacks(Rejection::VerdictDue) {
                    Event::Expired
                } else if !hidden.is_empty() && !job.revealed.is_empty() && lacks(Rejection::OpeningTooLate) {
                    verdict(hidden)
                } else if late && !has_quorum(job.revealed) && lacks(Rejection::QuorumNotRevealed) {
                    verdict(Vec::new())
                } else {
                    return None;
                };
                if late { plain(STRANGER, step) } else { after(reveal_by) }
            }
            JobState::Verified
            | JobState::Inconclusive
            | JobState::Failed
            | JobState::Cancelled
            | JobState::Expired => None,
        }
    }

    /// What came of a step.
    pub(in crate::differential) fn note(&mut self, kind: EventKind, refusal: Option<Rejection>) {
        match refusal {
            None => drop(self.taken.insert(kind)),
            Some(rejection) => drop(self.rejected.insert(rejection)),
        }
    }
}
