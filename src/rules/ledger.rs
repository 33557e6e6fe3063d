//! All jobs of a log, folded from its events.

use std::collections::BTreeMap;

use super::{
    Accounts, Rejection,
    payout::{MoneyError, held},
    sound::sound,
    transition::{check, open},
};
use crate::domain::{Amount, BidStatus, Event, Facts, Job, JobId, LogDomain, NodeId, Stamped};

/// Every job that a log made, and the money behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    domain: LogDomain,
    jobs: BTreeMap<JobId, Job>,
    children: BTreeMap<JobId, JobId>,
    accounts: Accounts,
}

impl Ledger {
    /// A ledger without jobs.
    pub const fn new(domain: LogDomain) -> Self {
        Self { domain, jobs: BTreeMap::new(), children: BTreeMap::new(), accounts: Accounts::new() }
    }

    /// The log that this is the fold of.
    pub const fn domain(&self) -> LogDomain {
        self.domain
    }

    /// Folds one event.
    ///
    /// # Errors
    /// What the rules refuse, and [`Rejection::NotFunded`] where these books lack money that `facts` vouch for. Then
    /// nothing has changed.
    pub fn apply(&mut self, stamped: &Stamped<Event>) -> Result<&Job, Rejection> {
        if !self.jobs.contains_key(&stamped.job) {
            return self.open(stamped);
        }
        let job = self.jobs.get_mut(&stamped.job).ok_or(Rejection::NoSuchJob)?;
        let effect = check(job, stamped)?;
        if self.accounts.is_used() {
            let mut next = job.clone();
            effect.apply(&mut next, stamped.at);
            let movement = self.accounts.movement(Some(job), &next).map_err(not_funded)?;
            self.accounts.book(movement);
            *job = next;
        } else {
            effect.apply(job, stamped.at);
        }
        Ok(job)
    }

    /// The job as [`Self::apply`] would leave it.
    ///
    /// # Errors
    /// What the rules refuse.
    pub fn preview(&self, stamped: &Stamped<Event>) -> Result<Job, Rejection> {
        let Some(known) = self.get(stamped.job) else {
            let Event::Submitted { deal, .. } = &stamped.event else { return Err(Rejection::NoSuchJob) };
            let parent = deal.parent.filter(|parent| !self.children.contains_key(parent));
            return open(self.domain, parent.and_then(|parent| self.get(parent)), stamped);
        };
        let mut job = known.clone();
        check(&job, stamped)?.apply(&mut job, stamped.at);
        Ok(job)
    }

    fn open(&mut self, stamped: &Stamped<Event>) -> Result<&Job, Rejection> {
        let Event::Submitted { deal, .. } = &stamped.event else {
            return Err(Rejection::NoSuchJob);
        };
        let parent = deal.parent.filter(|parent| !self.children.contains_key(parent));
        let job = open(self.domain, parent.and_then(|parent| self.jobs.get(&parent)), stamped)?;
        if self.accounts.is_used() {
            let movement = self.accounts.movement(None, &job).map_err(not_funded)?;
            self.accounts.book(movement);
        }
        if let Some(parent) = parent {
            self.children.insert(parent, job.id);
        }
        Ok(self.jobs.entry(job.id).or_insert(job))
    }

    /// Drops a job in which nothing of this log's money is held.
    pub fn forget(&mut self, job: JobId) {
        let Some(gone) = self.jobs.remove(&job) else { return };
        if let Some(parent) = gone.deal.parent {
            self.children.remove(&parent);
        }
    }

    /// Takes back a job that ended and was forgotten, and the job that followed it up.
    pub fn recall(&mut self, job: Job, followed_by: Option<JobId>) {
        if let Some(child) = followed_by {
            self.children.insert(job.id, child);
        }
        if let Some(parent) = job.deal.parent {
            self.children.insert(parent, job.id);
        }
        self.jobs.insert(job.id, job);
    }

    /// The job with this id.
    pub fn get(&self, job: JobId) -> Option<&Job> {
        self.jobs.get(&job)
    }

    /// Every job, by id.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// Jobs that can still change.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(|job| !job.state.is_terminal())
    }

    /// The follow-up of an inconclusive job.
    pub fn child_of(&self, parent: JobId) -> Option<JobId> {
        self.children.get(&parent).copied()
    }

    /// The money.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The money, to deposit some.
    pub const fn accounts_mut(&mut self) -> &mut Accounts {
        &mut self.accounts
    }

    /// What this ledger knows about an event that `author` would like to add now.
    pub fn facts(&self, job: JobId, author: NodeId, event: &Event) -> Facts {
        let known = self.get(job);
        let is_locked = |node| known.is_some_and(|job| held(job).is_ok_and(|held| held.contains_key(&node)));
        let affords = |node: NodeId, amount: Option<Amount>| {
            let in_escrow = |job: &Job| job.deal.escrow().filter(|_| node == job.requester);
            let updates = matches!(event, Event::DealUpdated { .. });
            let returned = known.filter(|_| updates && is_locked(node)).and_then(in_escrow);
            let free = self.accounts.free(node).checked_add(returned.unwrap_or(Amount::ZERO));
            amount.is_some_and(|amount| free.is_some_and(|free| free >= amount))
        };
        let bond = known.map(|job| job.deal.bond);
        let funded = match event {
            Event::Submitted { deal, .. } | Event::DealUpdated { deal } => affords(author, deal.escrow()),
            Event::BidPlaced { .. } => affords(author, bond),
            Event::BidAccepted { node } => affords(*node, bond),
            Event::Cancelled
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
            | Event::Ticked => true,
        };
        let parent = known.and_then(|job| job.deal.parent).and_then(|parent| self.get(parent));
        let sat_in_parent = parent.is_some_and(|parent| {
            let bid = parent.bids.get(&author);
            bid.is_some_and(|bid| matches!(bid.status, BidStatus::Seated(_)))
        });
        Facts { funded, paid: self.accounts.paid(author), sat_in_parent, bids_bounded: true }
    }

    /// Everything that belongs to somebody or was burnt: only deposits change it.
    pub fn total_money(&self) -> Option<Amount> {
        let locked: Option<Amount> = self
            .jobs
            .values()
            .map(|job| held(job).ok()?.values().sum::<Option<Amount>>())
            .try_fold(Amount::ZERO, |total, held| total.checked_add(held?));
        self.accounts.total_free()?.checked_add(locked?)?.checked_add(self.accounts.burnt())
    }

    /// Checks what must hold after every event.
    ///
    /// # Panics
    /// When it does not; for tests and simulations.
    pub fn assert_invariants(&self) {
        for job in self.jobs.values() {
            assert_eq!(sound(job), Ok(()), "{job:?}");
        }
    }
}

/// The one thing that can be wrong with the money of an event that the rules accept: the author lacks it.
fn not_funded(error: MoneyError) -> Rejection {
    match error {
        MoneyError::TooMuch | MoneyError::Overdrawn { .. } => Rejection::NotFunded,
    }
}
