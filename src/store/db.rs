//! The database of a node: one SQLite file, its schema, and named cursors.
//!
//! Every commit is on disk before the call returns (WAL with `synchronous = FULL`). One connection behind a
//! mutex is enough: the sections are single transactions, and nothing awaits inside one.

use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Params, ToSql, Transaction, TransactionBehavior,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use tokio::sync::watch;
use tracing::warn;

use super::dir::DataDir;
use crate::{
    domain::{Digest, JobId, NodeId},
    explain::chain,
};

mod group;
mod marks;
mod recent;

use group::Queue;
pub(super) use group::WriteError;
use marks::Marks;
use recent::Recent;

/// How long a statement waits for another reader of the file, such as somebody's `sqlite3` shell.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The schema, one step a version. A step that has been released is never changed: append another.
const MIGRATIONS: [&str; 16] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
    include_str!("schema/16.sql"),
];

/// The newest version of the schema that this program knows.
pub(super) const NEWEST_SCHEMA: usize = MIGRATIONS.len();

/// The database cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file is no database, or cannot be opened.
    #[error("cannot open the database {path}", path = path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer program wrote the file.
    #[error(
        "the database {path} has schema {found}, written by a newer assay; this one knows up to {known}: \
         upgrade it or choose another data directory",
        path = path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// The file holds jobs of an older protocol, whose entries this program cannot read.
    #[error(
        "the database {path} holds jobs of protocol version 1, and this assay speaks version 2: fetch their results with the \
         older assay, then choose another data directory",
        path = path.display()
    )]
    OlderProtocol {
        /// The database.
        path: PathBuf,
    },
    /// A statement failed: the disk is full or broken, or the file was altered by others.
    #[error("the database failed")]
    Statement(#[from] rusqlite::Error),
}

/// A handle of the node's database; clones share it.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Mutex<Connection>,
    /// Where to open it again; `None` for a database in memory.
    path: Option<PathBuf>,
    /// The newest cursor of the log, kept here because every [`super::EventLog`] over this database shares it.
    head: watch::Sender<u64>,
    /// What it holds of the log's end, kept here for the same reason.
    recent: Recent,
    queue: Queue,
    /// Transactions since it was opened: each waited for the disk once.
    #[cfg(test)]
    commits: std::sync::atomic::AtomicU64,
    marks: Marks,
    _dir: Option<DataDir>,
}

impl Db {
    /// Opens the database of a data directory, which it holds from then on.
    ///
    /// # Errors
    /// [`DbError::NewerSchema`] for a file of a newer program, [`DbError::Open`] for one that is no database.
    pub fn open(dir: &DataDir) -> Result<Self, DbError> {
        let path = dir.database();
        let failed = |source| DbError::Open { path: path.clone(), source };
        let mut connection = Connection::open(&path).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        if holds_older_protocol(&connection).map_err(failed)? {
            return Err(DbError::OlderProtocol { path });
        }
        let version = migrate(&mut connection).map_err(failed)?;
        Self::new(connection, version, Some(path), Some(dir.clone()))
    }

    /// A database that is gone with its last handle.
    ///
    /// # Errors
    /// [`DbError::Statement`] if memory is short.
    pub fn in_memory() -> Result<Self, DbError> {
        let mut connection = Connection::open_in_memory()?;
        let version = migrate(&mut connection)?;
        Self::new(connection, version, None, None)
    }

