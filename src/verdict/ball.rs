//! `ball`: the largest set of runs that all agree with one of them.
//!
//! The runs that agree with run i are the ball around i. The largest ball wins, then the one with the least sum of
//! distances to its centre, then the lowest centre. Under the method `ball`, runs agree when their traces do; `near`
//! has other reasons. It takes time quadratic in the number of runs.

use super::outcome::{Field, Note, Outcome};
use super::terms::Terms;
use super::traces::Traces;
use crate::domain::Profile;

/// A ball is better when it is larger, then tighter. Ties stay with the first.
pub(super) struct Ball {
    /// Its place in the list of runs.
    pub(super) centre: usize,
    /// The places of its members, the centre among them.
    pub(super) members: Vec<usize>,
    spread: u64,
}

impl Ball {
    /// The best ball of `count` runs. `apart` is the distance of two runs, by their places, if they agree.
    pub(super) fn best(count: usize, apart: impl Fn(usize, usize) -> Option<u64>) -> Option<Self> {
        let around = |centre| {
            let mut ball = Self { centre, members: Vec::new(), spread: 0 };
            for other in 0..count {
                if let Some(distance) = apart(centre, other) {
                    ball.members.push(other);
                    ball.spread += distance;
                }
            }
            ball
        };
        (0..count).map(around).reduce(|best, ball| if ball.beats(&best) { ball } else { best })
    }

    fn beats(&self, other: &Self) -> bool {
        let (size, other_size) = (self.members.len(), other.members.len());
        size > other_size || (size == other_size && self.spread < other.spread)
    }
}

pub(super) fn score(field: Field, runs: &[(usize, Profile)], terms: &Terms) -> Outcome {
    let traces = Traces::new(terms, runs.iter().map(|(_, profile)| *profile).collect());
    let Some(best) = Ball::best(runs.len(), |a, b| traces.apart(a, b)) else {
        return field.inconclusive([].into(), Note::NoTraces);
    };
    let scores = (0..runs.len()).map(|place| (runs[place].0, traces.distance(best.centre, place))).collect();
    let members = best.members.iter().map(|place| runs[*place].0).collect();
    field.agreed(members, scores, Note::Agreement)
}
