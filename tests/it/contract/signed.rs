//! The signed path on a real chain: three transactions a job, and what becomes of it when somebody leaves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use assay::{
    domain::{
        Amount, Deal, Digest, Event, EventKind, Job, JobId, JobState, NodeId, SignedAction, Timestamp,
        codec::encode_action,
    },
    identity::NodeKey,
    rules::{Ledger, Rejection},
    scheduler::{
        BackendError, Cursor, LogUpdate, Scheduler, SubmitError,
        contract::{ChainConfig, ContractConfig, ContractScheduler, Courier, SignedPath, Unreached},
    },
    store::Db,
};
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, join_all},
};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{interval, timeout},
};

use super::chain::{Chain, Member, PATIENCE, opening};

mod audits;
mod shared;
mod threats;

/// Answers of a backend.
const TAKEN: [u8; 1] = [0];
const LATER: [u8; 1] = [1];
const REFUSED: [u8; 1] = [2];

const PRICE: u128 = 100;
const BOND: u128 = 1000;
const FEE: u128 = 7;

/// Carries requests between members of one process.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    members: Mutex<BTreeMap<NodeId, ContractScheduler>>,
    /// Nobody reaches these, nor they anybody.
    gone: Mutex<BTreeSet<NodeId>>,
    /// Whether everybody is reached and refuses.
    pub(crate) refuses: AtomicBool,
}

#[derive(Debug)]
struct Way {
    from: NodeId,
    hub: Arc<Hub>,
}

impl Courier for Way {
    fn ask(&self, node: NodeId, request: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreached>> {
        let (from, hub) = (self.from, Arc::clone(&self.hub));
        async move {
            let is_gone = hub.gone.lock().unwrap().iter().any(|gone| [from, node].contains(gone));
            let member = hub.members.lock().unwrap().get(&node).cloned().filter(|_| !is_gone);
            if hub.refuses.load(Ordering::SeqCst) {
                return Ok(REFUSED.to_vec());
            }
            let away = || Unreached { node, reason: "it is away".to_owned() };
            member.map(|member| member.answer(from, &request)).ok_or_else(away)
        }
        .boxed()
    }
}

/// A requester and its nodes, by their ids: three, if nothing else is said.
struct Town {
    deal: Deal,
    /// Of the next job.
    nonce: u64,
    chain: Chain,
    hub: Arc<Hub>,
    requester: Arc<Member>,
    nodes: Vec<Arc<Member>>,
    _readers: JoinSet<()>,
}

fn deal() -> Deal {
    let amount = |units| Amount::new(units).unwrap();
    Deal { price: amount(PRICE), bond: amount(BOND), keeper_fee: amount(FEE), ..super::long_deal() }
}

impl Town {
    async fn start() -> Self {
        Self::of(3).await
    }

    /// With so many nodes, and jobs that need them all.
    async fn of(nodes: u8) -> Self {
        let chain = Chain::start(None).await;
        let config = chain.config();
        Self::on(chain, nodes, config).await
    }

    /// On this chain, which the requester reaches so.
    async fn on(chain: Chain, nodes: u8, of_requester: ChainConfig) -> Self {
        let hub = Arc::new(Hub::default());
        let deal = Deal { concurrency: nodes, confidence: nodes / 2 + 1, ..deal() };
        let mut members = Vec::new();
        let bonds = std::iter::repeat_n(BOND, usize::from(nodes));
        for money in std::iter::once(u128::from(nodes) * PRICE + FEE).chain(bonds) {
            let config = if members.is_empty() { of_requester.clone() } else { chain.config() };
            let member = join(&chain, &hub, config).await;
            member.scheduler.client().deposit(Amount::new(money).unwrap()).await.unwrap();
            member.scheduler.announce("/ip4/127.0.0.1/tcp/1").await.unwrap();
            members.push(Arc::new(member));
        }
        for member in &members {
            let mut announced = member.scheduler.announced();
            let all = announced.wait_for(|known| known.len() == members.len());
            timeout(PATIENCE, all).await.unwrap().unwrap();
        }
        // Nodes read their logs.
        let readers = members.iter().map(|member| member.scheduler.events(Cursor(0)));
        let readers = readers.map(|events| events.for_each(async |_| {})).collect();
        let requester = members.remove(0);
        members.sort_by_key(|member| member.id());
        Self { deal, nonce: 0, chain, hub, requester, nodes: members, _readers: readers }
    }

