//! A job as the API shows it, in numbers and words.

use std::collections::BTreeMap;

use super::reason;
use super::types::{
    BidState, BidView, Deadline, DeadlineName, ExecutionStage, ExecutionView, JobRow, JobView, Judgement,
    Member, MoneyView, PartyMoney, ReplicationView, ResultView, SeatState, SeatView, VerdictView,
};
use crate::{
    domain::{
        Amount, AuditStage, Job, JobId, JobState, NodeId, Opening, Seat, SeatStatus, SummaryWord, Timestamp,
        Verdict,
    },
    node::{Node, Replicated, RequestError, Snapshot, Summary},
    rules::{self, SeatReason},
    store::{EndedJob, Stage},
};

pub(super) fn row(node: &Node, job: &Job, is_broken: bool, now: Timestamp) -> JobRow {
    JobRow {
        job: job.id,
        requester: job.requester,
        state: job.state_at(now).0,
        is_broken,
        fault: node.evidence(job.id).filter(|_| is_broken).map(|evidence| evidence.kind),
        requester_gone: node.misses_requester(job, now),
        image: job.spec.image_name.clone(),
        member: Member::of(&job.spec.environment),
        command: job.spec.command.clone(),
        concurrency: job.deal.concurrency,
        seats: job.seats.len(),
        accepted: job.verdict.as_ref().map(|verdict| usize::from(verdict.accepted.len())),
        submitted_at: job.submitted_at,
        ended_at: ended_at(job),
    }
}

/// The row of a job that left memory; `None` if an older program wrote what this one cannot read.
pub(super) fn ended_row(ended: &EndedJob) -> Option<JobRow> {
    let Summary { image, command, member, concurrency, seats, accepted, has_seat: _ } =
        serde_json::from_slice(&ended.summary).ok()?;
    let state = JobState::named(&ended.state)?;
    Some(JobRow {
        job: ended.job,
        requester: ended.requester,
        state,
        is_broken: false,
        fault: None,
        requester_gone: false,
        image,
        member,
        command,
        concurrency,
        seats,
        accepted,
        submitted_at: ended.submitted_at,
        ended_at: Some(ended.ended_at),
    })
}

/// All that the node knows of a job.
pub(super) fn job(node: &Node, id: JobId) -> Result<JobView, RequestError> {
    let Snapshot { job, followed_by, broken } = node.describe(id)?;
    let now = node.now();
    let state = job.state_at(now).0;
    let replication = node.replicated(&job).map(|known| {
        let Replicated { plan, own_run, compared } = known;
        ReplicationView { plan, own_run, compared }
    });
    let execution = node.execution(id)?.map(|execution| ExecutionView {
        started_at: execution.started_at,
        stage: match execution.stage {
            Stage::Started => ExecutionStage::Started,
            Stage::Finished(_) => ExecutionStage::Finished,
            Stage::Failed(_) => ExecutionStage::Failed,
        },
        failure: match execution.stage {
            Stage::Failed(kind) => Some(kind),
            Stage::Started | Stage::Finished(_) => None,
        },
    });
    Ok(JobView {
        job: id,
        requester: job.requester,
        spec: (*job.spec).clone(),
        spec_hash: job.spec_hash,
        seed: job.seed(),
        deal: job.deal.clone(),
        asset: node.asset(),
        revision: job.revision,
        quorum: job.quorum(),
        asked: job.asked(),
        audit: job.audit,
        state,
        now,
        submitted_at: job.submitted_at,
        ended_at: ended_at(&job),
        ended_by: job.ended_by,
        deadlines: deadlines(&job, now),
        requester_gone: node.misses_requester(&job, now),
        broken,
        evidence: node.evidence(id),
        bids: bids(&job),
        seats: seats(&job),
        verdict: job.verdict.as_ref().map(|verdict| verdict_view(&job, verdict)),
        failure: failure(&job, state),
        commonest_failure: job.commonest_failure(),
        money: money(&job),
        execution,
        followed_by,
        replication,
        warnings: node.warnings(Some(id)),
    })
}

