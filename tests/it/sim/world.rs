//! A network of nodes in virtual time: messages are lost, late, doubled and overtaken; nodes crash and start
//! again. Nothing waits, and a seed says all.

mod act;

use std::collections::{BTreeMap, BTreeSet};

use assay::{
    domain::{Amount, Deal, Event, JobId, JobState, NodeId, Span, Spec, Stamped, Timestamp},
    identity::NodeKey,
    rules::Ledger,
    scheduler::libp2p::{job_log::parent_of, sequence::Arrival},
};

use super::{
    chance::{Chance, Queue},
    node::{Node, Temper},
    replica::{Chain, DOMAIN, Item, Proposal, Replica, sequence},
};

pub(super) const START_SECS: u64 = 1_700_000_000;
pub(super) const DEPOSIT: u128 = 1000;
const POLL_MS: u64 = 2_000;

/// Who orders the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One process without a stake, as a chain is; there is money.
    Neutral,
    /// Each requester its own jobs'; there is none.
    Requester,
}

/// What the network does to messages and nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) most_delay_ms: u64,
    pub(super) drop_permille: u64,
    pub(super) double_permille: u64,
    pub(super) crashes: u64,
}

impl Weather {
    pub(super) const CALM: Self =
        Self { most_delay_ms: 200, drop_permille: 0, double_permille: 0, crashes: 0 };
    pub(super) const STORM: Self =
        Self { most_delay_ms: 3_000, drop_permille: 150, double_permille: 100, crashes: 12 };
}

#[derive(Debug)]
enum Happening {
    /// A proposal reaches whoever orders the log: the chain, or this node.
    Proposed {
        at: usize,
        proposal: Box<Proposal>,
    },
    /// An entry reaches a node, as it was ordered or because it was asked for.
    Told {
        to: usize,
        item: Item,
        live: bool,
    },
    /// A node asks whoever orders logs for what it has not got.
    Asked {
        at: usize,
        by: usize,
        life: u32,
        heights: BTreeMap<JobId, u64>,
    },
    /// A node has every entry that was there when it asked.
    CaughtUp {
        node: usize,
        life: u32,
    },
    Wakes {
        node: usize,
        life: u32,
        job: JobId,
        at_ms: u64,
    },
    RunEnds {
        node: usize,
        life: u32,
        job: JobId,
    },
    Polls {
        node: usize,
    },
    Crashes {
        node: usize,
        for_ms: u64,
    },
    Starts {
        node: usize,
    },
    Wants {
        node: usize,
        deal: Box<Deal>,
        command: &'static str,
    },
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) order: Order,
    weather: Weather,
    chance: Chance,
    queue: Queue<Happening>,
    pub(super) nodes: Vec<Node>,
    chain: Chain,
    /// Every log, folded as it is ordered.
    pub(super) truth: Ledger,
    wanted: usize,
    revealed: BTreeSet<JobId>,
    verdicts: BTreeSet<JobId>,
}

impl World {
    /// Nodes of these tempers. The first two, which are honest, submit jobs.
    pub(super) fn new(seed: u64, order: Order, weather: Weather, tempers: &[Temper]) -> Self {
        Self::with_slots(seed, order, weather, tempers, 2)
    }

