//! Fetches content from another node, and checks that it is what was announced.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Node,
    pace::{GRACE, LEAST_BYTES_PER_SECOND, Pace},
    transfer::TransferError,
};
use crate::{
    domain::{
        ChunkRequest, Digest, Event, Input, Job, JobId, MAX_REMARK_BYTES, NodeId, Opening, Span, SummaryWord,
    },
    policy::compute::start_by,
    store::{
        BlobError, BlobWriter, Compared, Comparison, LastWords, Limits, MAX_LAST_WORDS_BYTES,
        MalformedLastWords, ResultError, TreeError, UnpackError, unpack,
    },
};

/// How long an input may make no progress. Its link may be down for a while, and a run without its input fails.
const INPUT_PATIENCE: Duration = Duration::from_secs(60);

/// The same for a result, before its first byte: a user waits, and may ask several nodes in turn. A node that has not read
/// the end of the job yet refuses at first.
const RESULT_PATIENCE: Duration = Duration::from_secs(5);

/// Pause between two attempts for one piece.
const PAUSE: Duration = Duration::from_millis(500);

/// How long an archive may be, and how long it may take to come.
#[derive(Debug, Clone, Copy)]
pub struct FetchBounds {
    /// The longest archive that is of use, in bytes.
    pub bytes: u64,
    /// How long it may take.
    pub time: Duration,
}

/// Why content did not come, or was refused.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The node that should have the content does not send it.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The content does not have its digest, is too long, or cannot be stored.
    #[error("cannot store the content of {from}")]
    Blob {
        /// The node that served it.
        from: NodeId,
        /// The problem.
        #[source]
        source: BlobError,
    },
    /// The archive is longer than this fetch has use for.
    #[error("the result of {from} has more than {limit} bytes")]
    Long {
        /// The node that has it.
        from: NodeId,
        /// The most bytes that are of use.
        limit: u64,
    },
    /// The content takes too long, or comes too slowly.
    #[error(
        "{from} sent {received} of {total} bytes in {} s: less than {LEAST_BYTES_PER_SECOND} bytes a second, or more \
         than the job has time for", after.as_secs()
    )]
    Slow {
        /// The node that served it.
        from: NodeId,
        /// Bytes received.
        received: u64,
        /// Bytes announced.
        total: u64,
        /// Time since the transfer began.
        after: Duration,
    },
    /// The node sent less than it announced, or a piece that is neither full nor the last.
    #[error("{from} sent no full piece in time after {received} bytes of {digest}")]
    Short {
        /// The node that served it.
        from: NodeId,
        /// Bytes asked for.
        digest: Digest,
        /// Bytes received.
        received: u64,
    },
    /// The content is not an archive.
    #[error("cannot unpack the content of {from}")]
    Unpack {
        /// The node that served it.
        from: NodeId,
        /// The problem.
        #[source]
        source: UnpackError,
    },
    /// The content is not a result.
    #[error("{from} serves something that is not a result")]
    Result {
        /// The node that served it.
        from: NodeId,
        /// The problem.
        #[source]
        source: ResultError,
    },
    /// The content is not what a failed run leaves.
    #[error("{from} serves something that is not the last words of a run")]
    LastWords {
        /// The node that served it.
        from: NodeId,
        /// The problem.
        #[source]
        source: MalformedLastWords,
    },
    /// The result is not the one that the verdict judged.
    #[error("{from} serves a result with hash {found}, but revealed {revealed}")]
    OtherResult {
        /// The node that served it.
        from: NodeId,
        /// The result hash in the log.
        revealed: Digest,
        /// The result hash of the content.
        found: Digest,
    },
    /// The command ended otherwise than the node stated.
    #[error("{from} serves a result with exit code {found}, and stated {revealed}")]
    OtherExitCode {
        /// The node that served it.
        from: NodeId,
        /// The exit code in the log.
        revealed: i32,
        /// The exit code of the content.
        found: i32,
    },
    /// The numbers in the result are not those that the verdict judged.
    #[error("{from} serves a result with the summary {found}, and revealed {revealed}")]
    OtherSummary {
        /// The node that served it.
        from: NodeId,
        /// The numbers in the log.
        revealed: SummaryWord,
        /// The numbers of the content.
        found: SummaryWord,
    },
}

