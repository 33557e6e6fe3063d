//! The driver's part in requests of this node: it sends them in turn and passes on the answers.

use ::libp2p::request_response::OutboundRequestId;

use super::{Driver, answer};
use crate::{
    domain::{ChunkRequest, NodeId},
    network::{
        handle::RequestError,
        outgoing::Reply,
        wire::{BlobRequest, BlobResponse},
    },
};

impl Driver {
    pub(super) fn ask(&mut self, node: NodeId, request: Vec<u8>, reply: Reply<Vec<u8>>) {
        self.requests.push(node, request, reply);
        self.send_requests(node);
    }

    fn send_requests(&mut self, node: NodeId) {
        while let Some((request, reply)) = self.requests.next(node) {
            match self.peer(node) {
                Ok((peer, addresses)) => {
                    let carried = &mut self.swarm.behaviour_mut().carried;
                    let id = carried.send_request_with_addresses(&peer, request, addresses);
                    self.requests.sent(id, node, reply);
                }
                Err(error) => answer(reply, Err(error)),
            }
        }
    }

    pub(super) fn on_answer(&mut self, id: OutboundRequestId, answered: Result<Vec<u8>, RequestError>) {
        let Some((node, reply)) = self.requests.end(&id) else { return };
        answer(reply, answered);
        self.send_requests(node);
    }

    pub(super) fn ask_blob(&mut self, node: NodeId, request: ChunkRequest, reply: Reply<BlobResponse>) {
        self.blob_requests.push(node, BlobRequest(request), reply);
        self.send_blob_requests(node);
    }

    fn send_blob_requests(&mut self, node: NodeId) {
        while let Some((request, reply)) = self.blob_requests.next(node) {
            match self.peer(node) {
                Ok((peer, addresses)) => {
                    let blob = &mut self.swarm.behaviour_mut().blob;
                    let id = blob.send_request_with_addresses(&peer, request, addresses);
                    self.blob_requests.sent(id, node, reply);
                }
                Err(error) => answer(reply, Err(error)),
            }
        }
    }

    pub(super) fn on_blob_answer(
        &mut self,
        id: OutboundRequestId,
        answered: Result<BlobResponse, RequestError>,
    ) {
        let Some((node, reply)) = self.blob_requests.end(&id) else { return };
        answer(reply, answered);
        self.send_blob_requests(node);
    }
}
