//! How many nodes run this node's next job, by what it remembers of others.
//!
//! [`crate::policy::replication`] decides; the `memory` is in the database after every change, so a restart forgets nothing.

use std::collections::BTreeSet;

use tracing::{error, warn};

use super::{Node, RequestError};
use crate::{
    domain::{Deal, Digest, Job, JobId, JobState, NodeId, SummaryWord, Timestamp},
    explain::one_line,
    policy::{
        replication::{self, OwnRun, Plan, Replication},
        trust::{Level, Record, Trust},
    },
    scheduler::{BackendError, SubmitError},
    store::{DbError, TrustRow},
};

/// Why a job of this node has as many seats as it has, and what is known of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replicated {
    /// Why; `None` for a follow-up of such a job.
    pub(crate) plan: Option<Plan>,
    /// What this node's own run said.
    pub(crate) own_run: Option<OwnRun>,
    /// The compared results in a row of the node in its first seat, as of now.
    pub(crate) compared: u32,
}

impl Node {
    /// How far this node trusts another as a requester.
    pub(super) fn level(&self, node: NodeId) -> Level {
        self.memory.lock().level(node)
    }

    /// The deal as it is to be submitted, and why, if this node decides that.
    pub(super) fn planned(
        &self,
        deal: Deal,
        replication: Replication,
    ) -> Result<(Deal, Option<Plan>), RequestError> {
        match replication {
            Replication::Fixed => return Ok((deal, None)),
            Replication::Auto => {}
        }
        let (offers, members) = (self.ports.transfer.offers(), self.ports.scheduler.members());
        // Those that run no jobs for others make no offer; where no offer is known, all may.
        let runs_jobs = |node: &NodeId| offers.is_empty() || offers.contains_key(node);
        let may_bid = |node: &NodeId| deal.allow_list.is_empty() || deal.allow_list.contains(node);
        let nodes: Vec<NodeId> =
            members.into_iter().filter(|node| runs_jobs(node) && may_bid(node)).collect();
        let lot = getrandom::u64().map_err(|error| {
            let reason = format!("no randomness from the operating system: {error}");
            SubmitError::NotOrdered(BackendError::Store { reason })
        })?;
        let trust = self.memory.lock();
        let (wanted, known) = (trust.terms().seats, self.bidders());
        let plan = Plan::draw(&trust, &nodes, lot).filter(|_| known >= usize::from(wanted));
        let plan = plan.ok_or(RequestError::NotEnoughNodes { wanted, known })?;
        Ok((plan.terms(trust.terms(), deal), Some(plan)))
    }

    /// Keeps why a job has so many seats, before it is submitted.
    pub(super) fn keep_plan(&self, job: JobId, plan: Option<&Plan>) -> Result<(), DbError> {
        let Some(plan) = plan else { return Ok(()) };
        let encoded =
            serde_json::to_vec(plan).expect("a plan has string keys only, so that JSON can hold it");
        self.records.trust.plan(job, &encoded)
    }

    /// Whether this node decided how many nodes run the job, or the one that it follows up.
    pub(super) fn is_auto(&self, job: &Job) -> bool {
        job.requester == self.me.id && self.replicated_of(job.first).plan.is_some()
    }

    fn replicated_of(&self, job: JobId) -> crate::store::Replicated {
        self.records.trust.replicated(job).unwrap_or_else(|error| {
            error!(%job, error = %one_line(&error), "cannot read how a job is replicated");
            Default::default()
        })
    }

    /// What is known of a job whose number of nodes this node decided.
    pub(crate) fn replicated(&self, job: &Job) -> Option<Replicated> {
        if !self.is_auto(job) {
            return None;
        }
        let kept = self.replicated_of(job.id);
        let trust = self.memory.lock();
        let first = job.seats.first().and_then(|seat| trust.record(seat.node));
        Some(Replicated {
            plan: kept.plan.and_then(|plan| serde_json::from_slice(&plan).ok()),
            own_run: kept.own_run.as_deref().and_then(own_run),
            compared: first.map_or(0, |record| record.compared),
        })
    }

