//! The directory that a run leaves, and the hash that runs of one job are compared by.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    archive::{self, CHUNK},
    canonical::{MAX_TEXT_BYTES, canonical},
    comparison::Comparison,
    layout::{EXIT_CODE, LINKS, OUTPUTS, STDOUT},
    limits::Limits,
    tree::{self, Node, TreeError},
};
use crate::domain::{Digest, JobId};

/// In place of the length of a file, in the hash of a link.
const LINK: u64 = u64::MAX;

/// Keeps a result hash from being the hash of anything else; the number is the version of the layout.
const TAG: &[u8; 16] = b"assay result v1\0";

/// The longest exit code: ten digits, a sign and a line end.
const MAX_EXIT_CODE_BYTES: u64 = 12;

/// A directory that is no result.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// The tree holds what no result may hold, or cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A part of the result is missing, or is a directory in place of a file or the reverse.
    #[error("{path:?} is missing from the result")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file holds no exit code in its one form.
    #[error("{path:?} holds no exit code")]
    ExitCode {
        /// The file.
        path: PathBuf,
    },
}

/// The result hash of `job`, from the directory that its run left.
///
/// SHA-256 over, numbers big endian:
/// 16 bytes `assay result v1` and a zero; 32 bytes job id; 4 bytes exit code, in two's complement; 8 bytes
/// number of files; then for `stdout` and every file below `outputs/`, sorted by the bytes of their paths in
/// the result directory: 4 bytes length of the path, the path, 8 bytes length of the content, the content. A link counts
/// as a file: 4 bytes length of its path, the path, 8 bytes of ones, 4 bytes length of its target, and the target in the
/// form that archives have it.
///
/// Where the deal has masks, the text of `stdout` and of the files that the spec names is the masked one, and so is its
/// length: see [`canonical()`]. Of a deal with a summary, the summary file is not in it.
///
/// Standard error, the trace, modes and empty directories are not in it. The files are read in pieces.
///
/// # Errors
/// [`ResultError::Tree`] names a file that is no regular one, [`ResultError::Missing`] a part that is absent,
/// [`TreeError::Cancelled`] what was not read because `stop` is cancelled.
pub fn result_hash(
    job: JobId,
    result_dir: &Path,
    limits: &Limits,
    stop: &CancellationToken,
) -> Result<Digest, ResultError> {
    Ok(result_hash_by(&Comparison::plain(job), result_dir, limits, stop)?.0)
}

/// The same, without the files that the comparison leaves out, and with its texts in their canonical form; and the exit
/// code in it.
pub(super) fn result_hash_by(
    comparison: &Comparison,
    result_dir: &Path,
    limits: &Limits,
    stop: &CancellationToken,
) -> Result<(Digest, i32), ResultError> {
    let missing = |name| ResultError::Missing { path: result_dir.join(name) };
    let found = tree::walk(result_dir, limits, LINKS, stop)?;
    if found.get(OUTPUTS) != Some(&Node::Directory) {
        return Err(missing(OUTPUTS));
    }
    let files: Vec<(&str, &Node)> = found
        .iter()
        .filter(|&(path, node)| *node != Node::Directory && is_compared(path))
        .filter(|&(path, node)| !comparison.leaves_out(path, node))
        .map(|(path, node)| (path.as_str(), node))
        .collect();
    if !files.iter().any(|&(path, _)| path == STDOUT) {
        return Err(missing(STDOUT));
    }
    let exit_code = found.get(EXIT_CODE).ok_or_else(|| missing(EXIT_CODE))?;
    let exit_code = read_exit_code(&result_dir.join(EXIT_CODE), exit_code)?;

    let mut hasher = begin(comparison.job, exit_code, files.len() as u64);
    for (path, node) in files {
        tree::go_on(&result_dir.join(path), stop)?;
        if let Node::Link { target } = node {
            announce(&mut hasher, path, LINK);
            let length =
                u32::try_from(target.len()).expect("a target is no longer than a path and its way up");
            hasher.update(length.to_be_bytes());
            hasher.update(target);
            continue;
        }
        let full = result_dir.join(path);
        let (file, length) = tree::open(&full, node)?;
        let masks = comparison.masks(path);
        if !masks.is_none() && length <= MAX_TEXT_BYTES {
            let mut text = Vec::new();
            let read = file.take(length.saturating_add(1)).read_to_end(&mut text);
            let count = read.map_err(|source| TreeError::Io { path: full.clone(), source })?;
            if count as u64 != length {
                return Err(TreeError::Changed { path: full }.into());
            }
            let text = canonical(masks, &text);
            announce(&mut hasher, path, text.len() as u64);
            hasher.update(text);
            continue;
        }
        announce(&mut hasher, path, length);
        if hash_content(file, length, &full, &mut hasher, stop)? != length {
            return Err(TreeError::Changed { path: full }.into());
        }
    }
    Ok((Digest::new(hasher.finalize().into()), exit_code))
}

