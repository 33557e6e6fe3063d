//! Commands that list more than a page.

use assay::{
    api::types::{Cursor, JobList, JobRow, MAX_ROWS, NodeRow, Page},
    domain::{JobId, JobState, NodeId, Timestamp},
};
use axum::{Json, Router, extract::Query, routing::get};
use serde_json::Value;

use super::waiting::{run, serve};
use crate::town::{Town, end, printing};

/// Several pages, the last one short.
const JOBS: u16 = 2345;

fn row(number: u16) -> JobRow {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    JobRow {
        job: JobId::new(id),
        requester: NodeId::ZERO,
        state: JobState::Verified,
        is_broken: false,
        fault: None,
        requester_gone: false,
        image: "demo".to_owned(),
        member: None,
        command: Vec::new(),
        concurrency: 1,
        seats: 1,
        accepted: Some(1),
        submitted_at: Timestamp::from_secs(7),
        ended_at: Some(Timestamp::from_secs(8)),
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    limit: usize,
    after: Option<Cursor>,
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_several_pages_are_shown_whole() {
    let jobs = async |Query(asked): Query<Asked>| {
        assert!(asked.limit <= MAX_ROWS);
        Json(JobList::page((0..JOBS).map(row).collect(), asked.after, None, asked.limit))
    };
    let nodes = async |Query(page): Query<Page<NodeId>>| {
        let row = |number: u16| {
            let mut id = [0; 20];
            id[..2].copy_from_slice(&number.to_be_bytes());
            let id = NodeId::new(id);
            NodeRow {
                id,
                is_self: false,
                known: true,
                accepted: 0,
                rejected: 0,
                failed: 0,
                absent: 0,
                offer: None,
            }
        };
        Json(page.of((0..JOBS).map(row), |row| row.id))
    };
    let town = Town::new();
    let node = town.node(1, 0, printing("")).await;
    let (_, about) = node.get("node").await;
    let about: Value = serde_json::from_slice(&about).unwrap();
    let app = Router::new()
        .route("/api/v1/jobs", get(jobs))
        .route("/api/v1/nodes", get(nodes))
        .route("/api/v1/node", get(async || Json(about)));
    let (address, _task) = serve(app).await;

    let seen = run(address, None, &["job", "list", "--limit", "9999", "--output", "json"]).await;
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    let list: JobList = serde_json::from_str(&seen.stdout).unwrap();
    let whole: Vec<JobRow> = (0..JOBS).map(row).collect();
    assert_eq!((list.total, list.next), (usize::from(JOBS), None));
    assert!(list.jobs == whole, "{} jobs", list.jobs.len());

    let seen = run(address, None, &["job", "list", "--limit", "1234", "--output", "json"]).await;
    let list: JobList = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!((list.total, list.next), (usize::from(JOBS), Some(whole[1233].cursor())));
    assert!(list.jobs == whole[..1234], "{} jobs", list.jobs.len());

    let seen = run(address, None, &["node", "list", "--output", "json"]).await;
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    let list: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(list["nodes"].as_array().unwrap().len(), usize::from(JOBS));
    end(node.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_gives_the_same_page_again_is_not_asked_for_ever() {
    let again = async || {
        let next = Some(row(0).cursor());
        Json(JobList { total: usize::from(JOBS), jobs: vec![row(0)], next })
    };
    let (address, _task) = serve(Router::new().route("/api/v1/jobs", get(again))).await;
    let seen = run(address, None, &["job", "list", "--limit", "9999"]).await;
    assert_ne!(seen.code, 0);
    assert!(seen.stderr.contains("does not go on where the page before ended"), "{}", seen.stderr);
}
