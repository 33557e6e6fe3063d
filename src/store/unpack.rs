//! Unpacks an archive that a stranger may have made. Refuses one that is not canonical or has another digest. Nothing
//! appears at the destination before all of it is checked.
//!
//! Each header is decoded and encoded again by [`super::archive`]; the bytes must be equal. So tar's oddities need no
//! list: hard links, sparse files, extended headers and other spellings all differ from the one known form.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::{
    archive::{BLOCK, CHUNK, Kind, entry_head, padding},
    limits::Limits,
    tree::link_target,
};
use crate::domain::Digest;

/// An archive that is not unpacked. Nothing of it is left at the destination.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive cannot be read.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write {path:?}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The archive ends in the middle.
    #[error("the archive is cut off after {offset} bytes")]
    Truncated {
        /// Bytes read.
        offset: u64,
    },
    /// The archive is longer than allowed.
    #[error("the archive has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The archive has more entries than allowed.
    #[error("the archive has more than {limit} files and directories")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// Its paths are too long together.
    #[error("the paths of the archive have more than {limit} bytes together")]
    PathsTooLong {
        /// The limit.
        limit: usize,
    },
    /// A path leads elsewhere, or breaks the limits of length and depth.
    #[error("the archive names {path:?}, which is not a path below its root within the limits")]
    BadPath {
        /// The path, its first 255 bytes at most.
        path: String,
    },
    /// A link leads out of the archive, or its target is not in its one form.
    #[error("the archive holds a link {path:?} that leads out of it, or is not in canonical form")]
    BadLink {
        /// The link.
        path: String,
    },
    /// A path comes twice, out of order, or before its directory.
    #[error("the archive names {path:?} out of order")]
    OutOfOrder {
        /// The path.
        path: String,
    },
    /// A header or a padding is not in the one form it can have.
    #[error("the archive is not in its canonical form before byte {offset}")]
    NotCanonical {
        /// Bytes read.
        offset: u64,
    },
    /// The archive is another one.
    #[error("the archive has digest {found}, not {expected}")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
}

/// Unpacks the archive with digest `expected` to `dest`, which must be absent or an empty directory.
///
/// It is unpacked beside `dest` and renamed when all was right. Nothing is flushed to the disk: after a crash,
/// unpack again from the blob. Directories and files have the modes of the archive, whatever the umask.
///
/// # Errors
/// [`UnpackError`]; one of its kinds for each way in which an archive can be wrong.
pub fn unpack(reader: impl Read, dest: &Path, expected: Digest, limits: &Limits) -> Result<(), UnpackError> {
    let write_error = |source| UnpackError::Write { path: dest.to_owned(), source };
    let parent = dest.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new().prefix(".unpack-").tempdir_in(parent).map_err(write_error)?;
    let mut source = Source { reader, hasher: Sha256::new(), offset: 0, limit: limits.bytes };
    let mut seen = Seen::default();
    while let Some(entry) = source.next_entry(limits)? {
        seen.admit(&entry, limits)?;
        extract(&mut source, &entry, scratch.path())?;
    }
    let found = Digest::new(source.hasher.finalize().into());
    if found != expected {
        return Err(UnpackError::Mismatch { expected, found });
    }
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).map_err(write_error)?;
    fs::rename(scratch.path(), dest).map_err(write_error)?;
    // The directory was renamed, so nothing is left to clean up.
    let _moved = scratch.keep();
    Ok(())
}

#[derive(Debug)]
struct Entry {
    path: String,
    kind: Kind,
}

/// What has come so far, as far as it decides what may follow.
#[derive(Debug, Default)]
struct Seen {
    entries: usize,
    in_paths: usize,
    last: String,
    directories: BTreeSet<String>,
}

impl Seen {
    fn admit(&mut self, entry: &Entry, limits: &Limits) -> Result<(), UnpackError> {
        let path = &entry.path;
        let out_of_order = || UnpackError::OutOfOrder { path: path.clone() };
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        if *path <= self.last || parent.is_some_and(|parent| !self.directories.contains(parent)) {
            return Err(out_of_order());
        }
        self.entries += 1;
        if self.entries > limits.entries {
            return Err(UnpackError::TooManyEntries { limit: limits.entries });
        }
        self.in_paths = self.in_paths.saturating_add(path.len());
        if self.in_paths > limits.path_bytes {
            return Err(UnpackError::PathsTooLong { limit: limits.path_bytes });
        }
        self.last.clone_from(path);
        if entry.kind == Kind::Directory {
            self.directories.insert(path.clone());
        }
        Ok(())
    }
}

