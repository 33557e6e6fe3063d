//! A network of nodes in virtual time: messages are lost, late, doubled and overtaken; nodes crash and start
//! again. Nothing waits, and a seed says all.

mod act;
mod feed;
mod log;
mod outage;

use std::collections::{BTreeMap, BTreeSet};

pub use outage::{Outage, OutageKind};

use self::feed::Feed;
use super::{
    chance::{Chance, Queue},
    node::Node,
    replica::{Chain, DOMAIN, Item, Proposal},
    temper::Temper,
    weather::Weather,
};
use crate::{
    domain::{Amount, Deal, Event, Job, JobId, NodeId, Span, Spec, Stamped, Timestamp},
    identity::NodeKey,
    rules::Ledger,
};

/// The time at which every world begins.
const START_SECS: u64 = 1_700_000_000;
/// How often a node asks whoever orders logs for what it has not got.
const POLL_MS: u64 = 2_000;
/// How often it looks at every job again, since what others own may have changed.
const LOOK_MS: u64 = 30_000;

/// Who orders the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One process without a stake, as a chain is; there is money.
    Neutral,
    /// Each requester its own jobs'; there is none.
    Requester,
}

/// A promise of the protocol that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{promise}{detail}")]
pub struct Violation {
    /// When, in milliseconds since the world began.
    pub at_ms: u64,
    /// In which job.
    pub job: JobId,
    /// What should not be: the same words each time.
    pub promise: &'static str,
    /// What there is to say of this time: nothing, or `: ` and the rest of the sentence.
    pub detail: String,
}

impl Violation {
    pub(super) fn new(at_ms: u64, job: JobId, promise: &'static str, detail: &dyn std::fmt::Display) -> Self {
        let detail = detail.to_string();
        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
        Self { at_ms, job, promise, detail }
    }
}

/// What must hold of every job at every step, beside the rules: what is wrong with it, or `None`.
pub type Law = fn(&Job) -> Option<&'static str>;

/// What a world counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages that were sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Questions to the policies of all nodes.
    pub decisions: u64,
}

