//! What a failed run leaves: to its requester, and not before the job is over.

use std::sync::Arc;

use assay::{
    api::types::LastWordsView,
    domain::{ChunkRequest, FailureKind, JobState, Span, Spec},
    executor::{ExecutorError, FakeExecutor, Script},
    node::Transfer as _,
    store::LastWords,
};

use super::end_all;
use crate::town::{Town, deal, printing};

fn too_slow() -> FakeExecutor {
    FakeExecutor::new(|_| Script {
        stdout: b"step 1\n\xff".to_vec(),
        ..Script::failing(ExecutorError::Timeout { limit: Span::from_secs(60) })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requester_alone_hears_what_a_failed_run_printed_and_only_at_the_end() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let failing = town.node(2, 1, Arc::new(too_slow())).await;
    let held = Arc::new(too_slow().hold());
    let running = town.node(3, 1, Arc::clone(&held) as _).await;
    let stranger = town.node(4, 0, printing("")).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    held.started().wait_for(|started| *started == 1).await.unwrap();
    let timed_out = |job: &assay::domain::Job| job.failures[usize::from(FailureKind::Timeout.index())] == 1;
    requester.when(job, timed_out).await;
    failing.when(job, timed_out).await;
    let path = format!("jobs/{job}/results/{}/last-words", failing.id());
    let digest = LastWords::address(job, failing.id());
    let request = ChunkRequest { job, digest, offset: 0, length: 9999 };
    for asker in [&requester, &running, &stranger] {
        assert!(asker.transfer.fetch_chunk(failing.id(), request).await.is_err(), "the job goes on");
    }
    for node in [&requester, &failing] {
        assert_eq!(node.get(&path).await.0, 409, "the job goes on");
    }

    held.release(1);
    requester.when(job, |job| job.failures[usize::from(FailureKind::Timeout.index())] == 2).await;
    town.at(100_000);
    for node in [&requester, &failing, &running, &stranger] {
        assert_ne!(node.ended(job).await.state, JobState::Verified);
    }
    for asker in [&running, &stranger] {
        assert!(asker.transfer.fetch_chunk(failing.id(), request).await.is_err());
        assert_eq!(asker.get(&path).await.0, 403);
    }
    let beyond = ChunkRequest { offset: 1 << 40, ..request };
    assert!(requester.transfer.fetch_chunk(failing.id(), beyond).await.is_err());
    for node in [&requester, &failing] {
        let (status, body) = node.get(&path).await;
        assert_eq!(status, 200);
        let words: LastWordsView = serde_json::from_slice(&body).unwrap();
        assert_eq!((words.node, words.stdout.as_str()), (failing.id(), "step 1\n\u{fffd}"));
        assert!(words.reason.contains("60"), "{}", words.reason);
    }
    end_all([requester, failing, running, stranger]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requester_hears_which_file_could_not_be_kept() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let linking = FakeExecutor::new(|request| {
        let outputs = request.result_dir.join("outputs");
        std::fs::create_dir_all(&outputs).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", outputs.join("table.csv")).unwrap();
        Script::printing("done")
    });
    let node = town.node(2, 1, Arc::new(linking)).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    requester.when(job, |job| job.failures[usize::from(FailureKind::Output.index())] == 1).await;
    town.at(100_000);
    assert_ne!(requester.ended(job).await.state, JobState::Verified);
    let words = requester.node().last_words_of(job, node.id()).await.unwrap();
    assert!(words.reason.contains("outputs/table.csv"), "{}", words.reason);
    assert!(!words.reason.contains(node.dir.path().to_str().unwrap()), "{}", words.reason);
    assert_eq!(words.stdout, b"done");
    end_all([requester, node]).await;
}
