//! Answers other nodes: announcements, actions for this node's own logs, entries of others' logs, questions.
//!
//! Reads from the network's inbound channel; a bounded number of answers is prepared at a time, and when the
//! channel fills up meanwhile, the network tells peers that this node is busy. Stops with the backend.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    announce::{Announcement, AnnouncementError},
    convert::refusal_to_wire,
    entry::Entry,
    logs::{AdoptError, Received, Sequenced},
    parcel::{Message, in_messages},
    sequence::Arrival,
    shared::Shared,
    wire::{LogRequest, LogResponse},
    witness::Witnessed,
};
use crate::{
    domain::{Event, JobId, NodeId, Spec, codec},
    network::{self, Inbound, Judgement, WireBytes},
    scheduler::BackendError,
};

/// Answers prepared at a time.
const MAX_ANSWERS: usize = 32;

/// Of these, how many may be bids that wait for a choice.
pub(super) const MAX_WAITING_BIDS: usize = 8;

/// How long a bid waits for a choice.
const LONGEST_CHOICE: Duration = Duration::from_millis(300);

pub(super) async fn run(shared: Arc<Shared>, mut inbound: mpsc::Receiver<Inbound>) {
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            received = inbound.recv(), if answers.len() < MAX_ANSWERS => match received {
                Some(Inbound::Announcement(announcement)) => {
                    answers.spawn(hear(Arc::clone(&shared), announcement));
                }
                Some(Inbound::Request { from, request, responder }) => {
                    let shared = Arc::clone(&shared);
                    answers.spawn(async move {
                        let answer = answer(&shared, from, &request).await;
                        responder.answer(answer.encode()).await;
                    });
                }
                None => break,
            },
            Some(answered) = answers.join_next() => {
                if let Err(error) = answered {
                    tracing::error!(%error, "answering a peer panicked");
                }
            }
        }
    }
    answers.shutdown().await;
}

async fn hear(shared: Arc<Shared>, gossip: network::Announcement) {
    let source = gossip.source;
    let judged = judge(&shared, source, &gossip.data);
    let judgement = match &judged {
        Ok(_) => Judgement::Accept,
        Err(error) if error.is_fault_of_sender() => Judgement::Reject,
        Err(_) => Judgement::Ignore,
    };
    shared.network.judge(&gossip, judgement).await;
    let announcement = match judged {
        Ok(announcement) => announcement,
        Err(error) => {
            if let AnnouncementError::Ahead { seconds } = error {
                shared.clocks.name(source, i64::try_from(seconds).unwrap_or(i64::MAX).saturating_neg());
            }
            return tracing::debug!(%source, %error, "an announcement is not followed");
        }
    };
    let Announcement { entry, addresses } = announcement;
    let job = entry.job();
    if shared.logs.view(job).is_none() && !is_for_this_node(&shared, &entry) {
        return tracing::debug!(%job, requester = %source, "this node would not bid for a job, so it does not follow it");
    }
    shared.network.learn(gossip.peer, addresses).await;
    match shared.adopt(entry, source).await {
        Ok(()) => tracing::debug!(%job, requester = %source, "a job is followed"),
        Err(AdoptError::Known) => {}
        // Strangers can cause this at will, so it is logged at debug level.
        Err(error) => tracing::debug!(%job, requester = %source, %error, "a job cannot be followed"),
    }
}

fn is_for_this_node(shared: &Shared, first: &Entry) -> bool {
    let Event::Submitted { deal, spec, .. } = first.event() else { return false };
    Spec::from_document(spec).is_ok_and(|spec| shared.interest.includes(deal, spec.resources))
}

fn judge(shared: &Shared, source: NodeId, data: &[u8]) -> Result<Announcement, AnnouncementError> {
    let announcement = Announcement::decode(data)?;
    // Most are repetitions, and the signatures of this entry were checked the first time.
    let known = shared.logs.view(announcement.entry.job());
    if known.as_ref().is_some_and(|job| job.requester == source)
        && shared.logs.begins_with(&announcement.entry)
    {
        return Ok(announcement);
    }
    if known.is_none() {
        announcement.check_time(shared.now())?;
    }
    announcement.check(shared.logs.domain(), source)?;
    Ok(announcement)
}

async fn answer(shared: &Arc<Shared>, from: NodeId, request: &[u8]) -> LogResponse {
    let Some(request) = LogRequest::decode(request) else { return LogResponse::Malformed };
    match request {
        LogRequest::Submit { action, after_height } => submit(shared, from, action, after_height).await,
        LogRequest::Read { job, after_height } => {
            match shared.blocking(move |shared| shared.logs.page(job, after_height)).await {
                Ok(Some((height, entries))) => LogResponse::Entries { height, entries },
                Ok(None) => LogResponse::Unknown,
                Err(_) => LogResponse::Failed,
            }
        }
        LogRequest::Push { entries } => push(shared, from, entries).await,
        LogRequest::Witness { action } => witness(shared, from, &action),
        LogRequest::Time => LogResponse::Time { now: shared.now() },
    }
}

