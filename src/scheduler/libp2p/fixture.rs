//! Keys, times, actions and results that tests of logs share.

use super::{
    entry::Entry,
    job_log::CheckedLog,
    sequence::{Place, Sequencer},
};
use crate::{
    domain::{Action, Deal, Digest, Event, LogDomain, NodeId, Opening, SignedAction, Span, Spec, Timestamp},
    identity::NodeKey,
};

pub(crate) const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes(&[byte; 32]).unwrap()
}

pub(crate) fn later(secs: u32) -> Timestamp {
    START.plus(Span::from_secs(secs))
}

pub(crate) fn submission(requester: &NodeKey, deal: &Deal, nonce: u64) -> SignedAction {
    let document = Spec::sample().to_document();
    let revision = deal.revision();
    let job = DOMAIN.job_id(requester.node_id(), nonce, Spec::hash_document(&document), revision);
    let event = Event::Submitted { deal: deal.clone(), spec: document, nonce };
    signed(requester, Action { job, revision, sequence: 0, seen: Digest::ZERO, event })
}

pub(crate) fn signed(author: &NodeKey, action: Action) -> SignedAction {
    SignedAction { signature: author.sign(action.signing_digest(DOMAIN)), action }
}

/// The author's next action in this log, having seen all of it.
pub(crate) fn act(job_log: &CheckedLog, author: &NodeKey, event: Event) -> SignedAction {
    let job = job_log.job();
    let sequence = job_log.next_sequence(author.node_id());
    signed(author, Action { job: job.id, revision: job.revision, sequence, seen: job_log.head(), event })
}

/// Has the requester order the author's next action.
pub(crate) fn append(sequencer: &mut Sequencer, now: Timestamp, author: &NodeKey, event: Event) -> Entry {
    let action = act(sequencer.job_log(), author, event);
    match sequencer.append(now, action).unwrap() {
        Place::New(entry) => *entry,
        Place::Known(height) => panic!("known at {height}"),
    }
}

/// The opening of this result, with a salt.
pub(crate) fn opening(salt: u8, result: u8) -> Opening {
    Opening { result_hash: Digest::new([result; 32]), ..Opening::sample(salt) }
}
