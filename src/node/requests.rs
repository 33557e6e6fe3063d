//! A user's requests to a node: submit, cancel, update. The node checks each before it sends anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    domain::{
        Audit, AuditSecret, Deal, Digest, Event, Input, InvalidTerm, Job, JobId, JobState, NodeId, Span,
        Spec, SpecError,
    },
    executor::ExecutorError,
    explain::{Hint, one_line},
    policy::replication::{Plan, Replication},
    rules::{MoneyError, Rejection},
    scheduler::{BackendError, EnvelopeRefusal, SubmitError},
    store::{BlobError, DbError, ExecutionError, UnpackError},
};

use super::{Node, fetch::FetchError, url::UrlError};

/// How long to wait for the entry that made the backend refuse an action.
const MOVE_LIMIT: Duration = Duration::from_secs(2);

/// Why a user's request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A term of the deal is out of bounds.
    #[error("the deal is not valid: {0}")]
    Deal(InvalidTerm),
    /// The reveal phase is shorter than a standstill of the chain may be.
    #[error("the time for reveals is {asked} s, but on this chain it must be at least {least} s", asked = asked.as_secs(), least = least.as_secs())]
    ShortReveal {
        /// That of the deal.
        asked: Span,
        /// The shortest.
        least: Span,
    },
    /// The spec is not valid.
    #[error("the spec is not valid: {0}")]
    Spec(SpecError),
    /// The image cannot be found.
    #[error("cannot resolve the image: {}", one_line(.0))]
    Image(ExecutorError),
    /// An input was not uploaded, or has another length.
    #[error("the input {} of {} bytes was not uploaded to this node", .0.digest, .0.bytes)]
    Input(Input),
    /// The file at an input's URL did not come, or is another.
    #[error("{}", one_line(.0))]
    Url(#[from] UrlError),
    /// An input that should be mounted as a file is not a single file.
    #[error("the input for {} is not the archive of one file", .0.target)]
    NotOneFile(Input),
    /// There are fewer nodes than the job needs.
    #[error("the job asks for {wanted} nodes, but only {known} are known")]
    NotEnoughNodes {
        /// N.
        wanted: u8,
        /// The other nodes that this node knows, and itself if it runs jobs.
        known: usize,
    },
    /// No job has this id.
    #[error("this node knows no job {0}")]
    NoSuchJob(JobId),
    /// No job id starts this way.
    #[error("this node knows no job {prefix}")]
    UnknownPrefix {
        /// The user's text.
        prefix: String,
    },
    /// Several job ids start this way.
    #[error("{matches} jobs begin with {prefix}")]
    AmbiguousPrefix {
        /// The user's text.
        prefix: String,
        /// How many match.
        matches: usize,
    },
    /// Only the requester may do this.
    #[error("the job {job} was submitted by {requester}, not by this node")]
    NotRequester {
        /// The job.
        job: JobId,
        /// The job's requester.
        requester: NodeId,
    },
    /// A job that is still needed cannot be forgotten.
    #[error("cannot forget job {job} yet: {why}")]
    Needed {
        /// The job.
        job: JobId,
        /// Why.
        why: String,
    },
    /// The job has ended.
    #[error("the job is over: it is {state}")]
    Over {
        /// Its state.
        state: JobState,
    },
    /// Some seats are taken but not all, so the requester can neither withdraw nor stop the job.
    #[error("{taken} of {seats} seats are taken: the job can be stopped only once all are")]
    PartlySeated {
        /// Seats taken.
        taken: usize,
        /// N.
        seats: u8,
    },
    /// The log refused the action.
    #[error("{}", one_line(.0))]
    Submit(#[from] SubmitError),
    /// The backend did not say what only it knows.
    #[error("{0}")]
    Backend(BackendError),
    /// The job has no verdict yet.
    #[error("the job is {state}: results stay at their nodes until it is decided")]
    NotDecided {
        /// Its state.
        state: JobState,
    },
    /// There is no result to keep.
    #[error("the job ended without an accepted result: it is {state}")]
    NoResult {
        /// Its state.
        state: JobState,
    },
    /// The node revealed no result in this job.
    #[error("{node} revealed no result in this job")]
    NotRevealed {
        /// The node.
        node: NodeId,
    },
    /// The verdict did not accept the result. Nobody pays for it, so the node keeps it.
    #[error("the verdict did not accept the result of {node}: it is not paid for, and stays with its node")]
    NotPaid {
        /// The node.
        node: NodeId,
    },
    /// No failed run of the node left anything.
    #[error("{node} keeps nothing of a failed run of this job")]
    NothingLeft {
        /// The node.
        node: NodeId,
    },
    /// The result did not come, or is not the right one.
    #[error("{}", one_line(.0))]
    Fetch(#[from] FetchError),
    /// The node's own store failed.
    #[error("{}", one_line(.0))]
    Blob(#[from] BlobError),
    /// The upload is not a canonical archive.
    #[error("{}", one_line(.0))]
    Unpack(#[from] UnpackError),
    /// An earlier request used the same key.
    #[error("the key {key} was already used for another request")]
    OtherRequest {
        /// The key.
        key: String,
    },
    /// What is stored under the key cannot be read.
    #[error("cannot read the earlier request with the key {key}")]
    UnreadableRequest {
        /// The key.
        key: String,
    },
    /// The node's own database failed.
    #[error("{}", one_line(.0))]
    Db(#[from] DbError),
    /// The log of an ended job names money that there cannot be.
    #[error("{}", one_line(.0))]
    Money(#[from] MoneyError),
    /// The record of this node's own run cannot be read or written.
    #[error("{}", one_line(.0))]
    Execution(#[from] ExecutionError),
}

impl Hint for RequestError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Image(error) => return error.hint(),
            Self::Url(error) => return error.hint(),
            Self::Input(Input { url: Some(_), .. }) => Some("fetch it first: POST /api/v1/inputs"),
            Self::Input(_) => Some("upload it first: POST /api/v1/blobs"),
            Self::NotOneFile(_) => {
                Some("upload an archive with one entry named \"file\", or leave out the input's kind")
            }
            Self::ShortReveal { .. } => {
                Some("leave out --reveal: nodes lose their bonds if the chain stands still for longer")
            }
            Self::NotEnoughNodes { .. } => {
                Some("ask for fewer with --concurrency, or wait until more nodes are connected")
            }
            Self::NotRequester { .. } => Some("ask the node that submitted it"),
            Self::UnknownPrefix { .. } => Some("list the jobs it knows: assay job list"),
            Self::AmbiguousPrefix { .. } => Some("give more digits of the id"),
            Self::Needed { .. } => Some("forget it later; what takes how much: assay node usage"),
            Self::Over { .. } => Some("see how it ended: assay job describe JOB"),
            Self::PartlySeated { .. } => {
                Some("retry in a moment; at the latest when bids close, the job runs or expires")
            }
            Self::NotDecided { .. } => Some("wait for the verdict: assay job wait"),
            Self::NotPaid { .. } => Some("fetch the accepted ones: assay results fetch"),
            Self::Submit(SubmitError::Rejected(Rejection::NotFunded)) => {
                Some("price, bond and fee come from the account on the contract: assay wallet deposit AMOUNT")
            }
            Self::Submit(SubmitError::NotOrdered(BackendError::NoEther { .. })) => {
                Some("send ether to that account on this chain, to pay for gas")
            }
            Self::Submit(SubmitError::Refused(EnvelopeRefusal::Moneyless)) => {
                Some("leave out price, bond and fee, or use a backend that holds money")
            }
            Self::OtherRequest { .. } => {
                Some("choose a new key for each request, and the same one to send it again")
            }
            Self::UnreadableRequest { .. } => {
                Some("check whether it was done before you send it with a new key: assay job list")
            }
            Self::Deal(_)
            | Self::NothingLeft { .. }
            | Self::Spec(_)
            | Self::NoSuchJob(_)
            | Self::Submit(_)
            | Self::Backend(_)
            | Self::NoResult { .. }
            | Self::NotRevealed { .. }
            | Self::Fetch(_)
            | Self::Blob(_)
            | Self::Unpack(_)
            | Self::Db(_)
            | Self::Money(_)
            | Self::Execution(_) => None,
        };
        hint.map(str::to_owned)
    }
}

/// Unique even after the database is lost, and unknown to everyone before the job is.
fn nonce() -> Result<u64, SubmitError> {
    getrandom::u64().map_err(|error| {
        let reason = format!("no randomness from the operating system: {error}");
        SubmitError::NotOrdered(BackendError::Store { reason })
    })
}

/// How the requester ended a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// The job was withdrawn before any node had begun.
    Cancelled,
    /// The job was stopped. The nodes that had begun are paid.
    Stopped,
}

/// A job to submit. Every attempt sends the same action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Submission {
    pub(super) job: JobId,
    pub(super) revision: Digest,
    pub(super) event: Event,
    /// The spec with its image pinned.
    pub(super) image: String,
}

impl Node {
    /// Submits a job. `spec.image` is the user's name for the image, which the node pins.
    ///
    /// # Errors
    /// In this order: the deal, its reveal phase, the number of nodes, the inputs, the image, the spec; then the log's refusal.
    pub async fn submit_job(&self, spec: Spec, deal: Deal) -> Result<(JobId, String), RequestError> {
        self.submit_replicated(spec, deal, Replication::Fixed).await
    }

    /// As [`Self::submit_job`]; with [`Replication::Auto`] this node decides how many nodes run the job.
    ///
    /// # Errors
    /// Those.
    pub async fn submit_replicated(
        &self,
        spec: Spec,
        deal: Deal,
        replication: Replication,
    ) -> Result<(JobId, String), RequestError> {
        let (submission, plan) = self.plan_submission(spec, deal, replication).await?;
        self.keep_plan(submission.job, plan.as_ref())?;
        let Submission { job, revision, event, image } = submission;
        self.submit_first(job, revision, event).await?;
        Ok((job, image))
    }

    /// The first action of a new job whose spec is checked, and why it has so many seats if this node decides that.
    pub(super) async fn plan_submission(
        &self,
        spec: Spec,
        deal: Deal,
        replication: Replication,
    ) -> Result<(Submission, Option<Plan>), RequestError> {
        let (deal, plan) = self.planned(deal, replication)?;
        let spec = self.checked(spec, &deal).await?;
        Ok((self.submission(spec, deal)?, plan))
    }

    /// The spec with its image pinned, if this node may submit a job with it.
    pub(super) async fn checked(&self, mut spec: Spec, deal: &Deal) -> Result<Spec, RequestError> {
        // Any nonce serves to check the terms.
        self.with_secret(deal.clone(), 0).validate().map_err(RequestError::Deal)?;
        let least = self.config.limits.min_reveal;
        if deal.reveal < least {
            return Err(RequestError::ShortReveal { asked: deal.reveal, least });
        }
        let known = self.bidders();
        if usize::from(deal.concurrency) > known {
            return Err(RequestError::NotEnoughNodes { wanted: deal.concurrency, known });
        }
        for input in &spec.inputs {
            // This user may not name content that came here for another party's job. A URL anybody may name.
            let holder = input.holder(self.me.id);
            if self.shelf.content().length(input.digest, holder).ok() != Some(input.bytes) {
                return Err(RequestError::Input(input.clone()));
            }
            if input.url.is_none() && !self.is_of_its_kind(input, self.me.id)? {
                return Err(RequestError::NotOneFile(input.clone()));
            }
        }
        spec.clean_paths();
        // Checked before the engine is asked, so that it never sees an invalid spec.
        spec.validate_new().map_err(RequestError::Spec)?;
        spec.image = self.ports.executor.resolve(&spec.image).await.map_err(RequestError::Image)?;
        spec.validate_new().map_err(RequestError::Spec)?;
        Ok(spec)
    }

    /// Submits a checked spec.
    pub(crate) async fn submit_spec(&self, spec: Spec, deal: Deal) -> Result<JobId, SubmitError> {
        let Submission { job, revision, event, .. } = self.submission(spec, deal)?;
        self.submit_first(job, revision, event).await?;
        Ok(job)
    }

    /// The deal with the hash of this node's own audit secret in place of any given hash.
    pub(super) fn with_secret(&self, deal: Deal, nonce: u64) -> Deal {
        let secret_hash = AuditSecret::of(self.me.secret, nonce).hash();
        Deal { audit: deal.audit.map(|audit| Audit { secret_hash, ..audit }), ..deal }
    }

    /// The first action of a new job, with a fresh nonce.
    pub(super) fn submission(&self, spec: Spec, deal: Deal) -> Result<Submission, SubmitError> {
        let nonce = nonce()?;
        let deal = self.with_secret(deal, nonce);
        let document = spec.to_document();
        let revision = deal.revision();
        let domain = self.ports.scheduler.domain();
        let job = domain.job_id(self.me.id, nonce, Spec::hash_document(&document), revision);
        let event = Event::Submitted { deal, spec: document, nonce };
        Ok(Submission { job, revision, event, image: spec.image })
    }

    /// Cancels an open job, or stops a running one.
    ///
    /// # Errors
    /// When the job is not this node's, has ended, or is between withdrawing and stopping.
    pub async fn cancel_job(&self, job: JobId) -> Result<Ended, RequestError> {
        loop {
            let known = self.own_job(job)?;
            let (event, ended) = self.ending_of(&known)?;
            let Err(error) = self.submit_for_user(job, event).await else { return Ok(ended) };
            // An acceptance may have come first; then another event ends the job. Neither can go back, so this loop ends.
            let has_moved = |now: &Job| (now.state, now.seats.len()) != (known.state, known.seats.len());
            let refused = matches!(error, SubmitError::Rejected(_));
            if !refused || timeout(MOVE_LIMIT, self.board.when(job, has_moved)).await.is_err() {
                return Err(error.into());
            }
        }
    }

    /// The event that ends a job of this node in its present state.
    fn ending_of(&self, known: &Job) -> Result<(Event, Ended), RequestError> {
        let (state, _) = known.state_at(self.clock.moment().now);
        Ok(match state {
            JobState::Open if known.seats.is_empty() => (Event::Cancelled, Ended::Cancelled),
            JobState::Open => {
                let (taken, seats) = (known.seats.len(), known.asked());
                return Err(RequestError::PartlySeated { taken, seats });
            }
            JobState::Running => (Event::Stopped, Ended::Stopped),
            JobState::Revealing
            | JobState::Verified
            | JobState::Inconclusive
            | JobState::Failed
            | JobState::Cancelled
            | JobState::Expired => return Err(RequestError::Over { state }),
        })
    }

    /// Changes the terms of an open job, which voids every earlier bid.
    ///
    /// # Errors
    /// When the job is not this node's, and what the rules refuse.
    pub async fn update_deal(&self, job: JobId, deal: Deal) -> Result<Digest, RequestError> {
        let deal = self.with_secret(deal, self.own_job(job)?.nonce);
        deal.validate().map_err(RequestError::Deal)?;
        let revision = deal.revision();
        self.submit_for_user(job, Event::DealUpdated { deal }).await?;
        Ok(revision)
    }

    fn own_job(&self, job: JobId) -> Result<Job, RequestError> {
        let known = self.known_job(job)?;
        if known.requester == self.me.id {
            return Ok(known);
        }
        Err(RequestError::NotRequester { job, requester: known.requester })
    }
}
