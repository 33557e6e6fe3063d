//! Requesters that follow other rules: a fixed number of seats, BOINC's adaptive replication, iExec's proof of
//! contribution. They are here to be compared with.

use std::collections::BTreeMap;

use assay::domain::NodeId;

use super::{
    requester::Requester,
    world::{RIGHT, Rank, Sight, Totals, World, majority},
};

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    in_a_row: u64,
    kept: u64,
    rejected: u64,
}

impl Record {
    /// More than one of five results was bad.
    fn rank(self) -> Rank {
        if self.rejected > self.kept / 4 { Rank::Allowed } else { Rank::Preferred }
    }
}

/// A fixed number of seats, or fewer once the first node has shown enough; more on a dispute, two at a time, up to seven.
#[derive(Debug)]
pub(super) struct Classic {
    seats: usize,
    /// From so many results in a row a node runs alone, but for a second seat with a chance of one over their number.
    trusted_from: Option<u64>,
    /// Whether the node can tell that there is no second seat.
    is_public: bool,
    records: BTreeMap<NodeId, Record>,
}

const MOST_SEATS: usize = 7;

impl Classic {
    /// Always so many seats.
    pub(super) const fn fixed(seats: usize) -> Self {
        Self { seats, trusted_from: None, is_public: false, records: BTreeMap::new() }
    }

    /// BOINC's rule: two seats, one for a node with ten valid results in a row.
    pub(super) const fn boinc(is_public: bool) -> Self {
        Self { seats: 2, trusted_from: Some(10), is_public, records: BTreeMap::new() }
    }

    fn record(&self, name: NodeId) -> Record {
        self.records.get(&name).copied().unwrap_or_default()
    }

    fn draw(&self, world: &mut World, taken: &[usize]) -> Option<usize> {
        world.draw(taken, |name| self.record(name).rank())
    }

    fn result(&self, world: &mut World, node: usize, seats: &[usize], is_single: Option<bool>) -> u32 {
        let is_trusted = self.record(world.name(node)).in_a_row >= self.trusted_from.unwrap_or(30);
        world.result(node, Sight { seats, is_trusted, is_single })
    }
}

impl Requester for Classic {
    fn job(&mut self, world: &mut World, _: usize, totals: &mut Totals) {
        let Some(first) = self.draw(world, &[]) else {
            totals.none += 1;
            return;
        };
        let in_a_row = self.record(world.name(first)).in_a_row;
        let is_trusted = self.trusted_from.is_some_and(|least| in_a_row >= least);
        let mut seats = vec![first];
        let mut results = Vec::new();
        let first_wave = if is_trusted { 1 } else { self.seats };
        let mut wanted = first_wave;
        if is_trusted && world.dice.once_in(in_a_row.max(1)) {
            wanted = self.seats;
        }
        let is_single = |wanted: usize| self.is_public.then_some(wanted == 1);
        // The second seat of a trusted node comes after its run, so that the node sees itself alone.
        for reached in [first_wave, wanted] {
            while seats.len() < reached {
                let Some(node) = self.draw(world, &seats) else { break };
                seats.push(node);
            }
            for node in &seats[results.len()..] {
                results.push(self.result(world, *node, &seats, is_single(wanted)));
            }
        }
        let accepted = loop {
            if let Some(result) = majority(&results) {
                break Some(result);
            }
            let more = if seats.len() % 2 == 1 { 2 } else { 1 };
            if seats.len() + more > MOST_SEATS {
                break None;
            }
            for _ in 0..more {
                seats.extend(self.draw(world, &seats));
            }
            for node in &seats[results.len()..] {
                results.push(self.result(world, *node, &seats, is_single(MOST_SEATS)));
            }
        };
        totals.runs += results.len() as u64;
        let Some(accepted) = accepted else {
            totals.none += 1;
            return;
        };
        totals.wrong += u64::from(accepted != RIGHT);
        let was_compared = results.len() > 1;
        for (node, result) in seats.into_iter().zip(results) {
            let record = self.records.entry(world.name(node)).or_default();
            if result == accepted {
                record.kept += 1;
                record.in_a_row += u64::from(was_compared);
                continue;
            }
            record.rejected += 1;
            record.in_a_row = 0;
            totals.honest_rejected += u64::from(result == RIGHT);
            if record.rank() != Rank::Preferred {
                world.renames(node);
            }
        }
    }
}

/// iExec's rule: seats are added until the credibility of a result, a product over the nodes that brought it, outweighs
/// all others by `trust`. A node's weight grows with its valid results.
#[derive(Debug)]
pub(super) struct IExec {
    trust: f64,
    records: BTreeMap<NodeId, Record>,
}

const MOST_IEXEC_SEATS: usize = 31;

impl IExec {
    /// A requester that asks for this much.
    pub(super) const fn new(trust: f64) -> Self {
        Self { trust, records: BTreeMap::new() }
    }
}

impl Requester for IExec {
    fn job(&mut self, world: &mut World, _: usize, totals: &mut Totals) {
        let mut seats: Vec<usize> = Vec::new();
        let mut results = Vec::new();
        let mut groups: BTreeMap<u32, f64> = BTreeMap::new();
        let mut accepted = None;
        while accepted.is_none() && seats.len() < MOST_IEXEC_SEATS {
            let records = &self.records;
            let record = |name| records.get(&name).copied().unwrap_or_default();
            let Some(node) = world.draw(&seats, |name| record(name).rank()) else { break };
            seats.push(node);
            let in_a_row = record(world.name(node)).in_a_row;
            let sight = Sight { seats: &seats, is_trusted: in_a_row >= 30, is_single: None };
            let result = world.result(node, sight);
            results.push(result);
            let weight = f64::from(u32::try_from(in_a_row / 3).unwrap_or(u32::MAX)).max(3.0) - 1.0;
            let group = groups.entry(result).and_modify(|group| *group *= weight).or_insert(weight);
            let group = *group;
            let total: f64 = 1.0 + groups.values().sum::<f64>();
            accepted = (group * self.trust > total * (self.trust - 1.0)).then_some(result);
        }
        totals.runs += results.len() as u64;
        let Some(accepted) = accepted else {
            totals.none += 1;
            return;
        };
        totals.wrong += u64::from(accepted != RIGHT);
        for (node, result) in seats.into_iter().zip(results) {
            let record = self.records.entry(world.name(node)).or_default();
            if result == accepted {
                record.kept += 1;
                record.in_a_row += 1;
                continue;
            }
            record.rejected += 1;
            record.in_a_row = record.in_a_row * 2 / 3;
            totals.honest_rejected += u64::from(result == RIGHT);
            if record.rank() != Rank::Preferred {
                world.renames(node);
            }
        }
    }
}
