//! Steps of several jobs that are ready at the same time: they share transactions, and none of them spoils another.

use super::{
    super::faulty::{Fault, Faulty},
    *,
};

const ESCROW: u128 = 3 * PRICE + FEE;

/// A town of three nodes with money for so many jobs.
async fn rich(town: Town, jobs: u128) -> Town {
    let more = |amount: u128| Amount::new(amount * (jobs - 1)).unwrap();
    town.requester.scheduler.client().deposit(more(ESCROW)).await.unwrap();
    for node in &town.nodes {
        node.scheduler.client().deposit(more(BOND)).await.unwrap();
    }
    town
}

fn number(hex: &serde_json::Value) -> u64 {
    u64::from_str_radix(hex.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// How many transactions of a member are in blocks.
fn sent_by(town: &Town, member: &Member) -> u64 {
    number(&town.chain.rpc("eth_getTransactionCount", &json!([member.id(), "latest"])))
}

/// The newest block.
fn head(town: &Town) -> u64 {
    number(&town.chain.rpc("eth_blockNumber", &json!([])))
}

/// How many transactions wait for a block.
fn waiting(town: &Town) -> u64 {
    number(&town.chain.rpc("txpool_status", &json!([]))["pending"])
}

async fn until(is_so: impl Fn() -> bool) {
    let mut ticks = interval(Duration::from_millis(20));
    let waited = async {
        while !is_so() {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, waited).await.expect("it comes to be so in time");
}

/// What a node does next in a job, and how often it acted in it before.
fn next(job: &Job, node: NodeId) -> Option<(u64, Event)> {
    if job.state == JobState::Open && !job.bids.contains_key(&node) {
        return Some((0, Event::BidPlaced { price: job.deal.price }));
    }
    let seat = job.seat_of(node)?;
    let opening = opening(seat, &[]);
    match job.state {
        JobState::Running => {
            Some((1, Event::Committed { commitment: opening.commitment(job.domain, job.id, seat, node) }))
        }
        JobState::Revealing => Some((2, Event::Revealed { seat, opening })),
        _ => None,
    }
}

/// What the requester does once all have bid.
fn acceptances(job: &Job, requester: NodeId) -> Vec<(u64, Event)> {
    let are_all_here = job.requester == requester && job.state == JobState::Open && job.bids.len() == 3;
    let bidders = job.bids.keys().filter(|_| are_all_here);
    (1..).zip(bidders.map(|node| Event::BidAccepted { node: *node })).collect()
}

/// Takes every step of a member once, in all jobs.
async fn live(deal: Deal, member: Arc<Member>, is_requester: bool) {
    let (mut events, mut under_way) = (member.scheduler.events(Cursor(0)), JoinSet::new());
    let (mut ledger, mut done) = (Ledger::new(member.scheduler.domain()), BTreeSet::new());
    while let Some(update) = events.next().await {
        let item = match update.unwrap() {
            LogUpdate::Entry(item) => item,
            LogUpdate::Forgotten(job) => {
                ledger.forget(job);
                continue;
            }
            LogUpdate::CaughtUp | LogUpdate::Rewound { .. } => continue,
        };
        ledger.apply(&item.stamped).unwrap();
        let job = ledger.get(item.stamped.job).unwrap();
        let steps = if is_requester {
            acceptances(job, member.id())
        } else {
            next(job, member.id()).into_iter().collect()
        };
        let Some((sequence, _)) = steps.first() else { continue };
        if done.insert((job.id, *sequence)) {
            let sign = |(sequence, event): &(u64, Event)| {
                signed_under(&deal, &member, job.id, *sequence, item.entry, event.clone())
            };
            let (steps, member) = (steps.iter().map(sign).collect(), Arc::clone(&member));
            // What a node hands over is under way as long as the log does not have it.
            under_way.spawn(async move { drop(member.scheduler.submit_all(steps).await) });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_submitted_at_once_take_fewer_than_three_transactions_each() {
    const JOBS: u64 = 12;
    let town = rich(Town::start().await, JOBS.into()).await;
    town.chain.rpc("evm_setAutomine", &json!([false]));
    town.chain.rpc("evm_setIntervalMining", &json!([1]));
    let mut living = JoinSet::new();
    for member in town.nodes.iter().chain([&town.requester]) {
        let is_requester = member.id() == town.requester.id();
        living.spawn(live(town.deal.clone(), Arc::clone(member), is_requester));
    }
    let jobs: Vec<_> = (0..JOBS).map(|nonce| town.offer_as(nonce)).collect();
    let mut transactions = BTreeSet::new();
    let (mut gas, mut parts) = (0, 0);
    for (job, mut submitted) in jobs {
        timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        when(&town.requester, job, |job| job.state == JobState::Verified).await;
        let anchors = town.requester.scheduler.anchors(job).await.unwrap();
        let costs: BTreeMap<_, _> = anchors.iter().map(|anchor| (anchor.transaction, anchor.cost)).collect();
        gas += costs.values().map(|cost| cost.unwrap().gas_used).sum::<u64>();
        parts += u64::try_from(costs.len()).unwrap();
        transactions.extend(costs.into_keys());
    }
    let count = u64::try_from(transactions.len()).unwrap();
    assert!(count < 3 * JOBS, "{count} transactions for {JOBS} jobs");
    // Each job bears its part of what it shares, rounded up: less than a unit of gas more for each part.
    let receipt = |transaction: &Digest| town.chain.rpc("eth_getTransactionReceipt", &json!([transaction]));
    let paid: u64 = transactions.iter().map(|transaction| number(&receipt(transaction)["gasUsed"])).sum();
    assert!(gas >= paid && gas - paid < parts, "{gas} of {paid} in {parts} parts");
    // Whoever posts a verdict has its fee: which party that is depends on who is fast.
    let free: u128 = town.free().await.into_iter().sum();
    assert_eq!(free, u128::from(JOBS) * (ESCROW + 3 * BOND), "nothing stays locked, and nothing is lost");
}

/// Offers jobs, and has all nodes bid for them.
async fn chosen(
    town: &Town,
    jobs: u64,
) -> Vec<(JobId, JoinSet<Result<Cursor, SubmitError>>, Vec<SignedAction>)> {
    let mut chosen = Vec::new();
    for nonce in 0..jobs {
        let (job, submitted) = town.offer_as(nonce);
        let accepted = town.choose(job).await;
        chosen.push((job, submitted, accepted));
    }
    chosen
}

/// The input of a member's transaction that waits for a block.
fn input_of(town: &Town, member: &Member, nonce: u64) -> String {
    let pool = town.chain.rpc("txpool_content", &json!([]))["pending"].take();
    let senders = pool.as_object().unwrap().iter();
    let mut own = senders.filter(|(sender, _)| sender.eq_ignore_ascii_case(&member.id().to_string()));
    let (_, waiting) = own.next().unwrap();
    waiting[nonce.to_string()]["input"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_the_contract_refuses_by_then_leaves_the_others_of_its_transaction_in_place() {
    // Steps that come more than a second apart share nothing, as they may on a machine that is busy.
    for _ in 0..3 {
        if is_one_of_two_steps_refused().await {
            return;
        }
    }
    panic!("the two steps never shared a transaction");
}

/// Says whether the two steps shared a transaction; if so, all that follows from it is checked.
async fn is_one_of_two_steps_refused() -> bool {
    let town = rich(Town::start().await, 3).await;
    let mut jobs = chosen(&town, 3).await;
    // Money for two of the three jobs is left, and any one of them can be paid.
    town.requester.scheduler.client().withdraw(Amount::new(ESCROW).unwrap()).await.unwrap();
    town.chain.rpc("evm_setAutomine", &json!([false]));
    let before = sent_by(&town, &town.requester);
    let mut accepting = JoinSet::new();
    let accept = |accepted: &Vec<SignedAction>| {
        let (requester, accepted) = (Arc::clone(&town.requester), accepted.clone());
        async move { requester.scheduler.submit_all(accepted).await }
    };
    accepting.spawn(accept(&jobs[0].2));
    until(|| waiting(&town) == 1).await;
    // Both of these wait for the first, or for a second at most.
    accepting.spawn(accept(&jobs[1].2));
    accepting.spawn(accept(&jobs[2].2));
    until(|| waiting(&town) >= 2).await;
    let [first, second] = [0, 1].map(|index| input_of(&town, &town.requester, before + index));
    let step = first[2..].get(..8).unwrap();
    if second[2..].starts_with(step) {
        return false;
    }
    assert_eq!(second.matches(step).count(), 2, "both steps in one transaction");
    town.chain.rpc("evm_setAutomine", &json!([true]));
    town.chain.mine(1).await;
    let mut refused = Vec::new();
    for (job, submitted, _) in &mut jobs {
        let submitted = timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap();
        match submitted {
            Ok(_) => drop(when(&town.requester, *job, |job| job.state == JobState::Running).await),
            Err(error) => refused.push(error),
        }
    }
    assert_eq!(refused, [SubmitError::Rejected(Rejection::NotFunded)], "it is told its own reason");
    assert_eq!(sent_by(&town, &town.requester) - before, 2, "and nothing more is sent for it");
    assert_eq!(town.free().await, [0, BOND, BOND, BOND]);
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_whose_block_is_taken_back_are_sent_again_together() {
    let town = rich(Town::start().await, 3).await;
    let mut jobs = chosen(&town, 3).await;
    town.chain.rpc("evm_setAutomine", &json!([false]));
    let (before, head) = (sent_by(&town, &town.requester), head(&town));
    let accepted = jobs.iter().map(|(_, _, accepted)| town.requester.scheduler.submit_all(accepted.clone()));
    let mined = async {
        // The first does not wait for the others, which come in a second transaction if it was alone.
        until(|| waiting(&town) > 0).await;
        town.chain.mine(1).await;
        town.chain.rpc("evm_setAutomine", &json!([true]));
    };
    let (accepted, ()) = tokio::join!(join_all(accepted), mined);
    for ((job, submitted, _), accepted) in jobs.iter_mut().zip(accepted) {
        accepted.unwrap();
        timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        assert_eq!(town.requester.scheduler.is_rostered(*job).await, Ok(true));
    }
    let sent = sent_by(&town, &town.requester);
    // What the sender sends again meanwhile waits.
    town.chain.rpc("evm_setAutomine", &json!([false]));
    town.chain.rpc("anvil_reorg", &json!([self::head(&town) - head, []]));
    assert_eq!(sent_by(&town, &town.requester), before, "all of them are gone");
    town.chain.rpc("evm_setAutomine", &json!([true]));
    town.chain.mine(1).await;
    until(|| sent_by(&town, &town.requester) == sent).await;
    for (job, _, _) in &jobs {
        assert_eq!(town.requester.scheduler.is_rostered(*job).await, Ok(true));
    }
    assert_eq!(town.free().await, [0, 0, 0, 0], "each job has its escrow and its bonds, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_whose_first_answer_is_lost_are_not_sent_twice() {
    let chain = Chain::start(None).await;
    let lost = Mutex::new(BTreeSet::new());
    let endpoint = Faulty::start(&chain.anvil.rpc_url, move |method, params| {
        let is_first = method == "eth_sendRawTransaction" && lost.lock().unwrap().insert(params.to_string());
        if is_first { Fault::Lost(502) } else { Fault::None }
    })
    .await;
    endpoint.set_faulty(false);
    let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
    let town = rich(Town::on(chain, 3, config).await, 3).await;
    let mut jobs = chosen(&town, 3).await;
    endpoint.set_faulty(true);
    let before = sent_by(&town, &town.requester);
    let accepted = jobs.iter().map(|(_, _, accepted)| town.requester.scheduler.submit_all(accepted.clone()));
    for accepted in join_all(accepted).await {
        accepted.unwrap();
    }
    let mut transactions = BTreeSet::new();
    for (job, submitted, _) in &mut jobs {
        timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        when(&town.requester, *job, |job| job.state == JobState::Running).await;
        let anchors = town.requester.scheduler.anchors(*job).await.unwrap();
        transactions.extend(anchors.into_iter().map(|anchor| anchor.transaction));
    }
    let sent = sent_by(&town, &town.requester) - before;
    assert_eq!(u64::try_from(transactions.len()).unwrap(), sent, "nothing was sent in vain");
    assert_eq!(town.free().await, [0, 0, 0, 0]);
}