    fn new(
        connection: Connection,
        found: usize,
        path: Option<PathBuf>,
        dir: Option<DataDir>,
    ) -> Result<Self, DbError> {
        if found > MIGRATIONS.len() {
            let path = path.unwrap_or_default();
            return Err(DbError::NewerSchema { path, found, known: MIGRATIONS.len() });
        }
        let head =
            connection.query_row("SELECT ifnull(max(cursor), 0) FROM entries", (), |row| row.get(0))?;
        let Unsigned(head) = head;
        let marks = Marks::read(&connection)?;
        let (recent, head) = (Recent::new(head), watch::Sender::new(head));
        let shared = Shared {
            connection: Mutex::new(connection),
            path,
            head,
            marks,
            recent,
            queue: Queue::default(),
            #[cfg(test)]
            commits: Default::default(),
            _dir: dir,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The durable position stored under `name`; 0 if there is none.
    ///
    /// # Errors
    /// [`DbError::Statement`].
    pub fn cursor(&self, name: &str) -> Result<u64, DbError> {
        let sql = "SELECT position FROM cursors WHERE name = ?1";
        let position: Option<Unsigned> =
            self.connection().query_row(sql, [name], |row| row.get(0)).optional()?;
        Ok(position.map_or(0, |Unsigned(position)| position))
    }

    /// The names of the positions above 0 that begin with `prefix`.
    ///
    /// # Errors
    /// [`DbError::Statement`].
    pub fn cursors_of(&self, prefix: &str) -> Result<Vec<String>, DbError> {
        let connection = self.connection();
        let sql = "SELECT name FROM cursors WHERE substr(name, 1, length(?1)) = ?1 AND position > 0";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([prefix], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Stores a position under `name`, in place of the one before.
    ///
    /// # Errors
    /// [`DbError::Statement`], also for a position above 2^63 - 1.
    pub fn set_cursor(&self, name: &str, position: u64) -> Result<(), DbError> {
        let sql = "INSERT INTO cursors (name, position) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET position = excluded.position";
        self.execute(sql, (name, Unsigned(position)))
    }

    /// For one statement. The guard is never held across an await: no method that takes it is async.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction has rolled it back, so the connection is good for the next user.
        self.shared.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if the disk were full, or no longer.
    #[cfg(test)]
    pub(crate) fn pretend_full(&self, full: bool) {
        let pages: u32 = if full { 1 } else { u32::MAX - 1 };
        self.connection().pragma_update(None, "max_page_count", pages).unwrap();
    }

    /// Runs one statement that writes, as [`Self::write`] does.
    pub(super) fn execute(&self, sql: &str, values: impl Params) -> Result<(), DbError> {
        self.write(|transaction| {
            transaction.execute(sql, values)?;
            Ok(())
        })
    }

    /// Runs `body` in a transaction that is durable when this returns `Ok`, and never was otherwise.
    ///
    /// After a failure the next call finds a new connection: what the old one holds of the file may not be on the disk.
    pub(super) fn write<T, E: From<DbError> + Error + 'static>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.writer().write(body)
    }

    /// As [`Self::write`]; what several threads write at a time waits for the disk together. `body` runs again, in a
    /// transaction of its own, if another write fails.
    pub(super) fn write_together<T: Send + 'static, E: WriteError>(
        &self,
        body: impl FnMut(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.write_then(body, |_| ())
    }

    /// As [`Self::write_together`]; runs `stored`, which must be short, as soon as it is durable.
    pub(super) fn write_then<T: Send + 'static, E: WriteError>(
        &self,
        body: impl FnMut(&Connection) -> Result<T, E> + Send + 'static,
        stored: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E> {
        self.shared.queue.write(self, body, stored)
    }

    /// Waits for the connection, to write to it.
    pub(crate) fn writer(&self) -> Writer<'_> {
        let shared = &*self.shared;
        Writer {
            connection: self.connection(),
            path: shared.path.as_deref(),
            #[cfg(test)]
            commits: &shared.commits,
        }
    }

    /// How many writes wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.len()
    }

    /// How many transactions waited for the disk.
    #[cfg(test)]
    pub(crate) fn commits(&self) -> u64 {
        self.shared.commits.load(std::sync::atomic::Ordering::SeqCst)
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.shared.marks
    }

    pub(super) fn head(&self) -> &watch::Sender<u64> {
        &self.shared.head
    }

    pub(super) fn recent(&self) -> &Recent {
        &self.shared.recent
    }
}

/// The connection while a thread writes to it.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    connection: MutexGuard<'a, Connection>,
    path: Option<&'a Path>,
    #[cfg(test)]
    commits: &'a std::sync::atomic::AtomicU64,
}

impl Writer<'_> {
    /// As [`Db::write`].
    pub(super) fn write<T, E: From<DbError> + Error + 'static>(
        &mut self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let written = write_in(&mut self.connection, body);
        #[cfg(test)]
        self.commits.fetch_add(u64::from(written.is_ok()), std::sync::atomic::Ordering::SeqCst);
        if let (Err(error), Some(path)) = (&written, self.path)
            && is_of_connection(error)
        {
            // One that cannot be opened now leaves the old one, and the next failure tries again.
            match reopened(path) {
                Ok(fresh) => *self.connection = fresh,
                Err(error) => {
                    warn!(path = %path.display(), %error, "cannot open the database again after a failed write")
                }
            }
        }
        written
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("dir", &self.shared._dir).finish_non_exhaustive()
    }
}