    /// The same, with so many slots each.
    pub(super) fn with_slots(
        seed: u64,
        order: Order,
        weather: Weather,
        tempers: &[Temper],
        slots: usize,
    ) -> Self {
        let mut chance = Chance::new(seed);
        let mut truth = Ledger::new(DOMAIN);
        let mut nodes = Vec::new();
        for temper in tempers {
            let key = NodeKey::from_bytes(&chance.bytes()).expect("few words are no keys");
            if order == Order::Neutral {
                truth.accounts_mut().deposit(key.node_id(), Amount::new(DEPOSIT).unwrap()).unwrap();
            }
            let skew = if order == Order::Requester { chance.within(0..7).cast_signed() - 3 } else { 0 };
            nodes.push(Node::new(key, *temper, skew, slots));
        }
        let mut world = Self {
            order,
            weather,
            chance,
            queue: Queue::new(),
            nodes,
            chain: Chain::default(),
            truth,
            wanted: 0,
            revealed: BTreeSet::new(),
            verdicts: BTreeSet::new(),
        };
        for node in 0..world.nodes.len() {
            let first_ms = world.chance.within(0..POLL_MS);
            world.queue.put(first_ms, Happening::Polls { node });
        }
        for _ in 0..weather.crashes {
            let at_ms = world.chance.within(1_000..200_000);
            let node =
                usize::try_from(world.chance.within(0..u64::try_from(world.nodes.len()).unwrap())).unwrap();
            let for_ms = world.chance.within(500..15_000);
            world.queue.put(at_ms, Happening::Crashes { node, for_ms });
        }
        world
    }

    /// A requester will submit a job at this time.
    pub(super) fn want(&mut self, at_ms: u64, node: usize, deal: Deal, command: &'static str) {
        self.wanted += 1;
        self.queue.put(at_ms, Happening::Wants { node, deal: Box::new(deal), command });
    }

    /// A node goes down for so long.
    pub(super) fn crash(&mut self, at_ms: u64, node: usize, for_ms: u64) {
        self.queue.put(at_ms, Happening::Crashes { node, for_ms });
    }

    /// Lets things happen until every job is over everywhere, or until `until_ms`; whether they are.
    pub(super) fn run(&mut self, until_ms: u64) -> bool {
        self.run_to(until_ms, Self::is_settled)
    }

    /// The same, to another end.
    pub(super) fn run_to(&mut self, until_ms: u64, is_over: impl Fn(&Self) -> bool) -> bool {
        while let Some(happening) = self.queue.pop() {
            if self.queue.now_ms() > until_ms {
                break;
            }
            // The last node's, since the first may be down.
            let polls = matches!(happening, Happening::Polls { node } if node + 1 == self.nodes.len());
            if polls && is_over(self) {
                return true;
            }
            self.happen(happening);
        }
        is_over(self)
    }

    /// Whether nothing is left to do about a job for this node.
    fn is_over(&self, node: usize, job: JobId) -> bool {
        let held = self.nodes[node].disk.replicas[&job].job();
        let may_follow_up = held.state == JobState::Inconclusive && held.requester == self.nodes[node].id();
        held.state.is_terminal() && !may_follow_up
    }

