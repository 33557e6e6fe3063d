//! What a verdict says, and the one rule that makes it a verdict.

use std::collections::BTreeMap;

use serde::Serialize;

pub use crate::domain::Note;

/// Which runs agreed, or that the runs cannot be told apart. Runs are named by their index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Whether there is a verdict.
    #[serde(rename = "outcome")]
    pub decision: Decision,
    /// The runs that agree, ascending; empty without a verdict.
    pub accepted: Vec<usize>,
    /// The runs that were compared and do not agree, ascending; empty without a verdict.
    pub rejected: Vec<usize>,
    /// The runs that brought nothing to compare, ascending; under a verdict the three lists hold every run.
    pub absent: Vec<usize>,
    /// Each compared run's score: for `kmeans` 10 n times its distance from the mean of the n runs in the
    /// first round, for `ball` 10 times its distance from the centre, in KiB. Empty where no scorer was
    /// asked or it had nothing to compare.
    pub scores: BTreeMap<usize, u64>,
    /// Why.
    pub note: Note,
}

/// Whether there is a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// A strict majority of all runs agrees, and at least as many as the confidence asks for.
    Verdict,
    /// No such majority: nobody is blamed.
    Inconclusive,
}

/// Which runs there are and which of them can be compared.
#[derive(Debug)]
pub(super) struct Field {
    /// How many nodes were asked.
    pub(super) asked: usize,
    /// How many must agree.
    pub(super) confidence: usize,
    /// The runs that brought nothing to compare.
    pub(super) absent: Vec<usize>,
    /// Whether more than half of all runs state one exit code; else none is accepted, whatever they agree in.
    pub(super) has_one_exit: bool,
}

impl Field {
    /// Whether this many runs are more than half of those asked.
    pub(super) fn is_majority(&self, runs: usize) -> bool {
        2 * runs > self.asked
    }

    /// The outcome if exactly the runs of `agreeing`, ascending, agree for the reason `note`.
    pub(super) fn agreed(self, agreeing: Vec<usize>, scores: BTreeMap<usize, u64>, note: Note) -> Outcome {
        if !self.has_one_exit || !self.is_majority(agreeing.len()) {
            return self.inconclusive(scores, Note::NoMajorityAgrees);
        }
        if agreeing.len() < self.confidence {
            return self.inconclusive(scores, Note::FewerThanConfidence);
        }
        let rejected = (0..self.asked)
            .filter(|run| agreeing.binary_search(run).is_err() && self.absent.binary_search(run).is_err())
            .collect();
        Outcome {
            decision: Decision::Verdict,
            accepted: agreeing,
            rejected,
            absent: self.absent,
            scores,
            note,
        }
    }

    /// The outcome that blames nobody.
    pub(super) fn inconclusive(self, scores: BTreeMap<usize, u64>, note: Note) -> Outcome {
        Outcome {
            decision: Decision::Inconclusive,
            accepted: Vec::new(),
            rejected: Vec::new(),
            absent: self.absent,
            scores,
            note,
        }
    }
}
