//! Whole networks in this process, on the real engine: what jobs end with, what becomes of liars, and on a contract
//! what becomes of the money.
//!
//! Needs the engine, the demo image and Anvil: `./scripts/test` sets them up. Without them the tests fail and say so.

mod audits;
mod consumer;
mod money;
mod sweeps;
mod verdicts;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use assay::{
    api::types::{
        ErrorReply, JobView, Judgement, Replication, SeatState, SeatView, SubmitReply, SubmitRequest,
    },
    assembly::Backend,
    devstack::{
        BadActors, DEFAULT_SLOTS, Fault, Stack, StackConfig,
        chain::{DEPOSIT, LocalChain},
    },
    domain::{
        Ask, Deal, FailureKind, JobId, JobState, Method, NodeId, Note, RUN_MARGIN, Resources, Seed, Span,
    },
    executor::{DEFAULT_SOCKET, DockerExecutor, Executor},
};
use money::Fate;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{contract::chain::rpc, town::client_with};

const HINT: &str = "run ./scripts/test, which sets up the engine, the demo image and Anvil";

/// Longer than any job here may take: two deadlines of a minute, and what happens around them.
const PATIENCE: Duration = Duration::from_secs(100);

/// Of commands that take milliseconds: a busy machine may take a second to start one. Deadlines that a test waits for follow
/// from it.
const TIMEOUT: Span = Span::from_secs(5);

/// What nodes ask, in percent of the price: honest ones are paid less than the job offers, and more than nothing.
const ASK: u8 = 80;

/// Who orders the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Libp2p,
    Contract,
}

struct Network {
    stack: Stack,
    /// Ends after the stack.
    chain: Option<LocalChain>,
    http: reqwest::Client,
    dir: TempDir,
}

impl Network {
    async fn start(on: On, nodes: usize, bad: &str) -> Self {
        let engine =
            DockerExecutor::connect(DEFAULT_SOCKET).await.unwrap_or_else(|error| panic!("{error}; {HINT}"));
        Self::with(on, nodes, DEFAULT_SLOTS, bad, Arc::new(engine), 0).await
    }

    /// With this in place of the engine, and accounts on the chain for `others` that are no nodes of the network.
    async fn with(
        on: On,
        nodes: usize,
        slots: usize,
        bad: &str,
        executor: Arc<dyn Executor>,
        others: usize,
    ) -> Self {
        let chain = match on {
            On::Libp2p => None,
            On::Contract => {
                let chain = LocalChain::start(nodes + others).await;
                Some(chain.unwrap_or_else(|error| panic!("{error}; {HINT}")))
            }
        };
        let accounts = chain.as_ref().map_or([].as_slice(), LocalChain::accounts);
        let dir = tempfile::tempdir().unwrap();
        let config = StackConfig {
            backend: backend(chain.as_ref()),
            nodes,
            slots,
            bad: bad.parse::<BadActors>().unwrap(),
            data_dir: dir.path().to_owned(),
            keys: accounts.iter().take(nodes).map(|account| account.key.clone()).collect(),
            max_bond: DEPOSIT,
            ask: Ask::Percent(ASK),
            executor,
        };
        let stack = Stack::start(config).await.unwrap();
        let http = client_with(&stack.nodes()[0].token_file).build().unwrap();
        Self { stack, chain, http, dir }
    }

