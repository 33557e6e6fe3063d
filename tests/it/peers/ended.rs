//! Jobs that ended and left memory.

use assay::{
    api::types::{JobList, JobView},
    domain::JobState,
    node::RequestKey,
    policy::replication::Replication,
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
    let all: JobList = serde_json::from_str(&get("jobs").await).unwrap();
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page: JobList = serde_json::from_str(&get(&format!("jobs?limit=1{after}")).await).unwrap();
        paged.extend(page.jobs);
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, all.jobs, "jobs of the disk, page by page");
    let view: JobView = serde_json::from_str(&get(&format!("jobs/{}", jobs[0])).await).unwrap();
    assert_eq!((view.state, view.seats.len(), view.broken), (JobState::Verified, 1, None));
    let events = get(&format!("jobs/{}/events", jobs[0])).await;
    assert!(events.contains("verdict_posted"), "{events}");
    again.end().await;
    drop(worker_dir);
}

/// What a node's API answers, and its status.
async fn answer(
    api: std::net::SocketAddr,
    peer: &Peer,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    let token = assay::api::Token::read(&peer.handle.node().token_file()).unwrap().header();
    let url = format!("http://{api}/api/v1/{path}");
    let client = assay::tls::http_client().no_proxy().build().unwrap();
    let asked = client.request(method.parse().unwrap(), url).header("authorization", token);
    let reply = asked.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

/// As if everything in a node's store had been there for two hours.
fn age(peer: &Peer) {
    let then = Duration::from_secs(wall_clock().as_secs() - 2 * 60 * 60);
    let then = std::time::SystemTime::UNIX_EPOCH + then;
    for shard in std::fs::read_dir(peer.dir.path().join("blobs")).unwrap() {
        for file in std::fs::read_dir(shard.unwrap().path()).unwrap() {
            std::fs::File::open(file.unwrap().path()).unwrap().set_modified(then).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_job_left_is_shown_kept_while_owed_and_forgotten_on_demand() {
    let mut requester = peer(1, 0, printing(""), &[], dir()).await;
    let address = [requester.address().await];
    let mut worker = peer(2, 1, printing("x"), &address, dir()).await;
    requester.knows(1).await;
    let node = requester.handle.node();
    let key: RequestKey = "the-same-request".parse().unwrap();
    let once = async |node: &Node| {
        node.submit_job_once(&key, Spec::sample(), deal(1, 1), Replication::Fixed).await.unwrap().0
    };
    let job = once(&node).await;
    requester.when(job, |job| job.state == JobState::Verified).await;
    let (_, length) = node.result_of(job, worker.handle.id()).await.unwrap();
    drop(node);
    for peer in [&requester, &worker] {
        let (ended, node) = (EndedJobs::new(peer.db.clone()), peer.handle.node());
        // While it leaves memory it is one job, wherever it is.
        until(|| {
            assert_eq!(node.find_job(&job.to_string()).unwrap(), job);
            ended.contains(job).unwrap().then_some(())
        })
        .await;
        assert_eq!(node.find_job(&job.to_string()).unwrap(), job);
        age(peer);
    }
    let own = assay::api::serve(&mut requester.handle, Default::default()).await.unwrap();
    let theirs = assay::api::serve(&mut worker.handle, Default::default()).await.unwrap();

    let used = |text: &str, kind: &str| {
        let usage: serde_json::Value = serde_json::from_str(text).unwrap();
        let part = &usage["content"][kind];
        (part["pieces"].as_u64(), part["bytes"].as_u64(), usage["ended_jobs"].as_u64())
    };
    let (_, usage) = answer(own, &requester, "GET", "node/usage", "").await;
    assert_eq!(used(&usage, "own_result"), (Some(1), Some(length), Some(1)), "{usage}");
    let (_, usage) = answer(theirs, &worker, "GET", "node/usage", "").await;
    assert_eq!(used(&usage, "result"), (Some(1), Some(length), Some(1)), "{usage}");

    // The worker keeps the result for the requester, who may come again; the requester may do as it likes.
    let forget = format!("jobs/{job}/forget");
    let (status, refusal) = answer(theirs, &worker, "POST", &forget, "").await;
    assert!(status == 409 && refusal.contains("may fetch this node's result"), "{status} {refusal}");
    let (_, pruned) = answer(theirs, &worker, "POST", "node/prune", r#"{"dry_run":false}"#).await;
    assert!(pruned.contains(r#""content":[],"jobs":[],"bytes":0"#), "{pruned}");
    let (_, forgotten) = answer(own, &requester, "POST", &forget, "").await;
    let forgotten: serde_json::Value = serde_json::from_str(&forgotten).unwrap();
    assert_eq!((forgotten["pieces"].as_u64(), forgotten["bytes"].as_u64()), (Some(1), Some(length)));
    assert_eq!(answer(own, &requester, "GET", &format!("jobs/{job}"), "").await.0, 404);
    let (_, usage) = answer(own, &requester, "GET", "node/usage", "").await;
    assert_eq!(used(&usage, "own_result"), (None, None, Some(0)), "{usage}");

    // Nor does it come back with a restart.
    let requester_dir = requester.end().await;
    let mut again = peer(1, 0, printing(""), &[], requester_dir).await;
    let own = assay::api::serve(&mut again.handle, Default::default()).await.unwrap();
    assert_eq!(answer(own, &again, "GET", &format!("jobs/{job}"), "").await.0, 404);
    // Nor does the same request begin a second history of it.
    assert_eq!(once(&again.handle.node()).await, job);
    assert_eq!(answer(own, &again, "GET", &format!("jobs/{job}"), "").await.0, 404);
    again.end().await;
    worker.end().await;
}
