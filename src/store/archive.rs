//! The canonical archive of a directory or a file: the same content gives the same bytes, on every machine.
//!
//! It is a GNU tar that any `tar` reads, with one encoding of each content: all regular files, directories and
//! symbolic links below the root, the empty ones too, each directory named before what is in it; sorted by the bytes
//! of their relative UTF-8 paths; owner 0:0 without names, time 0, mode 0755 for directories and what its owner may
//! execute, 0777 for links, else 0644; a target, and then a path, of more than 100 bytes each in one `././@LongLink`
//! entry; two zero blocks at the end and nothing after. A link stays inside the tree, and its target has the form
//! that [`super::tree`] gives it. A file with several names is one file for each of them. [`super::unpack()`] refuses
//! any deviation, so the digest of an archive is a digest of its content.
//!
//! A single file is the archive of a directory with that one file in it, always under the name [`FILE`]: the same
//! content has the same digest, whatever it is called.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};
use tokio_util::sync::CancellationToken;

use super::{
    layout::LINKS,
    limits::Limits,
    tree::{self, Links, Node, TreeError},
};
use crate::domain::{Digest, InputKind};

/// What a tar file is made of: everything is padded to this many bytes.
pub(super) const BLOCK: usize = 512;

/// Longest path or target that fits a header; a longer one precedes it in an entry of its own.
const HEADER_PATH_BYTES: usize = 100;

/// The name of the entry that holds a long path or target.
const LONG_PATH: &[u8] = b"././@LongLink";

/// How much is read and written at a time.
pub(super) const CHUNK: usize = 64 * 1024;

/// The name that a single file has in its archive.
pub const FILE: &str = "file";

/// What [`pack`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Whether the source was a directory or one file.
    pub kind: InputKind,
    /// SHA-256 of the archive.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Content that does not become an archive.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The tree holds what cannot be sent, or cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The archive would be longer than allowed.
    #[error("the archive of {path:?} would have more than {limit} bytes")]
    TooLarge {
        /// The source.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
}

/// Writes the archive of a directory's content, or of one file, to `out`.
///
/// A link at `source` itself is followed, since the caller named it; those below it are kept if they stay below it.
///
/// # Errors
/// [`PackError::Tree`] with the path of what is no regular file or directory, or breaks another limit;
/// [`PackError::TooLarge`]. What was written until then is worthless.
pub fn pack(source: &Path, out: &mut impl Write, limits: &Limits) -> Result<Packed, PackError> {
    pack_with(source, out, limits, Links::Inside, &CancellationToken::new())
}

/// Writes the archive of the directory that a run left: there, links stay below `outputs/`.
///
/// # Errors
/// As [`pack`]; [`TreeError::Cancelled`] soon after `stop` is cancelled.
pub fn pack_result(
    result_dir: &Path,
    out: &mut impl Write,
    limits: &Limits,
    stop: &CancellationToken,
) -> Result<Packed, PackError> {
    pack_with(result_dir, out, limits, LINKS, stop)
}

fn pack_with(
    source: &Path,
    out: &mut impl Write,
    limits: &Limits,
    links: Links<'_>,
    stop: &CancellationToken,
) -> Result<Packed, PackError> {
    let metadata =
        fs::metadata(source).map_err(|err| TreeError::Io { path: source.to_owned(), source: err })?;
    let mut sink = Sink { out, hasher: Sha256::new(), written: 0, limit: limits.bytes, source, stop };
    let kind = if metadata.is_dir() {
        for (path, node) in tree::walk(source, limits, links, stop)? {
            sink.entry(&path, &node, &source.join(&path))?;
        }
        InputKind::Directory
    } else {
        sink.entry(FILE, &Node::of(source, &metadata)?, source)?;
        InputKind::File
    };
    sink.write(&[0; 2 * BLOCK])?;
    let digest = Digest::new(sink.hasher.finalize().into());
    Ok(Packed { kind, digest, bytes: sink.written })
}

/// Whether a canonical archive of `bytes` bytes that begins with `head` is that of a single file: its one entry takes
/// the whole length. 512 bytes of it are enough.
pub fn is_of_one_file(head: &[u8], bytes: u64) -> bool {
    let Some(block) = head.get(..BLOCK) else { return false };
    let header = Header::from_byte_slice(block);
    let Ok(length) = header.entry_size() else { return false };
    let heads = |executable| entry_head(FILE, &Kind::File { executable, length });
    let is_file = [true, false].into_iter().any(|executable| heads(executable) == block);
    let whole = length.checked_add(padding(length) as u64 + 3 * BLOCK as u64);
    is_file && whole == Some(bytes)
}

