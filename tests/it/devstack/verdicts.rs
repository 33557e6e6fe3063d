//! Terms of verdicts on real containers that other tests do not reach: how many nodes run a job by what is known of them,
//! terms that change while a job is open, and a follow-up that compares numbers.

use assay::{
    api::types::{JobView, Replication, SubmitRequest},
    domain::{Deal, JobState, Method, NodeId, Note, Resources},
};

use super::{Network, On, TIMEOUT};

/// A job that leaves little, so that it runs on a machine with little room too.
fn request(script: &str, deal: Deal) -> SubmitRequest {
    let resources = Resources { disk_bytes: 16 << 20, ..Resources::default() };
    SubmitRequest { resources, ..super::request(script, deal) }
}

fn all_agree(view: &JobView, note: Note) {
    let verdict = view.verdict.as_ref().unwrap_or_else(|| panic!("{view:?}"));
    assert_eq!((view.state, verdict.note), (JobState::Verified, note), "{view:?}");
    assert_eq!(verdict.accepted.len(), view.seats.len());
}

/// Whoever knows nobody asks three.
async fn strangers_run_a_job_in_threes(on: On) {
    let network = Network::start(on, 4, "0").await;
    let deal = Deal { method: Method::Hash, ..network.deal(1, TIMEOUT) };
    let asked = SubmitRequest { replication: Replication::Auto, ..request("echo hello", deal) };
    let view = network.ended(network.post(&asked).await).await;
    all_agree(&view, Note::EqualOutputs);
    let plan = view.replication.and_then(|replication| replication.plan).expect("its node decided");
    assert_eq!((view.deal.concurrency, view.deal.escalation_limit, plan.needed, plan.trusted), (3, 7, 10, 0));
    network.stop().await;
}

#[tokio::test]
async fn strangers_run_a_job_in_threes_on_libp2p() {
    strangers_run_a_job_in_threes(On::Libp2p).await;
}

#[tokio::test]
async fn strangers_run_a_job_in_threes_on_a_contract() {
    strangers_run_a_job_in_threes(On::Contract).await;
}

/// Every run prints another number, so without the new terms nobody would agree; half a second gives it a trace. On a
/// contract: without one, nodes that the first terms shut out hear no more of a job.
#[tokio::test]
async fn an_open_job_is_changed_to_near_numbers_and_required_work_on_a_contract() {
    let network = Network::start(On::Contract, 3, "0").await;
    let script =
        "sleep 0.5; n=$(od -An -N2 -tu2 /dev/urandom); echo $n; echo $((1000 + n % 5)) > /outputs/summary";
    let nobody = NodeId::new([1; 20]);
    let terms = network.deal(3, TIMEOUT);
    let closed = Deal { allow_list: vec![nobody], method: Method::Hash, ..terms.clone() };
    let job = network.post(&request(script, closed)).await;
    let summary = Some("abs:5".parse().unwrap());
    let deal = Deal { method: Method::Near, summary, require_work: true, cpu_permille: 1000, ..terms };
    let url = network.url(&format!("jobs/{job}/deal"));
    let changed = network.http.post(url).json(&deal).send().await.unwrap();
    assert!(changed.status().is_success(), "{}", changed.text().await.unwrap());
    let view = network.ended(job).await;
    all_agree(&view, Note::NearOutputsAndWork);
    let chain = network.chain.as_ref().expect("it runs on one");
    crate::verifiers::both_agree(chain.rpc_url(), chain.deployed().contract, job).await;
    network.stop().await;
}

/// In the first job the seed is that of the job itself, and numbers are drawn; in its follow-up the seed is another
/// job's, and they are not.
#[tokio::test]
async fn a_follow_up_compares_numbers_under_the_terms_and_the_seed_of_the_first_job() {
    let network = Network::start(On::Libp2p, 5, "0").await;
    let script = r#"
        bytes=$(echo ${ASSAY_JOB#0x} | sed 's/../\\x&/g')
        own=$(printf "assay seed v1\\000$bytes" | sha256sum | cut -d' ' -f1)
        if [ "$own" = "${ASSAY_SEED#0x}" ]; then od -An -N4 -tu4 /dev/urandom; else echo 1000; fi > /outputs/summary"#;
    let summary = Some("exact".parse().unwrap());
    let deal = Deal { method: Method::Near, summary, escalation_limit: 3, ..network.deal(2, TIMEOUT) };
    let first = network.ended(network.post(&request(script, deal)).await).await;
    assert_eq!(first.state, JobState::Inconclusive, "{first:?}");
    let child = network.when(first.job, |view| view.followed_by.is_some()).await.followed_by.unwrap();
    let child = network.ended(child).await;
    assert_eq!((child.seed, child.seats.len(), child.deal.summary), (first.seed, 3, summary));
    all_agree(&child, Note::NearOutputs);
    network.stop().await;
}