/// Writes an entry below `root`. This code made all directories there, so there is no link to follow.
fn extract<R: Read>(source: &mut Source<R>, entry: &Entry, root: &Path) -> Result<(), UnpackError> {
    let path = root.join(&entry.path);
    let write_error = |source| UnpackError::Write { path: PathBuf::from(&entry.path), source };
    let (executable, length) = match &entry.kind {
        Kind::Directory => {
            fs::create_dir(&path).map_err(write_error)?;
            return fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(write_error);
        }
        // No later entry is below it: only a directory of this archive is a parent.
        Kind::Link { target } => return symlink(target, &path).map_err(write_error),
        Kind::File { executable, length } => (*executable, *length),
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(write_error)?;
    let mut chunk = vec![0; CHUNK];
    let mut rest = length;
    while rest > 0 {
        let count = usize::try_from(rest).map_or(CHUNK, |rest| rest.min(CHUNK));
        source.fill(&mut chunk[..count])?;
        file.write_all(&chunk[..count]).map_err(write_error)?;
        rest -= count as u64;
    }
    source.zeros(padding(length))?;
    let mode = if executable { 0o755 } else { 0o644 };
    file.set_permissions(Permissions::from_mode(mode)).map_err(write_error)
}

/// The archive as it comes, hashed and bounded.
struct Source<R> {
    reader: R,
    hasher: Sha256,
    offset: u64,
    limit: u64,
}

impl<R: Read> Source<R> {
    /// The next entry, up to where its content begins; `None` at the end, after which nothing may come.
    fn next_entry(&mut self, limits: &Limits) -> Result<Option<Entry>, UnpackError> {
        let mut head = vec![0; BLOCK];
        self.fill(&mut head)?;
        if head.iter().all(|&byte| byte == 0) {
            self.zeros(BLOCK)?;
            return self.end().map(|()| None);
        }
        let target = self.long_text(EntryType::GNULongLink, limits, &mut head)?;
        let name = self.long_text(EntryType::GNULongName, limits, &mut head)?;
        let header = Header::from_byte_slice(&head[head.len() - BLOCK..]);
        let field = |field: &[u8]| field.iter().copied().take_while(|&byte| byte != 0).collect();
        let name = name.unwrap_or_else(|| field(&header.as_old().name));
        let target = target.unwrap_or_else(|| field(&header.as_old().linkname));
        let entry = understand(name, target, header, limits)?.ok_or_else(|| self.not_canonical())?;
        if entry_head(&entry.path, &entry.kind) != head {
            return Err(self.not_canonical());
        }
        let left = self.limit.saturating_sub(self.offset);
        if matches!(entry.kind, Kind::File { length, .. } if length > left) {
            return Err(UnpackError::TooLarge { limit: self.limit });
        }
        Ok(Some(entry))
    }

    /// Reads a path or a target that has an entry of its own of this type, if the last block of `head` begins one:
    /// appends all of it, and the block after it, to `head`.
    fn long_text(
        &mut self,
        entry_type: EntryType,
        limits: &Limits,
        head: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, UnpackError> {
        let header = Header::from_byte_slice(&head[head.len() - BLOCK..]);
        if header.entry_type() != entry_type {
            return Ok(None);
        }
        let length = header.entry_size().map_err(|_| self.not_canonical())?;
        let longest = limits.depth.saturating_mul(limits.name_bytes.saturating_add(1)).saturating_add(1);
        let Some(length) = usize::try_from(length).ok().filter(|&length| (1..=longest).contains(&length))
        else {
            return Err(self.not_canonical());
        };
        let from = head.len();
        let next = from + length + padding(length as u64);
        head.resize(next + BLOCK, 0);
        self.fill(&mut head[from..])?;
        Ok(Some(head[from..from + length - 1].to_vec()))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), UnpackError> {
        self.offset += bytes.len() as u64;
        if self.offset > self.limit {
            return Err(UnpackError::TooLarge { limit: self.limit });
        }
        self.reader.read_exact(bytes).map_err(|err| match err.kind() {
            io::ErrorKind::UnexpectedEof => UnpackError::Truncated { offset: self.offset },
            _ => UnpackError::Read(err),
        })?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn zeros(&mut self, count: usize) -> Result<(), UnpackError> {
        let mut bytes = [0; BLOCK];
        self.fill(&mut bytes[..count])?;
        if bytes.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(self.not_canonical()) }
    }

    fn end(&mut self) -> Result<(), UnpackError> {
        let more = self.reader.by_ref().take(1).read_to_end(&mut Vec::new()).map_err(UnpackError::Read)?;
        if more == 0 { Ok(()) } else { Err(self.not_canonical()) }
    }

    fn not_canonical(&self) -> UnpackError {
        UnpackError::NotCanonical { offset: self.offset }
    }
}

/// The meaning of a header, if it has one here. The caller checks whether it is canonical.
fn understand(
    name: Vec<u8>,
    target: Vec<u8>,
    header: &Header,
    limits: &Limits,
) -> Result<Option<Entry>, UnpackError> {
    let (Ok(mode), Ok(length)) = (header.mode(), header.entry_size()) else {
        return Ok(None);
    };
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Directory,
        EntryType::Regular => Kind::File { executable: mode & 0o100 != 0, length },
        EntryType::Symlink => match String::from_utf8(target) {
            Ok(target) if !target.is_empty() => Kind::Link { target },
            Ok(_) | Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    let shown = String::from_utf8_lossy(&name[..name.len().min(255)]).into_owned();
    let bad_path = || UnpackError::BadPath { path: shown };
    let Ok(mut path) = String::from_utf8(name) else {
        return Err(bad_path());
    };
    if kind == Kind::Directory && path.pop() != Some('/') {
        return Ok(None);
    }
    let good_name = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= limits.name_bytes && !name.contains('\0')
    };
    if !path.split('/').all(good_name) || path.split('/').count() > limits.depth {
        return Err(bad_path());
    }
    if let Kind::Link { target } = &kind
        && link_target(&path, target, None, |_| false).as_ref() != Some(target)
    {
        return Err(UnpackError::BadLink { path });
    }
    Ok(Some(Entry { path, kind }))
}

#[cfg(test)]
mod tests;