#[derive(Debug)]
enum Happening {
    /// A proposal reaches whoever orders the log: the chain, or this node.
    Proposed {
        at: usize,
        proposal: Box<Proposal>,
    },
    /// An entry reaches a node as it was ordered.
    Told {
        to: usize,
        item: Item,
    },
    /// A node asks whoever orders logs for what it has not got.
    Asked {
        at: usize,
        by: usize,
        life: u32,
        from: usize,
    },
    /// A node is told what it asked for, and whether that is all.
    Answered {
        by: usize,
        to: usize,
        life: u32,
        from: usize,
        items: Vec<Item>,
        is_all: bool,
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
    Begins(Outage),
    Ends(Outage),
    Wants {
        node: usize,
        deal: Box<Deal>,
        command: &'static str,
    },
}

/// A network of nodes.
#[derive(Debug)]
pub struct World {
    order: Order,
    weather: Weather,
    chance: Chance,
    /// Chance of its own, so that another network leaves the troubles of nodes as they are.
    troubles: Chance,
    queue: Queue<Happening>,
    nodes: Vec<Node>,
    by_id: BTreeMap<NodeId, usize>,
    chain: Chain,
    /// The entries that each party has ordered: the chain, or each requester.
    feeds: BTreeMap<usize, Feed>,
    /// When the last message from one to another arrives, where none overtakes another.
    lines: BTreeMap<(Option<usize>, Option<usize>), u64>,
    /// Those that the others do not hear.
    apart: BTreeSet<usize>,
    outages: Vec<Outage>,
    /// Every log, folded as it is ordered.
    truth: Ledger,
    deposited: Option<Amount>,
    locked: BTreeMap<JobId, Amount>,
    locked_in_all: Amount,
    /// Jobs that are not over.
    live: BTreeSet<JobId>,
    wanted: usize,
    revealed: BTreeSet<JobId>,
    verdicts: BTreeSet<JobId>,
    law: Option<Law>,
    counts: Counts,
    broken: Option<Violation>,
}

impl World {
    /// Nodes of these tempers, with so many slots and so much money each. The first two submit jobs.
    pub fn new(
        seed: u64,
        order: Order,
        weather: Weather,
        tempers: &[Temper],
        (slots, deposit): (usize, u128),
    ) -> Self {
        let mut chance = Chance::new(seed);
        let mut truth = Ledger::new(DOMAIN);
        let mut nodes = Vec::new();
        let deposit = Amount::new(if order == Order::Neutral { deposit } else { 0 }).unwrap_or(Amount::ZERO);
        let mut deposited = Some(Amount::ZERO);
        for temper in tempers {
            let key = loop {
                // A few words are no keys.
                if let Some(key) = NodeKey::from_bytes(&chance.bytes()) {
                    break key;
                }
            };
            if truth.accounts_mut().deposit(key.node_id(), deposit).is_ok() {
                deposited = deposited.and_then(|sum| sum.checked_add(deposit));
            }
            let most = weather.most_skew_secs.cast_signed();
            let skew = if order == Order::Requester {
                chance.within(0..2 * weather.most_skew_secs + 1).cast_signed() - most
            } else {
                0
            };
            nodes.push(Node::new(key, *temper, skew, slots));
        }
        let ids: Vec<NodeId> = nodes.iter().map(Node::id).collect();
        for (index, node) in nodes.iter_mut().enumerate() {
            node.members = ids.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, id)| *id).collect();
        }
        let mut world = Self {
            order,
            weather,
            chance,
            troubles: Chance::new(!seed),
            queue: Queue::new(),
            nodes,
            by_id: ids.into_iter().zip(0..).collect(),
            chain: Chain::default(),
            feeds: BTreeMap::new(),
            lines: BTreeMap::new(),
            apart: BTreeSet::new(),
            outages: Vec::new(),
            truth,
            deposited,
            locked: BTreeMap::new(),
            locked_in_all: Amount::ZERO,
            live: BTreeSet::new(),
            wanted: 0,
            revealed: BTreeSet::new(),
            verdicts: BTreeSet::new(),
            law: None,
            counts: Counts::default(),
            broken: None,
        };
        for node in 0..world.nodes.len() {
            let first_ms = world.chance.within(0..POLL_MS);
            world.queue.put(first_ms, Happening::Polls { node });
        }
        world.brew();
        world
    }

    /// Holds every step to one more law.
    pub const fn obey(&mut self, law: Law) {
        self.law = Some(law);
    }

    /// A requester will submit a job at this time.
    pub fn want(&mut self, at_ms: u64, node: usize, deal: Deal, command: &'static str) {
        self.wanted += 1;
        self.queue.put(at_ms, Happening::Wants { node, deal: Box::new(deal), command });
    }

    /// Every log, folded as it was ordered.
    pub const fn truth(&self) -> &Ledger {
        &self.truth
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The place of a node among all.
    pub fn place_of(&self, id: NodeId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// The node of this name.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.place_of(id).and_then(|place| self.nodes.get(place))
    }

    /// What happened so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The log of a job as it was ordered.
    pub fn log_of(&self, job: JobId) -> Vec<Stamped<Event>> {
        let items = self.feeds.values().flatten().filter(|item| item.job() == job);
        items.filter_map(Item::stamped).collect()
    }

    /// The time of a stamp, in milliseconds since the world began.
    pub const fn ms_of(&self, at: Timestamp) -> u64 {
        at.as_secs().saturating_sub(START_SECS).saturating_mul(1000)
    }

    /// The time since the world began, in milliseconds.
    pub const fn now_ms(&self) -> u64 {
        self.queue.now_ms()
    }

    /// Lets things happen until every job is over everywhere, or until `until_ms`; whether they are.
    ///
    /// # Errors
    /// The first promise that was not kept.
    pub fn run(&mut self, until_ms: u64) -> Result<bool, Violation> {
        self.run_to(until_ms, Self::is_settled)
    }

    /// The same, to another end.
    ///
    /// # Errors
    /// The first promise that was not kept.
    pub fn run_to(&mut self, until_ms: u64, is_over: impl Fn(&Self) -> bool) -> Result<bool, Violation> {
        while self.queue.next_ms().is_some_and(|next_ms| next_ms <= until_ms) {
            let Some(happening) = self.queue.pop() else { break };
            // The last node's, since the first may be down.
            let polls = matches!(happening, Happening::Polls { node } if node + 1 == self.nodes.len());
            if polls && is_over(self) {
                return Ok(true);
            }
            self.happen(happening);
            if let Some(violation) = self.broken.take() {
                return Err(violation);
            }
        }
        Ok(is_over(self))
    }

    /// Whether nothing is left to do about any job, for anybody.
    fn is_settled(&self) -> bool {
        let known = self.truth.jobs().count();
        known >= self.wanted
            && self.live.is_empty()
            && self.nodes.iter().all(|node| {
                node.disk.replicas.is_empty()
                    && node.disk.submissions.is_empty()
                    && node.disk.ended.len() == known
            })
    }

    fn breaks(&mut self, job: JobId, promise: &'static str, detail: &dyn std::fmt::Display) {
        let violation = Violation::new(self.queue.now_ms(), job, promise, detail);
        self.broken.get_or_insert(violation);
    }

    /// Jobs that were to be submitted and were not, or are not over.
    pub fn unfinished(&self) -> usize {
        self.wanted.saturating_sub(self.truth.jobs().count()).max(self.live.len())
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Proposed { at, proposal } => self.order_proposal(at, *proposal),
            Happening::Told { to, item } => {
                self.tell(to, &item, true);
            }
            Happening::Asked { at, by, life, from } => self.answer(at, (by, life), from),
            Happening::Answered { by, to, life, from, items, is_all } => {
                self.hear(by, (to, life), (from, &items), is_all);
            }
            Happening::Wakes { node, life, job, at_ms } => {
                if self.nodes[node].life == life {
                    self.nodes[node].memory.wakes.remove(&(job, at_ms));
                    self.advance(node, job);
                }
            }
            Happening::RunEnds { node, life, job } => self.end_run(node, life, job),
            Happening::Polls { node } => self.poll(node),
            Happening::Begins(outage) => self.begin(outage),
            Happening::Ends(outage) => self.end(outage),
            Happening::Wants { node, deal, command } => {
                let nonce = self.chance.next();
                self.decide_to_submit(node, *deal, &spec(command).to_document(), nonce);
            }
        }
    }

    fn clock(&self, node: usize) -> Timestamp {
        let secs = START_SECS + self.queue.now_ms() / 1000;
        Timestamp::from_secs(secs.saturating_add_signed(self.nodes[node].skew_secs))
    }

    fn backend_clock(&self) -> Timestamp {
        Timestamp::from_secs(START_SECS + self.queue.now_ms() / 1000)
    }

    /// Puts a message on its way, or not. `None` is the chain.
    fn post(
        &mut self,
        (from, to): (Option<usize>, Option<usize>),
        bytes: usize,
        message: impl Fn() -> Happening,
    ) {
        let copies = 1 + u64::from(self.chance.permille(self.weather.double_permille));
        for _ in 0..copies {
            self.counts.messages += 1;
            self.counts.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            if self.chance.permille(self.weather.drop_permille) || self.is_cut((from, to)) {
                continue;
            }
            let mut at_ms = self.queue.now_ms() + self.chance.within(5..self.weather.most_delay_ms);
            if !self.weather.reorders {
                let last_ms = self.lines.entry((from, to)).or_default();
                at_ms = at_ms.max(*last_ms);
                *last_ms = at_ms;
            }
            self.queue.put(at_ms, message());
        }
    }

    fn is_cut(&self, (from, to): (Option<usize>, Option<usize>)) -> bool {
        let is_apart = |party: Option<usize>| party.is_some_and(|node| self.apart.contains(&node));
        is_apart(from) != is_apart(to)
    }
}

/// Quick enough to be over in minutes, with time for another try.
pub fn deal(order: Order, concurrency: u8, confidence: u8) -> Deal {
    let money = Amount::new(if order == Order::Neutral { 10 } else { 0 }).unwrap_or(Amount::ZERO);
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

/// A job that runs this.
pub fn spec(command: &str) -> Spec {
    Spec { command: vec![command.to_owned()], ..Spec::sample() }
}
