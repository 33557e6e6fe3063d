//! The contract backend on a real chain: what the conformance suite does not ask.

mod broken;
pub(crate) mod chain;
mod code;
mod consumer;
mod endpoints;
mod faults;
pub(crate) mod faulty;
mod funds;
mod money;
mod public;
mod reorg;
pub(crate) mod signed;
pub(crate) mod token;
mod troubles;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use alloy_primitives::hex;
use assay::{
    devstack::anvil::{Anvil, AnvilOptions},
    domain::{
        Amount, Deal, Digest, Event, JobId, JobState, LogDomain, NodeId, SeatOpening, SeatSet, Span, Spec,
        Timestamp,
    },
    rules::Rejection,
    scheduler::{
        BackendError, Cursor, EnvelopeRefusal, Scheduler, SubmitError,
        contract::{
            ChainClient, ChainConfig, ConnectError, ContractConfig, ContractScheduler, MoneyError, StartError,
        },
        entries,
    },
    store::{DataDir, Db},
};
use chain::{Chain, ETHER, Member, PATIENCE, fold, opening};
use futures::{StreamExt, future::join_all};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

pub(crate) fn long_deal() -> Deal {
    Deal { open: Span::from_secs(24 * 3600), ..Deal::default() }
}

/// Waits for what only asking can tell.
async fn until(is_so: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let asked = async {
        while !is_so() {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, asked).await.expect("what is waited for comes in time");
}

#[tokio::test]
async fn a_hundred_concurrent_actions_of_one_key_all_get_their_place() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    let actions = (0..100).map(|nonce| member.submission(&long_deal(), nonce));
    let answers =
        timeout(PATIENCE, join_all(actions.map(|action| member.scheduler.submit(action)))).await.unwrap();
    let cursors: BTreeSet<Cursor> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(cursors.len(), 100, "every action has a place of its own");
    assert_eq!(member.read().await.len(), 100);
}

/// Where Anvil moves old states to.
fn states_of(anvil: &Anvil) -> PathBuf {
    let arguments = std::fs::read(format!("/proc/{}/cmdline", anvil.process_id().unwrap())).unwrap();
    let mut arguments = arguments.split(|byte| *byte == 0);
    arguments.find(|argument| *argument == b"--cache-path").unwrap();
    PathBuf::from(str::from_utf8(arguments.next().unwrap()).unwrap())
}

#[tokio::test]
async fn what_a_chain_of_ones_own_keeps_on_the_disk_goes_with_it() {
    let mut ended = Anvil::start(AnvilOptions::default()).await.unwrap();
    let dropped = Anvil::start(AnvilOptions::default()).await.unwrap();
    let states = [&ended, &dropped].map(states_of);
    assert!(states.iter().all(|states| states.is_dir()));
    ended.kill().await;
    assert!(!states[0].exists());
    drop(dropped);
    until(|| !states[1].exists()).await;
}

#[tokio::test]
async fn no_two_chains_share_an_account() {
    // Or nodes of two devstacks on one machine have the same ids, and remove each other's containers.
    let (first, second) = (Chain::start(None).await, Chain::start(None).await);
    let ids = |chain: &Chain| chain.anvil.accounts.iter().map(|account| account.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&first).len(), first.anvil.accounts.len());
    assert!(ids(&first).is_disjoint(&ids(&second)));
}

#[tokio::test]
async fn a_refused_action_leaves_no_gap_in_the_nonces() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    for nonce in 0..3 {
        let broken = Deal { price: Amount::new(1).unwrap(), bond: Amount::new(1).unwrap(), ..long_deal() };
        let answer = member.scheduler.submit(member.submission(&broken, nonce)).await;
        assert_eq!(answer, Err(SubmitError::Rejected(Rejection::NotFunded)));
        member.scheduler.submit(member.submission(&long_deal(), nonce)).await.unwrap();
    }
    assert_eq!(member.read().await.len(), 3);
}

