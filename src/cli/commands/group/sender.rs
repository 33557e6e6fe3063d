//! Submits the jobs of a sweep. A refusal that may pass is waited out; a job that is refused for good keeps no other one back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::time::{self, Instant};

use crate::{
    api::types::ErrorCode,
    cli::{
        CliError,
        client::{Client, ClientError},
        output::Output,
        sweep::{Plan, Unsubmitted},
    },
    domain::{Backoff, JobId},
};

/// Submissions that are in flight at a time, and how many are sent before the group is looked at again.
const AT_ONCE: usize = 8;
pub(super) const EACH_LOOK: usize = 64;

/// How long refusals that may pass are waited out, and the pauses between attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) limit: Duration,
    pub(super) pauses: Backoff,
}

impl Default for Patience {
    fn default() -> Self {
        let pauses = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
        Self { limit: Duration::from_secs(300), pauses }
    }
}

/// What a failed submission says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The same may be taken later.
    Later,
    /// This job will not be taken.
    Never,
    /// No request to this node makes sense.
    Nothing,
}

fn meaning(error: &ClientError) -> Meaning {
    match error {
        // The key makes it safe to send a job again that may have been taken.
        ClientError::Unreachable { .. } | ClientError::Unknown { .. } => Meaning::Later,
        ClientError::Foreign { .. }
        | ClientError::TooLong { .. }
        | ClientError::Token(_)
        | ClientError::Local(_) => Meaning::Nothing,
        ClientError::Refused { body, .. } => match body.code {
            // A node that has just started knows no other one yet; an engine, a chain or a holder of content may be away.
            ErrorCode::NotEnoughNodes
            | ErrorCode::Busy
            | ErrorCode::Loading
            | ErrorCode::TooSlow
            | ErrorCode::Unavailable
            | ErrorCode::Unexpected => Meaning::Later,
            ErrorCode::BadRequest
            | ErrorCode::TooLarge
            | ErrorCode::InvalidDeal
            | ErrorCode::InvalidSpec
            | ErrorCode::UnknownImage
            | ErrorCode::UnknownInput
            | ErrorCode::KeyReused
            | ErrorCode::NoSuchJob
            | ErrorCode::AmbiguousJob
            | ErrorCode::NotRequester
            | ErrorCode::Refused
            | ErrorCode::NotDecided
            | ErrorCode::NoResult => Meaning::Never,
            ErrorCode::Unauthorized | ErrorCode::ForbiddenHost | ErrorCode::NotFound => Meaning::Nothing,
        },
    }
}

/// Whether the node has none of an input that was sent to it before.
fn lacks_input(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { body, .. } if body.code == ErrorCode::UnknownInput)
}

/// Submits jobs of a plan.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    client: &'a Client,
    plan: &'a Plan,
    patience: Patience,
    sent: BTreeMap<u32, JobId>,
    refused: BTreeMap<u32, Unsubmitted>,
    /// How many jobs were refused since one was taken.
    in_a_row: usize,
    hold: Option<Hold>,
    /// Why no more jobs are sent.
    given_up: Option<u32>,
}

/// A pause, because of a refusal that may pass.
#[derive(Debug, Clone, Copy)]
struct Hold {
    since: Instant,
    failures: u32,
    until: Instant,
}

impl<'a> Sender<'a> {
    pub(super) fn new(client: &'a Client, plan: &'a Plan, patience: Patience) -> Self {
        let (sent, refused) = <_>::default();
        Self { client, plan, patience, sent, refused, in_a_row: 0, hold: None, given_up: None }
    }

    /// Until when nothing should be sent.
    pub(super) fn pause(&self) -> Option<Instant> {
        self.hold.map(|hold| hold.until).filter(|until| *until > Instant::now())
    }

    /// The jobs that were submitted.
    pub(super) const fn sent(&self) -> &BTreeMap<u32, JobId> {
        &self.sent
    }

    /// The jobs that no attempt will submit.
    pub(super) const fn refused(&self) -> &BTreeMap<u32, Unsubmitted> {
        &self.refused
    }

