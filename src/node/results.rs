//! Results of decided jobs, and archives that a user uploads.

use std::sync::atomic::AtomicU64;

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::{
    Node, RequestError,
    fetch::{FetchBounds, scratch_dir},
    transfer::Served,
    work::is_of_job,
};
use crate::{
    domain::{Digest, JobId, NodeId, Opening, SeatStatus},
    store::{BlobWriter, LastWords, Limits, unpack},
};

/// An upload in progress.
#[derive(Debug)]
pub(crate) struct Upload(BlobWriter);

impl Upload {
    /// Appends bytes.
    pub(crate) async fn push(mut self, bytes: Vec<u8>) -> Result<Self, RequestError> {
        let pushed = spawn_blocking(move || self.0.push(&bytes).map(|()| self)).await;
        Ok(pushed.expect("writing a piece returns its errors")?)
    }

    /// Stores the archive if it is canonical; returns its digest and its length in bytes.
    pub(crate) async fn finish(self, node: &Node) -> Result<(Digest, u64), RequestError> {
        let (content, scratch, me) = (node.shelf.content().clone(), node.scratch(), node.me.id);
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
    /// Begins an upload.
    pub(crate) fn begin_upload(&self) -> Result<Upload, RequestError> {
        Ok(Upload(self.shelf.content().writer(self.config.max_archive_bytes)?))
    }

    /// Takes the file at the URL of an input, for a job that is about to be submitted; returns its length. `received`
    /// tells how far it is.
    ///
    /// # Errors
    /// [`RequestError::Url`].
    pub(crate) async fn take_input(
        &self,
        url: &str,
        digest: Digest,
        received: &AtomicU64,
    ) -> Result<u64, RequestError> {
        Ok(self.take_from_url(url, digest, received).await?)
    }

    /// Fetches one node's result to this node and checks it; returns its opening and the length of its archive.
    ///
    /// # Errors
    /// [`RequestError::NotDecided`] before the verdict, [`RequestError::NotRevealed`], [`RequestError::NotPaid`],
    /// [`RequestError::Fetch`].
    pub async fn result_of(&self, job: JobId, node: NodeId) -> Result<(Opening, u64), RequestError> {
        self.result_within(job, node, self.result_bounds()).await
    }

    /// As [`Self::result_of`], for those who have no use for a longer archive, or no more time.
    ///
    /// # Errors
    /// As [`Self::result_of`].
    pub async fn result_within(
        &self,
        job: JobId,
        node: NodeId,
        bounds: FetchBounds,
    ) -> Result<(Opening, u64), RequestError> {
        let known = self.known_job(job)?;
        if !known.state.is_terminal() {
            return Err(RequestError::NotDecided { state: known.state });
        }
        let opening = known.seats.iter().find(|seat| seat.node == node).and_then(|seat| match seat.status {
            SeatStatus::Revealed(opening) => Some(opening),
            SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
        });
        let opening = opening.ok_or(RequestError::NotRevealed { node })?;
        if node != self.me.id && Served::of(&*self.ports.scheduler).of_node(&known, node).is_none() {
            return Err(RequestError::NotPaid { node });
        }
        let bytes = self.fetch_result(job, node, &opening, bounds).await?;
        Ok((opening, bytes))
    }

    /// What a failed run of a decided job left: why it gave no result, and the end of its output. Another node gives that to
    /// the job's requester only.
    ///
    /// # Errors
    /// [`RequestError::NotDecided`], [`RequestError::NotRequester`], [`RequestError::NothingLeft`] when the job was not at
    /// fault for the failure of the node's run, [`RequestError::Fetch`].
    pub async fn last_words_of(&self, job: JobId, node: NodeId) -> Result<LastWords, RequestError> {
        let known = self.known_job(job)?;
        if !known.state.is_terminal() {
            return Err(RequestError::NotDecided { state: known.state });
        }
        if node == self.me.id {
            let words = self.shelf.content().last_words().get(job)?;
            let words = words.and_then(|words| LastWords::decode(&words).ok());
            return words.ok_or(RequestError::NothingLeft { node });
        }
        if known.requester != self.me.id {
            return Err(RequestError::NotRequester { job, requester: known.requester });
        }
        let failed = known.seats.iter().any(|seat| match seat.status {
            SeatStatus::Failed(kind) => seat.node == node && is_of_job(kind),
            SeatStatus::Accepted | SeatStatus::Committed(_) | SeatStatus::Revealed(_) => false,
        });
        if !failed {
            return Err(RequestError::NothingLeft { node });
        }
        Ok(self.fetch_last_words(job, node).await?)
    }

    /// The nodes whose results the verdict keeps, in seat order.
    ///
    /// # Errors
    /// [`RequestError::NotDecided`] before the verdict, [`RequestError::NoResult`] when it accepts none.
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

    /// A result that is here, unpacked in `result` below a directory that is removed with its handle.
    pub(crate) async fn unpacked_result(
        &self,
        job: JobId,
        node: NodeId,
        root: Digest,
    ) -> Result<TempDir, RequestError> {
        Ok(self.unpack_result(job, node, root).await?.0)
    }

    /// The first accepted result that can be fetched, unpacked in `result` below a directory that is removed with its
    /// handle.
    pub(crate) async fn accepted_result(&self, job: JobId) -> Result<TempDir, RequestError> {
        let nodes = self.accepted_nodes(job)?;
        let mut last = None;
        for node in nodes {
            match self.result_of(job, node).await {
                Ok((opening, _)) => return self.unpacked_result(job, node, opening.output_root).await,
                Err(error) => {
                    debug!(%job, %node, %error, "another node is asked for the result");
                    last = Some(error);
                }
            }
        }
        Err(last.expect("a verdict accepts at least one result"))
    }
}
