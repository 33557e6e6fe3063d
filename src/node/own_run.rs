//! Runs of this node that check results of its own jobs: they decide nothing in the log, and prove who lied.
//!
//! One at a time, in a slot that no seat needs. A node without slots runs none. What is due is in the database, so a
//! restart goes on with it.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::timeout};
use tracing::{error, info, warn};

use super::{Node, NodeError, work_error::WorkError};
use crate::{
    domain::{Backoff, Digest, Job, JobId, Resources, Span, SummaryWord},
    executor::{RunDir, RunRequest},
    explain::one_line,
    store::{BlobError, Comparison, Limits},
};

/// The pauses after an own run that failed for a reason that may pass, and how often it is tried.
const AGAIN: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
const TRIES: u32 = 5;

/// How long to wait for a change before a promise may have lapsed without one.
const PROMISE: Duration = Duration::from_secs(10);

/// How long the image of an own run may take to come: nobody waits for it.
const BEGIN_WITHIN: Span = Span::from_secs(600);

/// Does every own run that is due, until the node stops.
pub(crate) async fn check_own_jobs(node: Arc<Node>) -> Result<(), NodeError> {
    let stop = node.stop.clone();
    let mut noted = node.memory.noted.subscribe();
    stop.run_until_cancelled(node.caught_up()).await;
    while !stop.is_cancelled() {
        noted.borrow_and_update();
        let due = match node.records.trust.due() {
            Ok(due) => due.filter(|_| node.config.compute_slots > 0),
            Err(error) => {
                error!(error = %one_line(&error), "cannot read which own runs are due");
                None
            }
        };
        match due {
            Some(job) => node.check_own_job(job).await,
            None => {
                stop.run_until_cancelled(noted.changed()).await;
            }
        }
    }
    Ok(())
}

impl Node {
    async fn check_own_job(self: &Arc<Self>, id: JobId) {
        let Ok(job) = self.known_job(id) else {
            // The backend keeps it no more, so that nobody can ask for its result either.
            if let Err(error) = self.records.trust.count(id, Some("nothing"), &[], &[]) {
                error!(job = %id, error = %one_line(&error), "cannot record an own run");
            }
            return;
        };
        let asked = job.spec.resources;
        if !self.workload.with_capacity(|capacity| (capacity.could_ever_run(asked), Vec::new())) {
            // Others wait behind it.
            warn!(job = %id, "no own run: it takes more than all containers of this node may take together");
            return self.judge(&job, None);
        }
        for failures in 0..TRIES {
            let Some(ran) = self.run_in_own_slot(&job).await else { return };
            match ran {
                Ok(found) => {
                    info!(job = %id, "own run finished");
                    return self.judge(&job, Some(found));
                }
                Err(error) => warn!(job = %id, failures, error = %one_line(&error), "own run failed"),
            }
            let pause = tokio::time::sleep(AGAIN.pause(failures));
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
        self.judge(&job, None);
    }

    /// Runs a job once a slot is free; `None` if the node stops first. The next start runs it again then.
    async fn run_in_own_slot(
        self: &Arc<Self>,
        job: &Job,
    ) -> Option<Result<(Digest, SummaryWord), WorkError>> {
        let _slot = self.stop.run_until_cancelled(OwnSlot::free(self, job.spec.resources)).await?;
        let mut run = std::pin::pin!(self.run_myself(job));
        tokio::select! {
            ran = &mut run => (!self.stop.is_cancelled()).then_some(ran),
            () = self.stop.cancelled() => {
                let grace = self.config.stop_grace;
                if timeout(grace, run).await.is_err() {
                    warn!(job = %job.id, ?grace, "an own run did not stop in time; the next start removes its container");
                }
                None
            }
        }
    }

    /// Runs a job as its nodes did; what they are compared by.
    async fn run_myself(self: &Arc<Self>, job: &Job) -> Result<(Digest, SummaryWord), WorkError> {
        let (scratch, stop) = (self.scratch(), self.stop.clone());
        let dir =
            RunDir::new_in(&scratch).map_err(|source| BlobError::Io { path: scratch.clone(), source })?;
        let result_dir = dir.path().join("result");
        let request = RunRequest {
            job: job.id,
            node: self.me.id,
            seed: job.seed(),
            spec: (*job.spec).clone(),
            timeout: job.deal.timeout,
            inputs: self.inputs(job, &dir, &stop).await?,
            result_dir: result_dir.clone(),
            scratch,
            begin_within: BEGIN_WITHIN,
            patience: Span::from_secs(0),
        };
        self.ports.executor.run(request, stop.clone()).await.map_err(WorkError::Executor)?;
        let comparison = Comparison::of(job.id, &job.deal, &job.spec);
        let limits = Limits::with_bytes(self.config.max_archive_bytes);
        let looked = spawn_blocking(move || {
            // The directory goes with it, which blocks.
            let _dir = dir;
            comparison.look(&result_dir, &limits, &stop)
        });
        let compared = looked.await.expect("looking at a result returns its errors")?;
        Ok((compared.result_hash, compared.summary_word()))
    }
}

/// A slot for an own run, given back when it is dropped.
struct OwnSlot<'a>(&'a Node);

impl<'a> OwnSlot<'a> {
    /// Waits until one is free.
    async fn free(node: &'a Node, asked: Resources) -> Self {
        let mut owed = node.workload.obligations();
        loop {
            owed.borrow_and_update();
            let moment = node.clock.moment();
            if node.workload.with_capacity(|capacity| (capacity.begin_own_run(asked, moment), Vec::new())) {
                return Self(node);
            }
            // The sender is in `node`, so that only time can run out: a promise that was not taken up is none after it.
            let _ = timeout(PROMISE, owed.changed()).await;
        }
    }
}

impl Drop for OwnSlot<'_> {
    fn drop(&mut self) {
        let moment = self.0.clock.moment();
        self.0.workload.with_capacity(|capacity| ((), capacity.end_own_run(moment)));
    }
}
