//! The backends, with the same parties in each, and how a step becomes an action of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use assay::{
    domain::{
        Action, Amount, AuditStage, Deal, Digest, Event, Job, JobId, JobState, LogDomain, NodeId, Opening,
        SeatOpening, SignedAction, Spec, Timestamp,
    },
    identity::NodeKey,
    rules::Rejection,
    scheduler::{EnvelopeRefusal, SubmitError, conformance::Party, contract, libp2p, local::LocalLog},
    store::Db,
};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::{PATIENCE, REQUESTER, START};
use crate::{contract::chain::Chain, libp2p::node::TestClock};

/// What a party does, in words that hold no job's id, no domain and nothing hashed over them.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) who: usize,
    /// Which of the jobs so far; beyond them, one that nobody submitted.
    pub(super) job: usize,
    /// Whether the deal that the author names is the job's.
    pub(super) knows_deal: bool,
    pub(super) act: Act,
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Submit(Submission),
    Update {
        deal: Deal,
        parent: Option<usize>,
    },
    /// To a result, or to what nothing opens.
    Commit {
        seat: u8,
        result: Option<Opening>,
    },
    Plain(Event),
}

#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub(super) deal: Deal,
    pub(super) parent: Option<usize>,
    pub(super) is_spec_right: bool,
    pub(super) nonce: u64,
    pub(super) is_id_right: bool,
}

/// What a backend said to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    Rejected(Rejection),
    Refused(EnvelopeRefusal),
    NotOrdered(String),
}

#[derive(Debug)]
pub(super) enum Kind {
    Local(Arc<LocalLog>),
    Libp2p { clock: TestClock, _running: Vec<libp2p::Running> },
    Contract { chain: Box<Chain>, clients: Vec<Arc<contract::ChainClient>>, _running: Vec<contract::Running> },
}

pub(super) struct Side {
    pub(super) kind: Kind,
    pub(super) parties: Vec<Party>,
    domain: LogDomain,
    pub(super) jobs: Vec<JobId>,
    /// The first and the newest entry of each job.
    pub(super) entries: BTreeMap<JobId, (Digest, Digest)>,
    /// Jobs of which an entry says that they reveal.
    closed: BTreeSet<JobId>,
    /// How many actions each party has in each job.
    taken: BTreeMap<(JobId, usize), u64>,
}

impl Side {
    pub(super) fn new(kind: Kind, parties: Vec<Party>) -> Self {
        let domain = parties[REQUESTER].scheduler.domain();
        let (jobs, entries) = (Vec::new(), BTreeMap::new());
        Self { kind, parties, domain, jobs, entries, closed: BTreeSet::new(), taken: BTreeMap::new() }
    }

    pub(super) fn local(keys: &[NodeKey], domain: LogDomain) -> Self {
        let log = LocalLog::new(domain, START);
        let party = |key: &NodeKey| Party::new(log.join(key.node_id()), key.clone());
        let parties = keys.iter().map(party).collect();
        Self::new(Kind::Local(log), parties)
    }

    pub(super) async fn libp2p(keys: &[NodeKey]) -> Self {
        let clock = TestClock::new();
        let (requester, nodes) = crate::libp2p::network_of(&clock, keys.to_vec()).await;
        let (mut parties, mut running) = (Vec::new(), Vec::new());
        for node in std::iter::once(requester).chain(nodes) {
            parties.push(Party::new(node.scheduler, node.key));
            running.push(node.running);
        }
        Self::new(Kind::Libp2p { clock, _running: running }, parties)
    }

