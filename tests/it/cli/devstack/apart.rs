//! Nodes on machines of their own, as far as the network goes: cables are pulled for less and for more than a deadline, and
//! lose what they carry.

mod switch;

use std::fs;

use assay::devstack::anvil::{Anvil, AnvilOptions};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use self::switch::{Host, Switch};
use super::{HINT, Nodes, User, leaving::json};
use crate::cli::until;

/// A run that lasts longer than it takes to pull a cable.
const RUN: &str = "sleep 6; cat /inputs/*; echo done";

/// The shortest phases that a job may ask for with this timeout.
const TERMS: [&str; 6] = ["--timeout", "20s", "--run", "80s", "--reveal", "60s"];

/// How far a seat is that has said what its result is.
const SAID: [&str; 2] = ["committed", "revealed"];

/// A node on its own machine.
struct Machine {
    host: Host,
    user: User,
    node: Nodes,
}

/// A requester without slots, and three nodes that know it. Nodes end before the switch.
struct Town {
    requester: Machine,
    workers: Vec<Machine>,
    _chain: Option<Chain>,
    switch: Switch,
}

/// A chain with a block every second that all machines at a switch reach.
struct Chain {
    anvil: Anvil,
    url: String,
    contract: Option<String>,
    _way: JoinSet<()>,
}

impl Machine {
    fn describe(&self, job: &str) -> Value {
        json(&self.user, &["job", "describe", job])
    }

    fn stage(&self, job: &str) -> Value {
        self.describe(job)["execution"]["stage"].clone()
    }

    /// How many seats are at one of these steps.
    fn seats(&self, job: &str, steps: &[&str]) -> usize {
        let job = self.describe(job);
        let seats = job["seats"].as_array().map(Vec::as_slice).unwrap_or_default();
        seats.iter().filter(|seat| steps.iter().any(|step| seat["status"] == *step)).count()
    }

    fn id(&self) -> &str {
        self.node.ready["id"].as_str().unwrap()
    }

    /// What its account on the contract can spend, in ether.
    fn free(&self) -> u128 {
        let free = json(&self.user, &["wallet", "balance"])["free"].clone();
        free.as_str().and_then(|wei| wei.parse::<u128>().ok()).unwrap_or_else(|| panic!("{free}"))
            / 1_000_000_000_000_000_000
    }
}

impl Chain {
    async fn start(switch: &Switch) -> Self {
        let anvil = Anvil::start(AnvilOptions { block_time: Some(1), ..AnvilOptions::default() });
        let anvil = anvil.await.expect(HINT);
        let listener = TcpListener::bind((switch.here(), 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behind = anvil.rpc_url.trim_start_matches("http://").to_owned();
        let mut way = JoinSet::new();
        way.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let behind = behind.clone();
                passing.spawn(async move {
                    let mut chain = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut chain).await;
                });
            }
        });
        Self { anvil, url, contract: None, _way: way }
    }

    /// Gives a user a key, the contract, and 50 ether on it.
    fn equip(&mut self, number: usize, user: &mut User) {
        let secret = &self.anvil.accounts[number].secret;
        let imported = user.run_with(&["wallet", "import", "--plain", "--key", "key"], secret);
        assert_eq!(imported.code, 0, "{}", imported.stderr);
        user.set = vec![
            ("ASSAY_SCHEDULER", "contract".to_owned()),
            ("ASSAY_RPC_URL", self.url.clone()),
            ("ASSAY_KEY", "key".to_owned()),
        ];
        let deploy = || json(user, &["contract", "deploy"])["contract"].as_str().unwrap().to_owned();
        let contract = self.contract.get_or_insert_with(deploy).clone();
        user.set.push(("ASSAY_CONTRACT", contract));
        let deposited = user.run(&["wallet", "deposit", "50ether"]);
        assert_eq!(deposited.code, 0, "{}", deposited.stderr);
    }
}

impl Town {
    fn start(mut switch: Switch, mut chain: Option<Chain>) -> Self {
        let mut machine = |number: usize, more: &[&str]| {
            let (host, mut user) = switch.host();
            let mut own: Vec<&str> =
                "serve --api 127.0.0.1:0 --data-dir data --grace 1s".split(' ').collect();
            if let Some(chain) = &mut chain {
                chain.equip(number, &mut user);
                own.extend(["--max-bond", "5ether"]);
            }
            let listen = format!("/ip4/{}/tcp/4001", switch.address(host));
            let node = Nodes::start(&user, &[&own[..], &["--listen", &listen], more].concat());
            user.api = Some(node.ready["api"].as_str().unwrap().to_owned());
            Machine { host, user, node }
        };
        let requester = machine(0, &["--slots", "0"]);
        let peer = requester.node.ready["addresses"][0].as_str().unwrap().to_owned();
        let workers: Vec<Machine> = (1..=3).map(|number| machine(number, &["--peer", &peer])).collect();
        let known = || json(&requester.user, &["node", "list"])["nodes"].as_array().map(Vec::len);
        until("four nodes", || known() == Some(4));
        fs::write(requester.user.home.path().join("input"), "in and ").unwrap();
        Self { requester, workers, _chain: chain, switch }
    }

    fn on_libp2p() -> Option<Self> {
        Some(Self::start(Switch::new()?, None))
    }

    async fn on_a_contract() -> Option<Self> {
        let switch = Switch::new()?;
        let chain = Chain::start(&switch).await;
        Some(Self::start(switch, Some(chain)))
    }