impl FetchError {
    /// Whether the serving node broke its word.
    pub const fn is_fault_of_server(&self) -> bool {
        match self {
            Self::Blob { source: BlobError::Mismatch { .. } | BlobError::TooLarge { .. }, .. }
            | Self::Short { .. }
            | Self::LastWords { .. }
            | Self::OtherResult { .. }
            | Self::OtherExitCode { .. }
            | Self::OtherSummary { .. } => true,
            // What this machine cannot read or write, or has no more time for, is not that node's fault.
            Self::Unpack { source: UnpackError::Read(_) | UnpackError::Write { .. }, .. }
            | Self::Result {
                source: ResultError::Tree(TreeError::Io { .. } | TreeError::Cancelled { .. }),
                ..
            } => false,
            Self::Unpack { .. } | Self::Result { .. } => true,
            Self::Blob { .. } | Self::Transfer(_) | Self::Long { .. } | Self::Slow { .. } => false,
        }
    }
}

impl Node {
    /// Makes sure that this node has an input from the job's requester. Only content from the requester itself may be
    /// mounted, even if others sent the same bytes. The store records the requester as a holder.
    ///
    /// # Errors
    /// [`FetchError`]; the store then keeps nothing.
    pub(crate) async fn fetch_input(
        &self,
        job: &Job,
        input: &Input,
        within: Duration,
    ) -> Result<(), FetchError> {
        let (from, digest) = (job.requester, input.digest);
        if self.shelf.content().length(digest, from).is_ok() {
            return Ok(());
        }
        let pace = Pace::new(INPUT_PATIENCE, within);
        let writer = self.receive(job.id, from, digest, input.bytes, pace).await?;
        self.keep_content(writer, digest, from).await
    }

    /// How long inputs and images may take to arrive: until the run must begin to have its whole timeout, and never longer
    /// than a run may take here. So late ones are reported as late. A run that begins later anyway gets the time that is
    /// left.
    pub(crate) fn time_to_begin(&self, job: &Job) -> Span {
        let (now, start_by) = (self.clock.moment().now, start_by(job, self.ports.scheduler.pace()));
        let until = if now <= start_by { start_by } else { job.commit_by.minus(job.deal.timeout) };
        until.since(now).min(self.config.limits.max_timeout)
    }