#[tokio::test]
async fn acceptances_that_are_sent_together_share_a_transaction() {
    let chain = Chain::start(None).await;
    let requester = chain.member().await;
    let submission = requester.submission(&long_deal(), 0);
    let (job, revision) = (submission.action.job, submission.action.revision);
    requester.scheduler.submit(submission).await.unwrap();
    let mut nodes = Vec::new();
    for _ in 0..=long_deal().concurrency {
        let node = chain.member().await;
        timeout(PATIENCE, entries(node.scheduler.events(Cursor(0))).next()).await.unwrap().unwrap().unwrap();
        node.act(job, revision, Event::BidPlaced { price: Amount::ZERO }).await;
        nodes.push(node.id());
    }
    requester.read_until(nodes.len() + 1).await;
    let accept = |(sequence, node): (u64, &NodeId)| {
        requester.sign(job, revision, sequence, Event::BidAccepted { node: *node })
    };
    let together = |nodes: &[NodeId]| (1..).zip(nodes).map(accept).collect::<Vec<_>>();
    // One more than there are seats: the contract fills these, and the last is told why not.
    let refused = requester.scheduler.submit_all(together(&nodes)).await;
    assert_eq!(refused, Err(SubmitError::Rejected(Rejection::NoSeatFree)));
    let seated = &nodes[..nodes.len() - 1];
    let place = requester.scheduler.submit_all(together(seated)).await.unwrap();
    assert_eq!(
        requester.scheduler.submit_all(together(seated)).await,
        Ok(place),
        "the same again has the same place"
    );
    assert_eq!(requester.read().await.len(), 1 + nodes.len() + seated.len());
    let items = requester.read().await;
    assert_eq!(items.last().map(|item| item.cursor), Some(place));
    assert_eq!(fold(&requester, &items).get(job).unwrap().state, JobState::Running);
    let anchors = requester.scheduler.anchors(job).await.unwrap();
    let transactions: BTreeSet<Digest> = anchors.iter().map(|anchor| anchor.transaction).collect();
    assert_eq!(transactions.len(), 1 + nodes.len() + 1, "a submission, the bids, and all acceptances as one");
}

#[tokio::test]
async fn actions_of_another_key_are_not_sent() {
    let chain = Chain::start(None).await;
    let (member, other) = (chain.member().await, chain.member().await);
    let foreign = other.submission(&long_deal(), 0);
    let answer = member.scheduler.submit(foreign).await;
    assert_eq!(answer, Err(SubmitError::Refused(EnvelopeRefusal::BadSignature)));
}

