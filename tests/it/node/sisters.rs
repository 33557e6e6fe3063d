//! Nodes of one operator take at most one seat of a job.

use assay::domain::{JobState, Spec};

use crate::town::{Town, deal, end, key_of, printing};

#[tokio::test]
async fn of_sister_nodes_at_most_one_takes_a_seat_in_a_job() {
    const SISTERS: [u8; 3] = [1, 2, 3];
    let town = Town::with_sisters(&SISTERS);
    let mut nodes = Vec::new();
    for key in [1, 2, 3, 4] {
        nodes.push(town.node(key, 1, printing("the same")).await);
    }
    let requester = town.node(9, 0, printing("")).await;
    let mut seated = Vec::new();
    for _ in 0..6 {
        let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
        let job = requester.ended(job).await;
        assert_eq!(job.state, JobState::Verified);
        let of_us = |key: &&u8| job.seats.iter().any(|seat| seat.node == key_of(**key).node_id());
        let ours: Vec<u8> = SISTERS.iter().filter(of_us).copied().collect();
        assert_eq!(ours.len(), 1, "two seats, and one other node");
        let first = SISTERS.into_iter().min_by_key(|key| job.id.lot(key_of(*key).node_id()));
        assert_eq!(ours.first().copied(), first, "the one that comes first by the job's lot");
        seated.extend(ours);
    }
    for citizen in nodes.into_iter().chain([requester]) {
        end(citizen.handle).await;
    }
}
