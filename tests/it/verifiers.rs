//! Verdicts on a real chain, checked from its data alone by two programs that share no code: `assay verdict check`
//! and `scripts/verify-verdict.mjs`. They need Anvil, Node and what `npm ci` installs.

pub(crate) mod endpoint;

use std::{collections::BTreeMap, process::Output};

use assay::{
    domain::{
        Deal, Digest, Event, FailureKind, Fingerprint, FingerprintWord, JobId, Method, NodeId, Opening,
        SeatOpening, Span, SummaryWord, TENTHS,
    },
    rules,
    scheduler::{Cursor, Scheduler, entries},
};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::contract::chain::{Chain, Member, PATIENCE, fold};
use endpoint::Endpoint;

/// The requester, five nodes, and one more for a seat that fails.
const PARTIES: usize = 7;

/// A run with this output and this much memory all the time.
fn opening(seat: u8, output: u8, mib: u32) -> Opening {
    let row = [mib * 1024; TENTHS];
    let fingerprint = Fingerprint { w: row, q: row, cpu_ms: 900, faults: 9000 };
    Opening {
        result_hash: Digest::new([output; 32]),
        output_root: Digest::new([output; 32]),
        exit_code: -1,
        fingerprint: FingerprintWord::pack(&fingerprint, Method::Ball),
        summary: SummaryWord::VOID,
        salt: Digest::new([seat + 7; 32]),
    }
}

struct Network {
    chain: Chain,
    parties: Vec<Member>,
    jobs: u64,
}

/// How a job goes.
struct Play {
    method: Method,
    /// Each seat's output and memory.
    runs: &'static [(u8, u32)],
    fault: Fault,
    /// How many seats reveal on the chain, before the verdict brings the other openings.
    reveals: usize,
}

#[derive(PartialEq)]
enum Fault {
    None,
    /// The first holder of the last seat reports a failure.
    Failure,
    /// Who has not revealed before the deadline does not any more.
    Silence,
}

const HASH: Play =
    Play { method: Method::Hash, runs: &[(1, 100), (1, 4), (2, 100)], fault: Fault::None, reveals: 0 };

impl Network {
    async fn start() -> Self {
        let chain = Chain::start(None).await;
        let mut parties = Vec::new();
        for _ in 0..PARTIES {
            parties.push(chain.member().await);
        }
        Self { chain, parties, jobs: 0 }
    }

    fn contract(&self) -> NodeId {
        self.chain.deployed.contract
    }

    /// Submits a job and seats so many nodes, the first ones; one more has bid.
    async fn seated(&mut self, method: Method, seats: u8) -> (JobId, Digest) {
        let deal = Deal { method, concurrency: seats, open: Span::from_secs(24 * 3600), ..Deal::default() };
        let requester = &self.parties[0];
        let submission = requester.submission(&deal, self.jobs);
        self.jobs += 1;
        let (job, revision) = (submission.action.job, deal.revision());
        requester.scheduler.submit(submission).await.unwrap();
        let seats = usize::from(seats);
        for node in &self.parties[1..=seats + 1] {
            let mut events = entries(node.scheduler.events(Cursor(0)));
            while timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap().stamped.job != job {}
            node.act(job, revision, Event::BidPlaced { price: deal.price }).await;
        }
        for node in &self.parties[1..=seats] {
            requester.act(job, revision, Event::BidAccepted { node: node.id() }).await;
        }
        (job, revision)
    }

    /// Runs a whole job and posts its verdict.
    async fn play(&mut self, play: &Play) -> JobId {
        let seats = u8::try_from(play.runs.len()).unwrap();
        let (job, revision) = self.seated(play.method, seats).await;
        let requester = &self.parties[0];
        let mut holders: Vec<usize> = (1..=usize::from(seats)).collect();
        if play.fault == Fault::Failure {
            let failed = Event::FailureReported { kind: FailureKind::Memory };
            let last = holders.last_mut().unwrap();
            self.parties[*last].act(job, revision, failed).await;
            *last += 1;
            requester.act(job, revision, Event::BidAccepted { node: self.parties[*last].id() }).await;
        }
        let mut openings: BTreeMap<u8, Opening> =
            (0..).zip(play.runs).map(|(seat, (output, mib))| (seat, opening(seat, *output, *mib))).collect();
        for ((seat, opening), holder) in openings.iter().zip(&holders) {
            let node = &self.parties[*holder];
            let commitment = opening.commitment(node.scheduler.domain(), job, *seat, node.id());
            node.act(job, revision, Event::Committed { commitment }).await;
        }
        for ((seat, opening), holder) in openings.iter().zip(&holders).take(play.reveals) {
            self.parties[*holder]
                .act(job, revision, Event::Revealed { seat: *seat, opening: *opening })
                .await;
        }
        if play.fault == Fault::Silence {
            openings.retain(|seat, _| usize::from(*seat) < play.reveals);
            self.chain.rpc("evm_increaseTime", &json!([Deal::default().reveal.as_secs() + 1]));
            self.chain.rpc("evm_mine", &json!([]));
        }
        let ledger = fold(requester, &requester.read().await);
        let accepted = rules::verdict_of(ledger.get(job).unwrap(), &openings).accepted;
        let openings = openings.into_iter().map(|(seat, opening)| SeatOpening { seat, opening }).collect();
        requester.act(job, revision, Event::VerdictPosted { openings, accepted }).await;
        job
    }

