//! What nodes do in a world: ask their policies, submit, run, start again.

use std::collections::BTreeMap;

use assay::{
    domain::{
        Action, Amount, Audit, AuditSecret, Deal, Digest, Event, Facts, Funds, JobId, JobState, NodeId, Spec,
    },
    policy::{Moment, Purses, Wake},
    scheduler::libp2p::{
        job_log::parent_of,
        sequence::{Follower, Sequencer},
    },
};

use super::{
    super::{
        node::{Deed, SECRET, Surroundings},
        replica::{DOMAIN, Item, Replica, proposal},
    },
    Happening, Order, START_SECS, World,
};

impl World {
    pub(super) fn decide_to_submit(&mut self, node: usize, deal: Deal, document: &[u8], nonce: u64) {
        let requester = self.nodes[node].id();
        let secret_hash = AuditSecret::of(SECRET, nonce).hash();
        let deal = Deal { audit: deal.audit.map(|audit| Audit { secret_hash, ..audit }), ..deal };
        let id = DOMAIN.job_id(requester, nonce, Spec::hash_document(document), deal.revision());
        let event = Event::Submitted { deal, spec: document.to_vec(), nonce };
        self.nodes[node].disk.submissions.insert(id, event);
        self.submit(node);
    }

    /// Submits what was decided on and is in no log yet.
    pub(super) fn submit(&mut self, node: usize) {
        if !self.nodes[node].up {
            return;
        }
        let disk = &self.nodes[node].disk;
        let missing = disk.submissions.iter().filter(|(job, _)| !disk.replicas.contains_key(job));
        let missing: Vec<(JobId, Event)> = missing.map(|(job, event)| (*job, event.clone())).collect();
        for (job, event) in missing {
            let Event::Submitted { deal, .. } = &event else { unreachable!("only submissions are kept") };
            let (revision, parent) = (deal.revision(), deal.parent);
            let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
            let made = proposal(&self.nodes[node].key, action, self.order == Order::Requester);
            if self.order == Order::Neutral {
                self.post(|| Happening::Proposed { at: 0, proposal: Box::new(made.clone()) });
                continue;
            }
            let now = self.clock(node);
            let key = self.nodes[node].key.clone();
            let parent = parent.and_then(|parent| self.nodes[node].disk.replicas.get(&parent));
            let opened = Sequencer::open(key, DOMAIN, parent.map(Replica::job), now, made.signed);
            let sequencer = opened.expect("a requester submits what its own log takes");
            let entry = sequencer.job_log().entry(1).expect("just made").clone();
            let stamped = entry.stamped(DOMAIN).expect("just signed");
            self.nodes[node].disk.replicas.insert(job, Replica::Ordered(Box::new(sequencer)));
            self.truth.apply(&stamped).expect("a sequencer keeps the rules");
            self.ordered(&stamped);
            self.broadcast(Some(node), &Item::Signed(Box::new(entry)));
            self.advance(node, job);
        }
    }

    /// Whether a node has freed the slot that a job may have held, or never knew of it.
    pub(in crate::sim) fn has_nothing_to_do(&mut self, node: usize, job: JobId) -> bool {
        let knows = self.nodes[node].disk.replicas.contains_key(&job);
        !knows || self.ask(node, job).iter().any(|deed| matches!(deed, Deed::Stop))
    }

    fn ask(&mut self, node: usize, job: JobId) -> Vec<Deed> {
        let members: Vec<NodeId> =
            (0..self.nodes.len()).filter(|i| *i != node).map(|i| self.nodes[i].id()).collect();
        let follows_up = |event: &Event| parent_of(event) == Some(job);
        let accounts = self.truth.accounts();
        let funds = |node| Some(Funds { free: accounts.free(node), paid: accounts.paid(node) });
        let around = Surroundings {
            purses: Purses(&funds),
            members: &members,
            moment: self.moment(node),
            facts: self.facts(node, job),
            followed_up: self.nodes[node].disk.submissions.values().any(follows_up),
        };
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
        if !held.up || !reads || !held.disk.replicas.contains_key(&job) || held.awaits(job) {
            return;
        }
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
                    let document = self.nodes[node].disk.replicas[&job].job().spec.to_document();
                    self.decide_to_submit(node, *deal, &document, nonce);
                }
                Deed::Wake(wake) => self.set_wake(node, job, wake),
                // As a task of its own would: after what is being done now.
                Deed::Ring(other) => self.ring(node, other),
            }
        }
    }

    fn facts(&self, node: usize, job: JobId) -> Facts {
        let me = self.nodes[node].id();
        if self.order == Order::Neutral {
            return self.truth.facts(job, me, &Event::BidPlaced { price: Amount::ZERO });
        }
        let replicas = &self.nodes[node].disk.replicas;
        let parent = replicas[&job].job().deal.parent.and_then(|parent| replicas.get(&parent));
        let sat = parent.is_some_and(|parent| parent.job().seats.iter().any(|seat| seat.node == me));
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
            let state = self.truth.get(job).expect("a job of the ledger").state_at(self.backend_clock()).0;
            assert!(state >= JobState::Revealing, "an opening leaves a node while the job is {state}");
        }
        self.propose(node, job, event);
    }

    pub(super) fn propose(&mut self, node: usize, job: JobId, event: Event) {
        let replica = &self.nodes[node].disk.replicas[&job];
        let made = replica.propose(&self.nodes[node].key, event);
        let at = if self.order == Order::Neutral { 0 } else { self.orderer_of(replica.job().requester) };
        if self.order == Order::Requester && at == node {
            // To oneself nothing is sent, and nothing is lost.
            return self.order_proposal(at, made);
        }
        self.post(|| Happening::Proposed { at, proposal: Box::new(made.clone()) });
    }

    pub(super) fn end_run(&mut self, node: usize, life: u32, job: JobId) {
        if self.nodes[node].life != life || !self.nodes[node].memory.running.remove(&job) {
            return;
        }
        let held = self.nodes[node].disk.replicas[&job].job();
        let result = self.nodes[node].result(held, &mut self.chance);
        self.nodes[node].disk.runs.insert(job, result);
        self.advance(node, job);
    }

    /// A process reads its logs from disk again.
    pub(super) fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.up = true;
        node.life += 1;
        let replicas = std::mem::take(&mut node.disk.replicas);
        let jobs: BTreeMap<JobId, _> =
            replicas.iter().map(|(id, replica)| (*id, replica.job().clone())).collect();
        for (id, replica) in replicas {
            let parent = jobs[&id].deal.parent.and_then(|parent| jobs.get(&parent));
            let rebuilt = match replica {
                Replica::Plain { .. } => replica,
                Replica::Followed(follower) => {
                    let entries = follower.job_log().entries_after(0).to_vec();
                    let follower = Follower::rebuild(DOMAIN, parent, entries);
                    Replica::Followed(Box::new(follower.expect("what was followed is sound")))
                }
                Replica::Ordered(sequencer) => {
                    let entries = sequencer.job_log().entries_after(0).to_vec();
                    let sequencer = Sequencer::rebuild(node.key.clone(), DOMAIN, parent, entries);
                    Replica::Ordered(Box::new(sequencer.expect("what was sequenced is sound")))
                }
            };
            node.disk.replicas.insert(id, rebuilt);
        }
    }
}