fn ended_at(job: &Job) -> Option<Timestamp> {
    job.state.is_terminal().then_some(job.ended_at)
}

fn deadlines(job: &Job, now: Timestamp) -> Vec<Deadline> {
    let (_, reveal_by) = job.state_at(now);
    let n = job.asked();
    let unfilled = if job.audit == AuditStage::Drawn { "fails" } else { "expires" };
    let revealed = if job.audit == AuditStage::Undrawn {
        "its requester must have published the secret of its audit"
    } else {
        "nodes must have opened their commitments"
    };
    let all = [
        (DeadlineName::OpenBy, job.open_by, format!("{n} seats must be filled, or the job {unfilled}")),
        (DeadlineName::RefillBy, job.refill_by(), "a failed seat can be given to another node".to_owned()),
        (
            DeadlineName::CommitBy,
            job.commit_by,
            "nodes must have run and committed to their results".to_owned(),
        ),
        (DeadlineName::RevealBy, reveal_by, revealed.to_owned()),
    ];
    let known = |at: Timestamp, name| {
        at != Timestamp::ZERO && (name != DeadlineName::RefillBy || job.commit_by != Timestamp::ZERO)
    };
    all.into_iter()
        .filter(|(name, at, _)| known(*at, *name))
        .map(|(name, at, bounds)| Deadline { name, at, bounds })
        .collect()
}

fn bids(job: &Job) -> Vec<BidView> {
    let view = |(node, bid): (&NodeId, &crate::domain::Bid)| BidView {
        node: *node,
        price: bid.price,
        status: BidState::new(bid.status, bid.epoch == job.epoch),
    };
    job.bids.iter().map(view).collect()
}

/// All seats, and why they stand as they do.
pub fn seats(job: &Job) -> Vec<SeatView> {
    let reasons = match job.state {
        JobState::Verified | JobState::Inconclusive | JobState::Failed => rules::reasons_of(job),
        JobState::Open
        | JobState::Running
        | JobState::Revealing
        | JobState::Cancelled
        | JobState::Expired => Vec::new(),
    };
    let view = |(seat, held): (u8, &Seat)| seat_view(job, seat, held, reasons.get(usize::from(seat)));
    (0..).zip(&job.seats).map(view).collect()
}

fn seat_view(job: &Job, seat: u8, held: &Seat, why: Option<&SeatReason>) -> SeatView {
    let (status, failure, opening) = match held.status {
        SeatStatus::Accepted => (SeatState::Accepted, None, None),
        SeatStatus::Failed(kind) => (SeatState::Failed, Some(kind), None),
        SeatStatus::Committed(_) => (SeatState::Committed, None, None),
        SeatStatus::Revealed(opening) => (SeatState::Revealed, None, Some(opening)),
    };
    let judgement = judgement(job, seat);
    SeatView {
        seat,
        node: held.node,
        price: held.price,
        status,
        failure,
        result: opening.as_ref().map(result_view),
        score: job.verdict.as_ref().and_then(|verdict| verdict.scores.get(&seat).copied()),
        judgement,
        reason: why.map(|why| reason::words(job, held, why, judgement)),
        measured: why.and_then(|why| match why {
            SeatReason::Compared(reason) => Some(*reason),
            SeatReason::NotCommitted
            | SeatReason::Failed(_)
            | SeatReason::NotRevealed
            | SeatReason::Copied { .. }
            | SeatReason::NotCompared => None,
        }),
    }
}

fn result_view(opening: &Opening) -> ResultView {
    let profile = opening.fingerprint.unpack().ok().flatten();
    ResultView {
        exit_code: opening.exit_code,
        result_hash: opening.result_hash,
        output_root: opening.output_root,
        memory_kib: profile.map(|profile| profile.memory_kib),
        cpu_ms: profile.map(|profile| profile.cpu_ms),
        faults: profile.map(|profile| profile.faults),
        summary: Some(opening.summary).filter(|summary| *summary != SummaryWord::VOID),
    }
}

