//! Requests that are sent again under the same key.

use assay::{
    api::types::{CancelReply, ErrorCode, IDEMPOTENCY_KEY, JobList, SubmitReply, SubmitRequest, UpdateReply},
    domain::{Deal, Span},
};
use futures::future::join_all;
use serde::Serialize;

use super::{error, read, request};
use crate::town::{Citizen, Town, deal, end, printing};

const KEY: &str = "0123456789abcdef";

async fn post(node: &Citizen, path: &str, key: &str, body: &impl Serialize) -> (u16, Vec<u8>) {
    let asked = node.http().post(node.url(path)).header(IDEMPOTENCY_KEY, key).json(body);
    node.ask(asked).await
}

async fn jobs(node: &Citizen) -> usize {
    read::<JobList>(node.get("jobs").await).jobs.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_is_the_same_job_also_after_a_restart() {
    let town = Town::new();
    let requester = town.node(1, 1, printing("x")).await;
    let asked = request(deal(1, 1));
    let at_once = join_all((0..8).map(|_| post(&requester, "jobs", KEY, &asked))).await;
    let replies: Vec<SubmitReply> = at_once.into_iter().map(read).collect();
    assert!(replies.iter().all(|reply| reply == &replies[0]), "{replies:?}");
    assert_eq!(jobs(&requester).await, 1);

    let requester = town.restart(1, requester, printing("x")).await;
    let again: SubmitReply = read(post(&requester, "jobs", KEY, &asked).await);
    assert_eq!(again, replies[0]);
    requester.when(again.job, |_| true).await;
    assert_eq!(jobs(&requester).await, 1);

    // Another key is another job, as is none.
    let other: SubmitReply = read(post(&requester, "jobs", "another-key", &asked).await);
    let none: SubmitReply = read(requester.post("jobs", serde_json::to_vec(&asked).unwrap()).await);
    assert!(other.job != again.job && none.job != again.job && none.job != other.job);
    assert_eq!(jobs(&requester).await, 3);
    end(requester.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_names_one_request_alone() {
    let town = Town::new();
    let requester = town.node(1, 1, printing("x")).await;
    let asked = request(deal(1, 1));
    let submitted: SubmitReply = read(post(&requester, "jobs", KEY, &asked).await);
    let changed = SubmitRequest { command: vec!["false".to_owned()], ..asked.clone() };
    let dearer = SubmitRequest { deal: Deal { reveal: Span::from_secs(90), ..deal(1, 1) }, ..asked };
    for other in [changed, dearer] {
        assert_eq!(error(post(&requester, "jobs", KEY, &other).await), (422, ErrorCode::KeyReused));
    }
    let cancel = format!("jobs/{}/cancel", submitted.job);
    assert_eq!(error(post(&requester, &cancel, KEY, &()).await), (422, ErrorCode::KeyReused));
    for bad in ["short", "with a space in it", &"f".repeat(65)] {
        let refused = post(&requester, "jobs", bad, &request(deal(1, 1))).await;
        assert_eq!(error(refused), (400, ErrorCode::BadRequest), "{bad}");
    }
    assert_eq!(jobs(&requester).await, 1);
    end(requester.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_a_cancellation_are_answered_again_as_they_were() {
    let town = Town::new();
    let requester = town.node(1, 1, printing("x")).await;
    let other = town.node(2, 0, printing("x")).await;
    let nobody = Deal { allow_list: vec![other.id()], ..deal(1, 1) };
    let job = read::<SubmitReply>(post(&requester, "jobs", KEY, &request(nobody.clone())).await).job;

    let update = format!("jobs/{job}/deal");
    let longer = Deal { reveal: Span::from_secs(90), ..nobody.clone() };
    let first: UpdateReply = read(post(&requester, &update, "first-change", &longer).await);
    let shorter = Deal { reveal: Span::from_secs(80), ..nobody };
    let second: UpdateReply = read(post(&requester, &update, "second-change", &shorter).await);
    assert_eq!(read::<UpdateReply>(post(&requester, &update, "first-change", &longer).await), first);
    let now = requester.when(job, |_| true).await;
    assert_eq!(now.revision, second.revision, "what was answered again was not done again");

    let cancel = format!("jobs/{job}/cancel");
    let cancelled = CancelReply { job, stopped: false };
    assert_eq!(read::<CancelReply>(post(&requester, &cancel, "cancel-it", &()).await), cancelled);
    assert_eq!(read::<CancelReply>(post(&requester, &cancel, "cancel-it", &()).await), cancelled);
    assert_eq!(error(post(&requester, &cancel, "cancel-again", &()).await), (409, ErrorCode::Refused));
    end(requester.handle).await;
    end(other.handle).await;
}