    fn is_settled(&self) -> bool {
        let followed = |id: JobId| {
            let job = self.truth.get(id).expect("a job of the ledger");
            let asks = job.state == JobState::Inconclusive && job.deal.escalated(id).is_some();
            !asks || self.truth.child_of(id).is_some()
        };
        let held = |node: &Node, id: JobId| {
            node.disk.replicas.get(&id).is_some_and(|replica| replica.job().state.is_terminal())
        };
        self.truth.jobs().count() >= self.wanted
            && self.truth.jobs().all(|job| {
                let known = self.nodes.iter().all(|node| held(node, job.id));
                job.state.is_terminal() && followed(job.id) && known
            })
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Proposed { at, proposal } => self.order_proposal(at, *proposal),
            Happening::Told { to, item, live } => self.tell(to, item, live),
            Happening::Asked { at, by, life, heights } => self.answer(at, (by, life), &heights),
            Happening::CaughtUp { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].up {
                    self.nodes[node].memory.caught_up = true;
                }
            }
            Happening::Wakes { node, life, job, at_ms } => {
                if self.nodes[node].life == life {
                    self.nodes[node].memory.wakes.remove(&(job, at_ms));
                    self.advance(node, job);
                }
            }
            Happening::RunEnds { node, life, job } => self.end_run(node, life, job),
            Happening::Polls { node } => self.poll(node),
            Happening::Crashes { node, for_ms } => {
                self.nodes[node].crash();
                let at_ms = self.queue.now_ms() + for_ms;
                self.queue.put(at_ms, Happening::Starts { node });
            }
            Happening::Starts { node } => self.start(node),
            Happening::Wants { node, deal, command } => {
                let nonce = self.chance.next();
                self.decide_to_submit(node, *deal, &spec(command).to_document(), nonce);
            }
        }
    }

    pub(super) fn clock(&self, node: usize) -> Timestamp {
        let secs = START_SECS + self.queue.now_ms() / 1000;
        Timestamp::from_secs(secs.saturating_add_signed(self.nodes[node].skew_secs))
    }

    fn backend_clock(&self) -> Timestamp {
        Timestamp::from_secs(START_SECS + self.queue.now_ms() / 1000)
    }

    /// Puts a message on its way, or not.
    fn post(&mut self, message: impl Fn() -> Happening) {
        let copies = 1 + u64::from(self.chance.permille(self.weather.double_permille));
        for _ in 0..copies {
            if !self.chance.permille(self.weather.drop_permille) {
                let at_ms = self.queue.now_ms() + self.chance.within(5..self.weather.most_delay_ms);
                self.queue.put(at_ms, message());
            }
        }
    }

    fn orderer_of(&self, requester: NodeId) -> usize {
        let node = self.nodes.iter().position(|node| node.id() == requester);
        node.expect("only nodes submit")
    }

    fn order_proposal(&mut self, at: usize, proposal: Proposal) {
        let now = self.backend_clock();
        match self.order {
            Order::Neutral => {
                if let Some(stamped) = self.chain.order(&mut self.truth, now, proposal) {
                    let height = self.chain.height(stamped.job);
                    self.ordered(&stamped);
                    let item = Item::Plain { height, stamped: Box::new(stamped) };
                    self.broadcast(None, &item);
                }
            }
            Order::Requester => {
                let (now, job) = (self.clock(at), proposal.signed.action.job);
                let up = self.nodes[at].up;
                let replica = self.nodes[at].disk.replicas.get_mut(&job).filter(|_| up);
                let Some(Replica::Ordered(sequencer)) = replica else { return };
                let Some(stamped) = sequence(sequencer, now, proposal) else { return };
                let job_log = sequencer.job_log();
                let item =
                    Item::Signed(Box::new(job_log.entry(job_log.height()).expect("just made").clone()));
                self.truth.apply(&stamped).expect("a sequencer keeps the rules");
                self.ordered(&stamped);
                self.broadcast(Some(at), &item);
                self.heard(at, job);
            }
        }
    }

    /// What must hold at every step of every log.
    fn ordered(&mut self, stamped: &Stamped<Event>) {
        match stamped.event {
            Event::Revealed { .. } => {
                self.revealed.insert(stamped.job);
            }
            Event::Committed { .. } => {
                assert!(!self.revealed.contains(&stamped.job), "a commitment after a reveal: {stamped:?}");
            }
            Event::VerdictPosted { .. } => {
                assert!(self.verdicts.insert(stamped.job), "a second verdict: {stamped:?}");
            }
            _ => {}
        }
        self.truth.assert_invariants();
        if self.order == Order::Neutral {
            let deposited = DEPOSIT * u128::try_from(self.nodes.len()).unwrap();
            assert_eq!(self.truth.total_money(), Amount::new(deposited));
        }
    }

    fn broadcast(&mut self, from: Option<usize>, item: &Item) {
        for to in (0..self.nodes.len()).filter(|to| Some(*to) != from) {
            self.post(|| Happening::Told { to, item: item.clone(), live: true });
        }
    }

    fn tell(&mut self, to: usize, item: Item, live: bool) {
        if !self.nodes[to].up {
            return;
        }
        let now = self.clock(to);
        let arrival = if live { Arrival::Live(now) } else { Arrival::Synced(now) };
        let (job, parent) = match &item {
            Item::Plain { stamped, .. } => (stamped.job, parent_of(&stamped.event)),
            Item::Signed(entry) => (entry.job(), parent_of(entry.event())),
        };
        let node = &mut self.nodes[to];
        let me = node.id();
        let changed = match node.disk.replicas.get_mut(&job) {
            Some(replica) => replica.take(me, item, arrival),
            None => {
                let parent = parent.and_then(|parent| node.disk.replicas.get(&parent)).map(Replica::job);
                let opened = Replica::open(&item, parent);
                opened.is_some_and(|replica| node.disk.replicas.insert(job, replica).is_none())
            }
        };
        if changed {
            self.heard(to, job);
        }
    }

    fn answer(&mut self, at: usize, (by, life): (usize, u32), heights: &BTreeMap<JobId, u64>) {
        let height = |job: JobId| heights.get(&job).copied().unwrap_or_default();
        let items: Vec<Item> = match self.order {
            Order::Neutral => self.chain.jobs().flat_map(|job| self.chain.after(job, height(job))).collect(),
            Order::Requester if self.nodes[at].up => {
                let ordered =
                    self.nodes[at].disk.replicas.iter().filter_map(|(job, replica)| match replica {
                        Replica::Ordered(sequencer) => Some((*job, sequencer)),
                        Replica::Plain { .. } | Replica::Followed(_) => None,
                    });
                ordered
                    .flat_map(|(job, sequencer)| sequencer.job_log().entries_after(height(job)))
                    .map(|entry| Item::Signed(Box::new(entry.clone())))
                    .collect()
            }
            Order::Requester => Vec::new(),
        };
        // An answer is one message: in order, or not at all.
        if self.chance.permille(self.weather.drop_permille) {
            return;
        }
        let at_ms = self.queue.now_ms() + self.chance.within(5..self.weather.most_delay_ms);
        for item in items {
            self.queue.put(at_ms, Happening::Told { to: by, item, live: false });
        }
        self.queue.put(at_ms, Happening::CaughtUp { node: by, life });
    }

    fn poll(&mut self, node: usize) {
        let next_ms = self.queue.now_ms() + POLL_MS;
        self.queue.put(next_ms, Happening::Polls { node });
        if !self.nodes[node].up {
            return;
        }
        let replicas = &self.nodes[node].disk.replicas;
        let heights: BTreeMap<JobId, u64> =
            replicas.iter().map(|(job, held)| (*job, held.height())).collect();
        let (neutral, requesters) =
            (self.order == Order::Neutral, if self.order == Order::Neutral { 1 } else { 2 });
        let life = self.nodes[node].life;
        for at in (0..requesters).filter(|at| neutral || *at != node) {
            self.post(|| Happening::Asked { at, by: node, life, heights: heights.clone() });
        }
        self.submit(node);
        for job in heights.into_keys() {
            if self.is_over(node, job) {
                continue;
            }
            self.look_again(node, job);
            let held = self.nodes[node].disk.replicas[&job].job();
            let meddled = self.nodes[node].meddle(held, &mut self.chance);
            if let Some(event) = meddled.filter(|_| self.chance.permille(300)) {
                self.propose(node, job, event);
            }
        }
    }
}

/// Quick enough to be over in minutes, with time for another try.
pub(super) fn deal(order: Order, concurrency: u8, confidence: u8) -> Deal {
    let money = Amount::new(if order == Order::Neutral { 10 } else { 0 }).unwrap();
    Deal {
        concurrency,
        confidence,
        price: money,
        bond: money,
        open: Span::from_secs(30),
        timeout: Span::from_secs(40),
        run: Span::from_secs(150),
        reveal: Span::from_secs(60),
        ..Deal::default()
    }
}

pub(super) fn spec(command: &str) -> Spec {
    Spec { command: vec![command.to_owned()], ..Spec::sample() }
}