    async fn fund_requester(&self, money: u128) {
        self.requester.scheduler.client().deposit(Amount::new(money).unwrap()).await.unwrap();
    }

    fn leave(&self, member: &Member) {
        self.hub.gone.lock().unwrap().insert(member.id());
    }

    /// Begins to submit a job.
    fn offer(&self) -> (JobId, JoinSet<Result<Cursor, SubmitError>>) {
        self.offer_as(self.nonce)
    }

    fn offer_as(&self, nonce: u64) -> (JobId, JoinSet<Result<Cursor, SubmitError>>) {
        let submission = self.requester.submission(&self.deal, nonce);
        let requester = Arc::clone(&self.requester);
        let job = submission.action.job;
        (job, JoinSet::from_iter([async move { requester.scheduler.submit(submission).await }]))
    }

    async fn bid(&self, node: &Member, job: JobId) {
        let (_, seen) = when(node, job, |_| true).await;
        let event = Event::BidPlaced { price: Amount::new(PRICE).unwrap() };
        let bid = signed_under(&self.deal, node, job, 0, seen, event);
        node.scheduler.submit(bid).await.unwrap();
    }

    /// A job that all nodes bid for and have a seat in.
    async fn run(&self) -> JobId {
        let (job, submitted) = self.offer();
        self.fill(job, submitted).await;
        job
    }

    /// Has all nodes bid, and the requester accept them.
    async fn fill(&self, job: JobId, mut submitted: JoinSet<Result<Cursor, SubmitError>>) {
        let accepted = self.choose(job).await;
        self.requester.scheduler.submit_all(accepted).await.unwrap();
        timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        for node in &self.nodes {
            when(node, job, |job| job.state == JobState::Running).await;
        }
    }

    /// Has all nodes bid: what the requester says to accept them.
    async fn choose(&self, job: JobId) -> Vec<SignedAction> {
        for node in &self.nodes {
            self.bid(node, job).await;
        }
        let (_, seen) = when(&self.requester, job, |job| job.bids.len() == self.nodes.len()).await;
        let accept = |(sequence, node): (u64, &Arc<Member>)| {
            let event = Event::BidAccepted { node: node.id() };
            signed_under(&self.deal, &self.requester, job, sequence, seen, event)
        };
        (1..).zip(&self.nodes).map(accept).collect()
    }

    async fn commit(&self, seat: u8, job: JobId) -> Result<Cursor, SubmitError> {
        let node = &self.nodes[usize::from(seat)];
        let (known, seen) = when(node, job, |_| true).await;
        let commitment = opening(seat, &[]).commitment(known.domain, job, seat, node.id());
        let event = Event::Committed { commitment };
        node.scheduler.submit(signed_under(&self.deal, node, job, 1, seen, event)).await
    }

    async fn open(&self, seat: u8, job: JobId) -> Result<Cursor, SubmitError> {
        let node = &self.nodes[usize::from(seat)];
        let (_, seen) = when(node, job, |job| job.state == JobState::Revealing).await;
        let event = Event::Revealed { seat, opening: opening(seat, &[]) };
        node.scheduler.submit(signed_under(&self.deal, node, job, 2, seen, event)).await
    }

    async fn transactions(&self, job: JobId) -> usize {
        let anchors = self.requester.scheduler.anchors(job).await.unwrap();
        anchors.iter().map(|anchor| anchor.transaction).collect::<BTreeSet<_>>().len()
    }