    /// What this node's own run of a job said, once it is over; the caller bounds the wait.
    pub async fn own_run(&self, job: JobId) -> OwnRun {
        let mut noted = self.memory.noted.subscribe();
        loop {
            noted.borrow_and_update();
            match self.replicated_of(job).own_run.as_deref().and_then(own_run) {
                Some(said) if said != OwnRun::Due => return said,
                // The sender is in `self`, so that the wait cannot fail.
                Some(_) | None => drop(noted.changed().await),
            }
        }
    }

    /// Tells the memory who sits in a job of this node, so that jobs at the same time do not each meet nodes of their own.
    pub(super) fn note_seats(&self, job: JobId, mut nodes: BTreeSet<NodeId>) {
        nodes.remove(&self.me.id);
        self.memory.lock().seated(job, nodes);
    }

    /// Counts the end of a job of this node, once.
    pub(super) fn remember(&self, job: &Job) {
        let is_decided = matches!(job.state, JobState::Verified | JobState::Inconclusive);
        if job.requester != self.me.id || !is_decided || self.replicated_of(job.id).counted {
            return;
        }
        let me = self.me.id;
        let is_auto = self.is_auto(job);
        let mut trust = self.memory.lock();
        let fared = replication::note(&mut trust, job, me);
        let found = replication::own_seat(job, me).filter(|_| is_auto);
        let (own_run, again) = match found {
            Some(found) => {
                let (results, own_run) = replication::judge(job, me, found);
                (Some(own_run), trust.proven(job.id, &results))
            }
            None => {
                let runs = self.config.compute_slots > 0 && is_auto;
                let due = runs && replication::wants_own_run(&trust, job, &fared, self.me.secret);
                (due.then_some(OwnRun::Due), Vec::new())
            }
        };
        self.note(&trust, job, own_run, &again);
    }

    /// Counts what this node found by its own run of an ended job; nothing, if that gave no result.
    pub(super) fn judge(&self, job: &Job, found: Option<(Digest, SummaryWord)>) {
        let mut trust = self.memory.lock();
        let (results, own_run) =
            found.map_or((Vec::new(), OwnRun::Nothing), |found| replication::judge(job, self.me.id, found));
        if own_run == OwnRun::Wrong {
            warn!(job = %job.id, "this node's own run gave another result than the accepted one");
        }
        let again = trust.proven(job.id, &results);
        self.note(&trust, job, Some(own_run), &again);
    }

    fn note(&self, trust: &Trust, job: &Job, own_run: Option<OwnRun>, again: &[JobId]) {
        let changed =
            job.seats.iter().filter_map(|seat| trust.record(seat.node).map(|found| (seat.node, found)));
        let rows: Vec<TrustRow> =
            changed.map(|(node, record)| row(node, record.clone(), job.ended_at)).collect();
        let noted = self.records.trust.count(job.id, own_run.map(text), &rows, again);
        if let Err(error) = noted {
            error!(job = %job.id, error = %one_line(&error), "cannot record how far nodes are trusted");
        }
        self.memory.noted.send_modify(|noted| *noted += 1);
    }
}

/// As the store writes it.
const fn text(own_run: OwnRun) -> &'static str {
    match own_run {
        OwnRun::Due => "due",
        OwnRun::Right => "right",
        OwnRun::Wrong => "wrong",
        OwnRun::Judged => "judged",
        OwnRun::Nothing => "nothing",
    }
}

fn own_run(written: &str) -> Option<OwnRun> {
    let all = [OwnRun::Due, OwnRun::Right, OwnRun::Wrong, OwnRun::Judged, OwnRun::Nothing];
    all.into_iter().find(|own_run| text(*own_run) == written)
}

fn row(node: NodeId, record: Record, last: Timestamp) -> TrustRow {
    let Record { compared, kept, rejected, proofs, odd, unchecked } = record;
    TrustRow { node, compared, kept, rejected, proofs, odd, unchecked: unchecked.into(), last }
}