#[tokio::test]
async fn a_start_tells_what_is_wrong_with_chain_or_contract() {
    let chain = Chain::start(None).await;
    let key = chain.funded_key();
    let connect = async |config: ChainConfig| ChainClient::connect(&config, &key).await.unwrap_err();
    let wrong = connect(ChainConfig { chain_id: Some(1), ..chain.config() }).await;
    assert_eq!(wrong, ConnectError::WrongChain { expected: 1, found: 31337 });
    let nobody = NodeId::new([9; 20]);
    let empty = connect(ChainConfig { contract: nobody, ..chain.config() }).await;
    assert_eq!(empty, ConnectError::NoCode { contract: nobody, chain_id: 31337 });
    let other = NodeId::new([8; 20]);
    // Code that returns nothing, whatever it is asked.
    chain.rpc("anvil_setCode", &json!([other, "0x00"]));
    let foreign = connect(ChainConfig { contract: other, ..chain.config() }).await;
    assert_eq!(foreign, ConnectError::OtherContract { contract: other, chain_id: 31337 });
    // Code that answers with the domain of a contract of version 1.
    let old = NodeId::new([7; 20]);
    let separator = LogDomain { chain_id: 31337, contract: old }.eip712_of("1").separator();
    chain.rpc("anvil_setCode", &json!([old, format!("0x7f{}5f5260205ff3", hex::encode(separator))]));
    let older = connect(ChainConfig { contract: old, ..chain.config() }).await;
    assert_eq!(older, ConnectError::OlderContract { contract: old, chain_id: 31337, version: "1" });
    let closed =
        connect(ChainConfig { rpc_urls: vec!["http://127.0.0.1:1".to_owned()], ..chain.config() }).await;
    assert!(matches!(closed, ConnectError::Chain(BackendError::Chain { .. })), "{closed:?}");
    for url in ["", "ftp://127.0.0.1", "127.0.0.1:8545"] {
        let bad = connect(ChainConfig { rpc_urls: vec![url.to_owned()], ..chain.config() }).await;
        assert!(matches!(bad, ConnectError::Endpoint(_)), "{url:?}: {bad:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_left_for_the_next() {
    let chain = Chain::start(None).await;
    let urls =
        vec!["http://127.0.0.1:1".to_owned(), "ws://127.0.0.1:1".to_owned(), chain.anvil.ws_url.clone()];
    let config = ChainConfig { rpc_urls: urls, ..chain.config() };
    let member = chain.member_with(config, chain.funded_key(), Db::in_memory().unwrap()).await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    assert_eq!(member.read().await.len(), 1);
}

#[tokio::test]
async fn a_chain_that_is_gone_is_named_and_not_waited_for_without_end() {
    let mut chain = Chain::start(None).await;
    let member = chain.member().await;
    let action = member.submission(&long_deal(), 0);
    chain.anvil.kill().await;
    let answer = timeout(PATIENCE, member.scheduler.submit(action)).await.unwrap();
    let Err(SubmitError::NotOrdered(error @ BackendError::Chain { .. })) = answer else {
        panic!("{answer:?}")
    };
    assert!(error.is_retryable() && error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_restarted_node_goes_on_where_it_was() {
    let chain = Chain::start(None).await;
    let dir = tempfile::tempdir().unwrap();
    let (key, other) = (chain.funded_key(), chain.member().await);
    let open = || Db::open(&DataDir::open(dir.path()).unwrap()).unwrap();
    let first = chain.member_with(chain.config(), key.clone(), open()).await;
    let action = first.submission(&long_deal(), 0);
    let place = first.scheduler.submit(action.clone()).await.unwrap();
    let before = first.read().await;
    first.running.shutdown().await;
    drop(first);
    other.scheduler.submit(other.submission(&long_deal(), 0)).await.unwrap();
    let again = chain.member_with(chain.config(), key, open()).await;
    assert_eq!(again.scheduler.submit(action).await, Ok(place), "the log knows what this node did");
    let rest: Vec<_> = entries(again.scheduler.events(place)).take(1).collect().await;
    assert_eq!(rest[0].as_ref().unwrap().stamped.author, other.id());
    assert_eq!(again.read().await[..1], before, "nothing is read twice");
}

#[tokio::test]
async fn a_data_directory_of_another_contract_is_refused() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    let second = Chain::start(None).await;
    // Another contract on the same chain: only the address differs.
    let other = assay::scheduler::contract::deploy(
        std::slice::from_ref(&chain.anvil.rpc_url),
        None,
        &chain.anvil.accounts[1].key,
    )
    .await
    .unwrap();
    let started = ContractScheduler::start(ContractConfig {
        chain: ChainConfig { contract: other.contract, ..chain.config() },
        first_block: other.receipt.block,
        db: member.db.clone(),
        key: member.key.clone(),
        clock: Arc::new(|| Timestamp::ZERO),
        signed: None,
    });
    let error = started.await.err().unwrap();
    assert!(matches!(error, StartError::Log(BackendError::Store { .. })), "{error:?}");
    drop(second);
}

#[tokio::test]
async fn a_reorganisation_above_the_confirmation_depth_is_never_seen() {
    let chain = Chain::start(None).await;
    let config = ChainConfig { confirmations: Some(3), ..chain.config() };
    let member = chain.member_with(config, chain.funded_key(), Db::in_memory().unwrap()).await;
    let scheduler = member.scheduler.clone();
    let action = member.submission(&long_deal(), 0);
    let job = action.action.job;
    let mut submitted = JoinSet::new();
    submitted.spawn(async move { scheduler.submit(action).await });
    let mined = || chain.rpc("eth_getTransactionCount", &json!([member.id(), "latest"])) == json!("0x1");
    until(mined).await;
    // Its block goes, and the transaction with it: it is sent again.
    chain.rpc("anvil_reorg", &json!([1, []]));
    assert!(!mined(), "the transaction is gone");
    until(mined).await;
    assert!(member.read().await.is_empty(), "nothing is read before it is deep enough");
    chain.rpc("anvil_mine", &json!([3]));
    timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    let items = member.read().await;
    assert_eq!(items.iter().map(|item| item.stamped.job).collect::<Vec<_>>(), [job]);
}

#[tokio::test]
async fn a_reorganisation_without_our_events_is_read_over() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    for _ in 0..3 {
        chain.rpc("evm_mine", &json!([]));
    }
    chain.rpc("anvil_reorg", &json!([2, []]));
    member.scheduler.submit(member.submission(&long_deal(), 1)).await.unwrap();
    assert_eq!(member.read().await.len(), 2);
}

#[tokio::test]
async fn a_verified_job_moves_the_money_that_the_rules_say() {
    let chain = Chain::start(None).await;
    let (price, bond, fee) = (ETHER, 2 * ETHER, ETHER / 10);
    let amount = |wei| Amount::new(wei).unwrap();
    let deal = Deal {
        price: amount(price),
        bond: amount(bond),
        keeper_fee: amount(fee),
        deterministic: true,
        ..long_deal()
    };
    let mut members: Vec<Member> = Vec::new();
    for _ in 0..4 {
        let member = chain.member().await;
        member.scheduler.client().deposit(amount(10 * ETHER)).await.unwrap();
        members.push(member);
    }
    let (requester, nodes) = members.split_first().unwrap();
    let submission = requester.submission(&deal, 0);
    let (job, revision) = (submission.action.job, deal.revision());
    let submitted = requester.scheduler.submit(submission).await.unwrap();
    for node in nodes {
        timeout(PATIENCE, entries(node.scheduler.events(Cursor(0))).next()).await.unwrap().unwrap().unwrap();
        node.act(job, revision, Event::BidPlaced { price: amount(price) }).await;
    }
    for node in nodes {
        requester.act(job, revision, Event::BidAccepted { node: node.id() }).await;
    }
    for (seat, node) in (0_u8..).zip(nodes) {
        let domain = node.scheduler.domain();
        let commitment = opening(seat, &[2]).commitment(domain, job, seat, node.id());
        node.act(job, revision, Event::Committed { commitment }).await;
    }
    let openings = (0..3).map(|seat| SeatOpening { seat, opening: opening(seat, &[2]) }).collect();
    let verdict = Event::VerdictPosted { openings, accepted: SeatSet::from_bits(0b011) };
    requester.act(job, revision, verdict).await;
    let items = requester.read().await;
    assert!(items.iter().any(|item| item.cursor == submitted));
    assert_eq!(fold(requester, &items).get(job).unwrap().state, JobState::Verified);
    let ten = 10 * ETHER;
    assert_eq!(requester.free().await.units(), ten - 3 * price, "its own keeper, it keeps the fee");
    assert_eq!(nodes[0].free().await.units(), ten + price);
    assert_eq!(nodes[1].free().await.units(), ten + price);
    assert_eq!(nodes[2].free().await.units(), ten - bond, "a wrong hash on a deterministic job is burnt");
    let client = requester.scheduler.client();
    assert_eq!(client.reader().burnt().await.unwrap().units(), bond + price, "with the requester's part");
    assert_eq!(client.reader().account(nodes[0].id()).await.unwrap().paid, amount(price));
    let too_much = client.withdraw(amount(ten)).await;
    assert_eq!(too_much, Err(MoneyError::Rejected(Rejection::NotFunded)));
    client.withdraw(amount(ten - 3 * price)).await.unwrap();
    assert_eq!(requester.free().await, Amount::ZERO);
}

#[tokio::test]
async fn a_job_that_the_rules_cannot_read_is_left_out_and_the_rest_goes_on() {
    let chain = Chain::start(None).await;
    let (member, reader) = (chain.member().await, chain.member().await);
    let spec = b"{}".to_vec();
    let revision = Digest::ZERO;
    let job =
        member.scheduler.domain().job_id(member.id(), 7, Spec::hash_document(&spec), long_deal().revision());
    let broken = member.sign(job, revision, 0, Event::Submitted { deal: long_deal(), spec, nonce: 7 });
    let answer = member.scheduler.submit(broken).await;
    assert_eq!(answer, Err(SubmitError::Rejected(Rejection::InvalidSpec)), "the contract would take it");
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    let read = timeout(PATIENCE, entries(reader.scheduler.events(Cursor(0))).next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(read.stamped.author, member.id());
    let unknown = reader.scheduler.submit(reader.sign(JobId::ZERO, revision, 0, Event::BidWithdrawn)).await;
    assert!(matches!(unknown, Err(SubmitError::NotOrdered(BackendError::UnknownLog { .. }))), "{unknown:?}");
}
