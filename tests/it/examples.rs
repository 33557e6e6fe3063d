//! The programs in `examples/` do what their front pages say.
#![expect(clippy::duplicate_mod, reason = "each program brings the module that they share")]

use assay::{
    audit::Finding,
    domain::{EventKind, JobState, Timestamp},
    verdict::Decision,
};

#[path = "../../examples/fold_a_log.rs"]
#[expect(dead_code, reason = "a program's `main` is not called by a test")]
mod fold_a_log;
#[path = "../../examples/job_in_memory.rs"]
#[expect(dead_code, reason = "as above")]
mod job_in_memory;
#[path = "../../examples/own_backend.rs"]
#[expect(dead_code, reason = "as above")]
mod own_backend;
#[path = "../../examples/own_executor.rs"]
#[expect(dead_code, reason = "as above")]
mod own_executor;
#[path = "../../examples/own_verdict_method.rs"]
#[expect(dead_code, reason = "as above")]
mod own_verdict_method;

#[test]
fn a_log_is_folded_offline_and_every_signature_in_it_checked() {
    let now = Timestamp::from_secs(1_800_000_000);
    let (lines, audit) = fold_a_log::fold(fold_a_log::SAMPLE.as_ref(), now).unwrap();
    let (_, first, open) = lines[0];
    assert_eq!((first, open), (EventKind::Submitted, JobState::Open));
    assert_eq!(lines.last().map(|(_, kind, state)| (*kind, *state)), {
        Some((EventKind::VerdictPosted, JobState::Verified))
    });
    assert_eq!((audit.finding, audit.signed), (Finding::Agrees, lines.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_memory_leaves_out_the_node_that_lied() {
    let job = job_in_memory::run().await.unwrap();
    assert_eq!(job.state, JobState::Verified);
    let verdict = job.verdict.as_ref().unwrap();
    assert_eq!((verdict.accepted.len(), verdict.rejected.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_executor_runs_real_processes_whose_results_agree() {
    let job = own_executor::job().await.unwrap();
    assert_eq!(job.state, JobState::Verified);
    assert_eq!(job.verdict.as_ref().unwrap().accepted.len(), 3);
}

#[test]
fn an_own_verdict_method_sees_what_ball_does_not() {
    let (own, ball) = own_verdict_method::compare();
    assert_eq!((own.decision, own.rejected), (Decision::Verdict, vec![3]));
    assert_eq!((ball.decision, ball.accepted), (Decision::Verdict, vec![0, 1, 2, 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_backend_carries_a_job_to_its_verdict() {
    let log = own_backend::CountingLog::new(Timestamp::from_secs(1_700_000_000));
    let job = own_backend::run(&log).await.unwrap();
    assert_eq!(job.state, JobState::Verified);
    // Bid, commitment, reveal.
    assert!(job.seats.iter().all(|seat| log.count(seat.node) >= 3));
}

/// The suite, against the backend of `examples/own_backend.rs`.
mod own_backend_conforms {
    use assay::{
        domain::Timestamp,
        identity::NodeKey,
        scheduler::conformance::{Backend, PARTIES, Party, START, World},
    };

    use super::own_backend::CountingLog;

    impl Backend for CountingLog {
        fn set_now(&self, now: Timestamp) {
            self.log.set_now(now);
        }

        fn holds_every_job(&self) -> bool {
            true
        }
    }

    async fn world() -> World {
        let log = CountingLog::new(START);
        let party = |_| {
            let key = NodeKey::generate().unwrap();
            Party::new(log.join(key.node_id()), key)
        };
        let parties = (0..PARTIES).map(party).collect();
        World::new(Box::new(log), parties)
    }

    assay::conformance_tests!(world);
}
