//! Jobs that ended and left memory.

use assay::{
    api::types::{JobList, JobView},
    domain::JobState,
    store::EndedJobs,
};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn ended_jobs_leave_memory_and_are_listed_described_and_served_as_before() {
    let requester = peer(1, 0, printing(""), &[], dir()).await;
    let address = [requester.address().await];
    let worker = peer(2, 1, printing("x"), &address, dir()).await;
    requester.knows(1).await;
    let node = requester.handle.node();
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let (job, _) = node.submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
        requester.when(job, |job| job.state == JobState::Verified).await;
        worker.when(job, |job| job.state == JobState::Verified).await;
        jobs.push(job);
    }
    let left = |peer: &Peer| {
        let ended = EndedJobs::new(peer.db.clone());
        jobs.iter().all(|job| ended.contains(*job).unwrap()).then_some(())
    };
    until(|| left(&requester)).await;
    until(|| left(&worker)).await;
    // Its result is fetched when both have only the disk's word for the job.
    let (opening, length) = node.result_of(jobs[0], worker.handle.id()).await.unwrap();
    assert_eq!(requester.content.length(opening.output_root, worker.handle.id()).unwrap(), length);
    let job = node.when(jobs[1], |_| true).await;
    assert_eq!((job.state, node.find_job(&jobs[2].to_string()).unwrap()), (JobState::Verified, jobs[2]));
    drop(node);

    let worker_dir = worker.end().await;
    let mut again = peer(1, 0, printing(""), &[], requester.end().await).await;
    let api = assay::api::serve(&mut again.handle, Default::default()).await.unwrap();
    let token = assay::api::Token::read(&again.handle.node().token_file()).unwrap().header();
    let get = async |path: &str| {
        let url = format!("http://{api}/api/v1/{path}");
        let asked = assay::tls::http_client().no_proxy().build().unwrap().get(url);
        asked.header("authorization", token.clone()).send().await.unwrap().text().await.unwrap()
    };
    let list: JobList = serde_json::from_str(&get("jobs?limit=2").await).unwrap();
    assert_eq!((list.total, list.jobs.len()), (3, 2));
    assert!(list.jobs.iter().all(|row| row.state == JobState::Verified && row.accepted == Some(1)));
    let view: JobView = serde_json::from_str(&get(&format!("jobs/{}", jobs[0])).await).unwrap();
    assert_eq!((view.state, view.seats.len(), view.broken), (JobState::Verified, 1, None));
    let events = get(&format!("jobs/{}/events", jobs[0])).await;
    assert!(events.contains("verdict_posted"), "{events}");
    again.end().await;
    drop(worker_dir);
}