/// The verdict on a seat; in an inconclusive job only absences are judged.
pub(super) fn judgement(job: &Job, seat: u8) -> Option<Judgement> {
    let verdict = job.verdict.as_ref()?;
    if verdict.accepted.contains(seat) {
        Some(Judgement::Accepted)
    } else if verdict.rejected.contains(seat) {
        Some(Judgement::Rejected)
    } else {
        verdict.absent.contains(seat).then_some(Judgement::Absent)
    }
}

fn verdict_view(job: &Job, verdict: &Verdict) -> VerdictView {
    let holder = |seat: u8| job.seat(seat).map(|held| held.node);
    let nodes = |seats: crate::domain::SeatSet| seats.iter().filter_map(holder).collect();
    let scores = verdict.scores.iter().filter_map(|(seat, score)| Some((holder(*seat)?, *score)));
    VerdictView {
        accepted: nodes(verdict.accepted),
        rejected: nodes(verdict.rejected),
        absent: nodes(verdict.absent),
        note: verdict.note,
        method: job.deal.method,
        scores: scores.collect(),
        independent: !job.deal.live_logs,
    }
}

/// What each party locked and gets. `None` where nothing is at stake, or where sums exceed what a log can hold.
fn money(job: &Job) -> Option<MoneyView> {
    if job.deal.escrow().is_none_or(Amount::is_zero) {
        return None;
    }
    let (Ok(locked), Ok(payouts)) = (rules::locked(job), rules::payouts(job)) else { return None };
    let holders = job.seats.iter().map(|seat| seat.node);
    let mut nodes: Vec<NodeId> = Vec::new();
    for node in [job.requester].into_iter().chain(holders).chain(payouts.credits.keys().copied()) {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    let ended = job.state.is_terminal();
    let of = |amounts: &BTreeMap<NodeId, Amount>, node| amounts.get(&node).copied().unwrap_or(Amount::ZERO);
    let party = |node: NodeId| PartyMoney {
        node,
        locked: of(&locked, node),
        paid: ended.then(|| of(&payouts.credits, node)),
    };
    Some(MoneyView { parties: nodes.into_iter().map(party).collect(), burnt: ended.then_some(payouts.burnt) })
}

/// Why there will be no verdict.
fn failure(job: &Job, state: JobState) -> Option<String> {
    let (n, quorum) = (job.asked(), job.quorum());
    let seats = job.seats.len();
    let commonest = job.commonest_failure().map(|kind| format!("; most common reason: {kind}"));
    let commonest = commonest.unwrap_or_default();
    match state {
        JobState::Open | JobState::Running | JobState::Revealing | JobState::Verified => None,
        JobState::Inconclusive => {
            let note = job.verdict.as_ref().map_or("no majority", |verdict| verdict.note.text());
            Some(format!("the results do not single out a majority: {note}"))
        }
        JobState::Failed if rules::owes_first_wave(job) && job.audit == AuditStage::Drawn => Some(format!(
            "its audit found too few nodes: {seats} of {n} seats were filled; the first wave is paid"
        )),
        JobState::Failed if rules::owes_first_wave(job) => {
            Some("its requester withheld the secret of its audit; the first wave is paid".to_owned())
        }
        JobState::Failed if job.committed.len() < quorum => {
            let committed = job.committed.len();
            Some(format!("{committed} of {n} nodes committed to a result, {quorum} are needed{commonest}"))
        }
        JobState::Failed => {
            let revealed = job.revealed.len();
            Some(format!("{revealed} of {n} nodes revealed their result, {quorum} are needed{commonest}"))
        }
        JobState::Cancelled if seats == 0 => Some("its requester cancelled it".to_owned()),
        JobState::Cancelled => Some("its requester stopped it while it ran".to_owned()),
        JobState::Expired => {
            let bids = job.bids.len();
            Some(format!("{seats} of {n} seats were filled in time, from {bids} bids"))
        }
    }
}
