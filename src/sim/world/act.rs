//! What nodes do in a world: ask their policies, submit, run, start again.

use std::sync::Arc;

use super::{Happening, Order, START_SECS, World};
use crate::{
    domain::{Action, Amount, Audit, AuditSecret, Deal, Digest, Event, Facts, Funds, JobId, JobState, Spec},
    policy::{Moment, Purses, Wake},
    scheduler::libp2p::sequence::Sequencer,
    sim::{
        node::{Deed, SECRET, Surroundings},
        replica::{DOMAIN, Item, Replica, proposal},
    },
};

impl World {
    pub(super) fn decide_to_submit(&mut self, node: usize, deal: Deal, document: &[u8], nonce: u64) {
        let requester = self.nodes[node].id();
        let secret_hash = AuditSecret::of(SECRET, nonce).hash();
        let deal = Deal { audit: deal.audit.map(|audit| Audit { secret_hash, ..audit }), ..deal };
        let id = DOMAIN.job_id(requester, nonce, Spec::hash_document(document), deal.revision());
        self.nodes[node].disk.followed_up.extend(deal.parent);
        let event = Event::Submitted { deal, spec: document.to_vec(), nonce };
        self.nodes[node].disk.submissions.insert(id, event);
        self.submit(node);
    }

    /// Submits what was decided on and is in no log yet.
    pub(super) fn submit(&mut self, node: usize) {
        if !self.nodes[node].is_well() {
            return;
        }
        let submissions: Vec<(JobId, Event)> =
            self.nodes[node].disk.submissions.iter().map(|(job, event)| (*job, event.clone())).collect();
        for (job, event) in submissions {
            let Event::Submitted { deal, .. } = &event else { continue };
            let (revision, parent) = (deal.revision(), deal.parent);
            let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
            let made = proposal(&self.nodes[node].key, action, self.order == Order::Requester);
            if self.order == Order::Neutral {
                self.post((Some(node), None), made.bytes(), || Happening::Proposed {
                    at: 0,
                    proposal: Box::new(made.clone()),
                });
                continue;
            }
            let now = self.clock(node);
            let key = self.nodes[node].key.clone();
            let parent = parent.and_then(|parent| self.truth.get(parent));
            let opened = Sequencer::open(key, DOMAIN, parent, now, made.signed).ok();
            let first = opened.and_then(|sequencer| {
                let entry = sequencer.job_log().entry(1)?.clone();
                let stamped = entry.stamped(DOMAIN).ok()?;
                Some((sequencer, entry, stamped))
            });
            let Some((sequencer, entry, stamped)) = first else {
                return self.breaks(job, "a requester's own log does not take what it submits", &"");
            };
            self.nodes[node].disk.submissions.remove(&job);
            self.nodes[node].disk.replicas.insert(job, Replica::Ordered(Box::new(sequencer)));
            if let Err(rejection) = self.truth.apply(&stamped) {
                return self.breaks(job, "a requester's log takes what the rules refuse", &rejection);
            }
            self.ordered(node, &Item::Signed(Arc::new(entry)), &stamped);
            self.advance(node, job);
        }
    }

    /// Whether a node has freed the slot that a job may have held, or never knew of it.
    pub fn has_nothing_to_do(&mut self, node: usize, job: JobId) -> bool {
        let knows = self.nodes[node].disk.replicas.contains_key(&job);
        !knows || self.ask(node, job).iter().any(|deed| matches!(deed, Deed::Stop))
    }

    fn ask(&mut self, node: usize, job: JobId) -> Vec<Deed> {
        self.counts.decisions += 1;
        let accounts = self.truth.accounts();
        let funds = |node| Some(Funds { free: accounts.free(node), paid: accounts.paid(node) });
        let (moment, facts) = (self.moment(node), self.facts(node, job));
        let around = Surroundings { purses: Purses(&funds), moment, facts };
        self.nodes[node].decide(job, &around)
    }

    /// The log of a job went on at a node: asks its policies.
    pub(super) fn heard(&mut self, node: usize, job: JobId) {
        self.nodes[node].heard(job);
        self.advance(node, job);
    }

    /// A node gives up what it sent long ago, and asks its policies.
    pub(super) fn look_again(&mut self, node: usize, job: JobId) {
        let moment = self.moment(node);
        for other in self.nodes[node].give_up(job, moment) {
            self.ring(node, other);
        }
        self.advance(node, job);
    }

    fn moment(&self, node: usize) -> Moment {
        let now = if self.order == Order::Neutral { self.backend_clock() } else { self.clock(node) };
        Moment { now, elapsed_ms: self.queue.now_ms() }
    }

