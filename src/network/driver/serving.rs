//! The driver's part in what peers send: it queues announcements and requests, and sends answers.
//!
//! No peer takes the whole queue, and neither kind of message does. What is on its way to peers that do not read is
//! bounded.

use std::sync::Arc;

use ::libp2p::{
    PeerId, gossipsub,
    request_response::{InboundRequestId, ResponseChannel},
};
use tokio::time::Instant;

use super::{BLOB_READS, Driver, INBOUND};
use crate::{
    domain::NodeId,
    network::{
        blob::{BlobDenied, MAX_CHUNK_BYTES},
        handle::{Announcement, Inbound, Judgement, Responder},
        peer::node_of_peer,
        unsent::Protocol,
        wire::{BlobRequest, BlobResponse, LogRequest, LogResponse},
    },
};

/// Announcements of one forwarder that wait for their reader, or are read.
const MAX_SHARE: usize = 16;

/// Places of the queue that announcements leave to requests, and the other way round.
const ROOM_FOR_REQUESTS: usize = INBOUND / 2;
const ROOM_FOR_ANNOUNCEMENTS: usize = INBOUND / 8;

impl Driver {
    pub(super) fn on_announcement(
        &mut self,
        forwarder: PeerId,
        id: gossipsub::MessageId,
        message: gossipsub::Message,
    ) {
        let now = Instant::now();
        let source = message.source.as_ref().and_then(node_of_peer);
        let (Some(source), Some(via)) = (source, node_of_peer(&forwarder)) else {
            return self.judge(&forwarder, &id, Judgement::Reject);
        };
        if !self.forwarders.take(via, now) || !self.signers.take(source, now) {
            self.status.send_modify(|status| status.counters.announcements_limited += 1);
            // Who floods by itself is to blame; who passes on a flood has the same limits and will stop.
            let judgement = if source == via { Judgement::Reject } else { Judgement::Ignore };
            return self.judge(&forwarder, &id, judgement);
        }
        let share = Arc::clone(self.shares.entry(via).or_default());
        // One of them is kept here, and one is this.
        let is_greedy = Arc::strong_count(&share) >= MAX_SHARE + 2;
        if is_greedy || self.inbound.capacity() < ROOM_FOR_REQUESTS {
            self.status.send_modify(|status| status.counters.inbound_busy += 1);
            return self.judge(&forwarder, &id, Judgement::Ignore);
        }
        let announcement = Announcement { source, data: message.data, forwarder, _share: share, id };
        if let Err(full) = self.inbound.try_send(Inbound::Announcement(announcement)) {
            self.status.send_modify(|status| status.counters.inbound_busy += 1);
            if let Inbound::Announcement(Announcement { forwarder, id, .. }) = full.into_inner() {
                self.judge(&forwarder, &id, Judgement::Ignore);
            }
        }
    }

    pub(super) fn on_log_request(
        &mut self,
        peer: PeerId,
        asked: InboundRequestId,
        request: LogRequest,
        channel: ResponseChannel<LogResponse>,
    ) {
        let (Some(from), Some(commands)) = (node_of_peer(&peer), self.answers.upgrade()) else {
            return;
        };
        if !self.askers.take(from, Instant::now()) {
            self.status.send_modify(|status| status.counters.requests_limited += 1);
            let _ = self.swarm.behaviour_mut().log.send_response(channel, LogResponse::Busy);
            return;
        }
        if self.inbound.capacity() < ROOM_FOR_ANNOUNCEMENTS {
            self.status.send_modify(|status| status.counters.inbound_busy += 1);
            let _ = self.swarm.behaviour_mut().log.send_response(channel, LogResponse::Busy);
            return;
        }
        let responder = Responder { commands, to: from, asked, channel };
        let request = Inbound::Request { from, request, responder };
        if let Err(full) = self.inbound.try_send(request) {
            self.status.send_modify(|status| status.counters.inbound_busy += 1);
            if let Inbound::Request { responder, .. } = full.into_inner() {
                let channel = responder.channel;
                let _ = self.swarm.behaviour_mut().log.send_response(channel, LogResponse::Busy);
            }
        }
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
        channel: ResponseChannel<LogResponse>,
        response: LogResponse,
    ) {
        let (request, bytes) = ((Protocol::Log, asked), response.entry_bytes());
        let response = if bytes == 0 || self.unsent.begin(request, to, bytes) {
            response
        } else {
            self.status.send_modify(|status| status.counters.requests_limited += 1);
            LogResponse::Busy
        };
        // An error means that the peer has gone.
        if self.swarm.behaviour_mut().log.send_response(channel, response).is_err() {
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
