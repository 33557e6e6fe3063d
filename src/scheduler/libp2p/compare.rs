//! Compares the close of commits among seats before a node reveals.
//!
//! A requester that shows each seat another history could close commits in one, read a reveal there, and commit to
//! the same result in the other. So before a node reveals, it asks every other seat for its newest entry and sends it
//! its own history up to the close. If there are two histories, one of the two nodes then holds both signatures and
//! stops acting. A seat whose reveal is in this node's log is not asked: its reveal names an entry at or after the
//! close, so it saw this history.
//!
//! On a busy machine an answer may take long. So the node waits for a seat that answers anything at all, and gives up
//! one that is silent.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{logs::View, parcel::in_messages, sequence::Arrival, shared::Shared, wire::LogRequest};
use crate::{
    domain::{JobId, NodeId},
    scheduler::BackendError,
};

/// How long a seat may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a seat is waited for that answers everything else: a third of the shortest time for reveals.
const LONGEST: Duration = Duration::from_secs(20);

/// Between two looks at a seat that has not answered yet.
const PAUSE: Duration = Duration::from_millis(250);

/// Resolves when every other seat has answered or fallen silent. The view of the log then tells whether it still
/// holds.
pub(super) async fn with_other_seats(shared: &Arc<Shared>, job: JobId, view: &View, closing_height: u64) {
    let me = shared.network.node();
    let mut comparisons = JoinSet::new();
    for seat in view.unrevealed.iter().copied().filter(|seat| *seat != me && *seat != view.requester) {
        let shared = Arc::clone(shared);
        comparisons.spawn(async move { while_it_answers(&shared, job, seat, closing_height).await });
    }
    while comparisons.join_next().await.is_some() {}
}

/// Compares with a seat, again and again for as long as it answers others' questions, or ours about other jobs.
async fn while_it_answers(shared: &Arc<Shared>, job: JobId, seat: NodeId, closing_height: u64) {
    let began = Instant::now();
    let compared = async {
        loop {
            match with_seat(shared, job, seat, closing_height).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%job, %seat, %error, "a seat's history is not compared yet"),
            }
            sleep(PAUSE).await;
        }
    };
    let silent = async {
        loop {
            let until = gives_up_at(began, shared.answered_at(seat));
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    };
    tokio::select! {
        biased;
        () = compared => {}
        () = silent => {
            let waited = began.elapsed();
            tracing::warn!(%job, %seat, ?waited, "a seat's history could not be compared: it does not answer");
        }
    }
}

/// When to give up a seat that answered something at `heard`, if nothing more comes.
fn gives_up_at(began: Instant, heard: Option<Instant>) -> Instant {
    let heard = heard.unwrap_or(began).max(began);
    (heard + SILENCE).min(began + LONGEST)
}

async fn with_seat(
    shared: &Arc<Shared>,
    job: JobId,
    seat: NodeId,
    closing_height: u64,
) -> Result<(), BackendError> {
    let (height, mut newest) = shared.read(seat, job, closing_height.saturating_sub(1)).await?;
    if height < closing_height {
        // It is behind: its newest entry must be in our log, and it gets the entries that follow.
        (_, newest) = shared.read(seat, job, height.saturating_sub(1)).await?;
        let (_, mut ours) = shared.logs.page(job, height).unwrap_or_default();
        ours.truncate(usize::try_from(closing_height - height).unwrap_or(usize::MAX));
        for entries in in_messages(ours) {
            shared
                .ask(seat, &LogRequest::Push { entries })
                .await
                .map_err(|error| BackendError::Unreachable { peer: seat, reason: error.to_string() })?;
        }
    }
    shared.receive(job, newest, Arrival::Synced(shared.now())).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_answers_is_waited_for_and_a_silent_one_is_given_up() {
        let began = Instant::now() + LONGEST;
        let waits = |heard: Option<Instant>| gives_up_at(began, heard) - began;
        assert_eq!(waits(None), SILENCE);
        // What it said before does not count against it.
        assert_eq!(waits(Some(began - LONGEST)), SILENCE);
        for seconds in 0..60 {
            let heard = Duration::from_secs(seconds);
            assert_eq!(waits(Some(began + heard)), (heard + SILENCE).min(LONGEST), "{heard:?}");
        }
        assert!(2 * SILENCE < LONGEST, "an answer makes a difference");
    }
}
