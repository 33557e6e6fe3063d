//! A requester that follows `policy::trust`.

use std::collections::BTreeMap;

use assay::{
    domain::{JobId, NodeId},
    policy::trust::{Fared, Level, Trust, TrustTerms, falls},
};

use super::{
    requester::Requester,
    world::{RIGHT, Rank, Sight, Totals, World, job_id, majority},
};

/// A job that was accepted or rejected.
#[derive(Debug)]
struct Past {
    runs: Vec<Run>,
    accepted: Option<u32>,
    is_checked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    node: usize,
    name: NodeId,
    result: u32,
}

/// Its memory.
#[derive(Debug)]
pub(super) struct Ours {
    trust: Trust,
    past: BTreeMap<JobId, Past>,
}

impl Ours {
    /// A requester with these figures.
    pub(super) fn new(terms: TrustTerms) -> Self {
        Self { trust: Trust::new(terms), past: BTreeMap::new() }
    }

    fn rank(&self, name: NodeId) -> Rank {
        match self.trust.level(name) {
            Level::Trusted | Level::Untrusted => Rank::Preferred,
            Level::Stranger => Rank::Fallback,
            Level::Doubted => Rank::Allowed,
            Level::Banned => Rank::Barred,
        }
    }

    /// Draws nodes and runs the job on them, all of which know of each other and of those before.
    fn run(&self, world: &mut World, count: u8, first: Option<usize>, before: &[Run]) -> Vec<Run> {
        let mut seats: Vec<usize> = before.iter().map(|run| run.node).collect();
        let known = seats.len();
        seats.extend(first);
        while seats.len() < known + usize::from(count) {
            let Some(node) = world.draw(&seats, |name| self.rank(name)) else { break };
            seats.push(node);
        }
        let run = |node: &usize| {
            let name = world.name(*node);
            let is_trusted = self.trust.level(name) == Level::Trusted;
            let result = world.result(*node, Sight { seats: &seats, is_trusted, is_single: None });
            Run { node: *node, name, result }
        };
        seats[known..].iter().map(run).collect()
    }

    fn fared(past: &Past) -> Vec<(NodeId, Fared)> {
        let fared = |run: &Run| if Some(run.result) == past.accepted { Fared::Kept } else { Fared::Rejected };
        past.runs.iter().map(|run| (run.name, fared(run))).collect()
    }

    /// The requester runs a job itself, and then what that makes worth another look.
    fn check(&mut self, world: &mut World, job: JobId, totals: &mut Totals) {
        let mut queue = vec![job];
        while let Some(job) = queue.pop() {
            let Some(past) = self.past.get_mut(&job).filter(|past| !past.is_checked) else { continue };
            past.is_checked = true;
            totals.runs += 1;
            let was_wrong = u64::from(past.accepted.is_some_and(|result| result != RIGHT));
            totals.wrong -= was_wrong;
            totals.corrected += was_wrong;
            let fared = Self::fared(past);
            let results: Vec<_> = fared
                .into_iter()
                .zip(&past.runs)
                .map(|((name, fared), run)| (name, fared, run.result == RIGHT))
                .collect();
            let nodes: Vec<usize> = past.runs.iter().map(|run| run.node).collect();
            queue.extend(self.trust.proven(job, &results));
            self.found_out(world, &nodes);
        }
    }

    fn found_out(&self, world: &mut World, nodes: &[usize]) {
        for node in nodes {
            if self.trust.level(world.name(*node)) >= Level::Doubted {
                world.renames(*node);
            }
        }
    }
}

impl Requester for Ours {
    fn job(&mut self, world: &mut World, number: usize, totals: &mut Totals) {
        let job = job_id(number);
        let Some(first) = world.draw(&[], |name| self.rank(name)) else {
            totals.none += 1;
            return;
        };
        let wave = self.trust.wave(world.name(first));
        let mut runs = self.run(world, wave.seats, Some(first), &[]);
        if falls(world.dice.lot(), wave.audit_permille) {
            runs.extend(self.run(world, wave.audit_seats, None, &runs));
        }
        // A follow-up is a job of its own, with the seed of the first: its majority judges both.
        let mut accepted = decided(&runs);
        let mut seats = u8::try_from(runs.len()).expect("there are few seats");
        while accepted.is_none() {
            let Some(grown) = self.trust.grown(seats) else { break };
            let follow_up = self.run(world, grown, None, &runs);
            accepted = decided(&follow_up);
            runs.extend(follow_up);
            seats = grown;
        }
        totals.runs += runs.len() as u64;
        let past = Past { runs, accepted, is_checked: false };
        let fared = Self::fared(&past);
        if let Some(accepted) = accepted {
            totals.wrong += u64::from(accepted != RIGHT);
            match fared.as_slice() {
                [(name, _)] => self.trust.accepted_alone(job, *name),
                fared => self.trust.compared(job, fared),
            }
            let is_victim = |run: &&Run| run.result == RIGHT && accepted != RIGHT;
            totals.honest_rejected += past.runs.iter().filter(is_victim).count() as u64;
        } else {
            totals.none += 1;
        }
        let nodes: Vec<usize> = past.runs.iter().map(|run| run.node).collect();
        self.found_out(world, &nodes);
        self.past.insert(job, past);
        if self.trust.wants_own_run(world.dice.lot(), &fared) {
            self.check(world, job, totals);
        }
    }
}

fn decided(runs: &[Run]) -> Option<u32> {
    let results: Vec<u32> = runs.iter().map(|run| run.result).collect();
    majority(&results)
}