    fn submit(&self, terms: &[&str]) -> String {
        let job = ["-i", "input:/inputs/input", "assay/demo:1", "--", "sh", "-c", RUN];
        let submitted = self.requester.user.run(&[&["job", "submit", "--detach"], terms, &job].concat());
        assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
        submitted.stdout.trim().to_owned()
    }

    /// A job that all three run; returns once they do.
    fn running(&self, more: &[&str]) -> String {
        let job = self.submit(&[&TERMS[..], more].concat());
        until("three runs", || self.workers.iter().all(|worker| worker.stage(&job) == "started"));
        job
    }

    /// Waits for the end of a job, which has a result to keep.
    fn verified(&self, job: &str, accepted: usize, absent: &[&str]) {
        let waited = self.requester.user.run(&["job", "wait", job, "--wait-timeout", "200s"]);
        assert_eq!((waited.code, waited.stdout.as_str()), (0, "in and done\n"), "{}", waited.stderr);
        let verdict = self.requester.describe(job)["verdict"].clone();
        assert_eq!(verdict["accepted"].as_array().map(Vec::len), Some(accepted), "{verdict}");
        assert_eq!((&verdict["rejected"], &verdict["absent"]), (&json!([]), &json!(absent)), "{verdict}");
    }

    /// Cuts one of the nodes off in its run, until the other two have said what theirs came to.
    fn cut_off_for_a_while(&self, job: &str) {
        self.switch.pull(self.workers[0].host);
        until("two commitments", || self.requester.seats(job, &SAID) == 2);
        self.switch.plug(self.workers[0].host);
    }

    /// What it owns on the contract in whole ether: the requester, and the nodes in order.
    fn owned(&self) -> Vec<u128> {
        std::iter::once(&self.requester).chain(&self.workers).map(Machine::free).collect()
    }
}

#[test]
fn a_seat_that_nobody_hears_for_a_while_still_counts() {
    let Some(town) = Town::on_libp2p() else { return };
    let job = town.running(&[]);
    town.cut_off_for_a_while(&job);
    town.verified(&job, 3, &[]);
}

#[test]
fn a_requester_that_nobody_hears_for_a_while_still_has_all_results() {
    let Some(town) = Town::on_libp2p() else { return };
    let job = town.running(&[]);
    town.switch.pull(town.requester.host);
    until("three results", || town.workers.iter().all(|worker| worker.stage(&job) == "finished"));
    assert_eq!(town.requester.seats(&job, &SAID), 0);
    town.switch.plug(town.requester.host);
    town.verified(&job, 3, &[]);
}

#[test]
fn a_seat_that_nobody_hears_until_its_deadline_is_absent_and_learns_of_the_end() {
    let Some(town) = Town::on_libp2p() else { return };
    let job = town.running(&[]);
    let away = &town.workers[0];
    town.switch.pull(away.host);
    town.verified(&job, 2, &[away.id()]);
    town.switch.plug(away.host);
    until("the end of the job", || away.describe(&job)["state"] == "verified");
}

/// One packet of ten is lost on its way to each machine, and two megabits a second are let through.
#[test]
fn a_job_is_verified_on_a_bad_network() {
    let Some(town) = Town::on_libp2p() else { return };
    for machine in std::iter::once(&town.requester).chain(&town.workers) {
        town.switch.worsen(machine.host, 10, "2mbit");
    }
    let noise: String =
        (0..60_000_u32).map(|n| format!("{:04x}", n.wrapping_mul(2_654_435_769) >> 16)).collect();
    fs::write(town.requester.user.home.path().join("noise"), noise).unwrap();
    let words =
        ["job", "submit", "-i", "noise:/inputs/noise", "assay/demo:1", "--", "wc", "-c", "/inputs/noise"];
    let seen = town.requester.user.run(&words);
    assert_eq!((seen.code, seen.stdout.as_str()), (0, "240000 /inputs/noise\n"), "{}", seen.stderr);
    assert!(seen.stderr.contains("3 of 3 nodes agree"), "{}", seen.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_cannot_reach_the_chain_for_a_while_is_paid() {
    let Some(town) = Town::on_a_contract().await else { return };
    let job = town.running(&["--price", "2ether"]);
    town.cut_off_for_a_while(&job);
    town.verified(&job, 3, &[]);
    // Each asks the whole price.
    assert_eq!(town.owned(), [44, 52, 52, 52]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_cannot_reach_the_chain_until_its_deadline_loses_its_bond_alone() {
    let Some(town) = Town::on_a_contract().await else { return };
    let job = town.running(&["--price", "2ether"]);
    let away = &town.workers[0];
    town.switch.pull(away.host);
    town.verified(&job, 2, &[away.id()]);
    town.switch.plug(away.host);
    until("the end of the job", || away.describe(&job)["state"] == "verified");
    assert_eq!(town.owned(), [46, 48, 52, 52]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_requester_cannot_reach_the_chain_end_the_job_and_are_paid() {
    let Some(town) = Town::on_a_contract().await else { return };
    let job = town.running(&["--price", "2ether"]);
    town.switch.pull(town.requester.host);
    until("the end of the job", || {
        town.workers.iter().all(|worker| worker.describe(&job)["state"] == "verified")
    });
    town.switch.plug(town.requester.host);
    town.verified(&job, 3, &[]);
    assert_eq!(town.owned(), [44, 52, 52, 52]);
}
