//! How many nodes run a job, decided by what its requester knows of them: what `job submit --replication auto` does.
//!
//! A node is drawn by lot among those that are known. If it is [trusted](super::trust), the job has one seat, which only
//! trusted nodes get, and the chance of a second wave; otherwise it has three seats, open to all. So trusted nodes run
//! alone as often as they are drawn, and others meet them often enough to earn trust. The requester chooses by its answer
//! to bids and names nobody in the deal: an allow-list would tell everyone whom it trusts, and shut the others out of
//! second waves.
//!
//! What came of the job then grows [`Trust`]: [`note`] counts a verdict, [`judge`] a run by the requester itself.

use serde::{Deserialize, Serialize};

use super::trust::{Fared, Level, Trust, TrustTerms, Wave};
use crate::{
    domain::{
        Acceptance, Audit, Deal, Digest, Job, JobState, Method, NodeId, Opening, SeatStatus, SummaryWord,
    },
    rules::{SeatReason, reasons_of},
};

/// How long a job for a trusted node waits for one to bid before it is offered to all, in milliseconds.
pub const TRUSTED_WAIT_MS: u64 = 30_000;

/// What tells the lot of own runs from other uses of the requester's secret.
const CONTEXT: &[u8] = b"assay own run v1\0";

/// Who decides how many nodes run a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Replication {
    /// Its user, by the deal.
    #[default]
    Fixed,
    /// Its requester's node, by what it remembers of others.
    Auto,
}

/// How many nodes run a job, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The node that was drawn.
    pub first: NodeId,
    /// How far it was trusted.
    pub level: Level,
    /// Its compared results in a row.
    pub compared: u32,
    /// How many it needs to be trusted.
    pub needed: u32,
    /// Nodes that the draw was among.
    pub known: u32,
    /// Trusted ones among them.
    pub trusted: u32,
    /// What follows.
    pub wave: Wave,
}

/// What the requester's own run of a job said of the results of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OwnRun {
    /// It is still to come.
    Due,
    /// The accepted result is right.
    Right,
    /// The accepted result is wrong.
    Wrong,
    /// Results were compared with it, none of which was accepted.
    Judged,
    /// Nothing: it gave no result, or one that right runs need not share.
    Nothing,
}

impl Plan {
    /// Draws a node among `nodes`: among those of the circle unless they are few, and among those that were rejected too often
    /// only if there are no others; `None` if nobody is left.
    pub fn draw(trust: &Trust, nodes: &[NodeId], lot: u64) -> Option<Self> {
        let at_most = |most: Level| -> Vec<NodeId> {
            nodes.iter().copied().filter(|node| trust.level(*node) <= most).collect()
        };
        let few = usize::try_from(trust.terms().circle).unwrap_or(usize::MAX);
        let circle = at_most(Level::Untrusted);
        // The others of the circle may have left for good.
        let preferred = if circle.len() < few { at_most(Level::Stranger) } else { circle };
        let among = if preferred.is_empty() { at_most(Level::Doubted) } else { preferred };
        let known = u64::try_from(among.len()).ok().filter(|known| *known > 0)?;
        let first = *among.get(usize::try_from(lot % known).ok()?)?;
        let trusted = at_most(Level::Trusted).len();
        Some(Self {
            first,
            level: trust.level(first),
            compared: trust.record(first).map_or(0, |record| record.compared),
            needed: trust.needed(first),
            known: u32::try_from(known).unwrap_or(u32::MAX),
            trusted: u32::try_from(trusted).unwrap_or(u32::MAX),
            wave: trust.wave(first),
        })
    }

    /// The terms of a job under this plan. What does not say how many nodes run it stays.
    pub fn terms(&self, trust: &TrustTerms, deal: Deal) -> Deal {
        let Wave { seats, audit_permille, audit_seats } = self.wave;
        let audit = (audit_permille > 0).then(|| Audit::requested(audit_permille, audit_seats));
        of_seats(trust, seats, audit, deal)
    }
}

/// The terms of a job for trusted nodes of which none bid: seats for all.
pub fn widened(trust: &TrustTerms, deal: Deal) -> Deal {
    of_seats(trust, trust.seats, None, deal)
}

fn of_seats(trust: &TrustTerms, seats: u8, audit: Option<Audit>, deal: Deal) -> Deal {
    Deal {
        concurrency: seats,
        confidence: seats / 2 + 1,
        acceptance: Acceptance::Requester,
        escalation_limit: trust.most_seats,
        audit,
        ..deal
    }
}

