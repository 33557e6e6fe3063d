//! What an audit came to.

use serde::{Deserialize, Serialize};

use super::document::Claim;
use crate::{domain::Job, scheduler::FaultKind};

/// What an audit came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The log holds, it ends the job, and it says what is claimed.
    Agrees,
    /// The log holds, and says something else than is claimed.
    Differs,
    /// The log holds, and does not end the job: what becomes of it is open.
    Undecided,
    /// The log is of a contract, and nobody asked the chain: it may be made up.
    NotChecked,
    /// The requester signed two histories of the job, or of one that it follows up: this log is only one of them.
    Forked,
    /// The requester signed an entry that the rules refuse, and went on.
    Broken,
}

/// What a log says, and how far that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The job as the log makes it.
    pub job: Job,
    /// How many entries the logs have, those of the jobs that this one follows up included.
    pub entries: usize,
    /// How many of them bear signatures that hold: all, or none where a contract orders them.
    pub signed: usize,
    /// What the log says of the job's end.
    pub found: Claim,
    /// What this comes to.
    pub finding: Finding,
}

impl Audit {
    /// An audit of logs of this many entries that end in `job`, compared with no claim yet.
    pub(super) fn new(job: Job, entries: usize, signed: usize) -> Self {
        let found = Claim::of(&job);
        let finding = if job.state.is_terminal() { Finding::Agrees } else { Finding::Undecided };
        Self { job, entries, signed, found, finding }
    }

    /// The same of logs that their requester broke so.
    pub(super) fn broken_by(mut self, fault: Option<FaultKind>) -> Self {
        self.finding = match fault {
            None => self.finding,
            Some(FaultKind::TwoHistories) => Finding::Forked,
            Some(FaultKind::RuleBroken) => Finding::Broken,
        };
        self
    }

    /// Compares what the log says with a claim. Where the log has no end yet, a claim may say that a deadline has
    /// passed meanwhile, but nothing that an entry would have to say.
    #[must_use]
    pub fn compared(mut self, claim: &Claim) -> Self {
        let differs =
            if self.job.state.is_terminal() { self.found != *claim } else { claim.needs_an_entry() };
        self.finding = match self.finding {
            // No claim about one of two histories is worth comparing.
            Finding::Forked | Finding::Broken => self.finding,
            Finding::Agrees | Finding::Differs | Finding::Undecided | Finding::NotChecked if differs => {
                Finding::Differs
            }
            Finding::Agrees | Finding::Differs | Finding::Undecided | Finding::NotChecked => self.finding,
        };
        self
    }

    /// The same without the word of a chain: what agrees was not checked.
    pub(super) fn unchecked(mut self) -> Self {
        self.finding = match self.finding {
            Finding::Agrees | Finding::Undecided | Finding::NotChecked => Finding::NotChecked,
            Finding::Differs | Finding::Forked | Finding::Broken => self.finding,
        };
        self
    }

    /// Whether the log proves what is claimed.
    pub fn agrees(&self) -> bool {
        self.finding == Finding::Agrees
    }
}
