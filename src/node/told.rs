//! What the requester of a failed run hears about the reason.
//!
//! The requester may be anybody. It hears what the job itself did or lacked. What lies on this machine or in its network stays
//! in this node's own log: paths, how full its disk is, and all that the node saw where a URL led it. Otherwise a job could
//! name `file:///..` or a private address with any hash, and learn the real length or hash from the failure.

use super::{fetch::FetchError, transfer::TransferError, work_error::WorkError};
use crate::{
    executor::ExecutorError,
    explain::one_line,
    store::{BlobError, PackError, ResultError, UnpackError},
};

/// Why a run failed, as far as its requester may know.
pub(super) fn reason_for_requester(error: &WorkError) -> String {
    // One sentence, whether the executor, the store or the database met the limit.
    if error.is_of_full_node() {
        return ExecutorError::NodeFull.to_string();
    }
    let is_told_whole = match error {
        // One sentence whatever went wrong, or its kind would tell what is there.
        WorkError::Url { url, .. } => {
            return format!("the input at {url} did not come, or is another than the job names");
        }
        WorkError::Input(error) => is_of_requester(error),
        WorkError::Unpack(error) => is_of_archive(error),
        WorkError::Executor(error) => is_of_run(error),
        WorkError::Pack(PackError::TooLarge { .. }) => true,
        WorkError::Pack(PackError::Tree(error)) | WorkError::Result(ResultError::Tree(error)) => {
            error.is_fault_of_tree()
        }
        WorkError::NotOneFile { .. } => true,
        WorkError::Copy(_)
        | WorkError::Pack(_)
        | WorkError::Blob(_)
        | WorkError::Result(_)
        | WorkError::Execution(_)
        | WorkError::Randomness(_) => false,
    };
    // The first line of each is a fixed sentence about the step that failed.
    if is_told_whole { one_line(error) } else { error.to_string() }
}

/// Whether the requester did not send what it announced. What the network said of the way there is not for it.
const fn is_of_requester(error: &FetchError) -> bool {
    match error {
        FetchError::Transfer(TransferError::Refused { .. })
        | FetchError::Blob { source: BlobError::Mismatch { .. } | BlobError::TooLarge { .. }, .. }
        | FetchError::Slow { .. }
        | FetchError::Short { .. } => true,
        FetchError::Unpack { source, .. } => is_of_archive(source),
        FetchError::Transfer(TransferError::Unreachable { .. })
        | FetchError::Blob { .. }
        | FetchError::Long { .. }
        | FetchError::Result { .. }
        | FetchError::LastWords { .. }
        | FetchError::OtherResult { .. }
        | FetchError::OtherExitCode { .. }
        | FetchError::OtherSummary { .. } => false,
    }
}

/// Whether the archive of an input is at fault, and not the disk that it is read from or written to.
const fn is_of_archive(error: &UnpackError) -> bool {
    !matches!(error, UnpackError::Read(_) | UnpackError::Write { .. })
}