    /// The nodes of seats, in the order that both programs print.
    fn nodes(&self, places: &[usize]) -> Value {
        let mut nodes: Vec<NodeId> = places.iter().map(|place| self.parties[*place].id()).collect();
        nodes.sort_unstable();
        json!(nodes)
    }

    /// What both programs print of a verdict with which both must agree.
    async fn both(&self, job: JobId) -> (Value, Value) {
        both_agree(&self.chain.anvil.rpc_url, self.contract(), job).await
    }

    async fn check(&self, url: &str, job: JobId) -> Told {
        check(url, self.contract(), job).await
    }

    async fn verify(&self, url: &str, job: JobId) -> Told {
        verify(url, self.contract(), job).await
    }
}

/// What `assay verdict check` and the second client print of a job whose verdict both must find on the chain, and
/// find to be right.
pub(crate) async fn both_agree(url: &str, contract: NodeId, job: JobId) -> (Value, Value) {
    let (checked, verified) = (check(url, contract, job).await, verify(url, contract, job).await);
    assert_eq!((checked.code, verified.code), (0, 0), "{checked:?} {verified:?}");
    for told in [&checked.stdout, &verified.stdout] {
        assert_eq!((&told["job"], &told["agrees"]), (&json!(job), &json!(true)), "{told}");
    }
    assert_eq!(checked.stdout["posted"]["accepted"], verified.stdout["posted"]["accepted"]);
    assert_eq!(verified.stdout["problems"], json!([]));
    (checked.stdout, verified.stdout)
}

async fn check(url: &str, contract: NodeId, job: JobId) -> Told {
    let mut program = Command::new(env!("CARGO_BIN_EXE_assay"));
    program.args(["--output", "json", "verdict", "check", &job.to_string()]);
    told(program.args(["--rpc-url", url, "--contract", &contract.to_string()])).await
}

async fn verify(url: &str, contract: NodeId, job: JobId) -> Told {
    let mut program = Command::new("node");
    program.current_dir(env!("CARGO_MANIFEST_DIR")).args(["scripts/verify-verdict.mjs", &job.to_string()]);
    told(program.args(["--rpc-url", url, "--contract", &contract.to_string()])).await
}

/// What a program said.
#[derive(Debug)]
struct Told {
    code: i32,
    /// Null where it printed nothing.
    stdout: Value,
    stderr: String,
}

async fn told(program: &mut Command) -> Told {
    let output = timeout(PATIENCE, program.kill_on_drop(true).output()).await.unwrap();
    let Output { status, stdout, stderr } = output.expect("these tests need Node, version 20 or later");
    Told {
        code: status.code().unwrap(),
        stdout: if stdout.is_empty() { Value::Null } else { serde_json::from_slice(&stdout).unwrap() },
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// Three balls of three runs, each around a run in the middle: who is accepted hangs on the salts and the nodes.
const TIE: &[(u8, u32)] = &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)];

const UNLIKE: &[(u8, u32)] = &[(1, 100), (2, 101), (3, 4)];

#[tokio::test]
async fn both_verifiers_agree_with_every_verdict_of_the_contract() {
    let mut network = Network::start().await;
    let play = |method, runs, fault, reveals| Play { method, runs, fault, reveals };
    type Nodes = &'static [usize];
    // The play, its note, who is accepted, rejected, absent.
    let plays: [(Play, &str, Nodes, Nodes, Nodes); 5] = [
        (HASH, "equal outputs", &[1, 2], &[3], &[]),
        (play(Method::KMeans, UNLIKE, Fault::Failure, 0), "agreement", &[1, 2], &[4], &[]),
        (play(Method::Ball, UNLIKE, Fault::None, 2), "agreement", &[1, 2], &[3], &[]),
        (play(Method::Ball, UNLIKE, Fault::Silence, 2), "agreement", &[1, 2], &[], &[3]),
        (
            play(Method::Ball, &[(1, 100), (2, 1000), (3, 4)], Fault::None, 3),
            "no majority agrees",
            &[],
            &[],
            &[],
        ),
    ];
    for (play, note, accepted, rejected, absent) in plays {
        let job = network.play(&play).await;
        let [accepted, rejected, absent] = [accepted, rejected, absent].map(|nodes| network.nodes(nodes));
        let (checked, verified) = network.both(job).await;
        let (state, outcome) =
            if accepted == json!([]) { ("inconclusive", "inconclusive") } else { ("verified", "verdict") };
        let found = json!({ "state": state, "accepted": accepted, "rejected": rejected, "absent": absent });
        assert_eq!(checked["found"], found);
        assert_eq!((&verified["outcome"], &verified["note"]), (&json!(outcome), &json!(note)));
        for (list, nodes) in [("accepted", accepted), ("rejected", rejected), ("absent", absent)] {
            assert_eq!(verified[list], nodes, "{list}");
        }
    }
}