    fn backend(&self) -> Backend {
        backend(self.chain.as_ref())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.stack.nodes()[0].api)
    }

    fn bad_nodes(&self) -> Vec<NodeId> {
        self.stack.nodes().iter().filter(|node| node.fault.is_some()).map(|node| node.id).collect()
    }

    /// A job for every node; where there is money, for money.
    async fn submit(&self, script: &str, timeout: Span, deterministic: bool) -> JobId {
        let concurrency = u8::try_from(self.stack.nodes().len()).unwrap();
        let deal = Deal { run: timeout.plus(RUN_MARGIN), deterministic, ..self.deal(concurrency, timeout) };
        self.post(&request(script, deal)).await
    }

    /// For money, where there is any.
    fn deal(&self, concurrency: u8, timeout: Span) -> Deal {
        let (confidence, run) = (concurrency / 2 + 1, Deal::run_for(timeout));
        let priced = self.chain.as_ref().map_or_else(Deal::default, |_| money::deal());
        Deal { concurrency, confidence, timeout, run, ..priced }
    }

    async fn post(&self, request: &SubmitRequest) -> JobId {
        let reply = self.http.post(self.url("jobs")).json(request).send().await.unwrap();
        if !reply.status().is_success() {
            let refused: ErrorReply = reply.json().await.unwrap();
            panic!("{}; {HINT}", refused.error.message);
        }
        reply.json::<SubmitReply>().await.unwrap().job
    }

    async fn view(&self, job: JobId) -> JobView {
        self.http.get(self.url(&format!("jobs/{job}"))).send().await.unwrap().json().await.unwrap()
    }

    /// The job once it is so, which only an event makes it.
    async fn when(&self, job: JobId, is_so: impl Fn(&JobView) -> bool) -> JobView {
        let mut events = self.http.get(self.url(&format!("jobs/{job}/events"))).send().await.unwrap();
        loop {
            let view = self.view(job).await;
            if is_so(&view) {
                return view;
            }
            let more = timeout(PATIENCE, events.chunk()).await.expect("every wait of a job has a bound");
            assert!(more.unwrap().is_some() || is_so(&self.view(job).await), "{:?}", view.state);
        }
    }

    /// The job when it is over: its stream of events ends then.
    async fn ended(&self, job: JobId) -> JobView {
        self.when(job, |view| view.state.is_terminal()).await
    }

    /// Moves the chain's clock beyond the deadline that holds the job up, once nothing but that does. Without a chain
    /// time goes by itself.
    async fn pass_deadline(&self, job: JobId, fault: Fault) {
        let Some(chain) = &self.chain else { return };
        let honest = self.stack.nodes().len() - self.bad_nodes().len();
        let so_far = match fault {
            Fault::Idle | Fault::Faker | Fault::Partial | Fault::Collude => return,
            Fault::Crash => SeatState::Committed,
            Fault::Copycat | Fault::Silent => SeatState::Revealed,
        };
        let waits = |view: &JobView| view.seats.iter().filter(|seat| seat.status == so_far).count() == honest;
        self.when(job, waits).await;
        // Beyond the minute that a deal leaves and what a node waits for latecomers, and short of the deadline after that.
        rpc(chain.rpc_url(), "evm_increaseTime", &json!([90]));
        rpc(chain.rpc_url(), "evm_mine", &json!([]));
    }

    async fn output(&self, job: JobId) -> String {
        self.http.get(self.url(&format!("jobs/{job}/output"))).send().await.unwrap().text().await.unwrap()
    }

    /// Where results are paid for, those that the verdict rejected stay with their nodes; elsewhere all are to be had.
    async fn only_paid_results_are_served(&self, view: &JobView) {
        for seat in view.seats.iter().filter(|seat| seat.result.is_some()) {
            let path = format!("jobs/{}/results/{}/archive", view.job, seat.node);
            let served = self.http.get(self.url(&path)).send().await.unwrap().status().is_success();
            assert_eq!(
                served,
                self.chain.is_none() || seat.judgement == Some(Judgement::Accepted),
                "{seat:?}"
            );
        }
    }

    /// What the verdict says of honest and of bad nodes.
    fn judgements(&self, view: &JobView) -> (Vec<Judgement>, Vec<Judgement>) {
        let bad = self.bad_nodes();
        let judgement = |seat: &SeatView| seat.judgement.unwrap();
        let (of_bad, of_honest): (Vec<_>, Vec<_>) =
            view.seats.iter().partition(|seat| bad.contains(&seat.node));
        let judged = |seats: Vec<&SeatView>| seats.into_iter().map(judgement).collect();
        (judged(of_honest), judged(of_bad))
    }

    async fn stop(mut self) {
        self.stack.stop();
        timeout(PATIENCE, self.stack.join()).await.unwrap().unwrap();
    }
}

fn backend(chain: Option<&LocalChain>) -> Backend {
    chain.map_or(Backend::Libp2p, LocalChain::backend)
}