    pub(super) fn is_settled(&self, index: u32) -> bool {
        self.sent.contains_key(&index) || self.refused.contains_key(&index)
    }

    /// The next jobs to send, of these.
    pub(super) fn next(&self, wanted: &BTreeSet<u32>, room: usize) -> Vec<u32> {
        if self.pause().is_some() {
            return Vec::new();
        }
        let open = wanted.iter().copied().filter(|index| !self.is_settled(*index));
        open.take(room.min(EACH_LOOK)).collect()
    }

    /// Submits these jobs, as far as the node takes them now. Returns what to tell the user, once for all refusals of a kind.
    ///
    /// # Errors
    /// When no request to this node makes sense.
    pub(super) async fn send(&mut self, indices: Vec<u32>) -> Result<Option<String>, CliError> {
        if let Some(last) = self.given_up.and_then(|index| self.refused.get(&index)).cloned() {
            let same = |index| (index, last.clone().of(index, self.plan));
            self.refused.extend(indices.into_iter().map(same));
            return Ok(None);
        }
        let (client, plan) = (self.client, self.plan);
        let submit = async |index: u32| {
            let reply = client.submit_as(&plan.request(index), &plan.key(index)).await;
            (index, reply)
        };
        let mut replies = stream::iter(indices).map(submit).buffer_unordered(AT_ONCE);
        let (mut told, mut later) = (None, Vec::new());
        let had_refused = !self.refused.is_empty();
        let mut taken = false;
        while let Some((index, reply)) = replies.next().await {
            let error = match reply {
                Ok(reply) => {
                    self.sent.insert(index, reply.job);
                    (taken, self.in_a_row) = (true, 0);
                    continue;
                }
                Err(error) => error,
            };
            let (meaning, lacks_input) = (meaning(&error), lacks_input(&error));
            let error = CliError::node(format!("submit job {index} of the group"))(error);
            match meaning {
                Meaning::Later => later.push(Unsubmitted::new(index, plan, &error)),
                Meaning::Never => {
                    let refusal = Unsubmitted::new(index, plan, &error);
                    let refusal = if lacks_input { refusal.without_input() } else { refusal };
                    if !had_refused {
                        told.get_or_insert_with(|| format!("not every job is taken: {}", refusal.error()));
                    }
                    self.refuse(refusal);
                }
                Meaning::Nothing => return Err(error),
            }
        }
        Ok(self.hold(taken, later).or(told))
    }

    /// Submits all jobs of the plan, as far as the node takes them.
    ///
    /// # Errors
    /// Those of [`Self::send`].
    pub(super) async fn send_all(&mut self, output: Output) -> Result<(), CliError> {
        let wanted = self.plan.wanted();
        while wanted.iter().any(|index| !self.is_settled(*index)) {
            if let Some(until) = self.pause() {
                time::sleep_until(until).await;
            }
            if let Some(told) = self.send(self.next(&wanted, usize::MAX)).await? {
                output.note(&told);
            }
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: Unsubmitted) {
        self.in_a_row += 1;
        if self.in_a_row >= EACH_LOOK {
            // What is wrong with so many is wrong with all.
            self.given_up = Some(refusal.index());
        }
        self.refused.insert(refusal.index(), refusal);
    }

    /// Waits with all jobs after refusals that may pass, or counts them as refused after too long.
    fn hold(&mut self, taken: bool, later: Vec<Unsubmitted>) -> Option<String> {
        if taken || later.is_empty() {
            self.hold = None;
        }
        let first = later.first()?;
        let now = Instant::now();
        let is_new = self.hold.is_none();
        let Hold { since, failures, .. } = self.hold.unwrap_or(Hold { since: now, failures: 0, until: now });
        if now.duration_since(since) >= self.patience.limit {
            self.given_up = Some(first.index());
            later.into_iter().for_each(|refusal| self.refuse(refusal));
            return None;
        }
        let told = is_new.then(|| format!("waiting to submit the rest: {}", first.error()));
        let until = now + self.patience.pauses.pause(failures);
        self.hold = Some(Hold { since, failures: failures.saturating_add(1), until });
        told
    }
}

#[cfg(test)]
mod tests;
