//! Results of decided jobs, and archives that a user uploads.

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::{Node, RequestError, fetch::scratch_dir, transfer::Served};
use crate::{
    domain::{Digest, JobId, NodeId, Opening, SeatStatus},
    store::{BlobWriter, Limits, unpack},
};

/// An archive on its way into the store.
#[derive(Debug)]
pub(crate) struct Upload(BlobWriter);

impl Upload {
    /// Appends bytes.
    pub(crate) async fn push(mut self, bytes: Vec<u8>) -> Result<Self, RequestError> {
        let pushed = spawn_blocking(move || self.0.push(&bytes).map(|()| self)).await;
        Ok(pushed.expect("writing a piece returns its errors")?)
    }

    /// Stores the archive if it is a canonical one; returns its digest and length.
    pub(crate) async fn finish(self, node: &Node) -> Result<(Digest, u64), RequestError> {
        let (content, scratch, me) = (node.shelf.content().clone(), node.scratch(), node.id);
        let stored = spawn_blocking(move || {
            let Self(writer) = self;
            let (digest, bytes) = writer.digest();
            let dir = scratch_dir(&scratch)?;
            unpack(writer.reader()?, &dir.path().join("input"), digest, &Limits::with_bytes(bytes))?;
            content.keep(writer, digest, me)?;
            Ok((digest, bytes))
        });
        stored.await.expect("storing an archive returns its errors")
    }
}

impl Node {
    /// Begins to take an archive in.
    pub(crate) fn begin_upload(&self) -> Result<Upload, RequestError> {
        Ok(Upload(self.shelf.content().writer(self.config.max_archive_bytes)?))
    }

    /// Brings the result of one node here, checked; returns its opening and the length of its archive.
    ///
    /// # Errors
    /// [`RequestError::NotDecided`] while the job is, [`RequestError::NotRevealed`],
    /// [`RequestError::NotPaid`], [`RequestError::Fetch`].
    pub async fn result_of(&self, job: JobId, node: NodeId) -> Result<(Opening, u64), RequestError> {
        let known = self.known_job(job)?;
        if !known.state.is_terminal() {
            return Err(RequestError::NotDecided { state: known.state });
        }
        let opening = known.seats.iter().find(|seat| seat.node == node).and_then(|seat| match seat.status {
            SeatStatus::Revealed(opening) => Some(opening),
            SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
        });
        let opening = opening.ok_or(RequestError::NotRevealed { node })?;
        if node != self.id && Served::of(&*self.scheduler).of_node(&known, node).is_none() {
            return Err(RequestError::NotPaid { node });
        }
        let bytes = self.fetch_result(job, node, &opening).await?;
        Ok((opening, bytes))
    }

    /// The nodes whose results the verdict keeps, in seat order.
    ///
    /// # Errors
    /// [`RequestError::NotDecided`] before there is a verdict, [`RequestError::NoResult`] when there is none.
    pub fn accepted_nodes(&self, job: JobId) -> Result<Vec<NodeId>, RequestError> {
        let known = self.known_job(job)?;
        let state = known.state;
        if !state.is_terminal() {
            return Err(RequestError::NotDecided { state });
        }
        let accepted = known.verdict.iter().flat_map(|verdict| verdict.accepted.iter());
        let nodes: Vec<_> = accepted.filter_map(|seat| known.seat(seat)).map(|seat| seat.node).collect();
        if nodes.is_empty() { Err(RequestError::NoResult { state }) } else { Ok(nodes) }
    }

    /// The first accepted result that can be had, unpacked in the directory `result` of one that vanishes with its
    /// handle.
    pub(crate) async fn accepted_result(&self, job: JobId) -> Result<TempDir, RequestError> {
        let nodes = self.accepted_nodes(job)?;
        let mut last = None;
        for node in nodes {
            match self.result_of(job, node).await {
                Ok((opening, _)) => return Ok(self.unpack_result(job, node, opening.output_root).await?.0),
                Err(error) => {
                    debug!(%job, %node, %error, "another node is asked for the result");
                    last = Some(error);
                }
            }
        }
        Err(last.expect("a verdict accepts at least one result"))
    }
}