/// Counts the verdict of a job of this requester. Returns how its nodes fared, the requester's own seat left out.
///
/// Only compared results earn trust. Where no majority was found, nobody is to blame.
pub fn note(trust: &mut Trust, job: &Job, me: NodeId) -> Vec<(NodeId, Fared)> {
    let Some(verdict) = job.verdict.as_ref().filter(|_| job.state == JobState::Verified) else {
        return Vec::new();
    };
    let fared = |(seat, node): (u8, NodeId)| {
        let rejected = verdict.rejected.contains(seat).then_some(Fared::Rejected);
        Some((node, if verdict.accepted.contains(seat) { Fared::Kept } else { rejected? }))
    };
    let holders = || (0..).zip(job.seats.iter().map(|seat| seat.node)).filter(|(_, node)| *node != me);
    let fared: Vec<_> = holders().filter_map(fared).collect();
    if job.asked() == 1 {
        fared.iter().for_each(|(node, _)| trust.accepted_alone(job.id, *node));
        return fared;
    }
    trust.compared(job.id, &fared);
    let reasons = reasons_of(job);
    for (seat, node) in holders().filter(|(seat, _)| verdict.accepted.contains(*seat)) {
        if let Some(SeatReason::Compared(reason)) = reasons.get(usize::from(seat))
            && !reason.rule.asks_for_work()
            && let Some(work) = reason.work
        {
            trust.traced(node, work.agrees);
        }
    }
    fared
}

/// Whether the requester's own node runs an ended job too, where it can. `secret` draws the lot: nobody foresees it.
pub fn wants_own_run(trust: &Trust, job: &Job, fared: &[(NodeId, Fared)], secret: Digest) -> bool {
    let lot = Digest::keccak([CONTEXT, secret.as_bytes(), job.id.as_bytes()].concat());
    let [.., a, b, c, d, e, f, g, h] = *lot.as_bytes();
    match job.state {
        JobState::Verified => trust.wants_own_run(u64::from_be_bytes([a, b, c, d, e, f, g, h]), fared),
        // The results disagree.
        JobState::Inconclusive => openings(job).next().is_some(),
        JobState::Open
        | JobState::Running
        | JobState::Revealing
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => false,
    }
}

/// What the requester found by a seat of its own: a run of its own, too.
pub fn own_seat(job: &Job, me: NodeId) -> Option<(Digest, SummaryWord)> {
    openings(job).find(|(node, ..)| *node == me).map(|(.., found)| (found.result_hash, found.summary))
}

/// Compares the results of an ended job with what the requester found by a run of its own. Returns for each node how its
/// result had fared and whether it is right, for [`Trust::proven`], and what that says of the job.
///
/// A difference proves something only where right runs agree: equal outputs are asked for, or a seed makes them equal.
pub fn judge(job: &Job, me: NodeId, found: (Digest, SummaryWord)) -> (Vec<(NodeId, Fared, bool)>, OwnRun) {
    let deal = &job.deal;
    let is_near = deal.method == Method::Near && !deal.deterministic;
    let agree = deal.deterministic || job.spec.seeded || matches!(deal.method, Method::Hash | Method::Near);
    let is_right = |opening: &Opening| {
        let (hash, summary) = found;
        let equal = opening.result_hash == hash && opening.summary == summary;
        equal || (is_near && opening.summary.agrees_with(summary))
    };
    let (mut results, mut own) = (Vec::new(), OwnRun::Nothing);
    for (node, seat, opening) in openings(job).filter(|(node, _, _)| *node != me) {
        let is_right = is_right(opening);
        if !is_right && !agree {
            continue;
        }
        let was = |seats: fn(&crate::domain::Verdict) -> crate::domain::SeatSet| {
            job.verdict.as_ref().is_some_and(|verdict| seats(verdict).contains(seat))
        };
        let is_accepted = was(|verdict| verdict.accepted);
        let fared = if was(|verdict| verdict.rejected) { Fared::Rejected } else { Fared::Kept };
        results.push((node, fared, is_right));
        own = match (is_accepted, is_right) {
            (true, false) => OwnRun::Wrong,
            (true, true) if own != OwnRun::Wrong => OwnRun::Right,
            (false, _) if own == OwnRun::Nothing => OwnRun::Judged,
            (true | false, _) => own,
        };
    }
    (results, own)
}

fn openings(job: &Job) -> impl Iterator<Item = (NodeId, u8, &Opening)> {
    (0..).zip(&job.seats).filter_map(|(seat, held)| match &held.status {
        SeatStatus::Revealed(opening) => Some((held.node, seat, opening)),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
    })
}

#[cfg(test)]
mod tests;
