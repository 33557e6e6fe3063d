//! Offers: a requester gathers signed bids before its job is on the chain, and submits both at once.
//!
//! It asks the nodes that come first in the order of bids. Its policy chooses among the bids as among any others, and
//! the acceptance is the transaction. With too few bids in time, or any doubt, the job is submitted alone, and nodes
//! bid by themselves.

use std::{collections::BTreeSet, sync::Arc};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    courier::{SignedPath, Unreached},
    drafts::{Draft, OFFERED, OfferOf, Refusal, may_be_offered},
    wire::{Answer, Request},
};
use crate::{
    domain::{Amount, Backoff, Deal, Event, JobId, NodeId, SignedAction, Timestamp},
    rules::Rejection,
    scheduler::{
        BackendError, Cursor, LogOrder, SubmitError,
        contract::{
            calls::{revocation, signed_submission},
            convert::Revert,
            node::{Answered, State},
            sender::SendError,
        },
    },
};

/// How many nodes are asked: several for each seat, as some are busy or away.
const ASKED_A_SEAT: usize = 4;
const LEAST_ASKED: usize = 16;

/// How long the node may take to read of its own bid; it may follow nothing.
const TELL: std::time::Duration = std::time::Duration::from_secs(2);

/// How often a node that is not reached is asked.
const ATTEMPTS: usize = 4;

/// How often offers of others are looked through for those that are over.
const SWEEP: std::time::Duration = std::time::Duration::from_secs(1);

/// The pauses before a node is asked again: its address may be on its way.
const AGAIN: Backoff =
    Backoff { first: std::time::Duration::from_millis(100), longest: std::time::Duration::from_secs(1) };

impl State {
    /// Whether a submission may go the signed path.
    pub(in super::super) fn offers(&self, signed: &SignedAction) -> bool {
        let Event::Submitted { deal, .. } = &signed.action.event else { return false };
        self.signed.is_some() && may_be_offered(deal)
    }

    /// Offers a job to nodes, and returns its place in the log if that brought it there.
    pub(in super::super) async fn offer(&self, signed: &SignedAction) -> Option<Cursor> {
        let (Some(path), Event::Submitted { deal, .. }) = (&self.signed, &signed.action.event) else {
            return None;
        };
        let (job, now) = (signed.action.job, self.now());
        let nodes = self.candidates(job, deal);
        let known = nodes.len() + usize::from(path.runs_jobs);
        if known < usize::from(deal.concurrency) || !self.can_pay(deal).await {
            return None;
        }
        let until = now.plus(OFFERED.min(deal.open));
        let asked = nodes.iter().copied().chain([self.node]).collect();
        // What the rules refuse is refused again, with the reason, when it is submitted.
        self.log.open_draft(signed, self.node, (now, until), OfferOf::Me { asked }).ok()?;
        let _ends = self.log.drafts().offered(job);
        self.gather(path, nodes, Request::Offer { until, submission: signed.clone() }, deal).await;
        self.log.find(&signed.action).ok()
    }

    /// Waits until a draft of this node has become a job, or until there will not be enough bids for it.
    async fn gather(&self, path: &SignedPath, nodes: Vec<NodeId>, offer: Request, deal: &Deal) {
        let Request::Offer { submission, .. } = &offer else { return };
        let (job, drafts) = (submission.action.job, self.log.drafts());
        let (bytes, end) = (offer.encode(), Instant::now() + path.gather);
        let mut possible = nodes.len() + usize::from(path.runs_jobs);
        let mut asked: FuturesUnordered<_> =
            nodes.into_iter().map(|node| ask_until(path, node, bytes.clone(), end)).collect();
        let ended = drafts.ended(job);
        tokio::pin!(ended);
        let mut is_late = false;
        loop {
            if possible < usize::from(deal.concurrency) {
                drafts.give_up(job);
            }
            tokio::select! {
                biased;
                () = &mut ended => return,
                Some(answer) = asked.next() => possible -= usize::from(answer != Ok(Answer::Taken)),
                () = sleep_until(end), if !is_late => {
                    tracing::debug!(%job, "too few bids for the offer");
                    is_late = true;
                    drafts.give_up(job);
                }
            }
        }
    }

    /// The nodes to ask: the first in the order of bids among those that the deal admits.
    fn candidates(&self, job: JobId, deal: &Deal) -> Vec<NodeId> {
        let is_allowed =
            |node: &NodeId| deal.allow_list.is_empty() || deal.allow_list.binary_search(node).is_ok();
        let mut nodes = self.log.members();
        nodes.retain(is_allowed);
        nodes.sort_by_cached_key(|node| job.lot(*node));
        nodes.truncate(LEAST_ASKED.max(ASKED_A_SEAT * usize::from(deal.concurrency)));
        nodes
    }