async fn submit(shared: &Arc<Shared>, from: NodeId, action: WireBytes, after_height: u64) -> LogResponse {
    let Ok(action) = codec::decode_action(&action.0) else { return LogResponse::Malformed };
    let job = action.action.job;
    // A submission is its requester's own, and never comes over the network.
    if !shared.logs.view(job).is_some_and(|view| view.own) {
        return LogResponse::Unknown;
    }
    if matches!(action.action.event, Event::BidPlaced { .. }) && !let_choose(shared, job).await {
        return LogResponse::Busy;
    }
    let now = shared.now();
    let placed = shared.blocking(move |shared| {
        let placed = shared.logs.sequence(now, vec![action])?;
        Ok((placed, shared.logs.page(job, after_height)))
    });
    match placed.await {
        Ok(Ok((placed, page))) => {
            let height = placed.height;
            spread(shared, placed, Some(from));
            LogResponse::Placed { height, entries: page.map_or_else(Vec::new, |(_, entries)| entries) }
        }
        Ok(Err(error)) => refusal_to_wire(&error),
        Err(_) => LogResponse::Failed,
    }
}

/// Holds a bid back while the requester chooses among earlier ones. In a large network most bids arrive at once, and
/// every bid ordered before the choice is sent to every bidder. Says whether the bid may go on; beyond a bound,
/// bidders are told to retry.
async fn let_choose(shared: &Shared, job: JobId) -> bool {
    let mut head = shared.logs.store().watch_head();
    if !shared.logs.is_choosing(job) {
        return true;
    }
    let Ok(_waits) = shared.waiting_bids.try_acquire() else { return false };
    let chosen = async {
        // The sender lives as long as the store.
        while shared.logs.is_choosing(job) && head.changed().await.is_ok() {}
    };
    // A requester that takes longer may want to see more bids.
    let _ = timeout(LONGEST_CHOICE, chosen).await;
    true
}

/// Sends new entries to their recipients; `answered` gets them with the answer to its own action.
pub(super) fn spread(
    shared: &Shared,
    Sequenced { entries, followers, .. }: Sequenced,
    answered: Option<NodeId>,
) {
    let Some(job) = entries.first().map(Entry::job) else { return };
    let encoded = entries.iter().map(|entry| WireBytes(entry.encode()));
    for entries in in_messages(encoded) {
        for follower in &followers {
            let message = Message::Entries { job, entries: entries.clone() };
            if answered == Some(*follower) {
                shared.post_later(*follower, message);
            } else {
                shared.post(*follower, message);
            }
        }
    }
}

async fn push(shared: &Arc<Shared>, from: NodeId, entries: Vec<WireBytes>) -> LogResponse {
    let first = entries.first().and_then(|entry| Entry::decode(&entry.0).ok());
    let Some(job) = first.map(|entry| entry.job()) else { return LogResponse::Malformed };
    let Some(view) = shared.logs.view(job) else { return LogResponse::Unknown };
    // Other nodes may delay an entry; only one from the requester itself counts as live.
    let now = shared.now();
    let arrival = if from == view.requester { Arrival::Live(now) } else { Arrival::Synced(now) };
    match shared.receive(job, entries, arrival).await {
        Ok(Received::Gap) => {
            shared.want(job);
            LogResponse::Taken
        }
        Ok(Received::Here { .. } | Received::Broken | Received::Forged) => LogResponse::Taken,
        Err(BackendError::UnknownLog { .. }) => LogResponse::Unknown,
        Err(_) => LogResponse::Failed,
    }
}

fn witness(shared: &Shared, from: NodeId, bytes: &WireBytes) -> LogResponse {
    let Ok(signed) = codec::decode_action(&bytes.0) else { return LogResponse::Malformed };
    let what = if matches!(signed.action.event, Event::Committed { .. }) {
        Witnessed::Commitment
    } else if matches!(signed.action.event, Event::Revealed { .. }) {
        Witnessed::Reveal
    } else {
        return LogResponse::Malformed;
    };
    let job = signed.action.job;
    let Ok(author) = signed.author(shared.logs.domain()) else { return LogResponse::Malformed };
    match shared.logs.view(job) {
        Some(view) if view.seats.contains(&author) => {
            let mut witnesses = shared.witnesses.lock().unwrap_or_else(PoisonError::into_inner);
            witnesses.note(job, author, what, signed.action.sequence);
            drop(witnesses);
            // Either this node is behind, or the author was given another history.
            let seen = signed.action.seen;
            if shared.logs.height_of(job, seen).is_none() && !view.own {
                shared.doubt(job, from, seen);
            }
            LogResponse::Taken
        }
        _ => LogResponse::Unknown,
    }
}