/// The result hash of a run that brought nothing: no standard output and no file in `/outputs`.
pub fn empty_result_hash(job: JobId, exit_code: i32) -> Digest {
    output_hash(job, exit_code, &[])
}

/// The result hash of a run that printed `stdout` and left no file in `/outputs`, without masks: what a contract that asked
/// for a result computes again.
pub fn output_hash(job: JobId, exit_code: i32, stdout: &[u8]) -> Digest {
    let mut hasher = begin(job, exit_code, 1);
    announce(&mut hasher, STDOUT, stdout.len() as u64);
    hasher.update(stdout);
    Digest::new(hasher.finalize().into())
}

fn begin(job: JobId, exit_code: i32, files: u64) -> Sha256 {
    let mut hasher = Sha256::new();
    hasher.update(TAG);
    hasher.update(job.as_bytes());
    hasher.update(exit_code.to_be_bytes());
    hasher.update(files.to_be_bytes());
    hasher
}

/// What of a file precedes its content.
fn announce(hasher: &mut Sha256, path: &str, length: u64) {
    let path_length = u32::try_from(path.len()).expect("the limits of depth and name bound a path");
    hasher.update(path_length.to_be_bytes());
    hasher.update(path);
    hasher.update(length.to_be_bytes());
}

pub(super) fn is_compared(path: &str) -> bool {
    path == STDOUT || path.strip_prefix(OUTPUTS).is_some_and(|rest| rest.starts_with('/'))
}

/// Hashes a file, and counts one byte more than `length` if it has grown.
pub(super) fn hash_content(
    file: File,
    length: u64,
    path: &Path,
    hasher: &mut Sha256,
    stop: &CancellationToken,
) -> Result<u64, TreeError> {
    let mut file = file.take(length.saturating_add(1));
    let mut chunk = vec![0; CHUNK];
    let mut count = 0;
    loop {
        let bytes = archive::read(&mut file, &mut chunk, path)?;
        if bytes.is_empty() {
            return Ok(count);
        }
        tree::go_on(path, stop)?;
        hasher.update(bytes);
        count += bytes.len() as u64;
    }
}

