//! Why runs gave no result, for people: one sentence and one remedy for each kind of failure.

use super::{client::Client, text};
use crate::{
    api::types::{BidState, DeadlineName, JobView, LastWordsView, SeatState, SeatView},
    domain::{Acceptance, FailureKind, JobState},
    executor::MAX_STREAM_BYTES,
};

/// The limit that a run exceeded, or what its node lacked.
pub(super) fn sentence(kind: FailureKind, view: &JobView) -> String {
    let limits = &view.spec.resources;
    match kind {
        FailureKind::Timeout => {
            format!("the run did not end within its timeout of {}", text::term(view.deal.timeout))
        }
        FailureKind::Memory => {
            format!("the run needed more than {} of memory", text::bytes(limits.memory_bytes))
        }
        FailureKind::Disk => format!(
            "the run wrote more than {} to /outputs, or more than {} to stdout or stderr{}, or too many files",
            text::bytes(limits.disk_bytes),
            text::bytes(MAX_STREAM_BYTES),
            match limits.scratch_bytes {
                0 => String::new(),
                bytes => format!(", or more than {} to {}", text::bytes(bytes), view.spec.scratch_dir),
            }
        ),
        FailureKind::Engine => "the node's container engine or its disk failed; the job is not at fault".to_owned(),
        FailureKind::Image => "the node could not get the image, or may not run it".to_owned(),
        FailureKind::Input => "the node could not get an input".to_owned(),
        FailureKind::Interrupted => "the node stopped while the job ran".to_owned(),
        FailureKind::Output => {
            "the run left something in /outputs that cannot be kept: a link out of it, a device, socket or pipe, a name that is \
             not UTF-8, or directories nested too deep"
                .to_owned()
        }
        FailureKind::Command => {
            "there is no command to run, or the container cannot be started as the job asks".to_owned()
        }
        FailureKind::WorkingDirectory => format!(
            "the working directory {:?} is not a directory in the image",
            view.spec.working_directory.as_deref().unwrap_or_default()
        ),
        FailureKind::Platform => {
            "the image is built, or the job asks, for another processor or operating system".to_owned()
        }
        FailureKind::Killed => {
            "the run was killed (exit code 137), but not for lack of memory; or the node's disk filled up".to_owned()
        }
    }
}

/// What the user can do about it.
pub(super) const fn hint(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Timeout => "allow more time with --timeout",
        FailureKind::Memory => "allow more with --memory",
        FailureKind::Disk => {
            "allow more in /outputs with --disk, or in a scratch directory with --scratch; the limit of stdout and stderr is fixed, so write long output to a \
             file in /outputs"
        }
        FailureKind::Engine => {
            "submit the job again, to other nodes if it fails there again; the log of each node says what failed"
        }
        FailureKind::Image => {
            "name an image that every node has or can pull; if it sets a USER, its /etc/passwd must know it"
        }
        FailureKind::Input => "keep the node that submitted the job running and connected",
        FailureKind::Interrupted | FailureKind::Killed => "submit the job again",
        FailureKind::Output => {
            "leave only files, directories and links between them in /outputs; the log of the node names the file"
        }
        FailureKind::Command => "put a command after --, and try it with docker run on the same image",
        FailureKind::WorkingDirectory => "give --workdir a directory that the image has, or leave it out",
        FailureKind::Platform => "build the image for the processors of the nodes",
    }
}

/// Why a seat's run gave no result, if that was reported.
pub(super) fn of_seat(seat: &SeatView, view: &JobView) -> Option<String> {
    seat.failure.map(|kind| format!("{kind}: {}", sentence(kind, view)))
}

/// What the failed runs in these seats left, if their nodes tell; empty before the job has ended.
pub(super) async fn last_words(client: &Client, view: &JobView, seats: &[&SeatView]) -> Vec<LastWordsView> {
    if !view.state.is_terminal() {
        return Vec::new();
    }
    let job = view.job.to_string();
    let failed = seats.iter().filter(|seat| seat.status == SeatState::Failed);
    let asked = failed.map(|seat| client.last_words(&job, seat.node));
    futures::future::join_all(asked).await.into_iter().filter_map(Result::ok).collect()
}

/// A job that waits for another node to take a failed seat.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refill {
    /// What it waits for and until when; constant for the whole wait.
    pub(super) waits: String,
    /// The time that is left.
    pub(super) left: String,
}

/// Whether another node can still take a failed seat, and how long.
pub(super) fn refill(view: &JobView) -> Option<Refill> {
    if view.state != JobState::Running {
        return None;
    }
    let failed = || view.seats.iter().filter(|seat| seat.status == SeatState::Failed);
    let bound = view.deadlines.iter().find(|deadline| deadline.name == DeadlineName::RefillBy)?.at;
    let (count, kind) = (failed().count(), view.commonest_failure?);
    if count == 0 || bound < view.now {
        return None;
    }
    let seats = if count == 1 { "a seat".to_owned() } else { format!("{count} seats") };
    let standing = view.bids.iter().any(|bid| bid.status == BidState::Standing);
    if view.deal.acceptance == Acceptance::Requester && !standing {
        // A job that runs gets no more bids.
        let live = view.seats.iter().filter(|seat| seat.status != SeatState::Failed).count();
        if live >= usize::from(view.quorum) {
            return None;
        }
        return Some(Refill {
            waits: format!(
                "{seats} failed ({kind}), and no node is left to take {}: unless you cancel it, the job fails at {}",
                if count == 1 { "it" } else { "them" },
                text::clock(bound)
            ),
            left: text::relative(bound, view.now),
        });
    }
    let taken = if count == 1 { "another node may take it" } else { "other nodes may take them" };
    Some(Refill {
        waits: format!("{seats} failed ({kind}); {taken} until {}", text::clock(bound)),
        left: text::relative(bound, view.now),
    })
}