#[tokio::test]
async fn both_verifiers_settle_a_tie_as_the_contract_does() {
    let mut network = Network::start().await;
    let play = Play { method: Method::Ball, runs: TIE, fault: Fault::None, reveals: 0 };
    for _ in 0..4 {
        let job = network.play(&play).await;
        let (checked, verified) = network.both(job).await;
        assert_eq!(verified["accepted"].as_array().map(Vec::len), Some(3));
        assert_eq!(verified["accepted"], checked["found"]["accepted"]);
    }
}

#[tokio::test]
async fn an_endpoint_that_alters_a_verdict_or_an_opening_is_found_out() {
    let mut network = Network::start().await;
    let job = network.play(&HASH).await;
    let word = |number: u8| format!("{number:064x}");
    // Where the openings begin, the seats accepted, how many openings there are.
    let posted = |accepted: u8| [word(64), word(accepted), word(3)].concat();
    let altered = Endpoint::altering(&network.chain.anvil.rpc_url, &posted(0b011), &posted(0b101)).await;
    let (checked, verified) =
        (network.check(altered.url(), job).await, network.verify(altered.url(), job).await);
    assert_eq!((checked.code, verified.code), (121, 1), "{checked:?} {verified:?}");
    for told in [&checked.stdout, &verified.stdout] {
        assert_eq!(told["agrees"], json!(false));
        assert_eq!(told["posted"]["accepted"], network.nodes(&[1, 3]));
    }
    assert_eq!(checked.stdout["found"]["accepted"], network.nodes(&[1, 2]));
    assert_eq!(verified.stdout["accepted"], network.nodes(&[1, 2]));

    let salt = |byte: &str| byte.repeat(32);
    let forged = Endpoint::altering(&network.chain.anvil.rpc_url, &salt("09"), &salt("0a")).await;
    let (checked, verified) =
        (network.check(forged.url(), job).await, network.verify(forged.url(), job).await);
    assert_eq!((checked.code, verified.code), (125, 1), "{checked:?} {verified:?}");
    assert!(checked.stderr.contains("breaks the rules"), "{}", checked.stderr);
    let problem = verified.stdout["problems"][0].as_str().unwrap();
    assert!(problem.contains("an opening of seat 2"), "{problem}");
}

#[tokio::test]
async fn what_cannot_be_checked_is_named_with_what_to_do() {
    let mut network = Network::start().await;
    let (job, _) = network.seated(Method::Ball, 3).await;
    let url = network.chain.anvil.rpc_url.clone();
    let assert_told = |told: Told, code: i32, why: &str, hint: &str| {
        assert_eq!((told.code, &told.stdout), (code, &Value::Null), "{told:?}");
        // The program answers in JSON, the script in words.
        let has_hint = ["hint: ", r#""hint":""#].iter().any(|form| told.stderr.contains(form));
        assert!(told.stderr.contains(why) && has_hint, "{}", told.stderr);
        assert!(told.stderr.contains(hint), "{}", told.stderr);
    };
    assert_told(network.check(&url, job).await, 121, "no verdict to check", "once it is decided");
    assert_told(network.verify(&url, job).await, 2, "has no verdict to check", "once it is decided");
    let other = JobId::new([9; 32]);
    assert_told(network.check(&url, other).await, 2, "has no event of job", "--contract");
    assert_told(network.verify(&url, other).await, 2, "has no event of job", "--contract");
    let garbage = Endpoint::garbage().await;
    assert_told(network.check(garbage.url(), job).await, 124, "cannot use the chain", "--rpc-url");
    assert_told(network.verify(garbage.url(), job).await, 2, "is no JSON", "--rpc-url");
    // A privileged port that nobody has, and that Node does not refuse to ask.
    let closed = "http://127.0.0.1:59";
    assert_told(network.check(closed, job).await, 124, "cannot use the chain", "--rpc-url");
    assert_told(network.verify(closed, job).await, 2, "does not answer", "--rpc-url");
    assert_told(network.verify(&url, JobId::ZERO).await, 2, "has no event of job", "--first-block");
}