fn read_exit_code(path: &Path, node: &Node) -> Result<i32, ResultError> {
    let io_error = |source| TreeError::Io { path: path.to_owned(), source };
    let bad = || ResultError::ExitCode { path: path.to_owned() };
    if *node == Node::Directory {
        return Err(bad());
    }
    let (file, _) = tree::open(path, node)?;
    let mut bytes = Vec::new();
    file.take(MAX_EXIT_CODE_BYTES + 1).read_to_end(&mut bytes).map_err(io_error)?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let code: i32 = text.strip_suffix('\n').and_then(|text| text.parse().ok()).ok_or_else(bad)?;
    // One spelling: no plus, no leading zeros.
    if format!("{code}\n") == text { Ok(code) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::store::{STDERR, TRACE};

    const LIMITS: Limits = Limits::with_bytes(1 << 20);

    fn job() -> JobId {
        JobId::new([7; 32])
    }

    fn result() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STDOUT), "hello\n").unwrap();
        fs::write(dir.path().join(STDERR), "noise").unwrap();
        fs::write(dir.path().join(EXIT_CODE), "3\n").unwrap();
        fs::write(dir.path().join(TRACE), "t_ms,rss_kib\n").unwrap();
        fs::create_dir_all(dir.path().join("outputs/sub/empty")).unwrap();
        fs::write(dir.path().join("outputs/sub/x"), "x").unwrap();
        fs::write(dir.path().join("outputs/sub-y"), "").unwrap();
        dir
    }

    fn hash(dir: &tempfile::TempDir) -> Digest {
        result_hash(job(), dir.path(), &LIMITS, &CancellationToken::new()).unwrap()
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut bytes = b"assay result v1\0".to_vec();
        bytes.extend([7; 32]);
        bytes.extend([0, 0, 0, 3]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 3]);
        for (path, content) in [("outputs/sub-y", ""), ("outputs/sub/x", "x"), ("stdout", "hello\n")] {
            bytes.extend([0, 0, 0, u8::try_from(path.len()).unwrap()]);
            bytes.extend(path.as_bytes());
            bytes.extend([0, 0, 0, 0, 0, 0, 0, u8::try_from(content.len()).unwrap()]);
            bytes.extend(content.as_bytes());
        }
        assert_eq!(hash(&result()), Digest::sha256(bytes));
    }

    /// Calculated by Python's `hashlib` over the documented layout.
    #[test]
    fn the_golden_hash_holds() {
        assert_eq!(
            hash(&result()).to_string(),
            "0xc961f3cc44390ffd7ce3a04e1590ba7e690a439dd7645738fb9396c8ebc40b1a"
        );
    }

    #[test]
    fn a_result_that_holds_nothing_has_the_empty_hash() {
        let dir = result();
        fs::remove_dir_all(dir.path().join(OUTPUTS)).unwrap();
        fs::create_dir_all(dir.path().join("outputs/empty")).unwrap();
        fs::write(dir.path().join(STDOUT), "").unwrap();
        assert_eq!(hash(&dir), empty_result_hash(job(), 3));
        assert_ne!(hash(&dir), empty_result_hash(job(), 0));
        fs::write(dir.path().join("outputs/file"), "").unwrap();
        assert_ne!(hash(&dir), empty_result_hash(job(), 3), "an empty file is something");
    }

    #[test]
    fn what_is_not_compared_changes_nothing() {
        let dir = result();
        let before = hash(&dir);
        fs::write(dir.path().join(STDERR), "other noise").unwrap();
        fs::write(dir.path().join(TRACE), "").unwrap();
        fs::remove_dir(dir.path().join("outputs/sub/empty")).unwrap();
        assert_eq!(hash(&dir), before);
    }

    #[test]
    fn whatever_is_compared_changes_the_hash() {
        let original = hash(&result());
        let changes: [fn(&Path); 6] = [
            |dir| fs::write(dir.join(STDOUT), "hello").unwrap(),
            |dir| fs::write(dir.join(EXIT_CODE), "-3\n").unwrap(),
            |dir| fs::write(dir.join("outputs/sub/x"), "y").unwrap(),
            |dir| fs::remove_file(dir.join("outputs/sub-y")).unwrap(),
            |dir| fs::write(dir.join("outputs/new"), "").unwrap(),
            |dir| fs::rename(dir.join("outputs/sub/x"), dir.join("outputs/sub/z")).unwrap(),
        ];
        for change in changes {
            let dir = result();
            change(dir.path());
            assert_ne!(hash(&dir), original);
        }
        assert_ne!(
            result_hash(JobId::new([8; 32]), result().path(), &LIMITS, &CancellationToken::new()).unwrap(),
            original
        );
    }

    #[test]
    fn a_link_inside_the_outputs_counts_by_its_target() {
        let dir = result();
        symlink("/outputs/sub/x", dir.path().join("outputs/link")).unwrap();
        let mut bytes = b"assay result v1\0".to_vec();
        bytes.extend([7; 32]);
        bytes.extend([0, 0, 0, 3]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 4]);
        bytes.extend(b"\0\0\0\x0coutputs/link\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x05sub/x");
        for (path, content) in [("outputs/sub-y", ""), ("outputs/sub/x", "x"), ("stdout", "hello\n")] {
            bytes.extend([0, 0, 0, u8::try_from(path.len()).unwrap()]);
            bytes.extend(path.as_bytes());
            bytes.extend([0, 0, 0, 0, 0, 0, 0, u8::try_from(content.len()).unwrap()]);
            bytes.extend(content.as_bytes());
        }
        assert_eq!(hash(&dir), Digest::sha256(bytes));
        fs::remove_file(dir.path().join("outputs/link")).unwrap();
        symlink("./sub//x", dir.path().join("outputs/link")).unwrap();
        let relative = hash(&dir);
        fs::remove_file(dir.path().join("outputs/link")).unwrap();
        fs::write(dir.path().join("outputs/link"), "sub/x").unwrap();
        assert_ne!(hash(&dir), relative, "a file with the text of a target is no link");
    }

    #[test]
    fn a_link_out_of_the_outputs_is_refused_with_its_path() {
        for target in ["/etc/passwd", "../stdout", "sub/../../stdout"] {
            let dir = result();
            symlink(target, dir.path().join("outputs/link")).unwrap();
            let err = result_hash(job(), dir.path(), &LIMITS, &CancellationToken::new()).unwrap_err();
            let ResultError::Tree(TreeError::LinkOut { path, .. }) = err else { panic!("{err}") };
            assert_eq!(path, dir.path().join("outputs/link"));
        }
        let dir = result();
        fs::remove_file(dir.path().join(STDOUT)).unwrap();
        symlink(STDERR, dir.path().join(STDOUT)).unwrap();
        let err = result_hash(job(), dir.path(), &LIMITS, &CancellationToken::new()).unwrap_err();
        assert!(matches!(err, ResultError::Tree(TreeError::UnsupportedFile { .. })), "{err}");
    }

    #[test]
    fn a_part_that_is_missing_is_named() {
        for part in [STDOUT, EXIT_CODE, OUTPUTS] {
            let dir = result();
            let path = dir.path().join(part);
            if part == OUTPUTS { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
            let err = result_hash(job(), dir.path(), &LIMITS, &CancellationToken::new()).unwrap_err();
            assert!(matches!(err, ResultError::Missing { path: named } if named == path));
        }
    }

    #[test]
    fn an_exit_code_has_one_spelling() {
        for text in
            ["", "3", "+3\n", "03\n", "3 \n", "3\n\n", "-0\n", "2147483648\n", "\u{ff13}\n", "three\n"]
        {
            let dir = result();
            fs::write(dir.path().join(EXIT_CODE), text).unwrap();
            let err = result_hash(job(), dir.path(), &LIMITS, &CancellationToken::new()).unwrap_err();
            assert!(matches!(err, ResultError::ExitCode { .. }), "{text:?}");
        }
    }

    /// A cancelled run ends within the node's grace: so reading stops at the next entry, of however many.
    #[test]
    fn a_result_of_25_000_deep_directories_is_read_no_further_once_nobody_wants_it() {
        let dir = result();
        let limits = Limits::with_bytes(1 << 30);
        for branch in 0..1_000 {
            let deep = ["d"; 24].join("/");
            fs::create_dir_all(dir.path().join(format!("outputs/{branch}/{deep}"))).unwrap();
        }
        let (stop, mut archive) = (CancellationToken::new(), Stopping::default());
        archive::pack_result(dir.path(), &mut archive, &limits, &stop).unwrap();
        let whole = archive.entries;
        assert!(whole > 25_000, "{whole}");
        // In the middle of packing.
        let mut archive = Stopping { entries: 0, at: Some((100, stop.clone())) };
        let cut = archive::pack_result(dir.path(), &mut archive, &limits, &stop).unwrap_err();
        assert!(matches!(cut, archive::PackError::Tree(TreeError::Cancelled { .. })), "{cut}");
        assert_eq!(archive.entries, 100);
        // And before the walk: nothing at all is read.
        let cut = result_hash(job(), dir.path(), &limits, &stop).unwrap_err();
        let ResultError::Tree(TreeError::Cancelled { path }) = cut else { panic!("{cut}") };
        assert_eq!(path.parent(), Some(dir.path()));
    }

    /// Counts the pieces that are written, and cancels after some.
    #[derive(Default)]
    struct Stopping {
        entries: usize,
        at: Option<(usize, CancellationToken)>,
    }

    impl std::io::Write for Stopping {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.entries += 1;
            if let Some((_, stop)) = self.at.as_ref().filter(|(at, _)| *at == self.entries) {
                stop.cancel();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
