//! How an entry comes about: it is ordered, checked, told, and taken by each node.

use std::sync::Arc;

use super::{Happening, Order, World};
use crate::{
    domain::{Amount, Event, JobId, NodeId, Stamped},
    rules,
    scheduler::libp2p::sequence::Arrival,
    sim::replica::{Item, Proposal, Replica, Taken, sequence},
};

impl World {
    pub(super) fn orderer_of(&self, requester: NodeId) -> usize {
        self.by_id.get(&requester).copied().unwrap_or_default()
    }

    pub(super) fn order_proposal(&mut self, at: usize, proposal: Proposal) {
        match self.order {
            Order::Neutral => {
                let now = self.backend_clock();
                let Some(item) = self.chain.order(&mut self.truth, now, proposal) else { return };
                let Item::Plain { stamped, .. } = &item else { return };
                let stamped = Arc::clone(stamped);
                self.ordered(0, &item, &stamped);
            }
            Order::Requester => {
                let (now, job) = (self.clock(at), proposal.signed.action.job);
                let is_well = self.nodes[at].is_well();
                let replica = self.nodes[at].disk.replicas.get_mut(&job).filter(|_| is_well);
                let Some(Replica::Ordered(sequencer)) = replica else { return };
                let Some((entry, stamped)) = sequence(sequencer, now, proposal) else { return };
                if let Err(rejection) = self.truth.apply(&stamped) {
                    return self.breaks(job, "a requester's log takes what the rules refuse", &rejection);
                }
                self.ordered(at, &Item::Signed(Arc::new(entry)), &stamped);
                self.heard(at, job);
            }
        }
    }

    /// Tells everybody of an entry, and checks what must hold at every step of every log.
    pub(super) fn ordered(&mut self, at: usize, item: &Item, stamped: &Stamped<Event>) {
        let job = stamped.job;
        match stamped.event {
            Event::Revealed { .. } => {
                self.revealed.insert(job);
            }
            Event::Committed { .. } if self.revealed.contains(&job) => {
                self.breaks(job, "a commitment came after a reveal", &"");
            }
            Event::VerdictPosted { .. } if !self.verdicts.insert(job) => {
                self.breaks(job, "a job has two verdicts", &"");
            }
            _ => {}
        }
        self.check_step(job);
        let from = if self.order == Order::Neutral { None } else { Some(at) };
        let bytes = item.bytes();
        self.feeds.entry(at).or_default().push(item.clone());
        for to in (0..self.nodes.len()).filter(|to| Some(*to) != from) {
            self.post((from, Some(to)), bytes, || Happening::Told { to, item: item.clone() });
        }
    }

    fn check_step(&mut self, id: JobId) {
        let Some(job) = self.truth.get(id) else { return };
        let (wrong, unlawful) = (rules::sound(job).err(), self.law.and_then(|law| law(job)));
        let now = rules::held(job).ok().and_then(|held| held.values().sum::<Option<Amount>>());
        if job.state.is_terminal() {
            self.live.remove(&id);
        } else {
            self.live.insert(id);
        }
        let before = self.locked.remove(&id).unwrap_or(Amount::ZERO);
        let locked = self.locked_in_all.checked_sub(before).and_then(|rest| rest.checked_add(now?));
        if let (Some(now), Some(locked)) = (now, locked) {
            self.locked_in_all = locked;
            if !job.state.is_terminal() {
                self.locked.insert(id, now);
            }
        }
        let accounts = self.truth.accounts();
        let free = accounts.total_free().and_then(|free| free.checked_add(accounts.burnt()));
        let total = free.and_then(|free| free.checked_add(locked?));
        if let Some(wrong) = wrong {
            self.breaks(id, "a job is not sound", &wrong);
        }
        if let Some(wrong) = unlawful {
            self.breaks(id, wrong, &"");
        }
        if total != self.deposited {
            let sums = format!("{total:?} of {:?} is there", self.deposited);
            self.breaks(id, "money came or went", &sums);
        }
    }

    /// Gives a node an entry.
    pub(super) fn tell(&mut self, to: usize, item: &Item, is_live: bool) -> Option<Taken> {
        if !self.nodes[to].is_well() {
            return None;
        }
        let now = self.clock(to);
        let arrival = if is_live { Arrival::Live(now) } else { Arrival::Synced(now) };
        let job = item.job();
        let node = &mut self.nodes[to];
        let me = node.id();
        if node.disk.ended.contains(&job) {
            return Some(Taken::Known);
        }
        let taken = match node.disk.replicas.get_mut(&job) {
            Some(replica) => replica.take(me, item, arrival),
            None => {
                // The same for all who know it.
                let knows = |id: &JobId| node.disk.replicas.contains_key(id) || node.disk.ended.contains(id);
                let parent = item.parent().filter(knows).and_then(|parent| self.truth.get(parent));
                match Replica::open(me, item, parent) {
                    Some(replica) => {
                        node.disk.replicas.insert(job, replica);
                        node.disk.submissions.remove(&job);
                        Taken::New
                    }
                    None => Taken::Gap,
                }
            }
        };
        match taken {
            Taken::New => self.heard(to, job),
            Taken::Unsound => self.breaks(job, "an honest log looks broken to a reader", &""),
            Taken::Known | Taken::Gap => {}
        }
        Some(taken)
    }
}