/// Whether the job or its image is at fault, and not this machine.
const fn is_of_run(error: &ExecutorError) -> bool {
    match error {
        ExecutorError::NoCommand
        | ExecutorError::WorkingDirectory { .. }
        | ExecutorError::Unstartable { .. }
        | ExecutorError::Timeout { .. }
        | ExecutorError::Memory { .. }
        | ExecutorError::Killed
        | ExecutorError::Disk { .. }
        | ExecutorError::Files { .. }
        | ExecutorError::NodeFull
        | ExecutorError::Outputs { .. } => true,
        ExecutorError::Unreachable { .. }
        | ExecutorError::Engine { .. }
        | ExecutorError::Lost { .. }
        | ExecutorError::Randomness { .. }
        | ExecutorError::TooSmall { .. }
        | ExecutorError::ImageMissing { .. }
        | ExecutorError::ImageName { .. }
        | ExecutorError::RegistryNotAsked { .. }
        | ExecutorError::Platform { .. }
        | ExecutorError::NotBuiltFor { .. }
        | ExecutorError::OtherMachine { .. }
        | ExecutorError::NoScratch { .. }
        | ExecutorError::Unpinned { .. }
        | ExecutorError::Unseedable { .. }
        | ExecutorError::ImageUser { .. }
        | ExecutorError::Input { .. }
        | ExecutorError::ResultDir { .. }
        | ExecutorError::Interrupted => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use super::*;
    use crate::{
        domain::{Digest, NodeId, Span},
        node::url::UrlError,
    };

    #[test]
    fn nothing_that_a_node_saw_at_a_url_is_told() {
        let asked = "https://example.org/a";
        let url = || "http://10.0.0.7/secret".to_owned();
        let (expected, found) = (Digest::sha256("said"), Digest::sha256("there"));
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let (reason, after) = ("refused".to_owned(), Duration::from_secs(77));
        let errors = [
            UrlError::Hash { url: url(), expected, found },
            UrlError::Length { url: url(), found: 4711, expected: 1 },
            UrlError::Longer { url: url(), expected: 1 },
            UrlError::TooLong { url: url(), most: 1 },
            UrlError::Address { url: url(), address: [10, 0, 0, 7].into() },
            UrlError::Status { url: url(), status: 403 },
            UrlError::Scheme { url: url(), scheme: "file".to_owned() },
            UrlError::Unknown { url: url(), scheme: "ftp".to_owned() },
            UrlError::LeadsOff { url: url(), scheme: "ftp".to_owned() },
            UrlError::Malformed { url: url(), reason: reason.clone() },
            UrlError::Resolve { url: url(), reason: reason.clone() },
            UrlError::Unreachable { url: url(), reason: reason.clone() },
            UrlError::Redirects { url: url() },
            UrlError::Cut { url: url(), received: 4711, reason },
            UrlError::Slow { url: url(), received: 4711, after },
            UrlError::File { url: url(), source: denied() },
            UrlError::Store { url: url(), source: BlobError::Source(denied()) },
        ];
        for source in errors {
            let told =
                reason_for_requester(&WorkError::Url { url: asked.to_owned(), source: Box::new(source) });
            assert_eq!(
                told,
                "the input at https://example.org/a did not come, or is another than the job names"
            );
        }
    }

    #[test]
    fn where_a_node_keeps_its_files_and_how_full_its_disk_is_are_not_told() {
        let (from, path) = (NodeId::new([7; 20]), "/home/alice/assay/x");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let broken = || io::Error::other("bad sector 4711");
        let blob = |source| BlobError::Io { path: path.into(), source };
        let unreachable = TransferError::Unreachable { from, reason: "dialing 10.0.0.7:4711".to_owned() };
        for (error, said) in [
            (WorkError::Blob(BlobError::Full { used: 4711, cap: 4712 }), "nearly full"),
            (WorkError::Blob(blob(full())), "nearly full"),
            (WorkError::Copy(full()), "nearly full"),
            (WorkError::Input(FetchError::Blob { from, source: blob(broken()) }), "cannot get an input"),
            (WorkError::Input(FetchError::Transfer(unreachable)), "cannot get an input"),
            (WorkError::Unpack(UnpackError::Write { path: path.into(), source: broken() }), "cannot unpack"),
            (
                WorkError::Executor(ExecutorError::Input { path: path.into(), source: broken() }),
                "the run gave no result",
            ),
        ] {
            let told = reason_for_requester(&error);
            assert!(told.contains(said), "{told}");
            assert!(!["alice", "10.0.0.7", "471"].iter().any(|secret| told.contains(secret)), "{told}");
        }
    }

    #[test]
    fn what_the_job_itself_did_or_lacked_is_told() {
        let limit = Span::from_secs(60);
        for (error, said) in [
            (WorkError::Executor(ExecutorError::Timeout { limit }), "did not end within"),
            (
                WorkError::Executor(ExecutorError::Unstartable { reason: "no such program: x".to_owned() }),
                "no such program: x",
            ),
            (WorkError::Unpack(UnpackError::Truncated { offset: 512 }), "cut off after 512 bytes"),
            (WorkError::NotOneFile { target: "/in".to_owned() }, "/in"),
        ] {
            let told = reason_for_requester(&error);
            assert!(told.contains(said), "{told}");
        }
    }
}