#[cfg(test)]
pub(super) mod tests {

    use super::*;
    use crate::{
        api::types::{BidView, Deadline, Judgement, ResultView},
        domain::{Amount, Deal, Digest, JobId, NodeId, Seed, Spec, Timestamp},
    };

    /// A job with one seat, submitted at 0 and seen at 100, with a deadline on either side.
    fn view(state: JobState, seat: SeatView) -> JobView {
        let spec = Spec::sample();
        let deadline = |name, at| Deadline { name, at: Timestamp::from_secs(at), bounds: String::new() };
        let now = Timestamp::from_secs(100);
        JobView {
            job: JobId::ZERO,
            requester: NodeId::ZERO,
            spec,
            spec_hash: Digest::ZERO,
            seed: Seed::of(JobId::ZERO),
            deal: Deal { concurrency: 1, confidence: 1, ..Deal::default() },
            asset: crate::domain::Asset::Ether,
            revision: Digest::ZERO,
            quorum: 1,
            asked: 1,
            audit: crate::domain::AuditStage::None,
            state,
            now,
            submitted_at: Timestamp::ZERO,
            ended_at: state.is_terminal().then_some(now),
            ended_by: None,
            deadlines: vec![deadline(DeadlineName::OpenBy, 50), deadline(DeadlineName::RefillBy, 158)],
            requester_gone: false,
            warnings: Vec::new(),
            broken: None,
            evidence: None,
            bids: vec![],
            commonest_failure: seat.failure,
            seats: vec![seat],
            verdict: None,
            failure: None,
            money: None,
            execution: None,
            followed_by: None,
            replication: None,
        }
    }

    fn seat(status: SeatState) -> SeatView {
        SeatView {
            seat: 0,
            node: NodeId::ZERO,
            price: Amount::ZERO,
            status,
            failure: None,
            result: None,
            score: None,
            judgement: None,
            reason: None,
            measured: None,
        }
    }

    /// A job whose only seat failed.
    pub(in crate::cli) fn failed_view(kind: FailureKind, state: JobState) -> JobView {
        view(state, SeatView { failure: Some(kind), ..seat(SeatState::Failed) })
    }

    /// A job whose program ended this way, on the only node, which was accepted.
    pub(in crate::cli) fn verified_view(exit_code: i32) -> JobView {
        let result = ResultView {
            summary: None,
            exit_code,
            result_hash: Digest::ZERO,
            output_root: Digest::ZERO,
            memory_kib: None,
            cpu_ms: None,
            faults: None,
        };
        let judgement = Some(Judgement::Accepted);
        view(JobState::Verified, SeatView { result: Some(result), judgement, ..seat(SeatState::Revealed) })
    }

    #[test]
    fn sentences_name_the_limits_of_the_job() {
        let said = |kind| sentence(kind, &failed_view(kind, JobState::Failed));
        assert!(said(FailureKind::Timeout).contains("30m"));
        assert!(said(FailureKind::Memory).contains("512 MiB"));
        let disk = said(FailureKind::Disk);
        assert!(disk.contains("1 GiB to /outputs") && disk.contains("16 MiB to stdout or stderr"), "{disk}");
    }

    #[test]
    fn a_failed_seat_can_be_taken_until_its_deadline() {
        let mut running = failed_view(FailureKind::Disk, JobState::Running);
        let bid = |status| BidView { node: NodeId::ZERO, price: Amount::ZERO, status };
        running.bids = vec![bid(BidState::Seated), bid(BidState::Standing)];
        let waits = refill(&running).unwrap();
        assert_eq!(waits.waits, "a seat failed (disk); another node may take it until 00:02:38 UTC");
        assert_eq!(waits.left, "in 58s");
        running.seats.push(running.seats[0].clone());
        assert!(
            refill(&running).unwrap().waits.starts_with("2 seats failed (disk); other nodes may take them")
        );
        running.now = Timestamp::from_secs(159);
        assert_eq!(refill(&running), None, "it is too late");
        assert_eq!(refill(&failed_view(FailureKind::Disk, JobState::Failed)), None);
        assert_eq!(refill(&view(JobState::Running, seat(SeatState::Accepted))), None);
    }

    #[test]
    fn a_job_that_nobody_can_fill_any_more_is_told_at_once() {
        let mut running = failed_view(FailureKind::Command, JobState::Running);
        let told = refill(&running).unwrap();
        let expected = "a seat failed (command), and no node is left to take it: unless you cancel it, the job fails at 00:02:38 UTC";
        assert_eq!(told.waits, expected);
        running.seats.push(seat(SeatState::Accepted));
        assert_eq!(refill(&running), None, "the other seat is enough for the quorum");
        running.quorum = 2;
        assert_eq!(refill(&running).unwrap().waits, expected);
        running.deal.acceptance = Acceptance::FirstCome;
        assert!(
            refill(&running).unwrap().waits.contains("another node may take it"),
            "it takes bids while it runs"
        );
    }
}
