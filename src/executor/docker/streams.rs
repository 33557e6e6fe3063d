//! Keeps what a container prints: all of it, or the run has no result.

use std::path::Path;

use bollard::{container::LogOutput, errors::Error};
use futures::{Stream, StreamExt as _};
use tokio::{fs::File, io::AsyncWriteExt as _};

use super::super::{ExecutorError, OutputPlace};

/// The most bytes of stdout, and the most of stderr. Large results belong in `/outputs`.
///
/// stdout is part of the result hash, so output over the limit fails the run on every node alike. Cutting it would make
/// different outputs equal. stderr has the same limit, so that there is one rule.
pub const MAX_STREAM_BYTES: u64 = 16 << 20;

struct Capture {
    file: File,
    path: std::path::PathBuf,
    place: OutputPlace,
    bytes: u64,
}

/// Creates `stdout` and `stderr` in `dir` and fills them until the container's streams end.
///
/// # Errors
/// [`ExecutorError::Disk`] when a stream passes [`MAX_STREAM_BYTES`]. The caller must then stop the container.
pub(super) async fn capture(
    mut output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
    dir: &Path,
) -> Result<(), ExecutorError> {
    let (mut stdout, mut stderr) =
        (Capture::create(dir, OutputPlace::Stdout).await?, Capture::create(dir, OutputPlace::Stderr).await?);
    while let Some(chunk) = output.next().await {
        match chunk {
            Ok(LogOutput::StdOut { message }) => stdout.append(&message).await?,
            Ok(LogOutput::StdErr { message }) => stderr.append(&message).await?,
            // Nothing is attached to stdin.
            Ok(LogOutput::StdIn { .. }) => {}
            // There is no terminal, so no console: the client library uses this for half a frame, where a stream was cut.
            Ok(LogOutput::Console { .. }) | Err(_) => {
                return Err(ExecutorError::Lost { operation: "pass on the container's output" });
            }
        }
    }
    stdout.close().await?;
    stderr.close().await
}

impl Capture {
    async fn create(dir: &Path, place: OutputPlace) -> Result<Self, ExecutorError> {
        let path = dir.join(place.to_string());
        match File::create(&path).await {
            Ok(file) => Ok(Self { file, path, place, bytes: 0 }),
            Err(source) => Err(ExecutorError::ResultDir { path, source }),
        }
    }

    async fn append(&mut self, message: &[u8]) -> Result<(), ExecutorError> {
        self.bytes = self.bytes.saturating_add(u64::try_from(message.len()).unwrap_or(u64::MAX));
        if self.bytes > MAX_STREAM_BYTES {
            return Err(ExecutorError::Disk { place: self.place, limit_bytes: MAX_STREAM_BYTES });
        }
        // Flushed at once: the output of a stopped run is useful to its requester.
        let written = async {
            self.file.write_all(message).await?;
            self.file.flush().await
        };
        let written = written.await;
        written.map_err(|source| ExecutorError::ResultDir { path: self.path.clone(), source })
    }

    async fn close(mut self) -> Result<(), ExecutorError> {
        self.file.flush().await.map_err(|source| ExecutorError::ResultDir { path: self.path, source })
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn stdout(message: Vec<u8>) -> Result<LogOutput, Error> {
        Ok(LogOutput::StdOut { message: message.into() })
    }

    #[tokio::test]
    async fn the_streams_are_kept_apart_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let stderr = Ok(LogOutput::StdErr { message: "oops".into() });
        let output = stream::iter([stdout(b"one ".to_vec()), stderr, stdout(b"two".to_vec())]);
        capture(output, dir.path()).await.unwrap();
        assert_eq!(std::fs::read(dir.path().join("stdout")).unwrap(), b"one two");
        assert_eq!(std::fs::read(dir.path().join("stderr")).unwrap(), b"oops");
    }

    #[tokio::test]
    async fn a_stream_that_is_cut_in_a_frame_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let half = Ok(LogOutput::Console { message: "\u{1}half".into() });
        let cut = capture(stream::iter([stdout(b"whole".to_vec()), half]), dir.path()).await;
        assert!(matches!(cut, Err(ExecutorError::Lost { .. })), "{cut:?}");
    }

    #[tokio::test]
    async fn an_output_at_the_limit_is_kept_and_one_byte_more_is_a_disk_failure() {
        let dir = tempfile::tempdir().unwrap();
        let full = || stdout(vec![b'x'; usize::try_from(MAX_STREAM_BYTES).unwrap()]);
        capture(stream::iter([full()]), dir.path()).await.unwrap();
        let over = capture(stream::iter([full(), stdout(vec![b'x'])]), dir.path()).await;
        assert!(matches!(over, Err(ExecutorError::Disk { place: OutputPlace::Stdout, .. })), "{over:?}");
    }
}
