//! `near`, and work that is required: one relation between runs, without a gate before it.
//!
//! Two runs agree when their outputs are equal or, under `near`, their summaries agree, and, where the terms require
//! work, their traces agree too. Under `near` the summary is a part of the output that its hash leaves out. So outputs are
//! equal there only with equal summaries: else every run whose numbers are all that it says would agree with every other. The largest ball of that relation decides. A gate of equal outputs before it would reject
//! honest runs whose last digits differ: a minority may be right.

use super::ball::Ball;
use super::gate;
use super::outcome::{Field, Note, Outcome};
use super::terms::{Run, Terms};
use super::traces::Traces;
use crate::domain::{Method, Profile, SummaryWord};

/// A run that takes part.
struct Entrant {
    run: usize,
    output: [u8; 32],
    /// Void where the method compares none.
    summary: SummaryWord,
}

impl Entrant {
    /// How far the summaries are apart, in 64ths of a tolerance: 0 between equal outputs, which need none.
    fn distance(&self, other: &Self) -> Option<u64> {
        if self.equals(other) { Some(0) } else { self.summary.distance(other.summary).map(u64::from) }
    }

    fn equals(&self, other: &Self) -> bool {
        self.output == other.output && self.summary == other.summary
    }

    fn agrees(&self, other: &Self, is_near: bool) -> bool {
        self.equals(other) || (is_near && self.summary.agrees_with(other.summary))
    }
}

/// The runs that take part, and which of them agree.
pub(super) struct Relation {
    entrants: Vec<Entrant>,
    traces: Option<Traces>,
    is_near: bool,
}

impl Relation {
    pub(super) fn of(runs: &[Run], terms: &Terms) -> Self {
        let is_near = terms.method == Method::Near && !terms.deterministic;
        let (mut entrants, mut profiles) = (Vec::new(), Vec::<Profile>::new());
        let comparable = gate::comparable(runs);
        for (index, run) in comparable.iter().enumerate().filter(|(_, run)| takes_part(run, terms)) {
            let Some(output) = run.output else { continue };
            let summary = if terms.method == Method::Near { run.summary } else { SummaryWord::VOID };
            entrants.push(Entrant { run: index, output, summary });
            profiles.extend(run.profile.filter(|_| terms.require_work));
        }
        let traces = terms.require_work.then(|| Traces::new(terms, profiles));
        Self { entrants, traces, is_near }
    }

    pub(super) fn best(&self) -> Option<Ball> {
        Ball::best(self.entrants.len(), |a, b| {
            let agree = self.entrants[a].agrees(&self.entrants[b], self.is_near);
            agree.then(|| self.traces.as_ref().map_or(Some(0), |traces| traces.apart(a, b))).flatten()
        })
    }

    /// The run that has a place in the relation.
    pub(super) fn run(&self, place: usize) -> usize {
        self.entrants[place].run
    }
}

fn takes_part(run: &Run, terms: &Terms) -> bool {
    run.output.is_some() && (!terms.require_work || run.profile.is_some())
}

pub(super) fn score(mut field: Field, runs: &[Run], terms: &Terms) -> Outcome {
    field.absent = (0..runs.len()).filter(|index| !takes_part(&runs[*index], terms)).collect();
    let relation = Relation::of(runs, terms);
    let Some(best) = relation.best() else {
        return field.inconclusive([].into(), Note::NoTraces);
    };
    let Relation { entrants, traces, is_near } = relation;
    let score = |place: usize| match &traces {
        Some(traces) => Some(traces.distance(best.centre, place)),
        None => entrants[best.centre].distance(&entrants[place]),
    };
    let scores = (0..entrants.len()).filter_map(|place| Some((entrants[place].run, score(place)?))).collect();
    let members = best.members.iter().map(|place| entrants[*place].run).collect();
    let note = match (is_near, terms.require_work) {
        (true, true) => Note::NearOutputsAndWork,
        (true, false) => Note::NearOutputs,
        (false, true) => Note::EqualOutputsAndWork,
        (false, false) => Note::EqualOutputs,
    };
    field.agreed(members, scores, note)
}
