//! Sends actions. Each names the author's next sequence number and the newest entry that the author holds.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::timeout;
use tracing::debug;

use super::{Node, board::Envelope};
use crate::{
    domain::{Action, Digest, Event, JobId, SignedAction},
    policy::RESEND,
    scheduler::{BackendError, Cursor, EnvelopeRefusal, SubmitError},
};

/// How long one attempt may take, and how long its entry may then take to appear in the log.
const ATTEMPT: Duration = Duration::from_secs(30);

/// How many attempts a user's own request gets before the user hears that it was not ordered.
const ATTEMPTS: u32 = 5;

/// How often the wait for a submission starts again: ten minutes in all.
const FIRST_ATTEMPTS: u32 = 20;

impl Node {
    /// Sends one action in a known job, once, and waits until the node's own view holds it.
    pub(crate) async fn submit(&self, job: JobId, event: Event) -> Result<Cursor, SubmitError> {
        self.submit_all(job, vec![event]).await
    }

    /// Sends actions in a known job, in order, once, and waits until the node's own view holds them.
    ///
    /// Only one caller sends in a job at a time, since the next sequence numbers follow from the log.
    pub(crate) async fn submit_all(&self, job: JobId, events: Vec<Event>) -> Result<Cursor, SubmitError> {
        let unknown = || SubmitError::NotOrdered(BackendError::UnknownLog { job });
        let turn = self.board.turn(job).ok_or_else(unknown)?;
        let _turn = turn.lock().await;
        let Envelope { revision, sequence, seen } =
            self.board.envelope(job, self.me.id).ok_or_else(unknown)?;
        let action = |(sequence, event)| self.sign(Action { job, revision, sequence, seen, event });
        let actions = (sequence..).zip(events).map(action).collect();
        self.bring(self.ports.scheduler.submit_all(actions)).await
    }

    /// As [`Self::submit`], but retries while that may help. For requests that a user waits for.
    pub(crate) async fn submit_for_user(&self, job: JobId, event: Event) -> Result<Cursor, SubmitError> {
        for failures in 0..ATTEMPTS - 1 {
            match self.submit(job, event.clone()).await {
                Err(error) if is_passing(&error) => debug!(%job, %error, "action is sent again"),
                other => return other,
            }
            tokio::time::sleep(RESEND.pause(failures)).await;
        }
        self.submit(job, event).await
    }

    /// Sends the first action of a new job, for as long as the backend tries. A chain may take many minutes; sending the
    /// same action again joins the first attempt.
    pub(crate) async fn submit_first(
        &self,
        job: JobId,
        revision: Digest,
        event: Event,
    ) -> Result<Cursor, SubmitError> {
        let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
        for _ in 1..FIRST_ATTEMPTS {
            match self.send(action.clone()).await {
                Err(error) if error == SubmitError::NotOrdered(late(self.me.id)) => {
                    debug!(%job, "the submission is still on its way");
                }
                other => return other,
            }
        }
        self.send(action).await
    }

    async fn send(&self, action: Action) -> Result<Cursor, SubmitError> {
        self.bring(self.ports.scheduler.submit(self.sign(action))).await
    }

    fn sign(&self, action: Action) -> SignedAction {
        let signature = self.me.key.sign(action.signing_digest(self.ports.scheduler.domain()));
        SignedAction { action, signature }
    }

    async fn bring(
        &self,
        submission: BoxFuture<'_, Result<Cursor, SubmitError>>,
    ) -> Result<Cursor, SubmitError> {
        let submitted = timeout(ATTEMPT, submission).await;
        let cursor = submitted.unwrap_or_else(|_| Err(SubmitError::NotOrdered(late(self.me.id))))?;
        // If the entry is late, the next question reads an old log and the log refuses its answer. That does no harm.
        let _ = timeout(ATTEMPT, self.board.reached(cursor)).await;
        Ok(cursor)
    }
}

/// Whether the log may take the same action later, derived anew, though nothing else happens.
pub(crate) const fn is_passing(error: &SubmitError) -> bool {
    match error {
        SubmitError::NotOrdered(error) => error.is_retryable(),
        // The sequencer has entries that are still in flight to this node.
        SubmitError::Refused(EnvelopeRefusal::WrongSequence { .. } | EnvelopeRefusal::WrongSeen) => true,
        SubmitError::Refused(
            EnvelopeRefusal::BadSignature
            | EnvelopeRefusal::CommitsClosed
            | EnvelopeRefusal::NotRevealed
            | EnvelopeRefusal::Moneyless
            | EnvelopeRefusal::TooMany,
        )
        | SubmitError::Rejected(_) => false,
    }
}

fn late(peer: crate::domain::NodeId) -> BackendError {
    BackendError::Unreachable { peer, reason: format!("no answer within {} s", ATTEMPT.as_secs()) }
}