fn write_in<T, E: From<DbError>>(
    connection: &mut Connection,
    body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(DbError::from)?;
    let value = body(&transaction)?;
    transaction.commit().map_err(DbError::from)?;
    Ok(value)
}

fn reopened(path: &Path) -> Result<Connection, rusqlite::Error> {
    // Without `CREATE`: a file that is gone is not replaced by an empty one.
    let connection =
        Connection::open_with_flags(path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)?;
    configure(&connection)?;
    Ok(connection)
}

/// Whether the disk, or the connection to it, failed a write, rather than what was to be written.
fn is_of_connection(error: &(dyn Error + 'static)) -> bool {
    let code = chain(error).find_map(|error| error.downcast_ref::<rusqlite::Error>()?.sqlite_error_code());
    matches!(
        code,
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory
        )
    )
}

fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Applies the steps that the file lacks, and says which version it has then: a newer one is left alone.
/// The first schema whose entries are of the protocol that this program speaks.
const PROTOCOL_SCHEMA: u32 = 11;

fn holds_older_protocol(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if !(1..PROTOCOL_SCHEMA).contains(&version) {
        return Ok(false);
    }
    connection.query_row("SELECT EXISTS (SELECT 1 FROM entries)", (), |row| row.get(0))
}

fn migrate(connection: &mut Connection) -> Result<usize, rusqlite::Error> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    let missing = MIGRATIONS.get(version..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(version);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    let newest = u32::try_from(MIGRATIONS.len()).expect("a handful of migrations");
    transaction.pragma_update(None, "user_version", newest)?;
    transaction.commit()?;
    Ok(MIGRATIONS.len())
}

/// A `u64` as SQLite's signed integer; what is above 2^63 - 1 is an error and never wraps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsigned(pub(super) u64);

impl Unsigned {
    /// A bound that somebody asks for: above the largest number that a row can hold it is that one.
    pub(super) const fn bound(value: u64) -> Self {
        if value > i64::MAX.unsigned_abs() { Self(i64::MAX.unsigned_abs()) } else { Self(value) }
    }
}

impl ToSql for Unsigned {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value =
            i64::try_from(self.0).map_err(|err| rusqlite::Error::ToSqlConversionFailure(Box::new(err)))?;
        Ok(value.into())
    }
}

impl FromSql for Unsigned {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let value = value.as_i64()?;
        u64::try_from(value).map(Self).map_err(|_| FromSqlError::OutOfRange(value))
    }
}

macro_rules! identifiers_are_blobs {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.as_bytes().to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                FromSql::column_result(value).map(Self::new)
            }
        }
    )*};
}

