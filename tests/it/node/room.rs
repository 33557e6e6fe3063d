//! Nodes whose disk or store is full.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use assay::{
    api::types::NodeRow,
    domain::{FailureKind, JobState, Spec},
    executor::{FakeExecutor, Script},
};

use super::end_all;
use crate::town::{PATIENCE, STORE_BYTES, Town, deal, printing};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_room_for_a_result_does_not_bid() {
    let town = Town::new();
    let (requester, node) = (town.node(1, 0, printing("")).await, town.node(2, 1, printing("x")).await);
    let mut large = Spec::sample();
    large.resources.disk_bytes = STORE_BYTES / 4 * 3 + 1;
    let (job, _) = requester.node().submit_job(large, deal(1, 1)).await.unwrap();
    // Its next job, which it does take, shows that it has seen the first.
    let (other, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    assert_eq!(requester.ended(other).await.state, JobState::Verified);
    let open = requester.when(job, |_| true).await;
    assert!(open.bids.is_empty() && open.state == JobState::Open, "{open:?}");
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_told_with_the_way_out() {
    let town = Town::new();
    let (requester, node) = (town.node(1, 0, printing("")).await, town.node(2, 1, printing("x")).await);
    let run = async || {
        let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
        assert_eq!(requester.ended(job).await.state, JobState::Verified);
    };
    run().await;
    let warnings = async |path: &str| {
        let (status, body) = node.get(path).await;
        assert_eq!(status, 200);
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["warnings"].clone()
    };
    assert_eq!(warnings("node").await, serde_json::json!([]));
    // A result is in the store already, so that a job which may fill it has no room.
    let mut large = Spec::sample();
    large.resources.disk_bytes = STORE_BYTES / 4 * 3;
    let (job, _) = requester.node().submit_job(large, deal(1, 1)).await.unwrap();
    // Its next job, which it does take, shows that it has seen the first.
    run().await;
    for path in ["node".to_owned(), format!("jobs/{job}")] {
        let told = warnings(&path).await;
        assert_eq!(told[0]["obstacle"], "store_full", "{told}");
        assert!(told[0]["message"].as_str().unwrap().contains("blobs"), "{told}");
        assert!(told[0]["hint"].as_str().unwrap().contains("make room"), "{told}");
    }
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_store_is_full_still_keeps_the_results_of_its_own_jobs() {
    let town = Town::new();
    let (requester, node) = (town.node(1, 0, printing("")).await, town.node(2, 1, printing("x")).await);
    // As jobs of others may leave it: a file counts with its length, and this one takes no room on the disk.
    let name = "ab".repeat(32);
    let shard = requester.dir.path().join("blobs/ab");
    std::fs::create_dir_all(&shard).unwrap();
    std::fs::File::create(shard.join(&name)).unwrap().set_len(STORE_BYTES / 4 * 3).unwrap();
    let requester = town.restart(1, requester, printing("mine")).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    let (status, archive) = requester.get(&format!("jobs/{job}/results/{}/archive", node.id())).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&archive));
    end_all([requester, node]).await;
}

/// A small disk over a directory. It needs root, as the tests with containers do.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn over(path: &Path, size: &str) -> Self {
        mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "small"], path);
        Self(path.to_owned())
    }

    fn resize(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], &self.0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn mount(options: &[&str], path: &Path) {
    let mounted = std::process::Command::new("mount").args(options).arg(path).status();
    assert!(mounted.unwrap().success(), "{options:?} on {}; run as root", path.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_full_disk_warns_once_and_bids_again_once_there_is_room() {
    let town = Town::new();
    let (requester, node) = (town.node(1, 0, printing("")).await, town.node(2, 1, printing("x")).await);
    let disk = SmallDisk::over(node.dir.path(), "64m");
    let node = town.restart(2, node, printing("x")).await;
    let warnings = async |path: &str| {
        let (status, body) = node.get(path).await;
        assert_eq!(status, 200);
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["warnings"].clone()
    };
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let mut wait_for = async |is_full: bool| {
        let looked = async {
            while (warnings("node").await[0]["obstacle"] == "disk_full") != is_full {
                looks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, looked).await.unwrap();
    };
    wait_for(true).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    node.when(job, |_| true).await;
    let told = warnings(&format!("jobs/{job}")).await;
    assert!(told[0]["hint"].as_str().unwrap().contains("make room on that disk"), "{told}");
    let message = told[0]["message"].as_str().unwrap();
    assert!(message.contains(node.dir.path().to_str().unwrap()), "{told}");
    assert!(requester.when(job, |_| true).await.bids.is_empty());

    disk.resize("64g");
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    wait_for(false).await;
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_during_a_run_counts_against_nobody() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let first = AtomicBool::new(true);
    let fills = Arc::new(FakeExecutor::new(move |request| {
        if first.swap(false, Ordering::SeqCst) {
            // Gone with the directory of the run.
            std::fs::create_dir_all(&request.result_dir).unwrap();
            mount(&["-t", "tmpfs", "-o", "size=64k,mode=0700", "small"], &request.result_dir);
        }
        Script::printing(vec![b'x'; 1 << 20])
    }));
    let mut nodes = Vec::new();
    for key in 2..=4 {
        nodes.push(town.node(key, 1, Arc::clone(&fills) as _).await);
    }
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified, "another node took the seat");
    assert_eq!(ended.failures[usize::from(FailureKind::Killed.index())], 1, "{:?}", ended.failures);
    let (_, rows) = requester.get("nodes").await;
    let rows: Vec<NodeRow> = serde_json::from_slice(&rows).unwrap();
    assert!(rows.iter().all(|row| row.rejected + row.failed + row.absent == 0), "{rows:?}");
    end_all(nodes).await;
    end_all([requester]).await;
}
