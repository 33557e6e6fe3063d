//! The driver's part in serving peers: it queues announcements and requests, and sends answers.
//!
//! Peers are read in turn, and neither kind of message waits for the other. Answers in flight to peers that do not
//! read are bounded.

use std::sync::Arc;

use ::libp2p::{
    PeerId, gossipsub,
    request_response::{InboundRequestId, ResponseChannel},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{BLOB_READS, Driver};
use crate::{
    domain::{MAX_CHUNK_BYTES, NodeId},
    network::{
        blob::BlobDenied,
        handle::{Announcement, Inbound, Judgement, Responder},
        peer::node_of_peer,
        unsent::Protocol,
        wire::{BlobRequest, BlobResponse},
    },
};

/// An answer that carries nothing, such as a refusal, is always sent.
const SHORT_ANSWER: usize = 64;

/// An announcement that waits for its turn.
#[derive(Debug)]
pub(super) struct Heard {
    source: NodeId,
    peer: PeerId,
    data: Vec<u8>,
    forwarder: PeerId,
    id: gossipsub::MessageId,
}

/// A request that waits for its turn.
#[derive(Debug)]
pub(super) struct Asked {
    from: NodeId,
    id: InboundRequestId,
    request: Vec<u8>,
    channel: ResponseChannel<Vec<u8>>,
}

impl Driver {
    pub(super) fn on_announcement(
        &mut self,
        forwarder: PeerId,
        id: gossipsub::MessageId,
        message: gossipsub::Message,
    ) {
        let now = Instant::now();
        let source = message.source.and_then(|peer| Some((peer, node_of_peer(&peer)?)));
        let (Some((peer, source)), Some(via)) = (source, node_of_peer(&forwarder)) else {
            return self.judge(&forwarder, &id, Judgement::Reject);
        };
        if !self.forwarders.take(via, now) || !self.signers.take(source, now) {
            self.status.send_modify(|status| status.counters.announcements_limited += 1);
            // The signer of a flood is to blame; a forwarder has the same limits and will stop.
            let judgement = if source == via { Judgement::Reject } else { Judgement::Ignore };
            return self.judge(&forwarder, &id, judgement);
        }
        let bytes = message.data.len();
        let heard = Heard { source, peer, data: message.data, forwarder, id };
        for gone in self.heard.push(via, bytes, heard) {
            self.status.send_modify(|status| status.counters.inbound_busy += 1);
            self.judge(&gone.forwarder, &gone.id, Judgement::Ignore);
        }
    }

    /// Hands the next announcement on.
    pub(super) fn hear_next(&mut self, reading: OwnedSemaphorePermit) {
        let Some(Heard { source, peer, data, forwarder, id }) = self.heard.pop() else { return };
        let announcement = Announcement { source, peer, data, forwarder, id, _reading: reading };
        // The channel has as much room as there are permits, so an error means that the reader is gone.
        let _ = self.inbound.try_send(Inbound::Announcement(announcement));
    }

    pub(super) fn on_request(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: Vec<u8>,
        channel: ResponseChannel<Vec<u8>>,
    ) {
        let Some(from) = node_of_peer(&peer) else { return };
        if !self.askers.take(from, Instant::now()) {
            self.status.send_modify(|status| status.counters.requests_limited += 1);
            let _ = self.swarm.behaviour_mut().carried.send_response(channel, self.busy.clone());
            return;
        }
        let bytes = request.len();
        for gone in self.asked.push(from, bytes, Asked { from, id, request, channel }) {
            self.status.send_modify(|status| status.counters.inbound_busy += 1);
            let _ = self.swarm.behaviour_mut().carried.send_response(gone.channel, self.busy.clone());
        }
    }

    /// Hands the next request on.
    pub(super) fn ask_next(&mut self, reading: OwnedSemaphorePermit) {
        let Some(commands) = self.answers.upgrade() else { return };
        let Some(Asked { from, id, request, channel }) = self.asked.pop() else { return };
        let responder = Responder { commands, to: from, asked: id, channel, _reading: reading };
        // As with announcements.
        let _ = self.inbound.try_send(Inbound::Request { from, request, responder });
    }

    pub(super) fn on_blob_request(
        &mut self,
        peer: PeerId,
        asked: InboundRequestId,
        BlobRequest(request): BlobRequest,
        channel: ResponseChannel<BlobResponse>,
    ) {
        let Some(from) = node_of_peer(&peer) else { return };
        let is_busy = self.blob_reads.len() >= BLOB_READS
            || !self.askers.take(from, Instant::now())
            || !self.unsent.begin((Protocol::Blob, asked), from, MAX_CHUNK_BYTES);
        if is_busy {
            self.status.send_modify(|status| status.counters.inbound_busy += 1);
            let busy = BlobResponse::Denied(BlobDenied::Busy);
            let _ = self.swarm.behaviour_mut().blob.send_response(channel, busy);
            return;
        }
        let blobs = Arc::clone(&self.blobs);
        self.blob_reads.spawn_blocking(move || (asked, channel, blobs.read(from, request).into()));
    }

    pub(super) fn respond(
        &mut self,
        to: NodeId,
        asked: InboundRequestId,
        channel: ResponseChannel<Vec<u8>>,
        answer: Vec<u8>,
    ) {
        let (request, bytes) = ((Protocol::Carried, asked), answer.len());
        let answer = if bytes <= SHORT_ANSWER || self.unsent.begin(request, to, bytes) {
            answer
        } else {
            self.status.send_modify(|status| status.counters.requests_limited += 1);
            self.busy.clone()
        };
        // An error means that the peer has disconnected.
        if self.swarm.behaviour_mut().carried.send_response(channel, answer).is_err() {
            self.unsent.end(&request);
        }
    }

    pub(super) fn send_content(
        &mut self,
        asked: InboundRequestId,
        channel: ResponseChannel<BlobResponse>,
        response: BlobResponse,
    ) {
        if self.swarm.behaviour_mut().blob.send_response(channel, response).is_err() {
            self.unsent.end(&(Protocol::Blob, asked));
        }
    }
}
