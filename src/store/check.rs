//! Looks at a node's store from outside, and copies it: the node may run meanwhile.
//!
//! A check reads everything: the pages of the database, the checksum of each entry and each run, and the hash of each file.
//! It changes nothing. A backup is a database of one moment, and the files that are there after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::{
    archive::CHUNK,
    blobs::{BlobError, paths_below},
    db::{BUSY_TIMEOUT, DbError, NEWEST_SCHEMA},
    dir::{DataDir, DirError, blobs_in, database_in, key_in},
    executions, log,
};
use crate::domain::{Digest, JobId};

/// The most problems of its pages that the database is asked for.
const MOST_PROBLEMS: u32 = 100;

/// What a check found. Everything is well if all lists are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// The version of the schema.
    pub schema: u32,
    /// Entries of logs.
    pub entries: u64,
    /// Runs of this node.
    pub runs: u64,
    /// Inputs and results.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What the database says of its pages.
    pub pages: Vec<String>,
    /// Entries that are not as they were written, by job and height.
    pub altered_entries: Vec<(JobId, u64)>,
    /// Runs whose record is not as it was written.
    pub altered_runs: Vec<JobId>,
    /// Files that are not what their name says.
    pub damaged: Vec<Digest>,
    /// Content that somebody holds here and that is not here.
    pub missing: Vec<Digest>,
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Bytes of the database.
    pub database: u64,
    /// Inputs and results.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the key of the node is in it.
    pub has_key: bool,
}

/// What a repair did, and what is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Whether the indexes of the database were built again.
    pub indexes: bool,
    /// Damaged files that were removed.
    pub removed: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Claims to content that is not here, which were deleted.
    pub disclaimed: usize,
    /// What a check finds after it.
    pub left: Checked,
}

/// A store cannot be looked at or copied.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no store.
    #[error("there is no node's database in {path}", path = path.display())]
    NoStore {
        /// Where.
        path: PathBuf,
    },
    /// The target of a backup holds something.
    #[error("{path} exists: a backup overwrites nothing", path = path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot use {path}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The database cannot be read at all.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The files cannot be listed.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The directory cannot be locked.
    #[error(transparent)]
    Dir(#[from] DirError),
}

impl From<rusqlite::Error> for CheckError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Checked {
    /// Whether everything is as it was written.
    pub fn is_sound(&self) -> bool {
        let Self { schema: _, entries: _, runs: _, files: _, bytes: _, pages, .. } = self;
        let Self { altered_entries, altered_runs, damaged, missing, .. } = self;
        pages.is_empty()
            && altered_entries.is_empty()
            && altered_runs.is_empty()
            && damaged.is_empty()
            && missing.is_empty()
    }
}

/// Reads all of the store in a data directory. A node may use it meanwhile.
///
/// # Errors
/// [`CheckError`] where it cannot be read; what is read and wrong is in the answer.
pub fn check(dir: &Path) -> Result<Checked, CheckError> {
    let connection = look(dir)?;
    let schema: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut checked = Checked { schema, ..Checked::default() };
    if usize::try_from(schema).is_ok_and(|found| found > NEWEST_SCHEMA) {
        let (found, path) = (usize::try_from(schema).unwrap_or(usize::MAX), database_in(dir));
        return Err(DbError::NewerSchema { path, found, known: NEWEST_SCHEMA }.into());
    }
    checked.pages = problems_of_pages(&connection)?;
    if checked.pages.is_empty() {
        (checked.entries, checked.altered_entries) = log::altered(&connection)?;
        (checked.runs, checked.altered_runs) = executions::altered(&connection)?;
    }
    // Whoever holds content had it before, so this comes before the files.
    let held = if checked.pages.is_empty() { held(&connection)? } else { BTreeSet::new() };
    let files = files_below(dir)?;
    for (digest, (path, bytes)) in &files {
        checked.files += 1;
        checked.bytes += bytes;
        if is_damaged(path, *digest)? {
            checked.damaged.push(*digest);
        }
    }
    checked.missing = held.into_iter().filter(|digest| !files.contains_key(digest)).collect();
    if !checked.missing.is_empty() {
        // Reading all files takes its time: a running node may have given some up, or fetched them, meanwhile.
        let (held, files) = (self::held(&connection)?, files_below(dir)?);
        checked.missing.retain(|digest| held.contains(digest) && !files.contains_key(digest));
    }
    Ok(checked)
}

/// The content that somebody holds here.
fn held(connection: &Connection) -> Result<BTreeSet<Digest>, CheckError> {
    let mut statement = connection.prepare("SELECT DISTINCT digest FROM holdings")?;
    let held = statement.query_map((), |row| row.get(0))?;
    Ok(held.collect::<Result<_, _>>()?)
}

