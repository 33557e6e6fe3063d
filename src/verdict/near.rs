//! `near`, and work that is required: one relation between runs, without a gate before it.
//!
//! Two runs agree when their outputs are equal or, under `near`, their summaries agree, and, where the terms require
//! work, their traces agree too. The largest ball of that relation decides. A gate of equal outputs before it would reject
//! honest runs whose last digits differ: a minority may be right.

use super::ball::Ball;
use super::outcome::{Field, Note, Outcome};
use super::terms::{Run, Terms};
use super::traces::Traces;
use crate::domain::{Method, Profile, SummaryWord};

/// A run that takes part.
struct Entrant {
    run: usize,
    output: [u8; 32],
    summary: SummaryWord,
}

impl Entrant {
    /// How far the summaries are apart, in 64ths of a tolerance: 0 between equal outputs, which need none.
    fn distance(&self, other: &Self) -> Option<u64> {
        if self.output == other.output {
            Some(0)
        } else {
            self.summary.distance(other.summary).map(u64::from)
        }
    }

    fn agrees(&self, other: &Self, is_near: bool) -> bool {
        self.output == other.output || (is_near && self.summary.agrees_with(other.summary))
    }
}

pub(super) fn score(mut field: Field, runs: &[Run], terms: &Terms) -> Outcome {
    let is_near = terms.method == Method::Near && !terms.deterministic;
    let takes_part = |run: &Run| run.output.is_some() && (!terms.require_work || run.profile.is_some());
    let (mut entrants, mut profiles) = (Vec::new(), Vec::<Profile>::new());
    for (index, run) in runs.iter().enumerate().filter(|(_, run)| takes_part(run)) {
        let Some(output) = run.output else { continue };
        entrants.push(Entrant { run: index, output, summary: run.summary });
        profiles.extend(run.profile.filter(|_| terms.require_work));
    }
    field.absent = (0..runs.len()).filter(|index| !takes_part(&runs[*index])).collect();
    let traces = terms.require_work.then(|| Traces::new(terms, profiles));

    let apart = |a: usize, b: usize| {
        let agree = entrants[a].agrees(&entrants[b], is_near);
        agree.then(|| traces.as_ref().map_or(Some(0), |traces| traces.apart(a, b))).flatten()
    };
    let Some(best) = Ball::best(entrants.len(), apart) else {
        return field.inconclusive([].into(), Note::NoTraces);
    };
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