struct Sink<'a, W> {
    out: &'a mut W,
    hasher: Sha256,
    written: u64,
    limit: u64,
    source: &'a Path,
    stop: &'a CancellationToken,
}

impl<W: Write> Sink<'_, W> {
    fn entry(&mut self, path: &str, node: &Node, full: &Path) -> Result<(), PackError> {
        tree::go_on(full, self.stop)?;
        let executable = match node {
            Node::Directory => return self.write(&entry_head(path, &Kind::Directory)),
            Node::Link { target } => {
                return self.write(&entry_head(path, &Kind::Link { target: target.clone() }));
            }
            Node::File { executable, .. } => *executable,
        };
        let (file, length) = tree::open(full, node)?;
        // Said before the first byte of a file that cannot fit.
        if length > self.limit.saturating_sub(self.written) {
            return Err(self.too_large());
        }
        self.write(&entry_head(path, &Kind::File { executable, length }))?;
        let changed = || TreeError::Changed { path: full.to_owned() };
        let mut copied = 0;
        // One byte more than it should have, to notice that it has grown.
        let mut file = file.take(length.saturating_add(1));
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = read(&mut file, &mut chunk, full)?;
            if count.is_empty() {
                break;
            }
            tree::go_on(full, self.stop)?;
            copied += count.len() as u64;
            if copied > length {
                return Err(changed().into());
            }
            self.write(count)?;
        }
        if copied < length {
            return Err(changed().into());
        }
        self.write(&[0; BLOCK][..padding(length)])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return Err(self.too_large());
        }
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(PackError::Write)
    }

    fn too_large(&self) -> PackError {
        PackError::TooLarge { path: self.source.to_owned(), limit: self.limit }
    }
}

/// The next bytes of `file`, as many as fit; none at its end.
pub(super) fn read<'a>(
    file: &mut impl Read,
    chunk: &'a mut [u8],
    path: &Path,
) -> Result<&'a [u8], TreeError> {
    loop {
        match file.read(chunk) {
            Ok(count) => return Ok(&chunk[..count]),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(TreeError::Io { path: path.to_owned(), source }),
        }
    }
}

/// The kinds of entry that an archive has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { executable: bool, length: u64 },
    Link { target: String },
}

/// Everything of an entry that precedes its content: the only form there is of it.
pub(super) fn entry_head(path: &str, kind: &Kind) -> Vec<u8> {
    let mut name = path.as_bytes().to_vec();
    let (entry_type, mode, length, target) = match kind {
        Kind::Directory => (EntryType::Directory, 0o755, 0, ""),
        Kind::File { executable: true, length } => (EntryType::Regular, 0o755, *length, ""),
        Kind::File { executable: false, length } => (EntryType::Regular, 0o644, *length, ""),
        Kind::Link { target } => (EntryType::Symlink, 0o777, 0, target.as_str()),
    };
    if *kind == Kind::Directory {
        name.push(b'/');
    }
    let mut head = Vec::with_capacity(BLOCK);
    for (text, entry_type) in [(target.as_bytes(), EntryType::GNULongLink), (&name, EntryType::GNULongName)] {
        if text.len() > HEADER_PATH_BYTES {
            let with_nul = text.len() as u64 + 1;
            head.extend_from_slice(header(LONG_PATH, entry_type, 0, with_nul, b"").as_bytes());
            head.extend_from_slice(text);
            head.resize(head.len() + 1 + padding(with_nul), 0);
        }
    }
    head.extend_from_slice(header(&name, entry_type, mode, length, target.as_bytes()).as_bytes());
    head
}

fn header(name: &[u8], entry_type: EntryType, mode: u32, length: u64, target: &[u8]) -> Header {
    let mut header = Header::new_gnu();
    let shown = name.len().min(HEADER_PATH_BYTES);
    header.as_old_mut().name[..shown].copy_from_slice(&name[..shown]);
    let shown = target.len().min(HEADER_PATH_BYTES);
    header.as_old_mut().linkname[..shown].copy_from_slice(&target[..shown]);
    header.set_entry_type(entry_type);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(length);
    seal(&mut header);
    header
}

/// Sets the checksum in the traditional spelling of six digits, a NUL and a space, as other tars do.
pub(super) fn seal(header: &mut Header) {
    header.as_old_mut().cksum = [b' '; 8];
    let sum: u32 = header.as_bytes().iter().copied().map(u32::from).sum();
    header.as_old_mut().cksum.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// How many zeros follow content of this length.
pub(super) fn padding(length: u64) -> usize {
    let rest = usize::try_from(length % BLOCK as u64).expect("less than a block");
    (BLOCK - rest) % BLOCK
}