    pub(super) async fn contract(keys: &[NodeKey]) -> Self {
        let chain = Chain::start(Some(START.as_secs())).await;
        let config = contract::ChainConfig { rpc_urls: vec![chain.anvil.ws_url.clone()], ..chain.config() };
        let (mut parties, mut clients, mut running) = (Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            chain.give_gas(key.node_id());
            let member = chain.member_with(config.clone(), key.clone(), Db::in_memory().unwrap()).await;
            clients.push(member.scheduler.client());
            parties.push(Party::new(member.scheduler, member.key));
            running.push(member.running);
        }
        Self::new(Kind::Contract { chain: Box::new(chain), clients, _running: running }, parties)
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Local(_) => "local",
            Kind::Libp2p { .. } => "libp2p",
            Kind::Contract { .. } => "contract",
        }
    }

    pub(super) const fn domain(&self) -> LogDomain {
        self.domain
    }

    pub(super) async fn deposit(&self, who: usize, amount: Amount) {
        match &self.kind {
            Kind::Local(log) => log.deposit(self.parties[who].id(), amount),
            Kind::Contract { clients, .. } => drop(clients[who].deposit(amount).await.unwrap()),
            Kind::Libp2p { .. } => panic!("this backend holds no money"),
        }
    }

    /// Sets the clock, and waits until the requester's and everybody's backend has seen it.
    pub(super) async fn set_now(&self, now: Timestamp) {
        match &self.kind {
            Kind::Local(log) => log.set_now(now),
            Kind::Libp2p { clock, .. } => clock.set(now),
            Kind::Contract { chain, .. } => chain.set_now(now),
        }
        for party in &self.parties {
            let seen = async {
                let mut ticks = interval(Duration::from_millis(5));
                while party.scheduler.now().await.unwrap() < now {
                    ticks.tick().await;
                }
            };
            timeout(PATIENCE, seen).await.expect("a backend sees that time goes on");
        }
    }

    pub(super) fn job_id(&self, job: usize) -> JobId {
        self.jobs.get(job).copied().unwrap_or(JobId::new([7; 32]))
    }

    /// A job as the requester has read it.
    pub(super) fn job(&self, job: usize) -> Option<&Job> {
        self.parties[REQUESTER].job(self.job_id(job))
    }

    fn with_parent(&self, deal: &Deal, parent: Option<usize>) -> Deal {
        Deal { parent: parent.map(|parent| self.job_id(parent)), ..deal.clone() }
    }

    /// What the step is here: the job, the revision that it names, and the event.
    pub(super) fn event(&self, step: &Step) -> (JobId, Digest, Event) {
        let (job, id) = (self.job(step.job), self.job_id(step.job));
        let revision = job.filter(|_| step.knows_deal).map_or(Digest::ZERO, |job| job.revision);
        match &step.act {
            Act::Submit(Submission { deal, parent, nonce, is_spec_right, is_id_right }) => {
                let spec = if *is_spec_right { Spec::sample().to_document() } else { b"{}".to_vec() };
                let (deal, hash) = (self.with_parent(deal, *parent), Spec::hash_document(&spec));
                let revision = deal.revision();
                let author = self.parties[step.who].id();
                let right = self.domain.job_id(author, *nonce, hash, revision);
                let id = if *is_id_right { right } else { JobId::new([8; 32]) };
                (id, revision, Event::Submitted { deal, spec, nonce: *nonce })
            }
            Act::Update { deal, parent } => {
                (id, revision, Event::DealUpdated { deal: self.with_parent(deal, *parent) })
            }
            Act::Commit { seat, result } => {
                let node = self.parties[step.who].id();
                let commitment = result
                    .map_or(Digest::new([6; 32]), |result| result.commitment(self.domain, id, *seat, node));
                (id, revision, Event::Committed { commitment })
            }
            Act::Plain(event) => (id, revision, event.clone()),
        }
    }

    /// Whether this party is told what happens in a job. Where the requester orders the log, those are told who
    /// have done something in it.
    pub(super) fn follows(&self, who: usize, job: JobId) -> bool {
        let is_told = who == REQUESTER || self.taken.contains_key(&(job, who));
        is_told || !matches!(self.kind, Kind::Libp2p { .. })
    }

    pub(super) async fn take(&mut self, step: &Step) -> Answer {
        let (job, revision, event) = self.event(step);
        let who = step.who;
        let (mut seen, kind) = (Digest::ZERO, event.kind());
        if let Some((first, newest)) = self.entries.get(&job).copied() {
            let known = if self.follows(who, job) { newest } else { first };
            self.parties[who].read_until(known).await;
            seen = newest;
        }
        let sequence = self.taken.get(&(job, who)).copied().unwrap_or(0);
        let action = Action { job, revision, sequence, seen, event };
        let party = &self.parties[who];
        let signed = SignedAction { signature: party.key.sign(action.signing_digest(self.domain)), action };
        let sent = timeout(PATIENCE, party.scheduler.submit(signed)).await;
        match sent.expect("a backend answers in time") {
            Ok(_) => {}
            Err(SubmitError::Rejected(rejection)) => return Answer::Rejected(rejection),
            Err(SubmitError::Refused(refusal)) => return Answer::Refused(refusal),
            Err(SubmitError::NotOrdered(error)) => return Answer::NotOrdered(error.to_string()),
        }
        let author = party.id();
        *self.taken.entry((job, who)).or_default() += 1;
        self.parties[REQUESTER].read_one().await;
        let item = self.parties[REQUESTER].read.last().unwrap();
        assert_eq!((item.stamped.author, item.stamped.event.kind()), (author, kind), "{}", self.name());
        let entry = item.entry;
        self.entries.entry(job).or_insert((entry, entry)).1 = entry;
        if matches!(step.act, Act::Submit(_)) {
            self.jobs.push(job);
        }
        let may_reveal = |job: &Job| job.state == JobState::Revealing && job.audit != AuditStage::Undrawn;
        if self.parties[REQUESTER].job(job).is_some_and(may_reveal) {
            self.closed.insert(job);
        }
        Answer::Taken
    }

    /// Whether an entry of the log says that commits are closed for good.
    pub(super) fn is_closed(&self, job: JobId) -> bool {
        self.closed.contains(&job)
    }

    /// What the job is now, with what differs by log taken out.
    pub(super) fn view(&self, job: usize, now: Timestamp) -> Value {
        self.view_of(self.job(job).expect("the job was submitted"), job, now)
    }

    fn view_of(&self, job: &Job, number: usize, now: Timestamp) -> Value {
        let mut view = serde_json::to_value(job).unwrap();
        let (state, reveal_by) = job.state_at(now);
        let parent = job.deal.parent.map(|parent| self.jobs.iter().position(|job| *job == parent));
        view["id"] = json!(number);
        view["domain"] = Value::Null;
        // Each backend makes an entry of its own of a submission.
        view["first"] = Value::Null;
        // A tick writes down what follows from the time.
        (view["state"], view["reveal_by"]) = (json!(state), json!(reveal_by));
        view["deal"]["parent"] = json!(parent);
        if parent.is_some() {
            view["revision"] = Value::Null;
        }
        for seat in view["seats"].as_array_mut().unwrap() {
            if let Some(commitment) = seat["status"].get_mut("committed") {
                *commitment = Value::Null;
            }
        }
        view
    }

    /// Has everybody who follows the job read all of it, and compares what they make of it.
    pub(super) async fn everybody_agrees(&mut self, number: usize, now: Timestamp) {
        let job = self.job_id(number);
        let newest = self.entries[&job].1;
        let expected = self.view(number, now);
        for who in 0..self.parties.len() {
            if self.follows(who, job) {
                self.parties[who].read_until(newest).await;
                let found = self.view_of(self.parties[who].job(job).unwrap(), number, now);
                assert_eq!(found, expected, "{}: party {who}", self.name());
            }
        }
    }

    pub(super) fn id(&self, who: usize) -> NodeId {
        self.parties[who].id()
    }
}

/// The openings of a verdict that their nodes have not revealed in this log.
pub(super) fn unrevealed(job: &Job, openings: &[SeatOpening]) -> bool {
    openings.iter().any(|given| !job.revealed.contains(given.seat))
}
