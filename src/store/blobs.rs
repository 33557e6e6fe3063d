//! Files named by the SHA-256 of their content: `<2 hex>/<64 hex>` below one directory.
//!
//! A file appears whole, hashed and flushed to the disk, or not at all: it is written under a temporary name
//! and renamed. Any number of threads may insert, also the same content. The sum of all lengths, those of
//! files still being written included, stays below a cap.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{archive::CHUNK, db::DbError};
use crate::domain::Digest;

/// The directory of unfinished files, on the same file system so that they can be renamed.
const SCRATCH: &str = "tmp";

/// The most that [`Blobs::read_range`] returns: what a peer asks for is held in memory.
pub const MAX_RANGE_BYTES: u64 = crate::domain::MAX_CHUNK_BYTES as u64;

/// This fraction of the cap is reserved for the node's own user, so that jobs of others cannot crowd out its results.
const OWN_PART: u64 = 4;

/// Content that is not stored or not found.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The operating system refused.
    #[error("cannot use {path:?}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The source of the content failed.
    #[error("cannot read the content to store")]
    Source(#[source] io::Error),
    /// The store has no room left.
    #[error(
        "the store is full: {used} of {cap} bytes are taken; see what takes them with assay node usage, and keep less with \
         --keep-for and --keep-bytes"
    )]
    Full {
        /// Bytes taken.
        used: u64,
        /// The cap.
        cap: u64,
    },
    /// The content is longer than its bound.
    #[error("content has more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// The content is not the one that was announced.
    #[error("content has digest {found}, not {expected}")]
    Mismatch {
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// There is no such content, or not for this party.
    #[error("there is no content {0} here")]
    NotFound(Digest),
    /// The holders of the content cannot be read or written.
    #[error("cannot tell who holds content")]
    Holders(#[source] DbError),
}

/// A store of content; clones share it. One process at a time: see [`super::DataDir`].
#[derive(Debug, Clone)]
pub struct Blobs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    cap: u64,
    /// Bytes of all files and reservations. The lock is also held while a name appears, so that both agree.
    used: Mutex<u64>,
    /// Directories of content whose names are known to be durable.
    durable: Mutex<BTreeSet<PathBuf>>,
}

