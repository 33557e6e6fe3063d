//! Lists that are longer than a page.

use assay::{
    api::types::{EarningsReply, JobRow, OutlookRow},
    scheduler::Anchor,
};
use serde_json::Value;

use super::*;

/// All jobs that `query` asks for, in pages of so many.
async fn jobs_in_pages(node: &Citizen, query: &str, limit: usize) -> Vec<JobRow> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let list: JobList = read(node.get(&format!("jobs?limit={limit}{query}{after}")).await);
        assert!(list.jobs.len() <= limit);
        rows.extend(list.jobs);
        let Some(next) = list.next else { return rows };
        after = format!("&after={next}");
    }
}

/// All rows of a list, in pages of so many, each after the key of the last row.
async fn rows_in_pages(node: &Citizen, path: &str, key: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let page: Vec<Value> = read(node.get(&format!("{path}?limit={limit}{after}")).await);
        assert!(page.len() <= limit, "{path}");
        let Some(last) = page.last() else { return rows };
        after = format!("&after={}", last[key].to_string().trim_matches('"'));
        rows.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_longer_than_a_page_are_read_page_by_page() {
    let town = Town::new();
    let (a, b) = (town.node(1, 0, printing("")).await, town.node(2, 2, printing("x")).await);
    let mut jobs = Vec::new();
    for number in 0..7 {
        // Several jobs of one second, too.
        town.at(number / 2);
        let job = submit(&a, &request(deal(1, 1))).await;
        a.ended(job).await;
        b.ended(job).await;
        jobs.push(job);
    }

    let all: JobList = read(a.get("jobs").await);
    assert_eq!((all.total, all.jobs.len(), all.next), (7, 7, None));
    for limit in [1, 2, 3, 6, 7, 8] {
        assert_eq!(jobs_in_pages(&a, "", limit).await, all.jobs, "{limit}");
        assert_eq!(jobs_in_pages(&a, "&state=verified", limit).await, all.jobs, "{limit}");
    }
    let since = all.jobs[2].submitted_at;
    let newest: Vec<JobRow> = all.jobs.iter().filter(|row| row.submitted_at >= since).cloned().collect();
    assert_eq!(jobs_in_pages(&a, &format!("&since={since}"), 2).await, newest);
    assert_eq!(jobs_in_pages(&a, "&state=failed", 2).await, []);

    let job = jobs[0];
    for (path, key) in [
        ("nodes".to_owned(), "id"),
        (format!("jobs/{job}/log"), "height"),
        (format!("jobs/{job}/nodes"), "node"),
        (format!("jobs/{job}/results"), "seat"),
    ] {
        let whole: Vec<Value> = read(a.get(&path).await);
        assert!(!whole.is_empty(), "{path}");
        for limit in [1, 2, 100] {
            assert_eq!(rows_in_pages(&a, &path, key, limit).await, whole, "{path} {limit}");
        }
    }
    let _: Vec<OutlookRow> = read(a.get(&format!("jobs/{job}/nodes?limit=1")).await);
    let none: Vec<Anchor> = read(a.get(&format!("jobs/{job}/anchors?limit=1")).await);
    assert_eq!(none, [], "no chain has this log");

    let earned: EarningsReply = read(b.get("node/earnings?since=0").await);
    assert_eq!((earned.jobs.len(), earned.next), (7, None));
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page: EarningsReply = read(b.get(&format!("node/earnings?since=0&limit=3{after}")).await);
        assert_eq!(page.has_more, page.next.is_some());
        paged.extend(page.jobs);
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, earned.jobs);

    // Beyond what a row of the disk can hold.
    let far = u64::MAX;
    let none: EarningsReply = read(b.get(&format!("node/earnings?since={far}")).await);
    assert_eq!((none.jobs.len(), none.next), (0, None));
    let whole: JobList = read(a.get(&format!("jobs?after={far}-{job}")).await);
    assert_eq!(whole.jobs, all.jobs, "all of them are older");

    for wrong in [
        "jobs?after=x",
        "jobs?after=7",
        "jobs?limit=-1",
        "jobs?limit=x",
        "nodes?after=0x12",
        "nodes?limit=-1",
        "nodes?page=2",
        "node/earnings?since=0&after=1-0x12",
    ] {
        assert_eq!(error(a.get(wrong).await), (400, ErrorCode::BadRequest), "{wrong}");
    }
    end(a.handle).await;
    end(b.handle).await;
}
