//! Getting content from another node, and checking that it is what was announced.

use std::{path::Path, time::Duration};

use tempfile::TempDir;
use tokio::{task::spawn_blocking, time::Instant};
use tracing::{debug, info, warn};

use super::{
    Node,
    transfer::{ChunkRequest, TransferError},
};
use crate::{
    domain::{Digest, Event, JobId, MAX_REMARK_BYTES, NodeId, Opening},
    store::{BlobError, BlobWriter, Limits, MAX_RANGE_BYTES, ResultError, UnpackError, result_hash, unpack},
};

/// How long one piece of an input may take, all attempts together: a run that lacks it fails.
pub(crate) const INPUT_PATIENCE: Duration = Duration::from_secs(20);

/// The same for a result, for which a user waits and several nodes may be asked in turn. A node that has yet to read
/// the end of the job refuses at first.
const RESULT_PATIENCE: Duration = Duration::from_secs(5);

/// Between attempts for the same piece.
const PAUSE: Duration = Duration::from_millis(500);

/// Content that did not come, or is not what was announced.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Whoever has it does not give it.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// It is not what its digest says, too long, or cannot be stored.
    #[error("cannot keep the content of {from}")]
    Blob {
        /// Who served it.
        from: NodeId,
        /// What is wrong.
        #[source]
        source: BlobError,
    },
    /// It sends less than it announced, or dribbles: any piece but the last is a full one.
    #[error("{from} sends no full piece after {received} bytes of {digest}")]
    Short {
        /// Who served it.
        from: NodeId,
        /// What was asked for.
        digest: Digest,
        /// How much came.
        received: u64,
    },
    /// It is no archive.
    #[error("the content of {from} cannot be unpacked")]
    Unpack {
        /// Who served it.
        from: NodeId,
        /// What is wrong.
        #[source]
        source: UnpackError,
    },
    /// It is no result.
    #[error("what {from} serves is no result")]
    Result {
        /// Who served it.
        from: NodeId,
        /// What is wrong.
        #[source]
        source: ResultError,
    },
    /// It is another result than the one that the node was judged by.
    #[error("{from} serves a result with hash {found}, and revealed {revealed}")]
    OtherResult {
        /// Who served it.
        from: NodeId,
        /// What the verdict saw.
        revealed: Digest,
        /// What came.
        found: Digest,
    },
}

impl FetchError {
    /// Whether the serving node gave something else than it promised.
    pub const fn is_fault_of_server(&self) -> bool {
        match self {
            Self::Blob { source: BlobError::Mismatch { .. } | BlobError::TooLarge { .. }, .. }
            | Self::Short { .. }
            | Self::Unpack { .. }
            | Self::Result { .. }
            | Self::OtherResult { .. } => true,
            Self::Blob { .. } | Self::Transfer(_) => false,
        }
    }
}

impl Node {
    /// Makes sure that content of a job is in this node's store; returns its length.
    ///
    /// # Errors
    /// [`FetchError`]; nothing is kept then.
    pub(crate) async fn fetch(
        &self,
        job: JobId,
        from: NodeId,
        digest: Digest,
        limit: u64,
        patience: Duration,
    ) -> Result<u64, FetchError> {
        let blobs = self.shelf.blobs();
        if let Ok(bytes) = blobs.length(digest) {
            return Ok(bytes);
        }
        let blob_error = |source| FetchError::Blob { from, source };
        let mut writer = blobs.writer(limit.min(self.config.max_archive_bytes)).map_err(blob_error)?;
        let mut received = 0;
        loop {
            let chunk =
                self.fetch_piece(from, ChunkRequest { job, digest, offset: received }, patience).await?;
            let count = u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
            // A byte at a time would keep whoever waits for it waiting without end.
            if count < MAX_RANGE_BYTES.min(chunk.total_bytes.saturating_sub(received)) {
                return Err(FetchError::Short { from, digest, received });
            }
            received = received.saturating_add(count);
            writer = push(writer, chunk.bytes).await.map_err(blob_error)?;
            if received >= chunk.total_bytes {
                break;
            }
        }
        let stored = spawn_blocking(move || writer.commit_as(digest)).await;
        let bytes = stored.expect("storing a blob does not panic").map_err(blob_error)?;
        debug!(%job, %from, %digest, bytes, "content fetched");
        Ok(bytes)
    }