    /// Reads content to its end even if the store has it: an answer from the store would tell others what it holds, and
    /// would believe what they claim to hold.
    async fn receive(
        &self,
        job: JobId,
        from: NodeId,
        digest: Digest,
        limit: u64,
        mut pace: Pace,
    ) -> Result<BlobWriter, FetchError> {
        if from == self.me.id {
            return Err(TransferError::Refused { from, digest }.into());
        }
        let blob_error = |source| FetchError::Blob { from, source };
        let limit = limit.min(self.config.max_archive_bytes);
        let mut writer = self.writer_for(job, limit).map_err(blob_error)?;
        let (begun, mut received, mut total) = (Instant::now(), 0, limit);
        loop {
            let asked = Instant::now();
            let request = ChunkRequest { job, digest, offset: received, length: pace.piece() };
            let answer =
                timeout_at(begun + pace.ends(), self.ports.transfer.fetch_chunk(from, request)).await;
            let slow = |after| FetchError::Slow { from, received, total, after };
            let chunk = match answer {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) if pace.may_go_on(begun.elapsed() + PAUSE) && !self.stop.is_cancelled() => {
                    // A refusal may pass too: the server may not have read the entry that entitles this node.
                    debug!(%error, received, "content is asked for again");
                    pace.failed();
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_elapsed) => return Err(slow(begun.elapsed())),
            };
            total = chunk.total_bytes;
            let count = u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
            // A byte at a time would keep the caller waiting without end.
            if count < request.length.min(total.saturating_sub(received)) {
                return Err(FetchError::Short { from, digest, received });
            }
            received = received.saturating_add(count);
            writer = push(writer, chunk.bytes).await.map_err(blob_error)?;
            pace.came(count, asked.elapsed(), begun.elapsed());
            if received >= total {
                debug!(%job, %from, %digest, received, "content received");
                return Ok(writer);
            }
        }
    }

    /// Asks a node for what its failed run of this node's job left. Only that node's word stands behind it.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(crate) async fn fetch_last_words(&self, job: JobId, from: NodeId) -> Result<LastWords, FetchError> {
        let pace = Pace::new(RESULT_PATIENCE, GRACE);
        let address = LastWords::address(job, from);
        let writer = self.receive(job, from, address, MAX_LAST_WORDS_BYTES, pace).await?;
        let read = spawn_blocking(move || {
            let blob_error = |source| FetchError::Blob { from, source };
            let mut bytes = Vec::new();
            let mut file = writer.reader().map_err(blob_error)?;
            file.read_to_end(&mut bytes).map_err(|error| blob_error(BlobError::Source(error)))?;
            LastWords::decode(&bytes).map_err(|source| FetchError::LastWords { from, source })
        });
        read.await.expect("reading last words returns its errors")
    }

    async fn keep_content(
        &self,
        writer: BlobWriter,
        digest: Digest,
        holder: NodeId,
    ) -> Result<(), FetchError> {
        let content = self.shelf.content().clone();
        let kept = spawn_blocking(move || content.keep(writer, digest, holder)).await;
        let kept = kept.expect("storing content does not panic");
        kept.map(drop).map_err(|source| FetchError::Blob { from: holder, source })
    }

    /// Makes sure that a revealed result is in this node's store and is the one that was revealed.
    ///
    /// # Errors
    /// [`FetchError`]. If the node served something else, this requester also records that in the log.
    pub(crate) async fn fetch_result(
        &self,
        job: JobId,
        from: NodeId,
        opening: &Opening,
        bounds: FetchBounds,
    ) -> Result<u64, FetchError> {
        let fetched = self.fetch_checked(job, from, opening, bounds).await;
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

    async fn fetch_checked(
        &self,
        job: JobId,
        from: NodeId,
        opening: &Opening,
        bounds: FetchBounds,
    ) -> Result<u64, FetchError> {
        let (root, limit) = (opening.output_root, bounds.bytes);
        let check = |found: Compared| match found.result_hash == opening.result_hash {
            true if found.is_revealed_by(opening) => Ok(()),
            true if found.exit_code != opening.exit_code => {
                let (revealed, found) = (opening.exit_code, found.exit_code);
                Err(FetchError::OtherExitCode { from, revealed, found })
            }
            true => {
                let (revealed, found) = (opening.summary, found.summary_word());
                Err(FetchError::OtherSummary { from, revealed, found })
            }
            false => {
                let (revealed, found) = (opening.result_hash, found.result_hash);
                Err(FetchError::OtherResult { from, revealed, found })
            }
        };
        if let Ok(bytes) = self.shelf.content().length(root, from) {
            if bytes > limit {
                return Err(FetchError::Long { from, limit });
            }
            let (_dir, found) = self.unpack_result(job, from, root).await?;
            return check(found).map(|()| bytes);
        }
        let pace = Pace::new(RESULT_PATIENCE, bounds.time);
        let writer = self.receive(job, from, root, limit, pace).await.map_err(|error| match error {
            // Longer than is of use, but not than a result may be: that node did nothing wrong.
            FetchError::Blob { source: BlobError::TooLarge { .. }, .. }
                if limit < self.config.max_archive_bytes =>
            {
                FetchError::Long { from, limit }
            }
            error => error,
        })?;
        let (_, bytes) = writer.digest();
        // Checked before it is kept, since a node may name anything as its root.
        let archive = writer.reader();
        let (_dir, found) = self.unpack_archive(job, from, root, move || archive).await?;
        check(found)?;
        self.keep_content(writer, root, from).await?;
        Ok(bytes)
    }

    /// The bounds of any result: the time is what the longest archive takes at the least rate.
    pub(crate) fn result_bounds(&self) -> FetchBounds {
        let bytes = self.config.max_archive_bytes;
        FetchBounds { bytes, time: GRACE + Duration::from_secs(bytes / LEAST_BYTES_PER_SECOND) }
    }

    /// Unpacks a stored result to a directory that is removed with its handle, and returns its result hash.
    pub(crate) async fn unpack_result(
        &self,
        job: JobId,
        from: NodeId,
        root: Digest,
    ) -> Result<(TempDir, Compared), FetchError> {
        let content = self.shelf.content().clone();
        self.unpack_archive(job, from, root, move || content.open(root, from)).await
    }

    async fn unpack_archive(
        &self,
        job: JobId,
        from: NodeId,
        root: Digest,
        open: impl FnOnce() -> Result<File, BlobError> + Send + 'static,
    ) -> Result<(TempDir, Compared), FetchError> {
        let (scratch, stop) = (self.scratch(), self.stop.clone());
        let limits = Limits::with_bytes(self.config.max_archive_bytes);
        let comparison = self.board.read(job, |job| Comparison::of(job.id, &job.deal, &job.spec));
        let comparison = comparison.unwrap_or(Comparison::plain(job));
        let unpacked = spawn_blocking(move || {
            let blob_error = |source| FetchError::Blob { from, source };
            let dir = scratch_dir(&scratch).map_err(blob_error)?;
            let target = dir.path().join("result");
            let archive = Until { reader: open().map_err(blob_error)?, stop: stop.clone() };
            unpack(archive, &target, root, &limits).map_err(|source| FetchError::Unpack { from, source })?;
            let found = comparison.look(&target, &limits, &stop);
            Ok((dir, found.map_err(|source| FetchError::Result { from, source })?))
        });
        unpacked.await.expect("unpacking returns its errors")
    }

    async fn remark(&self, job: JobId, node: NodeId, what: &str) {
        if self.board.read(job, |job| job.requester) != Some(self.me.id) {
            return;
        }
        let end = (0..=MAX_REMARK_BYTES).rev().find(|end| what.is_char_boundary(*end)).unwrap_or(0);
        let remark = what.get(..end).unwrap_or(what).to_owned();
        // A remark changes nothing, so losing it loses only a line in the log.
        if let Err(error) = self.submit(job, Event::Remarked { node, remark }).await {
            debug!(%job, %error, "remark not made");
        }
    }
}

async fn push(mut writer: BlobWriter, bytes: Vec<u8>) -> Result<BlobWriter, BlobError> {
    let pushed = spawn_blocking(move || writer.push(&bytes).map(|()| writer)).await;
    pushed.expect("writing a piece does not panic")
}

/// An archive that ends reading once the node, or the run that needs it, stops. A long unpacking must not delay the stop.
#[derive(Debug)]
pub(crate) struct Until<R> {
    pub(crate) reader: R,
    pub(crate) stop: CancellationToken,
}

impl<R: Read> Read for Until<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("the run is cancelled"));
        }
        self.reader.read(bytes)
    }
}

/// A fresh directory in the node's scratch space, removed with its handle.
pub(crate) fn scratch_dir(scratch: &Path) -> Result<TempDir, BlobError> {
    std::fs::create_dir_all(scratch)
        .and_then(|()| tempfile::tempdir_in(scratch))
        .map_err(|source| BlobError::Io { path: scratch.to_owned(), source })
}