    /// Nobody is asked for the sake of a job that the contract will refuse.
    async fn can_pay(&self, deal: &Deal) -> bool {
        let Some(escrow) = deal.escrow() else { return false };
        if escrow == Amount::ZERO {
            return true;
        }
        let account = self.client.reader().account(self.node).await;
        account.is_ok_and(|account| account.free >= escrow)
    }

    /// Submits what this node does in a draft.
    pub(in super::super) async fn act_on_draft(&self, job: JobId, signed: &[SignedAction]) -> Answered {
        let drafts = self.log.drafts();
        let unknown = || Err(SubmitError::NotOrdered(BackendError::UnknownLog { job }));
        let Some((requester, first)) = drafts.requester(job).zip(signed.first()) else { return unknown() };
        let accepts = |signed: &SignedAction| matches!(signed.action.event, Event::BidAccepted { .. });
        if matches!(first.action.event, Event::BidPlaced { .. }) {
            return self.bid_for_draft(requester, first).await;
        }
        if matches!(first.action.event, Event::BidWithdrawn) {
            return self.revoke(first).await;
        }
        if requester != self.node {
            return unknown();
        }
        if signed.iter().all(accepts) {
            return self.seat(job, signed).await;
        }
        // A change of mind: the job is submitted first, as it is.
        drafts.give_up(job);
        unknown()
    }

    /// Hands a bid to the requester of the draft, which may be this node.
    async fn bid_for_draft(&self, requester: NodeId, bid: &SignedAction) -> Answered {
        let (job, now) = (bid.action.job, self.now());
        let unknown = || SubmitError::NotOrdered(BackendError::UnknownLog { job });
        if requester != self.node {
            let Some(path) = &self.signed else { return Err(unknown()) };
            let answer = ask(path, requester, Request::Action(bid.clone()).encode()).await;
            match answer {
                Ok(Answer::Taken) => {}
                Ok(Answer::Refused) => return Err(SubmitError::Rejected(Rejection::WrongState)),
                Ok(Answer::Later) | Err(_) => return Err(unknown()),
            }
        }
        self.log.drafts().add(bid, self.node, now).map_err(|refusal| match refusal {
            Refusal::Rejected(rejection) => SubmitError::Rejected(rejection),
            Refusal::Unread | Refusal::Unfunded | Refusal::Full | Refusal::Closed | Refusal::WrongSeen => {
                unknown()
            }
        })?;
        // So that the next question is asked of a job in which the bid stands.
        self.tell(job).await;
        Ok(Cursor::default())
    }

    /// Waits until this node read what its backend knows of a draft.
    async fn tell(&self, job: JobId) {
        let told = timeout(TELL, self.log.drafts().told(job));
        let _ = self.stop.run_until_cancelled(told).await;
    }

    /// Takes a signed bid back: its requester holds it, so that only the contract can make it void.
    async fn revoke(&self, withdrawal: &SignedAction) -> Answered {
        let (job, now) = (withdrawal.action.job, self.now());
        let failed = match self.send(job, revocation(job)).await {
            Ok(_) => {
                let _ = self.log.drafts().add(withdrawal, self.node, now);
                self.tell(job).await;
                return Ok(Cursor::default());
            }
            Err(SendError::Failed(error)) => error,
            // The job is on the chain by now.
            Err(SendError::Reverted(..)) => BackendError::UnknownLog { job },
        };
        Err(SubmitError::NotOrdered(failed))
    }

    /// Submits a draft with the bids that its requester accepts, and with no other: the contract would seat the lowest
    /// addresses of all that it gets.
    async fn seat(&self, job: JobId, acceptances: &[SignedAction]) -> Answered {
        let drafts = self.log.drafts();
        let unknown = || SubmitError::NotOrdered(BackendError::UnknownLog { job });
        let draft = drafts.close(job).ok_or_else(unknown)?;
        let _ends = drafts.closing(job);
        let chosen = acceptances.iter().filter_map(|signed| {
            let Event::BidAccepted { node } = signed.action.event else { return None };
            Some(node)
        });
        let call = signed_submission(&draft.job, &given(&draft, &chosen.collect()));
        match self.send_step(job, call).await {
            Ok(block) => {
                // The log has it then, or a reorganisation took it: the submission alone is sent next.
                self.read_up_to(block).await?;
                self.log.newest_of(job).ok_or_else(unknown)
            }
            Err(error) => {
                if let SendError::Reverted(Revert::Unknown(reason), _) = &error {
                    tracing::warn!(%job, reason, "the contract refuses signed bids; submitting the job alone");
                }
                Err(unknown())
            }
        }
    }