/// Copies the store in a data directory to a new one, which a node can be started on. A node may use the first meanwhile.
///
/// # Errors
/// [`CheckError`]; what was copied until then stays.
pub fn back_up(dir: &Path, to: &Path, with_content: bool) -> Result<BackedUp, CheckError> {
    let connection = look(dir)?;
    let to_error = |source| CheckError::Io { path: to.to_owned(), source };
    if let Some(parent) = to.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(to_error)?;
    }
    match DirBuilder::new().mode(0o700).create(to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CheckError::Exists { path: to.to_owned() });
        }
        Err(source) => return Err(to_error(source)),
    }
    let (database, mut copied) = (database_in(to), BackedUp::default());
    // One statement reads one moment, whoever writes meanwhile.
    connection.execute("VACUUM INTO ?1", [database.to_string_lossy()])?;
    copied.database = sync(&database)?;
    let key = key_in(dir);
    if key.exists() {
        copy(&key, &key_in(to))?;
        copied.has_key = true;
    }
    // After the database: what that names is there, unless it went meanwhile.
    let files = if with_content { files_below(dir)? } else { Default::default() };
    for (path, _) in files.into_values() {
        let Ok(below) = path.strip_prefix(dir) else { continue };
        let target = to.join(below);
        if let Some(shard) = target.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(shard).map_err(to_error)?;
        }
        match copy(&path, &target) {
            Ok(bytes) => (copied.files, copied.bytes) = (copied.files + 1, copied.bytes + bytes),
            Err(CheckError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(copied)
}

/// Mends what can be mended without others: indexes are built again, and files that are not what their name says are removed,
/// so that the node fetches them again where it needs them, and no longer claims what it does not have. Entries and runs that
/// were altered stay: the node follows such a log no further, and says so. No node may use the store meanwhile.
///
/// # Errors
/// [`CheckError`], also [`CheckError::Dir`] while a node uses the store.
pub fn repair(dir: &Path) -> Result<Repaired, CheckError> {
    drop(look(dir)?);
    let _lock = DataDir::open(dir)?;
    // While nobody changes it.
    let checked = check(dir)?;
    let connection = Connection::open(database_in(dir))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mut repaired = Repaired::default();
    if !checked.pages.is_empty() {
        // An index holds nothing that its table does not.
        connection.execute_batch("REINDEX")?;
        repaired.indexes = true;
    }
    let files = files_below(dir)?;
    for digest in &checked.damaged {
        if let Some((path, bytes)) = files.get(digest) {
            fs::remove_file(path).map_err(|source| CheckError::Io { path: path.clone(), source })?;
            repaired.removed += 1;
            repaired.bytes += bytes;
        }
    }
    for digest in checked.damaged.iter().chain(&checked.missing) {
        repaired.disclaimed += connection.execute("DELETE FROM holdings WHERE digest = ?1", [digest])?;
    }
    drop(connection);
    repaired.left = check(dir)?;
    Ok(repaired)
}

/// The files of a data directory by their content, with their lengths.
fn files_below(dir: &Path) -> Result<BTreeMap<Digest, (PathBuf, u64)>, CheckError> {
    let root = blobs_in(dir);
    if !root.exists() {
        return Ok(BTreeMap::new());
    }
    let mut files = BTreeMap::new();
    for (digest, path) in paths_below(&root)? {
        match fs::symlink_metadata(&path) {
            Ok(file) => {
                files.insert(digest, (path, file.len()));
            }
            // It was removed after its directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(CheckError::Io { path, source }),
        }
    }
    Ok(files)
}

/// The database in a data directory, to read it.
fn look(dir: &Path) -> Result<Connection, CheckError> {
    let path = database_in(dir);
    if !path.exists() {
        return Err(CheckError::NoStore { path: dir.to_owned() });
    }
    let failed = |source| DbError::Open { path: path.clone(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    Ok(connection)
}

fn problems_of_pages(connection: &Connection) -> Result<Vec<String>, CheckError> {
    let sql = format!("PRAGMA integrity_check({MOST_PROBLEMS})");
    let asked = connection.prepare(&sql).and_then(|mut statement| {
        let lines = statement.query_map((), |row| row.get::<_, String>(0))?;
        lines.collect::<Result<Vec<_>, _>>()
    });
    match asked {
        Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            Ok(vec![error.to_string()])
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a file is not what its name says. One that is gone by now is no problem.
fn is_damaged(path: &Path, digest: Digest) -> Result<bool, CheckError> {
    let failed = |source| CheckError::Io { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(failed(source)),
    };
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize().as_slice() != digest.as_bytes()),
            Ok(count) => hasher.update(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A disk that cannot read it has damaged it.
            Err(error) if error.raw_os_error() == Some(EIO) => return Ok(true),
            Err(source) => return Err(failed(source)),
        }
    }
}

/// The error of a disk that cannot read.
const EIO: i32 = 5;

fn copy(from: &Path, to: &Path) -> Result<u64, CheckError> {
    fs::copy(from, to).map_err(|source| CheckError::Io { path: from.to_owned(), source })?;
    sync(to)
}

/// Waits until a file is on the disk; its length.
fn sync(path: &Path) -> Result<u64, CheckError> {
    let synced = File::open(path).and_then(|file| {
        file.sync_all()?;
        Ok(file.metadata()?.len())
    });
    synced.map_err(|source| CheckError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
