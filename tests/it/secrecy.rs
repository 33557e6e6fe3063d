//! Before a job has ended, nothing that helps to copy a result leaves a node, whichever way it is asked.
//!
//! What the run printed and wrote, its exit code, trace and fingerprint, and every hash of it are searched for
//! in all that a node answers, after it has finished and committed and while another seat still runs.

use std::sync::Arc;

use assay::{
    domain::{Deal, Digest, JobState, Method, SeatStatus},
    executor::{FakeExecutor, Reading, RunOutcome, Script, Trace},
    node::{ChunkRequest, Transfer as _},
};

use crate::town::{Citizen, Town, deal, end, printing, spec};

const STDOUT: &str = "the answer is 42";
const OUTPUT: &str = "a secret table";
const EXIT_CODE: i32 = 97;
const RSS_KIB: u32 = 123_456;
const CPU_MS: u64 = 76_543;

fn telling() -> FakeExecutor {
    FakeExecutor::new(|_| {
        let reading = |t_ms| Reading { t_ms, rss_kib: RSS_KIB, cpu_ms: CPU_MS };
        let trace = Trace { readings: (0..9).map(reading).collect(), duration_ms: 10, cpu_ms: CPU_MS };
        Script {
            outcome: Ok(RunOutcome { exit_code: EXIT_CODE, trace }),
            stdout: STDOUT.into(),
            outputs: vec![("table.csv".to_owned(), OUTPUT.into())],
        }
    })
}

/// Everything that a node says over HTTP about a job.
async fn all_answers(node: &Citizen, job: &str, others: &[&Citizen]) -> Vec<(String, String)> {
    let mut paths: Vec<String> = ["node", "nodes", "jobs", "blobs", "metrics"].map(str::to_owned).into();
    for tail in ["", "/log", "/results", "/output", "/logs", "/executions"] {
        paths.push(format!("jobs/{job}{tail}"));
    }
    for other in others.iter().copied().chain([node]) {
        paths.push(format!("jobs/{job}/results/{}/archive", other.id()));
    }
    let mut answers = Vec::new();
    for path in paths {
        let (_, body) = node.get(&path).await;
        answers.push((path, String::from_utf8_lossy(&body).into_owned()));
    }
    // A stream of a running job does not end: what there is comes first.
    let mut events = node.http().get(node.url(&format!("jobs/{job}/events"))).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    answers.push(("events".to_owned(), String::from_utf8_lossy(&first).into_owned()));
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_helps_to_copy_leaves_a_node_before_the_end() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let done = town.node(2, 1, Arc::new(telling())).await;
    let still = Arc::new(telling().hold());
    let running = town.node(3, 1, Arc::clone(&still) as _).await;
    let (job, _) = requester.node().submit_job(spec(), deal(2, 2)).await.unwrap();
    for citizen in [&requester, &done, &running] {
        citizen.when(job, |job| !job.committed.is_empty()).await;
    }
    still.started().wait_for(|started| *started == 1).await.unwrap();

    // All that the first node has on disk by now, found the way an owner of the machine would.
    let blobs: Vec<Digest> = stored(done.dir.path());
    assert!(!blobs.is_empty(), "the result is kept as content");
    let mut secrets: Vec<String> = blobs.iter().map(|digest| digest.to_string()[2..].to_owned()).collect();
    secrets.extend([STDOUT, OUTPUT].map(str::to_owned));
    secrets.extend([EXIT_CODE.to_string(), RSS_KIB.to_string(), CPU_MS.to_string()].map(|n| format!(":{n}")));
    secrets.extend(["exit_code", "fingerprint", "result_hash", "salt"].map(|key| format!("\"{key}\":")));
    for node in [&requester, &done, &running] {
        for (path, answer) in all_answers(node, &job.to_string(), &[&requester, &done, &running]).await {
            for secret in &secrets {
                assert!(!answer.contains(secret), "{path} tells {secret}: {answer}");
            }
        }
    }
    // Nor over the transfer of content, whoever asks and for whatever the node has.
    for asker in [&requester, &running] {
        for digest in &blobs {
            let request = ChunkRequest { job, digest: *digest, offset: 0 };
            assert!(asker.transfer.fetch_chunk(done.id(), request).await.is_err());
        }
    }

    // The same questions afterwards find it all, so that they are the right ones.
    still.release(1);
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    let answers = all_answers(&requester, &job.to_string(), &[&done]).await;
    let told = |secret: &str| answers.iter().any(|(_, answer)| answer.contains(secret));
    assert!(secrets.iter().all(|secret| told(secret) || secret.starts_with(':')), "{secrets:?}");
    assert!(told(&format!(":{EXIT_CODE}")) && told(STDOUT) && told(OUTPUT));
    let seat = ended.seats.iter().find(|seat| seat.node == done.id()).unwrap();
    let SeatStatus::Revealed(opening) = seat.status else { panic!("{seat:?}") };
    assert!(blobs.contains(&opening.output_root));
    for citizen in [requester, done, running] {
        end(citizen.handle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_nobody_pays_for_stays_with_its_node() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let honest = [town.node(2, 1, printing("true")).await, town.node(3, 1, printing("true")).await];
    let liar = town.node(4, 1, printing("false")).await;
    let (job, _) = requester.node().submit_job(spec(), deal(3, 2)).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    let root_of = |node: &Citizen| {
        let seat = ended.seats.iter().find(|seat| seat.node == node.id()).unwrap();
        let SeatStatus::Revealed(opening) = seat.status else { panic!("{seat:?}") };
        opening.output_root
    };
    for node in &honest {
        node.ended(job).await;
        let request = ChunkRequest { job, digest: root_of(node), offset: 0 };
        assert!(requester.transfer.fetch_chunk(node.id(), request).await.is_ok());
    }
    liar.ended(job).await;
    let request = ChunkRequest { job, digest: root_of(&liar), offset: 0 };
    for asker in [&requester, &honest[0]] {
        assert!(asker.transfer.fetch_chunk(liar.id(), request).await.is_err());
    }
    let path = format!("jobs/{job}/results/{}/archive", liar.id());
    let (status, body) = requester.get(&path).await;
    let body = String::from_utf8(body).unwrap();
    assert!(status == 409 && body.contains("not paid for"), "{status} {body}");
    assert_eq!(liar.get(&path).await.0, 200, "its own it may read");
    for node in [requester, liar].into_iter().chain(honest) {
        end(node.handle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_result_of_an_inconclusive_job_that_pays_nobody() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let nodes = [town.node(2, 1, printing("one")).await, town.node(3, 1, printing("two")).await];
    let deal = Deal { method: Method::Hash, ..deal(2, 2) };
    let (job, _) = requester.node().submit_job(spec(), deal).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Inconclusive);
    for (node, seat) in nodes.iter().flat_map(|node| ended.seats.iter().map(move |seat| (node, seat))) {
        node.ended(job).await;
        let SeatStatus::Revealed(opening) = seat.status else { panic!("{seat:?}") };
        let request = ChunkRequest { job, digest: opening.output_root, offset: 0 };
        assert!(requester.transfer.fetch_chunk(node.id(), request).await.is_err());
    }
    for node in nodes.into_iter().chain([requester]) {
        end(node.handle).await;
    }
}

/// The digests of all content below a data directory.
fn stored(dir: &std::path::Path) -> Vec<Digest> {
    let mut pending = vec![dir.join("blobs")];
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.extend(path.file_name().and_then(|name| name.to_str()?.parse::<Digest>().ok()));
        }
    }
    found
}