    /// What this node answers to another's backend.
    pub(in super::super) fn answer(&self, from: NodeId, request: &[u8]) -> Answer {
        let domain = self.client.reader().domain();
        let by_author = |signed: &SignedAction| signed.author(domain) == Ok(from);
        match Request::decode(request) {
            Some(Request::Offer { until, submission }) if by_author(&submission) => {
                self.take_offer(from, until, &submission)
            }
            Some(Request::Action(signed)) if by_author(&signed) => self.take_action(from, &signed),
            Some(Request::Offer { .. } | Request::Action(_)) | None => Answer::Refused,
        }
    }

    fn take_offer(&self, from: NodeId, until: Timestamp, submission: &SignedAction) -> Answer {
        let runs_jobs = self.signed.as_ref().is_some_and(|path| path.runs_jobs);
        if !runs_jobs {
            return Answer::Refused;
        }
        let by = OfferOf::Other { free: self.funds.lately(from, Instant::now()) };
        match self.log.open_draft(submission, from, (self.now(), until), by) {
            Ok(()) => Answer::Taken,
            Err(Refusal::Full) => Answer::Later,
            Err(Refusal::Unread) => {
                // Only for an offer that nothing else is wrong with.
                self.funds.ask(from);
                Answer::Later
            }
            Err(Refusal::Rejected(_) | Refusal::Unfunded | Refusal::Closed | Refusal::WrongSeen) => {
                Answer::Refused
            }
        }
    }

    fn take_action(&self, from: NodeId, signed: &SignedAction) -> Answer {
        let drafts = self.log.drafts();
        if !matches!(signed.action.event, Event::BidPlaced { .. }) {
            return self.take_from_seat(from, signed);
        }
        let is_mine = drafts.requester(signed.action.job) == Some(self.node);
        let taken = is_mine && drafts.add(signed, from, self.now()).is_ok();
        if taken { Answer::Taken } else { Answer::Refused }
    }

    /// While a job is a draft, its requester alone decides what becomes of it.
    pub(in super::super) fn order(&self, job: JobId) -> LogOrder {
        if self.log.drafts().holds(job) {
            LogOrder::Requester { clock_agrees: true, suspended: false }
        } else {
            LogOrder::Neutral
        }
    }

    /// Ends offers that are over, until the backend stops.
    pub(in super::super) async fn sweep_offers(self: Arc<Self>) {
        while self.stop.run_until_cancelled(sleep(SWEEP)).await.is_some() {
            self.log.drafts().expire(self.now());
        }
    }
}

/// The bids to submit a draft with, ascending by node.
fn given(draft: &Draft, chosen: &BTreeSet<NodeId>) -> Vec<(NodeId, SignedAction)> {
    let bids = draft.bids.iter().filter(|(node, _)| chosen.contains(node));
    bids.map(|(node, bid)| (*node, bid.clone())).collect()
}

pub(super) async fn ask(path: &SignedPath, node: NodeId, request: Vec<u8>) -> Result<Answer, Unreached> {
    let answer = path.courier.ask(node, request).await?;
    Answer::decode(&answer).ok_or_else(|| Unreached { node, reason: "its answer cannot be read".to_owned() })
}

/// Asks until a node answers for good, is not reached a few times, or until `end`.
async fn ask_until(
    path: &SignedPath,
    node: NodeId,
    request: Vec<u8>,
    end: Instant,
) -> Result<Answer, Unreached> {
    let (mut pause, mut in_vain) = (std::time::Duration::ZERO, 0);
    let asking = async {
        loop {
            match ask(path, node, request.clone()).await {
                Ok(answer @ (Answer::Taken | Answer::Refused)) => return Ok(answer),
                Ok(Answer::Later) => {}
                Err(error) => {
                    tracing::debug!(%node, %error, "an offer did not arrive");
                    in_vain += 1;
                    if in_vain == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            pause = AGAIN.after(pause);
            sleep(pause).await;
        }
    };
    let late = || Unreached { node, reason: "it does not answer in time".to_owned() };
    timeout(end.saturating_duration_since(Instant::now()), asking).await.unwrap_or_else(|_| Err(late()))
}