impl Blobs {
    /// The store in directory `root` of at most `cap` bytes. Creates the directory if it is missing, and removes
    /// files that a crash left unfinished.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn open(root: &Path, cap: u64) -> Result<Self, BlobError> {
        let scratch = root.join(SCRATCH);
        let io_error = |source| BlobError::Io { path: scratch.clone(), source };
        if let Err(source) = fs::remove_dir_all(&scratch)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(io_error(source));
        }
        fs::create_dir_all(&scratch).map_err(io_error)?;
        let blobs = Self {
            shared: Arc::new(Shared {
                root: root.to_owned(),
                cap,
                used: Mutex::new(0),
                durable: Mutex::default(),
            }),
        };
        let used = blobs.list()?.values().sum();
        *blobs.used() = used;
        Ok(blobs)
    }

    /// Stores what `reader` gives, at most `limit` bytes, and returns its digest and length.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::Full`]; [`BlobError::Source`] if the reader fails.
    pub fn insert(&self, mut reader: impl Read, limit: u64) -> Result<(Digest, u64), BlobError> {
        let mut writer = self.writer(limit)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return writer.commit(),
                Ok(count) => writer.push(&chunk[..count])?,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(BlobError::Source(err)),
            }
        }
    }

    /// Begins new content of at most `limit` bytes for the node's own user, who may use the whole store.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn writer(&self, limit: u64) -> Result<BlobWriter, BlobError> {
        self.writer_below(self.shared.cap, limit)
    }

    /// Begins new content of at most `limit` bytes for the job of another: it leaves the part of the own user free.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn writer_for_others(&self, limit: u64) -> Result<BlobWriter, BlobError> {
        self.writer_below(self.cap_for_others(), limit)
    }

    fn writer_below(&self, cap: u64, limit: u64) -> Result<BlobWriter, BlobError> {
        let scratch = self.shared.root.join(SCRATCH);
        let file = NamedTempFile::new_in(&scratch)
            .map_err(|source| BlobError::Io { path: scratch.clone(), source })?;
        Ok(BlobWriter { file, hasher: Sha256::new(), written: 0, limit, cap, blobs: self.clone() })
    }

    /// Opens content for reading.
    ///
    /// # Errors
    /// [`BlobError::NotFound`].
    pub fn open_blob(&self, digest: Digest) -> Result<File, BlobError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BlobError::NotFound(digest),
            _ => BlobError::Io { path, source },
        })
    }

    /// The length of content in bytes.
    ///
    /// # Errors
    /// [`BlobError::NotFound`].
    pub fn length(&self, digest: Digest) -> Result<u64, BlobError> {
        let file = self.open_blob(digest)?;
        let metadata = file.metadata();
        Ok(metadata.map_err(|source| BlobError::Io { path: self.path(digest), source })?.len())
    }

    /// The bytes from `offset` on: `length` of them, but at most [`MAX_RANGE_BYTES`] and not beyond the end.
    ///
    /// # Errors
    /// [`BlobError::NotFound`].
    pub fn read_range(&self, digest: Digest, offset: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        let file = self.open_blob(digest)?;
        let io_error = |source| BlobError::Io { path: self.path(digest), source };
        let rest = file.metadata().map_err(io_error)?.len().saturating_sub(offset);
        let length = length.min(rest).min(MAX_RANGE_BYTES);
        let mut bytes = vec![0; usize::try_from(length).expect("at most MAX_RANGE_BYTES")];
        file.read_exact_at(&mut bytes, offset).map_err(io_error)?;
        Ok(bytes)
    }

    /// All content with its length in bytes. Reads every directory: for start and administration.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn list(&self) -> Result<BTreeMap<Digest, u64>, BlobError> {
        let listed = self.list_with_times()?.into_iter();
        Ok(listed.map(|(digest, (bytes, _))| (digest, bytes)).collect())
    }

    /// As [`Self::list`], with the time when it was stored last.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn list_with_times(&self) -> Result<BTreeMap<Digest, (u64, SystemTime)>, BlobError> {
        let mut found = BTreeMap::new();
        for (digest, path) in paths_below(&self.shared.root)? {
            match fs::symlink_metadata(&path).and_then(|file| Ok((file.len(), file.modified()?))) {
                Ok(file) => {
                    found.insert(digest, file);
                }
                // It was removed after its directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(BlobError::Io { path, source }),
            }
        }
        Ok(found)
    }

    /// Removes content, unless it was stored again after `unless_after`. Returns the bytes that this freed.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn remove(&self, digest: Digest, unless_after: SystemTime) -> Result<Option<u64>, BlobError> {
        let path = self.path(digest);
        // No name appears meanwhile.
        let mut used = self.used();
        let removed = fs::symlink_metadata(&path).and_then(|file| {
            if file.modified()? > unless_after {
                return Ok(None);
            }
            fs::remove_file(&path)?;
            Ok(Some(file.len()))
        });
        match removed {
            Ok(freed) => {
                *used = used.saturating_sub(freed.unwrap_or_default());
                Ok(freed)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BlobError::Io { path, source }),
        }
    }

    /// The most bytes that it takes.
    pub fn cap(&self) -> u64 {
        self.shared.cap
    }

    /// Bytes taken, those of content still being written included.
    pub fn used_bytes(&self) -> u64 {
        *self.used()
    }

    /// The most that jobs of others may fill the store to, in bytes.
    pub fn cap_for_others(&self) -> u64 {
        self.shared.cap - self.shared.cap / OWN_PART
    }

    /// Bytes that jobs of others may still take.
    pub fn room_for_others(&self) -> u64 {
        self.cap_for_others().saturating_sub(*self.used())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        path_in(&self.shared.root, digest)
    }

    fn used(&self) -> MutexGuard<'_, u64> {
        self.shared.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves room, unless that would exceed `cap` bytes.
    fn reserve(&self, bytes: u64, cap: u64) -> Result<(), BlobError> {
        let mut used = self.used();
        match used.checked_add(bytes).filter(|&sum| sum <= cap) {
            Some(sum) => *used = sum,
            None => return Err(BlobError::Full { used: *used, cap }),
        }
        Ok(())
    }
}

