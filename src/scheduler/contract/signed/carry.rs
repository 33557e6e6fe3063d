//! Brings what all seats of a job signed to the contract: their commitments, then their openings with the verdict.
//!
//! Each seat hands its own to the requester and to the other seats, so that no one of them can hold a job up. The
//! requester submits them at once; if it does not, the seats do, one after another.

use std::{sync::Arc, time::Duration};

use alloy::primitives::Bytes;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout};

use super::{
    offers::ask,
    pool::{Batch, Parcel},
    wire::{Answer, Request},
};
use crate::{
    domain::{Event, Job, JobId, NodeId, SignedAction},
    rules,
    scheduler::{
        BackendError, SubmitError,
        contract::{
            calls::{rostered_commitments, rostered_verdict, shareable},
            convert::Revert,
            node::{Answered, State},
            sender::SendError,
        },
    },
};

/// How often deliveries and turns are looked after while anything is gathered.
const STEP: Duration = Duration::from_millis(250);

/// Longest wait for a delivery. What takes longer is begun anew.
const DELIVERY: Duration = Duration::from_secs(10);

/// Most deliveries at a time: those of two jobs with all seats.
const MAX_DELIVERIES: usize = 64;

type Carried = BoxFuture<'static, Outcome>;

/// What ended.
enum Outcome {
    Delivered { parcel: Box<Parcel>, reached: bool, taken: bool },
    Submitted { job: JobId, result: Result<(), SendError> },
}

impl State {
    /// A job that may go the signed path, as far as this node knows.
    fn rostered(&self, job: JobId) -> Option<Job> {
        self.signed.as_ref()?;
        self.log.rostered(job)
    }

    /// Leaves an action of this node to be brought by others with theirs; `None` if it is to be sent alone.
    pub(in super::super) fn hand_over(&self, signed: &[SignedAction]) -> Option<Answered> {
        let [one] = signed else { return None };
        let job = self.rostered(one.action.job)?;
        if !self.pool.take(&job, self.node, one, Instant::now()) {
            return None;
        }
        if self.pool.is_own_turn(&job, &one.action.event, (self.now(), Instant::now())) {
            self.pool.give_up(job.id);
            return None;
        }
        Some(Err(SubmitError::NotOrdered(BackendError::UnderWay { job: job.id })))
    }

    /// Takes what a seat hands over.
    pub(super) fn take_from_seat(&self, from: NodeId, signed: &SignedAction) -> Answer {
        let job = signed.action.job;
        // This node may not have read as far as the other.
        let Some(known) = self.log.job(job) else { return Answer::Later };
        let takes_part = known.requester == self.node || known.seat_of(self.node).is_some();
        let Some(known) = self.rostered(job).filter(|_| takes_part) else { return Answer::Refused };
        if self.pool.take(&known, from, signed, Instant::now()) {
            return Answer::Taken;
        }
        let is_early = matches!(signed.action.event, Event::Revealed { .. }) && known.revealed.is_empty();
        if is_early { Answer::Later } else { Answer::Refused }
    }

    /// Delivers and submits what is gathered, until the backend stops.
    pub(in super::super) async fn carry(self: Arc<Self>) {
        let mut under_way: FuturesUnordered<Carried> = FuturesUnordered::new();
        loop {
            let (parcels, batches) = self.pool.due(self.node, |job| self.rostered(job), Instant::now());
            for parcel in parcels {
                if under_way.len() >= MAX_DELIVERIES {
                    self.pool.delivered(&parcel, (true, false), Instant::now());
                } else {
                    under_way.push(Box::pin(Arc::clone(&self).deliver(parcel)));
                }
            }
            for (job, batch) in batches {
                under_way.push(Box::pin(Arc::clone(&self).submit_together(job, batch)));
            }
            let is_idle = self.pool.is_empty();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.pool.changed.notified() => {}
                Some(outcome) = under_way.next() => self.note(outcome),
                () = sleep(STEP), if !is_idle => {}
            }
        }
    }

    fn note(&self, outcome: Outcome) {
        match outcome {
            Outcome::Delivered { parcel, reached, taken } => {
                self.pool.delivered(&parcel, (reached, taken), Instant::now())
            }
            Outcome::Submitted { job: _, result: Ok(()) } => {}
            Outcome::Submitted { job, result: Err(SendError::Failed(error)) } => {
                tracing::debug!(%job, %error, "what was signed is not submitted yet");
                self.pool.again(job, Instant::now());
            }
            // Others came first, as a rule: the log will say so.
            Outcome::Submitted { job, result: Err(SendError::Reverted(Revert::Rule(rejection), _)) } => {
                tracing::debug!(%job, %rejection, "what was signed was not taken");
                self.pool.again(job, Instant::now());
            }
            // Its seats have slots of their own.
            Outcome::Submitted { job, result: Err(SendError::Reverted(revert, _)) } => {
                tracing::debug!(%job, ?revert, "what was signed cannot be submitted together");
                self.pool.give_up(job);
            }
        }
    }

    async fn deliver(self: Arc<Self>, parcel: Parcel) -> Outcome {
        let request = Request::Action(parcel.action.clone()).encode();
        let answer = match &self.signed {
            Some(path) => timeout(DELIVERY, ask(path, parcel.to, request)).await,
            None => return Outcome::Delivered { parcel: Box::new(parcel), reached: false, taken: false },
        };
        let answer = answer.ok().and_then(Result::ok);
        let (reached, taken) = (answer.is_some(), answer == Some(Answer::Taken));
        if !taken {
            sleep(STEP).await;
        }
        Outcome::Delivered { parcel: Box::new(parcel), reached, taken }
    }

    async fn submit_together(self: Arc<Self>, job: Job, batch: Batch) -> Outcome {
        let data = match batch {
            Batch::Commitments(signed) => rostered_commitments(&job, &signed),
            Batch::Openings(openings) => {
                let accepted = rules::verdict_of(&job, &openings).accepted;
                rostered_verdict(&job, &openings, accepted)
            }
        };
        let sent = self.send_step(job.id, data).await;
        Outcome::Submitted { job: job.id, result: sent.map(|_| ()) }
    }

    /// Sends a step of the signed path, with those of other jobs where several are ready, and returns its block.
    pub(super) async fn send_step(&self, job: JobId, data: Bytes) -> Result<u64, SendError> {
        let contract = self.client.reader().contract;
        let sent = self.client.sender.send(shareable(contract, job, data)).await;
        self.wake.notify_one();
        sent.map(|receipt| receipt.block_number.unwrap_or_default())
    }
}
