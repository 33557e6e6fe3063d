//! Why each run fared as it did: the rule that decided, what was measured, and the limit that applied.
//!
//! Values, which callers put into words. They decide nothing: [`decide()`](super::decide()) does. Where outputs or
//! summaries decided, traces are measured all the same, and reject nobody.

use serde::{Deserialize, Serialize};

use super::{
    ball::Ball,
    decide::decide,
    gate, kmeans,
    near::Relation,
    outcome::Note,
    terms::{Run, Terms},
    traces::Traces,
    work::Work,
};
use crate::domain::{Method, Profile};

/// What decided, or failed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// There was one run.
    Alone,
    /// Another exit code than most runs state, or no exit code that most state: no agreement makes up for that.
    ExitCode,
    /// Equal outputs.
    Outputs,
    /// Equal outputs, or near numbers.
    Near,
    /// Equal outputs, and alike work.
    OutputsAndWork,
    /// Equal outputs or near numbers, and alike work.
    NearAndWork,
    /// Memory beside the mean.
    Kmeans,
    /// Memory, CPU time and page faults beside those of one run.
    Ball,
}

/// Why a run with an output fared as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Reason {
    /// What decided.
    pub rule: Rule,
    /// How many runs have its output, itself included.
    pub alike: usize,
    /// How far it is from the run at the centre, in 64ths of the tolerances of its numbers, of which 64 agree: 0 where
    /// outputs are equal; null where they differ without numbers to compare, and where outputs do not count.
    pub number_steps: Option<u32>,
    /// Its memory, CPU time and page faults beside the others'; null without a trace, or without others.
    pub work: Option<Work>,
}

impl Rule {
    /// Whether an alike trace was asked for. Elsewhere one that differs is shown, and rejects nobody.
    pub const fn asks_for_work(self) -> bool {
        match self {
            Self::OutputsAndWork | Self::NearAndWork | Self::Kmeans | Self::Ball => true,
            Self::Alone | Self::ExitCode | Self::Outputs | Self::Near => false,
        }
    }

    fn of(note: Note, terms: &Terms, runs: &[Run]) -> Option<Self> {
        let scorer = match terms.method {
            Method::KMeans => Self::Kmeans,
            Method::Ball => Self::Ball,
            Method::Hash | Method::Near => Self::Outputs,
        };
        let is_near = terms.method == Method::Near && !terms.deterministic;
        let by_output = match (is_near, terms.require_work) {
            (true, true) => Self::NearAndWork,
            (true, false) => Self::Near,
            (false, true) => Self::OutputsAndWork,
            (false, false) => Self::Outputs,
        };
        let is_one_relation = is_near || terms.require_work;
        match note {
            Note::BadParameters => None,
            _ if runs.len() == 1 => Some(Self::Alone),
            Note::EqualOutputs | Note::OutputsDisagree => Some(Self::Outputs),
            Note::NearOutputs | Note::EqualOutputsAndWork | Note::NearOutputsAndWork => Some(by_output),
            Note::Agreement | Note::NoMajorityNearMean | Note::SpreadOverTolerance => Some(scorer),
            Note::NoTraces | Note::NoMajorityAgrees | Note::FewerThanConfidence if is_one_relation => {
                Some(by_output)
            }
            Note::NoTraces | Note::NoMajorityAgrees | Note::FewerThanConfidence => {
                Some(if gate::majority(runs).is_some() { Self::Outputs } else { scorer })
            }
        }
    }
}

/// Why each of the runs fared as it did under the terms; `None` for a run without an output, and for all runs under terms
/// that are no terms.
pub fn reasons(terms: &Terms, runs: &[Run]) -> Vec<Option<Reason>> {
    let outcome = decide(terms, runs);
    let Some(rule) = Rule::of(outcome.note, terms, runs) else { return vec![None; runs.len()] };
    let relation = Relation::of(runs, terms);
    let centre = relation.best();
    let work = Measure::of(rule, centre.as_ref(), &outcome.accepted, runs, terms);
    let central_run = centre.as_ref().map(|centre| &runs[relation.run(centre.centre)]);
    let exit_code = gate::exit_code(runs);
    let mut stated = runs.iter().filter(|run| run.output.is_some()).map(|run| run.exit_code);
    let first = stated.next();
    // Runs that are too few, and state the same, are not told apart by it.
    let is_one = stated.all(|other| Some(other) == first);
    let reason = |run: &Run| {
        run.output?;
        let rule = if is_one || exit_code == Some(run.exit_code) { rule } else { Rule::ExitCode };
        let same = |other: &Run| {
            let numbers = terms.method != Method::Near || other.summary == run.summary;
            numbers && other.output == run.output
        };
        let by_numbers = |central: &Run| central.summary.distance(run.summary);
        let number_steps = central_run.and_then(|central| match rule {
            Rule::Kmeans | Rule::Ball => None,
            _ if same(central) => Some(0),
            Rule::Alone | Rule::ExitCode | Rule::Outputs | Rule::OutputsAndWork => None,
            Rule::Near | Rule::NearAndWork => by_numbers(central),
        });
        Some(Reason {
            rule,
            alike: runs.iter().filter(|other| same(other)).count(),
            number_steps,
            work: run.profile.and_then(|profile| work.as_ref()?.work(&profile)),
        })
    };
    runs.iter().map(reason).collect()
}

/// What traces are measured by.
enum Measure {
    Beside { traces: Traces, centre: usize },
    Mean(kmeans::Mean),
}

impl Measure {
    fn of(
        rule: Rule,
        centre: Option<&Ball>,
        accepted: &[usize],
        runs: &[Run],
        terms: &Terms,
    ) -> Option<Self> {
        let comparable = gate::comparable(runs);
        let traced = |run: &usize| comparable[*run].output.and(comparable[*run].profile);
        let compared: Vec<Profile> = (0..runs.len()).filter_map(|run| traced(&run)).collect();
        let kept: Vec<Profile> = accepted.iter().filter_map(traced).collect();
        match rule {
            Rule::Alone | Rule::ExitCode => None,
            // Whoever takes part in the relation has a trace, and the same place among those compared.
            Rule::OutputsAndWork | Rule::NearAndWork => {
                Some(Self::Beside { traces: Traces::new(terms, compared), centre: centre?.centre })
            }
            Rule::Ball => Self::around_the_best(Traces::new(terms, compared)),
            // Only what the outputs have singled out can show what the job takes.
            Rule::Outputs | Rule::Near if kept.len() > 1 => Self::around_the_best(Traces::new(terms, kept)),
            Rule::Outputs | Rule::Near => None,
            Rule::Kmeans => {
                let kept = if kept.is_empty() { compared } else { kept };
                kmeans::Mean::of(&kept, terms).map(Self::Mean)
            }
        }
    }

    fn around_the_best(traces: Traces) -> Option<Self> {
        let best = Ball::best(traces.len(), |a, b| traces.apart(a, b))?;
        Some(Self::Beside { traces, centre: best.centre })
    }

    fn work(&self, profile: &Profile) -> Option<Work> {
        match self {
            Self::Beside { traces, centre } => Some(traces.work(*centre, profile)),
            Self::Mean(mean) => Some(mean.work(profile)),
        }
    }
}

#[cfg(test)]
mod tests;