fn request(script: &str, deal: Deal) -> SubmitRequest {
    SubmitRequest {
        image: "assay/demo:1".to_owned(),
        entrypoint: Vec::new(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        environment: BTreeMap::new(),
        working_directory: None,
        inputs: Vec::new(),
        resources: Resources::default(),
        seeded: false,
        text_files: Vec::new(),
        public_result: false,
        summary_file: assay::domain::SUMMARY_FILE.to_owned(),
        scratch_dir: assay::domain::SCRATCH_DIR.to_owned(),
        platform: None,
        deal,
        replication: Replication::Fixed,
    }
}

/// A network with these bad nodes keeps every honest result, says this of the others, and does this to their money.
async fn liars_are_found(on: On, nodes: usize, bad: &str, deterministic: bool, said: Judgement, fate: Fate) {
    let network = Network::start(on, nodes, bad).await;
    let script = "echo hello; echo more than half of it";
    let job = network.submit(script, TIMEOUT, deterministic).await;
    let actors = bad.parse::<BadActors>().unwrap();
    network.pass_deadline(job, actors.fault).await;
    let view = network.ended(job).await;
    let (honest, liars) = network.judgements(&view);
    assert_eq!(view.state, JobState::Verified);
    assert!(honest.iter().all(|judgement| *judgement == Judgement::Accepted), "{honest:?}");
    assert_eq!(liars.len(), actors.count);
    assert!(liars.iter().all(|judgement| *judgement == said), "{liars:?}");
    assert_eq!(network.output(view.job).await, "hello\nmore than half of it\n");
    network.only_paid_results_are_served(&view).await;
    if let Some(chain) = &network.chain {
        let liars = network.bad_nodes();
        let fates = |node: NodeId| if liars.contains(&node) { fate } else { Fate::Paid };
        money::went_where_it_should(&network, chain, &view, fates).await;
        money::every_step_is_on_the_chain(&network, chain, &view).await;
        crate::verifiers::both_agree(chain.rpc_url(), chain.deployed().contract, job).await;
    }
    network.stop().await;
}

/// One test a row, on one backend: its name, how many nodes, which of them bad, whether the job is deterministic, what
/// the verdict says of the bad ones, and what becomes of their bond where there is one.
macro_rules! liars {
    ($module:ident, $on:expr, $($name:ident: $nodes:literal, $bad:literal, $deterministic:literal, $said:ident, $fate:ident;)*) => {
        mod $module {
            use super::*;

            $(
                #[tokio::test]
                async fn $name() {
                    liars_are_found($on, $nodes, $bad, $deterministic, Judgement::$said, Fate::$fate).await;
                }
            )*

            pub(super) const TABLE: &[(&str, Judgement, bool, Fate)] =
                &[$(($bad, Judgement::$said, $deterministic, Fate::$fate)),*];
        }
    };
}

liars! { on_libp2p, On::Libp2p,
    an_idler_is_rejected: 3, "1:idle", false, Rejected, Returned;
    a_faker_is_rejected: 3, "1:faker", false, Rejected, Returned;
    partial_work_is_rejected: 3, "1:partial", false, Rejected, Returned;
    colluders_in_the_minority_are_rejected: 5, "2:collude", false, Rejected, Returned;
    a_copycat_has_nothing_to_show: 3, "1:copycat", false, Absent, Burnt;
    a_silent_node_delays_the_verdict_until_its_deadline_and_no_longer: 3, "1:silent", false, Absent, Burnt;
    a_node_that_crashes_delays_the_verdict_until_its_deadline_and_no_longer: 3, "1:crash", false, Absent, Burnt;
}

liars! { on_a_contract, On::Contract,
    an_idler_is_not_paid: 3, "1:idle", false, Rejected, Returned;
    a_faker_is_not_paid: 3, "1:faker", false, Rejected, Returned;
    partial_work_is_not_paid: 3, "1:partial", false, Rejected, Returned;
    colluders_in_the_minority_are_not_paid: 5, "2:collude", false, Rejected, Returned;
    a_wrong_output_of_a_deterministic_job_burns_the_bond: 3, "1:faker", true, Rejected, BurntForBoth;
    an_idler_in_a_deterministic_job_loses_its_bond: 3, "1:idle", true, Rejected, BurntForBoth;
    a_copycat_loses_its_bond: 3, "1:copycat", false, Absent, Burnt;
    a_silent_node_loses_its_bond: 3, "1:silent", false, Absent, Burnt;
    a_node_that_crashes_loses_its_bond: 3, "1:crash", false, Absent, Burnt;
}

async fn honest_nodes_agree(on: On) {
    let network = Network::start(on, 3, "0").await;
    let job = network.submit("echo hello; echo aside >&2; exit 7", TIMEOUT, false).await;
    let view = network.ended(job).await;
    let (honest, _) = network.judgements(&view);
    assert_eq!((view.state, honest), (JobState::Verified, vec![Judgement::Accepted; 3]));
    assert!(
        view.seats.iter().all(|seat| seat.result.unwrap().exit_code == 7),
        "a failing command is a result"
    );
    assert_eq!(network.output(view.job).await, "hello\n");
    if let Some(chain) = &network.chain {
        money::went_where_it_should(&network, chain, &view, |_| Fate::Paid).await;
        crate::verifiers::both_agree(chain.rpc_url(), chain.deployed().contract, job).await;
    }
    network.stop().await;
}

#[tokio::test]
async fn honest_nodes_agree_and_their_output_comes_back() {
    honest_nodes_agree(On::Libp2p).await;
}

#[tokio::test]
async fn on_a_contract_honest_nodes_agree_and_are_paid() {
    honest_nodes_agree(On::Contract).await;
}

#[tokio::test]
async fn every_seat_has_the_seed_of_the_job() {
    let network = Network::start(On::Libp2p, 3, "0").await;
    let job = network.submit("echo $ASSAY_JOB $ASSAY_SEED $ASSAY_SEED32", TIMEOUT, true).await;
    let view = network.ended(job).await;
    // Deterministic, so that three equal outputs alone accept three seats.
    assert_eq!((view.state, network.judgements(&view).0), (JobState::Verified, vec![Judgement::Accepted; 3]));
    let seed = Seed::of(job);
    assert_eq!(view.seed, seed);
    assert_eq!(network.output(job).await, format!("{job} {seed} {}\n", seed.small()));
    network.stop().await;
}

/// Every run prints another number and writes near ones into the file that the job names; a liar writes none.
async fn near_numbers_agree(on: On) {
    let network = Network::start(on, 4, "1:faker").await;
    let script = "n=$(od -An -N2 -tu2 /dev/urandom); echo $n; \
                  mkdir /outputs/fit; echo 0.5 $((1000 + n % 5)) > /outputs/fit/numbers";
    let timeout = TIMEOUT;
    let summary = Some("rel:1000ppm,abs:5".parse().unwrap());
    let deal = Deal { method: Method::Near, summary, ..network.deal(4, timeout) };
    let named = SubmitRequest { summary_file: "fit/numbers".to_owned(), ..request(script, deal) };
    let job = network.post(&named).await;
    let view = network.ended(job).await;
    let (honest, liars) = network.judgements(&view);
    assert_eq!((view.state, honest), (JobState::Verified, vec![Judgement::Accepted; 3]), "{view:?}");
    assert_eq!(liars, [Judgement::Rejected]);
    assert_eq!(view.verdict.as_ref().unwrap().note, Note::NearOutputs);
    // Whoever fetches a result computes its summary again.
    assert!(network.output(job).await.trim().parse::<u16>().is_ok());
    if let Some(chain) = &network.chain {
        let liars = network.bad_nodes();
        let fates = |node: NodeId| if liars.contains(&node) { Fate::Returned } else { Fate::Paid };
        money::went_where_it_should(&network, chain, &view, fates).await;
        crate::verifiers::both_agree(chain.rpc_url(), chain.deployed().contract, job).await;
    }
    network.stop().await;
}

#[tokio::test]
async fn outputs_that_differ_in_times_and_order_alone_are_equal_in_their_canonical_form() {
    let network = Network::start(On::Libp2p, 3, "1:faker").await;
    let number = "$(od -An -N2 -tu2 /dev/urandom)";
    let script = format!(
        "n={number}; echo took $((n))ms; echo log > /outputs/log; \
         for k in 1 2 3; do echo $(({number})) $k done at 10:0$((n % 10)); done | sort | cut -d' ' -f2- >> /outputs/log"
    );
    let canonical = "times,sorted-lines".parse().unwrap();
    let deal = Deal { method: Method::Hash, canonical, ..network.deal(3, TIMEOUT) };
    let submission = SubmitRequest { text_files: vec!["log".to_owned()], ..request(&script, deal) };
    let view = network.ended(network.post(&submission).await).await;
    let (honest, liars) = network.judgements(&view);
    assert_eq!((view.state, honest), (JobState::Verified, vec![Judgement::Accepted; 2]), "{view:?}");
    assert_eq!(liars, [Judgement::Rejected]);
    // What is fetched is what the node left, bytes and all.
    assert!(network.output(view.job).await.ends_with("ms\n"));
    network.stop().await;
}

#[tokio::test]
async fn near_numbers_agree_on_libp2p() {
    near_numbers_agree(On::Libp2p).await;
}

#[tokio::test]
async fn near_numbers_agree_on_a_contract() {
    near_numbers_agree(On::Contract).await;
}

#[tokio::test]
async fn colluders_in_the_majority_decide_as_the_documentation_says() {
    let network = Network::start(On::Libp2p, 3, "2:collude").await;
    let job = network.submit("echo hello", TIMEOUT, false).await;
    let view = network.ended(job).await;
    let (honest, liars) = network.judgements(&view);
    assert_eq!(view.state, JobState::Verified);
    assert_eq!((honest, liars), (vec![Judgement::Rejected], vec![Judgement::Accepted; 2]));
    network.stop().await;
}

async fn a_slow_job_fails(on: On) {
    let network = Network::start(on, 3, "0").await;
    let job = network.submit("sleep 60", Span::from_secs(1), false).await;
    let view = network.ended(job).await;
    assert_eq!(view.state, JobState::Failed);
    // It is over when a quorum is out of reach: with the second report of three nodes.
    let late = view.seats.iter().filter(|seat| seat.failure == Some(FailureKind::Timeout)).count();
    assert!(late >= 2, "{:?}", view.seats);
    if let Some(chain) = &network.chain {
        money::went_where_it_should(&network, chain, &view, |_| Fate::Returned).await;
    }
    network.stop().await;
}

#[tokio::test]
async fn a_job_that_takes_too_long_fails_with_that_reason() {
    a_slow_job_fails(On::Libp2p).await;
}

#[tokio::test]
async fn on_a_contract_a_job_that_takes_too_long_returns_every_bond() {
    a_slow_job_fails(On::Contract).await;
}

async fn a_running_job_is_stopped(on: On) {
    let network = Network::start(on, 3, "0").await;
    let job = network.submit("sleep 60", Span::from_secs(60), false).await;
    network.when(job, |view| view.state != JobState::Open).await;
    let cancelled = network.http.post(network.url(&format!("jobs/{job}/cancel"))).send().await.unwrap();
    assert!(cancelled.status().is_success(), "{cancelled:?}");
    let view = network.ended(job).await;
    assert_eq!(view.state, JobState::Cancelled);
    if let Some(chain) = &network.chain {
        money::went_where_it_should(&network, chain, &view, |_| Fate::Paid).await;
    }
    // Ends only when every node has removed its container, far sooner than the sleep does.
    network.stop().await;
}

#[tokio::test]
async fn a_running_job_is_stopped_on_every_node() {
    a_running_job_is_stopped(On::Libp2p).await;
}

#[tokio::test]
async fn on_a_contract_a_job_that_is_stopped_pays_every_seat() {
    a_running_job_is_stopped(On::Contract).await;
}

#[test]
fn every_kind_of_fault_has_a_test_on_every_backend() {
    // A new kind does not compile before somebody has thought of what becomes of it.
    let expected = |fault| match fault {
        Fault::Idle | Fault::Faker | Fault::Partial | Fault::Collude => (Judgement::Rejected, Fate::Returned),
        Fault::Copycat | Fault::Silent | Fault::Crash => (Judgement::Absent, Fate::Burnt),
    };
    for table in [on_libp2p::TABLE, on_a_contract::TABLE] {
        for fault in Fault::ALL {
            let (said, fate) = expected(fault);
            let row = |row: &&(&str, Judgement, bool, Fate)| {
                row.0.parse::<BadActors>().unwrap().fault == fault && !row.2
            };
            let tested = table.iter().find(row).map(|row| (row.1, row.3));
            assert_eq!(tested, Some((said, fate)), "{fault}");
        }
    }
}