    /// Asks a node's policies about one job and does what they say.
    pub(super) fn advance(&mut self, node: usize, job: JobId) {
        let held = &self.nodes[node];
        let reads = held.memory.caught_up || self.order == Order::Requester;
        if !held.is_well() || !reads || !held.disk.replicas.contains_key(&job) || held.awaits(job) {
            return;
        }
        let mut is_done = false;
        for deed in self.ask(node, job) {
            match deed {
                Deed::Propose(role, events) => {
                    let now_ms = self.queue.now_ms();
                    self.nodes[node].sent(job, role, events.clone(), now_ms);
                    events.into_iter().for_each(|event| self.do_propose(node, job, event));
                }
                Deed::Run => {
                    let at_ms = self.queue.now_ms() + self.chance.within(1_000..38_000);
                    let life = self.nodes[node].life;
                    self.nodes[node].memory.running.insert(job);
                    self.queue.put(at_ms, Happening::RunEnds { node, life, job });
                    self.ring(node, job);
                }
                Deed::Stop => {
                    self.nodes[node].memory.running.remove(&job);
                }
                Deed::FollowUp(deal) => {
                    let nonce = self.chance.next();
                    let Some(replica) = self.nodes[node].disk.replicas.get(&job) else { continue };
                    let document = replica.job().spec.to_document();
                    self.decide_to_submit(node, *deal, &document, nonce);
                    // What it did changes what it thinks.
                    self.ring(node, job);
                }
                Deed::Wake(wake) => {
                    is_done = wake == Wake::NEVER;
                    self.set_wake(node, job, wake);
                }
                // As a task of its own would: after what is being done now.
                Deed::Ring(other) => self.ring(node, other),
            }
        }
        let is_over = |replica: &Replica| replica.job().state.is_terminal();
        if is_done && self.nodes[node].disk.replicas.get(&job).is_some_and(is_over) {
            self.nodes[node].forget(job);
        }
    }

    fn facts(&self, node: usize, job: JobId) -> Facts {
        let me = self.nodes[node].id();
        if self.order == Order::Neutral {
            return self.truth.facts(job, me, &Event::BidPlaced { price: Amount::ZERO });
        }
        let parent = self.truth.get(job).and_then(|job| job.deal.parent);
        let parent = parent.and_then(|parent| self.truth.get(parent));
        let sat = parent.is_some_and(|parent| parent.seats.iter().any(|seat| seat.node == me));
        Facts { sat_in_parent: sat, ..Facts::MONEYLESS }
    }

    fn set_wake(&mut self, node: usize, job: JobId, wake: Wake) {
        let life = self.nodes[node].life;
        let after = wake.deadline.map(|deadline| {
            let secs = (deadline.as_secs() + 1).saturating_sub(START_SECS);
            secs.saturating_add_signed(-self.nodes[node].skew_secs) * 1000
        });
        for at_ms in after.into_iter().chain(wake.elapsed_ms) {
            if self.nodes[node].memory.wakes.insert((job, at_ms)) {
                self.queue.put(at_ms, Happening::Wakes { node, life, job, at_ms });
            }
        }
    }

    fn ring(&mut self, node: usize, job: JobId) {
        let (life, at_ms) = (self.nodes[node].life, self.queue.now_ms());
        self.queue.put(at_ms, Happening::Wakes { node, life, job, at_ms });
    }

    fn do_propose(&mut self, node: usize, job: JobId, event: Event) {
        let Some(event) = self.nodes[node].twist(event) else { return };
        if matches!(event, Event::Revealed { .. }) {
            let state = self.truth.get(job).map(|held| held.state_at(self.backend_clock()).0);
            if let Some(state) = state.filter(|state| *state < JobState::Revealing) {
                self.breaks(job, "an opening leaves a node before its time", &format!("the job is {state}"));
            }
        }
        self.propose(node, job, event);
    }

    pub(super) fn propose(&mut self, node: usize, job: JobId, event: Event) {
        let Some(replica) = self.nodes[node].disk.replicas.get(&job) else { return };
        let made = replica.propose(&self.nodes[node].key, event);
        let requester = replica.job().requester;
        let (at, to) = match self.order {
            Order::Neutral => (0, None),
            Order::Requester => (self.orderer_of(requester), Some(self.orderer_of(requester))),
        };
        if to == Some(node) {
            // To oneself nothing is sent, and nothing is lost.
            return self.order_proposal(at, made);
        }
        self.post((Some(node), to), made.bytes(), || Happening::Proposed {
            at,
            proposal: Box::new(made.clone()),
        });
    }

    pub(super) fn end_run(&mut self, node: usize, life: u32, job: JobId) {
        if self.nodes[node].life != life || !self.nodes[node].memory.running.contains(&job) {
            return;
        }
        if self.nodes[node].full {
            // It waits for room to write its result to.
            let at_ms = self.queue.now_ms() + 1_000;
            return self.queue.put(at_ms, Happening::RunEnds { node, life, job });
        }
        self.nodes[node].memory.running.remove(&job);
        let Some(replica) = self.nodes[node].disk.replicas.get(&job) else { return };
        let result = self.nodes[node].result(replica.job(), &mut self.chance);
        self.nodes[node].disk.runs.insert(job, result);
        self.advance(node, job);
    }

    /// A process reads its logs from disk again.
    pub(super) fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.up = true;
        node.life += 1;
        let mut lost = None;
        for (id, replica) in std::mem::take(&mut node.disk.replicas) {
            let parent = replica.job().deal.parent.and_then(|parent| self.truth.get(parent));
            match replica.reread(&node.key, parent) {
                Some(replica) => _ = node.disk.replicas.insert(id, replica),
                None => lost = Some(id),
            }
        }
        if let Some(lost) = lost {
            self.breaks(lost, "a log that was sound cannot be read again", &"");
        }
        if self.order == Order::Requester {
            self.look(index);
        }
    }
}