identifiers_are_blobs!(JobId, NodeId, Digest);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn scratch() -> (tempfile::TempDir, DataDir) {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        (root, dir)
    }

    #[test]
    fn commits_are_durable_before_they_return() {
        let (_root, dir) = scratch();
        let db = Db::open(&dir).unwrap();
        let pragma = |name| db.connection().pragma_query_value(None, name, |row| row.get::<_, String>(0));
        assert_eq!(pragma("journal_mode").unwrap(), "wal");
        let synchronous: u8 =
            db.connection().pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(synchronous, 2);
    }

    #[test]
    fn a_cursor_starts_at_zero_and_survives_a_restart() {
        let (_root, dir) = scratch();
        let db = Db::open(&dir).unwrap();
        assert_eq!(db.cursor("blocks").unwrap(), 0);
        db.set_cursor("blocks", 7).unwrap();
        db.set_cursor("blocks", 9).unwrap();
        drop(db);
        let db = Db::open(&dir).unwrap();
        assert_eq!(db.cursor("blocks").unwrap(), 9);
        assert_eq!(db.cursor("other").unwrap(), 0);
    }

    #[test]
    fn a_position_that_the_database_cannot_hold_is_refused() {
        let db = Db::in_memory().unwrap();
        assert!(matches!(db.set_cursor("blocks", u64::MAX), Err(DbError::Statement(_))));
        assert_eq!(db.cursor("blocks").unwrap(), 0);
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused_and_left_alone() {
        let (_root, dir) = scratch();
        drop(Db::open(&dir).unwrap());
        let newer = MIGRATIONS.len() + 1;
        let connection = Connection::open(dir.database()).unwrap();
        connection.pragma_update(None, "user_version", u32::try_from(newer).unwrap()).unwrap();
        drop(connection);
        let err = Db::open(&dir).unwrap_err();
        assert!(
            matches!(err, DbError::NewerSchema { found, known, .. } if (found, known + 1) == (newer, newer)),
            "{err}"
        );
    }

    #[test]
    fn a_database_of_an_older_protocol_is_refused_by_name_and_keeps_its_log() {
        let (_root, dir) = scratch();
        let mut connection = Connection::open(dir.database()).unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection.execute("INSERT INTO submissions VALUES (zeroblob(32), '{}')", ()).unwrap();
        let entry = "INSERT INTO entries VALUES (3, zeroblob(32), 1, zeroblob(32), zeroblob(9))";
        connection.execute(entry, ()).unwrap();
        let err = Db::open(&dir).unwrap_err();
        assert!(matches!(&err, DbError::OlderProtocol { path } if *path == dir.database()), "{err}");

        // Whoever opens it, nothing is lost.
        assert_eq!(migrate(&mut connection).unwrap(), MIGRATIONS.len());
        drop(connection);
        let db = Db::open(&dir).unwrap();
        assert_eq!(*db.head().borrow(), 3);
        let read = crate::store::EventLog::new(db).read_after(0, 9).unwrap();
        assert!(read.len() == 1 && read[0].is_intact, "nothing says that it is not: {read:?}");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_by_name() {
        let (_root, dir) = scratch();
        fs::write(dir.database(), b"not a database, but long enough to be looked at by SQLite".repeat(9))
            .unwrap();
        let err = Db::open(&dir).unwrap_err();
        assert!(matches!(&err, DbError::Open { path, .. } if *path == dir.database()), "{err}");
    }

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let db = Db::in_memory().unwrap();
        let result: Result<(), DbError> = db.write(|transaction| {
            transaction.execute("INSERT INTO cursors VALUES ('a', 1)", ())?;
            transaction.execute("INSERT INTO cursors VALUES ('b', 'no number')", ())?;
            Ok(())
        });
        assert!(result.is_err());
        assert_eq!(db.cursor("a").unwrap(), 0);
    }

    #[test]
    fn a_connection_whose_write_failed_is_opened_again() {
        let (_root, dir) = scratch();
        let db = Db::open(&dir).unwrap();
        db.set_cursor("blocks", 1).unwrap();
        // As after a failure that SQLite remembers: this connection takes nothing any more.
        db.connection().pragma_update(None, "query_only", true).unwrap();
        assert!(matches!(db.set_cursor("blocks", 2), Err(DbError::Statement(_))));
        assert_eq!(db.cursor("blocks").unwrap(), 1);
        db.set_cursor("blocks", 3).unwrap();
        assert_eq!(db.cursor("blocks").unwrap(), 3);
        let synchronous: u8 =
            db.connection().pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(synchronous, 2, "the new connection is as durable as the first");
    }

    #[test]
    fn a_refused_value_is_no_reason_to_open_the_database_again() {
        let (_root, dir) = scratch();
        let db = Db::open(&dir).unwrap();
        db.connection().pragma_update(None, "cache_size", 77).unwrap();
        db.set_cursor("blocks", u64::MAX).unwrap_err();
        let kept: i64 = db.connection().pragma_query_value(None, "cache_size", |row| row.get(0)).unwrap();
        assert_eq!(kept, 77);
    }

    #[test]
    fn a_database_that_is_gone_is_not_replaced_by_an_empty_one() {
        let (_root, dir) = scratch();
        let db = Db::open(&dir).unwrap();
        db.connection().pragma_update(None, "query_only", true).unwrap();
        fs::remove_file(dir.database()).unwrap();
        db.set_cursor("blocks", 2).unwrap_err();
        assert!(!dir.database().exists());
    }

    #[test]
    fn the_directory_stays_locked_as_long_as_the_database_is_open() {
        let (root, dir) = scratch();
        let db = Db::open(&dir).unwrap();
        drop(dir);
        assert!(DataDir::open(root.path()).is_err());
        drop(db);
        DataDir::open(root.path()).unwrap();
    }
}