/// The content in a store, with its files. Foreign files are not listed.
pub(super) fn paths_below(root: &Path) -> Result<Vec<(Digest, PathBuf)>, BlobError> {
    let mut found = Vec::new();
    for shard in entries(root)? {
        if shard == root.join(SCRATCH) || !shard.is_dir() {
            continue;
        }
        for path in entries(&shard)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(digest) = name.and_then(|name| name.parse().ok()) else { continue };
            if path_in(root, digest) == path {
                found.push((digest, path));
            }
        }
    }
    Ok(found)
}

fn path_in(root: &Path, digest: Digest) -> PathBuf {
    let text = digest.to_string();
    let hex = text.strip_prefix("0x").unwrap_or(&text);
    root.join(&hex[..2]).join(hex)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let read = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    read.map_err(|source| BlobError::Io { path: dir.to_owned(), source })
}

fn sync_dir(dir: &Path) -> Result<(), BlobError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| BlobError::Io { path: dir.to_owned(), source })
}

/// Content being written; dropped before [`Self::commit`] it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    file: NamedTempFile,
    hasher: Sha256,
    written: u64,
    limit: u64,
    /// Bytes that may be taken in the store once this is written.
    cap: u64,
    blobs: Blobs,
}

impl BlobWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::Full`], [`BlobError::Io`]; the content is lost then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let count = bytes.len() as u64;
        if count > self.limit - self.written {
            return Err(BlobError::TooLarge { limit: self.limit });
        }
        self.blobs.reserve(count, self.cap)?;
        self.written += count;
        self.hasher.update(bytes);
        let path = self.file.path();
        self.file.as_file().write_all(bytes).map_err(|source| BlobError::Io { path: path.to_owned(), source })
    }

    /// Reads what was written so far, from its beginning.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn reader(&self) -> Result<File, BlobError> {
        self.check_length()?;
        self.file.reopen().map_err(|source| BlobError::Io { path: self.file.path().to_owned(), source })
    }

    /// The digest and the length of what was written so far.
    pub fn digest(&self) -> (Digest, u64) {
        (Digest::new(self.hasher.clone().finalize().into()), self.written)
    }

    /// Stores the content under its digest, durably, and returns that and the length.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn commit(self) -> Result<(Digest, u64), BlobError> {
        let (digest, bytes) = self.digest();
        self.publish(digest)?;
        Ok((digest, bytes))
    }

    /// Stores the content, durably, if it is what `expected` says.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`], and nothing is kept.
    pub fn commit_as(self, expected: Digest) -> Result<u64, BlobError> {
        let (found, bytes) = self.digest();
        if found != expected {
            return Err(BlobError::Mismatch { expected, found });
        }
        self.publish(found)?;
        Ok(bytes)
    }

    /// Refuses to go on after a failed write: the file must be as long as the hashed bytes.
    fn check_length(&self) -> Result<(), BlobError> {
        let length = self.file.as_file().metadata().map(|metadata| metadata.len());
        let checked = length.and_then(|length| {
            if length == self.written { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        });
        checked.map_err(|source| BlobError::Io { path: self.file.path().to_owned(), source })
    }

    fn publish(mut self, digest: Digest) -> Result<(), BlobError> {
        self.check_length()?;
        let path = self.blobs.path(digest);
        let root = self.blobs.shared.root.clone();
        let shard = root.join(path.parent().expect("a blob lies in a shard"));
        let io_error = |source| BlobError::Io { path: path.clone(), source };
        self.file.as_file().sync_all().map_err(io_error)?;
        fs::create_dir_all(&shard).map_err(io_error)?;
        {
            let mut used = self.blobs.used();
            // Replaces an existing file: it should be the same, and if the disk altered it, the new one is right.
            let replaced = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.len());
            fs::rename(self.file.path(), &path).map_err(io_error)?;
            *used = used.saturating_sub(replaced);
            // The bytes belong to the name from here on, and the temporary one is gone.
            self.written = 0;
            self.file.disable_cleanup(true);
        }
        sync_dir(&shard)?;
        let durable = || self.blobs.shared.durable.lock().unwrap_or_else(PoisonError::into_inner);
        // Noted after it is so: whoever comes meanwhile waits for the disk as well.
        if !durable().contains(&shard) {
            sync_dir(&root)?;
            durable().insert(shard);
        }
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let mut used = self.blobs.used();
        *used = used.saturating_sub(self.written);
    }
}

/// For `io::copy` and [`super::pack`]; the error holds the [`BlobError`].
impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