    async fn fetch_piece(
        &self,
        from: NodeId,
        request: ChunkRequest,
        patience: Duration,
    ) -> Result<super::transfer::Chunk, TransferError> {
        let give_up = Instant::now() + patience;
        loop {
            match self.transfer.fetch_chunk(from, request).await {
                Err(error) if Instant::now() + PAUSE < give_up && !self.stop.is_cancelled() => {
                    // A refusal too may pass: the server has yet to read the entry that entitles us.
                    debug!(%error, "content is asked for again");
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Makes sure that a revealed result is in this node's store, and is the one that was revealed.
    ///
    /// # Errors
    /// [`FetchError`]. When the node served something else, the requester says so in the log.
    pub(crate) async fn fetch_result(
        &self,
        job: JobId,
        from: NodeId,
        opening: &Opening,
    ) -> Result<u64, FetchError> {
        let fetched = self.fetch_checked(job, from, opening).await;
        match &fetched {
            Ok(bytes) => info!(%job, %from, bytes, "result fetched"),
            Err(error) if error.is_fault_of_server() => {
                warn!(%job, %from, %error, "a node serves another result than it revealed");
                self.remark(job, from, &error.to_string()).await;
            }
            Err(error) => info!(%job, %from, %error, "result not fetched"),
        }
        fetched
    }

    async fn fetch_checked(&self, job: JobId, from: NodeId, opening: &Opening) -> Result<u64, FetchError> {
        let (root, revealed) = (opening.output_root, opening.result_hash);
        // A node may name anything as its root, also an input or a result that this node is to serve to others.
        let held_before = self.shelf.blobs().length(root).is_ok();
        let bytes = self.fetch(job, from, root, self.config.max_archive_bytes, RESULT_PATIENCE).await?;
        let checked = self.unpack_result(job, from, root).await.and_then(|(_dir, found)| {
            if found == revealed { Ok(bytes) } else { Err(FetchError::OtherResult { from, revealed, found }) }
        });
        if checked.is_err()
            && !held_before
            && let Err(error) = self.shelf.blobs().remove(root)
        {
            warn!(%root, %error, "a wrong result stays in the store");
        }
        checked
    }

    /// Unpacks a stored result to a directory that vanishes with its handle, and gives its result hash.
    pub(crate) async fn unpack_result(
        &self,
        job: JobId,
        from: NodeId,
        root: Digest,
    ) -> Result<(TempDir, Digest), FetchError> {
        let (blobs, scratch) = (self.shelf.blobs().clone(), self.scratch());
        let limits = Limits::with_bytes(self.config.max_archive_bytes);
        let unpacked = spawn_blocking(move || {
            let blob_error = |source| FetchError::Blob { from, source };
            let dir = scratch_dir(&scratch).map_err(blob_error)?;
            let target = dir.path().join("result");
            let archive = blobs.open_blob(root).map_err(blob_error)?;
            unpack(archive, &target, root, &limits).map_err(|source| FetchError::Unpack { from, source })?;
            let found = result_hash(job, &target, &limits);
            Ok((dir, found.map_err(|source| FetchError::Result { from, source })?))
        });
        unpacked.await.expect("unpacking returns its errors")
    }

    async fn remark(&self, job: JobId, node: NodeId, what: &str) {
        if self.board.read(job, |job| job.requester) != Some(self.id) {
            return;
        }
        let end = (0..=MAX_REMARK_BYTES).rev().find(|end| what.is_char_boundary(*end)).unwrap_or(0);
        let remark = what.get(..end).unwrap_or(what).to_owned();
        // A remark changes nothing: losing it loses a line in the log.
        if let Err(error) = self.submit(job, Event::Remarked { node, remark }).await {
            debug!(%job, %error, "remark not made");
        }
    }
}

async fn push(mut writer: BlobWriter, bytes: Vec<u8>) -> Result<BlobWriter, BlobError> {
    let pushed = spawn_blocking(move || writer.push(&bytes).map(|()| writer)).await;
    pushed.expect("writing a piece does not panic")
}

/// A directory of its own below the node's scratch space.
pub(crate) fn scratch_dir(scratch: &Path) -> Result<TempDir, BlobError> {
    std::fs::create_dir_all(scratch)
        .and_then(|()| tempfile::tempdir_in(scratch))
        .map_err(|source| BlobError::Io { path: scratch.to_owned(), source })
}