    async fn free(&self) -> Vec<u128> {
        let mut free = vec![self.requester.free().await.units()];
        for node in &self.nodes {
            free.push(node.free().await.units());
        }
        free
    }
}

/// What a member's backend says to an offer that it is told by `from`, valid for so many seconds.
async fn offered(to: &Member, from: &Member, submission: &SignedAction, secs: u64) -> Vec<u8> {
    let until = to.scheduler.now().await.unwrap().as_secs() + secs;
    let offer = [[1].as_slice(), &until.to_be_bytes(), &encode_action(submission)].concat();
    let mut ticks = interval(Duration::from_millis(20));
    let answered = async {
        loop {
            ticks.tick().await;
            let answer = to.scheduler.answer(from.id(), &offer);
            // The node asks the contract first what the requester has.
            if answer != LATER {
                return answer;
            }
        }
    };
    timeout(PATIENCE, answered).await.unwrap()
}

pub(crate) async fn join(chain: &Chain, hub: &Arc<Hub>, config: ChainConfig) -> Member {
    join_as(chain, hub, config, chain.funded_key()).await
}

/// Joins with a key that has money for gas.
pub(crate) async fn join_as(chain: &Chain, hub: &Arc<Hub>, config: ChainConfig, key: NodeKey) -> Member {
    let courier = Arc::new(Way { from: key.node_id(), hub: Arc::clone(hub) });
    let db = Db::in_memory().unwrap();
    let config = ContractConfig {
        chain: config,
        first_block: chain.deployed.receipt.block,
        db: db.clone(),
        key: key.clone(),
        clock: Arc::new(|| Timestamp::ZERO),
        signed: Some(SignedPath { courier, runs_jobs: true, gather: PATIENCE }),
    };
    let (scheduler, running) = ContractScheduler::start(config).await.unwrap();
    hub.members.lock().unwrap().insert(key.node_id(), scheduler.clone());
    Member { key, scheduler, running, db }
}

fn signed(member: &Member, job: JobId, sequence: u64, seen: Digest, event: Event) -> SignedAction {
    signed_under(&deal(), member, job, sequence, seen, event)
}

fn signed_under(
    deal: &Deal,
    member: &Member,
    job: JobId,
    sequence: u64,
    seen: Digest,
    event: Event,
) -> SignedAction {
    let SignedAction { mut action, .. } = member.sign(job, deal.revision(), sequence, event);
    action.seen = seen;
    let signature = member.key.sign(action.signing_digest(member.scheduler.domain()));
    SignedAction { action, signature }
}

/// The job once it is so to this member, and the name of its newest entry.
async fn when(member: &Member, job: JobId, is_so: impl Fn(&Job) -> bool) -> (Job, Digest) {
    let mut events = member.scheduler.events(Cursor(0));
    let (mut ledger, mut seen) = (Ledger::new(member.scheduler.domain()), Digest::ZERO);
    let found = async {
        loop {
            match events.next().await.unwrap().unwrap() {
                LogUpdate::Entry(item) => {
                    ledger.apply(&item.stamped).unwrap();
                    seen = if item.stamped.job == job { item.entry } else { seen };
                }
                LogUpdate::Forgotten(job) => ledger.forget(job),
                LogUpdate::CaughtUp | LogUpdate::Rewound { .. } => {}
            }
            if let Some(known) = ledger.get(job).filter(|job| is_so(job)) {
                return (known.clone(), seen);
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it comes to be so in time")
}

fn is_under_way(submitted: &Result<Cursor, SubmitError>) -> bool {
    matches!(submitted, Err(SubmitError::NotOrdered(BackendError::UnderWay { .. })))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_all_well_takes_three_transactions() {
    all_is_well(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_a_job_of_one_seat_and_one_of_the_most_seats() {
    all_is_well(1).await;
    all_is_well(31).await;
}

async fn all_is_well(nodes: u8) {
    let town = Town::of(nodes).await;
    let job = town.run().await;
    // All at once, as nodes do: none is to wait for others until it loses patience.
    for committed in join_all((0..nodes).map(|seat| town.commit(seat, job))).await {
        assert!(is_under_way(&committed) || committed.is_ok(), "{committed:?}");
    }
    for opened in join_all((0..nodes).map(|seat| town.open(seat, job))).await {
        assert!(is_under_way(&opened) || opened.is_ok(), "{opened:?}");
    }
    when(&town.requester, job, |job| job.state == JobState::Verified).await;
    assert_eq!(town.transactions(job).await, 3);
    let is_rostered = town.requester.scheduler.is_rostered(job).await;
    assert_eq!(is_rostered, Ok(true), "a delivery to a contract needs the openings of all");
    let (requester, paid) = (vec![FEE], vec![BOND + PRICE; usize::from(nodes)]);
    assert_eq!(town.free().await, [requester, paid].concat(), "the requester was the keeper");

    // A batch is its single events in order.
    let log = town.requester.read().await.into_iter().filter(|item| item.stamped.job == job);
    let kinds: Vec<_> = log.map(|item| item.stamped.event.kind()).collect();
    let seated = std::iter::repeat_n([EventKind::BidPlaced, EventKind::BidAccepted], usize::from(nodes));
    let committed = std::iter::repeat_n(EventKind::Committed, usize::from(nodes));
    let expected = std::iter::once(EventKind::Submitted).chain(seated.flatten()).chain(committed);
    assert_eq!(kinds, expected.chain([EventKind::VerdictPosted]).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_requester_the_seats_bring_a_job_to_its_end() {
    let town = Town::start().await;
    let job = town.run().await;
    town.leave(&town.requester);
    for seat in 0..3 {
        town.commit(seat, job).await.unwrap_err();
    }
    for seat in 0..3 {
        town.open(seat, job).await.unwrap_err();
    }
    when(&town.requester, job, |job| job.state == JobState::Verified).await;
    assert_eq!(town.transactions(job).await, 3);
    assert_eq!(town.free().await, [0, BOND + PRICE + FEE, BOND + PRICE, BOND + PRICE], "the first seat was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_is_away_holds_up_neither_commitments_nor_openings_of_others() {
    let town = Town::start().await;
    let job = town.run().await;
    town.leave(&town.nodes[2]);
    // What a node does while its commitment is under way: it asks again.
    let insist = async |seat, opens: bool| {
        loop {
            let done = if opens { town.open(seat, job).await } else { town.commit(seat, job).await };
            match done {
                Ok(_) => return,
                under_way if is_under_way(&under_way) => tokio::time::sleep(Duration::from_millis(200)).await,
                other => panic!("{other:?}"),
            }
        }
    };
    for seat in 0..3 {
        timeout(PATIENCE, insist(seat, false)).await.unwrap();
    }
    for seat in 0..2 {
        timeout(PATIENCE, insist(seat, true)).await.unwrap();
    }
    let (known, _) = when(&town.requester, job, |job| job.revealed.len() == 2).await;
    assert_eq!(known.committed.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_bids_end_in_a_plain_submission() {
    let town = Town::start().await;
    town.leave(&town.nodes[0]);
    town.leave(&town.nodes[1]);
    let (job, mut submitted) = town.offer();
    timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    let (known, _) = when(&town.nodes[0], job, |_| true).await;
    assert_eq!((known.state, known.bids.len()), (JobState::Open, 0));
    // As on any chain.
    town.nodes[0].act(job, known.revision, Event::BidPlaced { price: known.deal.price }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_nobody_waits_for_any_more_is_submitted_all_the_same() {
    let town = Town::start().await;
    town.leave(&town.nodes[0]);
    town.leave(&town.nodes[1]);
    let (job, mut submitted) = town.offer();
    // As a draft: it takes a while until too few nodes are reached.
    when(&town.requester, job, |_| true).await;
    submitted.shutdown().await;
    // On the chain: no offer reaches this node.
    when(&town.nodes[0], job, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_never_submitted_is_forgotten_and_its_bids_lock_nothing() {
    let town = Town::start().await;
    let (node, requester) = (&town.nodes[0], &town.requester);
    let submission = requester.submission(&deal(), 9);
    let job = submission.action.job;
    assert_eq!(offered(node, node, &submission, 60).await, REFUSED, "nobody offers another's job");
    assert_eq!(offered(node, requester, &submission, 0).await, REFUSED, "it is over");
    assert_eq!(offered(node, requester, &submission, 60).await, TAKEN);
    let mut events = node.scheduler.events(Cursor(0));
    let (_, seen) = when(node, job, |_| true).await;
    let bid = signed(node, job, 0, seen, Event::BidPlaced { price: Amount::ZERO });
    // The requester's backend knows of no offer: what it did not ask for, it does not take.
    assert_eq!(node.scheduler.submit(bid).await, Err(SubmitError::Rejected(Rejection::WrongState)));
    town.chain.rpc("evm_increaseTime", &json!([61]));
    town.chain.mine(1).await;
    let forgotten = async { while events.next().await.unwrap().unwrap() != LogUpdate::Forgotten(job) {} };
    timeout(PATIENCE, forgotten).await.expect("the offer is over");
    assert_eq!(node.free().await.units(), BOND);
}
