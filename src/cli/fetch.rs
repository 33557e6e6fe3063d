//! Bringing a node's result here, and checking that it is the one that the node committed to.

use std::{
    io::{Seek as _, SeekFrom},
    path::Path,
};

use super::{
    CliError,
    client::{Client, ClientError},
};
use crate::{
    api::types::{JobView, ResultView, SeatView},
    domain::{Digest, NodeId},
    executor::MAX_STREAM_BYTES,
    store::{self, Limits, ResultError, UnpackError},
};

/// What an archive holds beside `/outputs` and the two streams: the trace, names and padding.
const ARCHIVE_MARGIN_BYTES: u64 = 64 << 20;

/// Why a result that came is not the one that was committed to, or is nowhere.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The archive is malformed, or another than the log names.
    #[error("it is not the archive that the log names")]
    Archive(#[from] UnpackError),
    /// The unpacked result cannot be read.
    #[error("it cannot be read")]
    Read(#[from] ResultError),
    /// The archive is the one that was named, but its content is not what nodes were compared by.
    #[error("it was compared by the hash {claimed}, but hashes to {found}")]
    Hash {
        /// In the log.
        claimed: Digest,
        /// Here.
        found: Digest,
    },
    /// The node never revealed a result.
    #[error("the node revealed no result")]
    Nothing,
}

/// Fetches the result of one seat into `dest`, which must not exist or be empty: checks the archive against
/// the root in the log, then its content against the hash that nodes were compared by.
pub(super) async fn fetch(
    client: &Client,
    view: &JobView,
    seat: &SeatView,
    dest: &Path,
) -> Result<(), CliError> {
    let wrong = |source| match source {
        // This machine's disk is not the node's fault.
        FetchError::Archive(UnpackError::Write { path, source }) => {
            CliError::File { doing: "write the result to", path, source }
        }
        source => CliError::Fetch { job: view.job, node: seat.node, source },
    };
    let result = seat.result.ok_or(FetchError::Nothing).map_err(wrong)?;
    let limits = limits(view);
    let archive = download(client, view, seat.node, limits.bytes).await;
    let archive = archive.map_err(CliError::node(format!(
        "fetch the result of node {} in job {}",
        seat.node.short(),
        view.job.short()
    )))?;
    let (job, dest) = (view.job, dest.to_owned());
    let checked = tokio::task::spawn_blocking(move || {
        store::unpack(archive, &dest, result.output_root, &limits)?;
        let found = store::result_hash(job, &dest, &limits)?;
        same_hash(&result, found)
    });
    checked.await.expect("unpacking does not panic").map_err(wrong)
}

fn limits(view: &JobView) -> Limits {
    let outputs = view.spec.resources.disk_bytes;
    Limits::with_bytes(outputs.saturating_add(2 * MAX_STREAM_BYTES).saturating_add(ARCHIVE_MARGIN_BYTES))
}

fn same_hash(result: &ResultView, found: Digest) -> Result<(), FetchError> {
    if found == result.result_hash {
        Ok(())
    } else {
        Err(FetchError::Hash { claimed: result.result_hash, found })
    }
}

async fn download(
    client: &Client,
    view: &JobView,
    node: NodeId,
    limit: u64,
) -> Result<std::fs::File, ClientError> {
    let mut file = tempfile::tempfile()?;
    client.archive(&view.job.to_string(), node).await?.save(&mut file, limit).await?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}
