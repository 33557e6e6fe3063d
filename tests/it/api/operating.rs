//! What an operator asks a node: numbers, health, earnings, and to take on no more work.

use std::collections::BTreeSet;

use assay::{
    api::types::{EarningsReply, Health, IntakeReply, Obligations, Readiness},
    domain::JobState,
    tls::http_client,
};

use super::{read, request, submit};
use crate::town::{PATIENCE, START, Town, deal, end, printing};

/// The names of the families on a page of metrics.
fn families(page: &str) -> BTreeSet<String> {
    let named = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    named.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The words of a text that name metrics of a node.
fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !(char.is_ascii_lowercase() || char == '_'));
    words.filter(|word| word.starts_with("assay_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_itself_in_numbers_to_whoever_has_its_token() {
    let town = Town::new();
    let node = town.node(1, 2, printing("x")).await;
    let other = town.node(2, 1, printing("x")).await;
    let job = submit(&node, &request(deal(2, 2))).await;
    node.ended(job).await;
    let (status, page) = node.get("../../metrics").await;
    let page = String::from_utf8(page).unwrap();
    assert_eq!(status, 200, "{page}");
    for row in [
        "assay_jobs{state=\"verified\"} 1",
        "assay_slots 2",
        "assay_slots_busy 0",
        "assay_takes_work 1",
        "assay_owed{what=\"openings\"} 0",
        "assay_conduct{outcome=\"accepted\"} 1",
        "assay_log_read 1",
    ] {
        assert!(page.lines().any(|line| line == row), "{row}: {page}");
    }
    assert!(!page.contains(&job.to_string()[2..10]), "it names no job");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("assay_") && value.parse::<u64>().is_ok(), "{line}");
    }

    let read_file = |name| std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let dashboard = read_file("packaging/grafana.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
    let known = families(&page);
    // A town has no connections to count.
    let elsewhere = BTreeSet::from(["assay_connections".to_owned(), "assay_visitors".to_owned()]);
    for text in [dashboard, read_file("packaging/alerts.yml"), read_file("docs/operators.md")] {
        let unknown: Vec<_> = named_in(&text).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.iter().all(|name| elsewhere.contains(name)), "{unknown:?}");
    }
    end(node.handle).await;
    end(other.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_managers_learn_without_a_token_whether_a_node_is_ready() {
    let town = Town::new();
    let node = town.node(1, 0, printing("")).await;
    let http = http_client().no_proxy().timeout(PATIENCE).build().unwrap();
    for path in ["../../healthz", "../../readyz", "health"] {
        let health: Health = read(node.ask(http.get(node.url(path))).await);
        assert_eq!((health.alive, health.state), (true, Readiness::Ready));
    }
    for path in ["../../metrics", "node/earnings?since=0", "../../healthz/"] {
        assert_eq!(node.ask(http.get(node.url(path))).await.0, 401, "{path}");
    }
    end(node.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_the_numbers_opens_nothing_else() {
    let town = Town::new();
    let node = town.node(1, 0, printing("")).await;
    let http = http_client().no_proxy().timeout(PATIENCE).build().unwrap();
    let file = node.handle.node().token_file().with_file_name("metrics.token");
    let token = std::fs::read_to_string(file).unwrap();
    let with = |path: &str| http.get(node.url(path)).bearer_auth(token.trim());
    assert_eq!(node.ask(with("../../metrics")).await.0, 200);
    for path in ["node", "jobs", "node/earnings?since=0", "../../metrics/", "../../metrics/x"] {
        assert_eq!(node.ask(with(path)).await.0, 401, "{path}");
    }
    let pause = http.post(node.url("node/pause")).bearer_auth(token.trim());
    assert_eq!(node.ask(pause).await.0, 401);
    end(node.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ran_a_job_tells_what_that_brought() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let node = town.node(2, 1, printing("x")).await;
    let job = submit(&requester, &request(deal(1, 1))).await;
    node.ended(job).await;
    let earned: EarningsReply = read(node.get("node/earnings?since=0").await);
    assert_eq!(earned.jobs.len(), 1);
    let one = earned.jobs[0];
    assert_eq!((one.job, one.requester, one.state), (job, requester.id(), JobState::Verified));
    assert!(one.paid.is_zero() && one.lost.is_zero() && !earned.has_more, "this log holds no money");
    let later: EarningsReply = read(node.get(&format!("node/earnings?since={}", START + 1000)).await);
    assert_eq!(later.jobs, []);
    let none: EarningsReply = read(requester.get("node/earnings?since=0").await);
    assert_eq!(none.jobs, [], "who only asks earns nothing");
    end(requester.handle).await;
    end(node.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_told_with_what_the_node_still_owes() {
    let town = Town::new();
    let node = town.node(1, 1, printing("x")).await;
    let paused: IntakeReply = read(node.post("node/pause", "{\"wait_secs\":5}").await);
    assert_eq!((paused.paused_since.is_some(), paused.owes), (true, Some(Obligations::default())));
    let resumed: IntakeReply = read(node.post("node/resume", "").await);
    assert_eq!(resumed.paused_since, None);
    assert_eq!(node.post("node/pause", "{\"wait_secs\":-1}").await.0, 400);
    end(node.handle).await;
}
