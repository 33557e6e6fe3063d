//! How a node gets what it missed: it asks whoever orders logs for all after a place, in the order in which it was ordered.

use super::{Happening, LOOK_MS, Order, POLL_MS, World};
use crate::{
    domain::{JobId, JobState},
    sim::replica::{Item, Taken},
};

/// An answer has at most so many entries.
const BATCH: usize = 256;

/// The bytes of a question.
const QUESTION_BYTES: usize = 64;

/// What one party ordered, oldest first.
pub(super) type Feed = Vec<Item>;

impl World {
    pub(super) fn answer(&mut self, at: usize, (by, life): (usize, u32), from: usize) {
        let sender = (self.order == Order::Requester).then_some(at);
        if sender.is_some_and(|at| !self.nodes[at].up) {
            return;
        }
        let ordered = self.feeds.get(&at).map_or(&[][..], Vec::as_slice);
        let items: Vec<Item> = ordered.iter().skip(from).take(BATCH).cloned().collect();
        let is_all = from + items.len() >= ordered.len();
        let bytes = QUESTION_BYTES + items.iter().map(Item::bytes).sum::<usize>();
        self.post((sender, Some(by)), bytes, || Happening::Answered {
            by: at,
            to: by,
            life,
            from,
            items: items.clone(),
            is_all,
        });
    }

    /// An answer is one message: in order, or not at all.
    pub(super) fn hear(
        &mut self,
        by: usize,
        (to, life): (usize, u32),
        (from, items): (usize, &[Item]),
        is_all: bool,
    ) {
        let place = self.nodes[to].disk.read.get(&by).copied().unwrap_or_default();
        if self.nodes[to].life != life || place != from {
            return;
        }
        for (place, item) in (from..).zip(items) {
            match self.tell(to, item, false) {
                Some(Taken::New | Taken::Known) => self.nodes[to].disk.read.insert(by, place + 1),
                // What it cannot take now it asks for again.
                Some(Taken::Gap | Taken::Unsound) | None => return,
            };
        }
        if !is_all {
            self.inquire(by, to);
        } else if !self.nodes[to].memory.caught_up && self.nodes[to].is_well() {
            self.nodes[to].memory.caught_up = true;
            self.look(to);
        }
    }

    fn inquire(&mut self, at: usize, by: usize) {
        let node = &self.nodes[by];
        let (life, from) = (node.life, node.disk.read.get(&at).copied().unwrap_or_default());
        let to = (self.order == Order::Requester).then_some(at);
        self.post((Some(by), to), QUESTION_BYTES, || Happening::Asked { at, by, life, from });
    }

    pub(super) fn poll(&mut self, node: usize) {
        let now_ms = self.queue.now_ms();
        self.queue.put(now_ms + POLL_MS, Happening::Polls { node });
        if !self.nodes[node].is_well() {
            return;
        }
        let orderers = match self.order {
            Order::Neutral => 0..1,
            Order::Requester => 0..2.min(self.nodes.len()),
        };
        let is_own = |at| self.order == Order::Requester && at == node;
        for at in orderers.filter(|at| !is_own(*at)).collect::<Vec<_>>() {
            self.inquire(at, node);
        }
        self.submit(node);
        for job in self.nodes[node].late(now_ms) {
            self.look_again(node, job);
        }
        if now_ms % LOOK_MS < POLL_MS {
            self.look(node);
        }
        self.meddle(node);
    }

    /// Asks a node's policies about all its jobs.
    pub(super) fn look(&mut self, node: usize) {
        let held: Vec<JobId> = self.nodes[node].disk.replicas.keys().copied().collect();
        for job in held {
            self.advance(node, job);
        }
    }

    /// What a bad node proposes besides.
    fn meddle(&mut self, node: usize) {
        let held: Vec<JobId> = self.nodes[node].disk.replicas.keys().copied().collect();
        for job in held {
            let Some(replica) = self.nodes[node].disk.replicas.get(&job) else { continue };
            if replica.job().state > JobState::Revealing {
                continue;
            }
            let meddled = self.nodes[node].meddle(replica.job(), &mut self.chance);
            if let Some(event) = meddled.filter(|_| self.chance.permille(300)) {
                self.propose(node, job, event);
            }
        }
    }
}
