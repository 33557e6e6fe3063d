//! Tells whether a full disk, or a damaged database, is behind an error.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use rusqlite::ErrorCode;

use crate::explain::chain;

/// Whether the error, or one that led to it, says that a disk or its user's quota is full.
pub fn is_of_full_disk(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| {
        let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
        let database = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
        matches!(io, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
            || matches!(database, Some(ErrorCode::DiskFull))
    })
}

/// Whether the error, or one that led to it, says that the database is damaged, or is none.
pub fn is_of_damage(error: &(dyn Error + 'static)) -> bool {
    let code = |error: &(dyn Error + 'static)| {
        error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code)
    };
    chain(error)
        .any(|error| matches!(code(error), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{BlobError, Db, ExecutionError, LogError, PackError};

    #[test]
    fn a_full_disk_is_found_however_deep_it_lies() {
        let full = || io::Error::from_raw_os_error(28);
        assert!(is_of_full_disk(&full()));
        assert!(is_of_full_disk(&BlobError::Io { path: "/x".into(), source: full() }));
        assert!(is_of_full_disk(&PackError::Write(full())));
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert!(!is_of_full_disk(&BlobError::Io { path: "/x".into(), source: denied }));
    }

    #[test]
    fn a_file_that_is_no_database_is_damage_and_a_full_disk_is_none() {
        let root = tempfile::tempdir().unwrap();
        let dir = crate::store::DataDir::open(root.path()).unwrap();
        std::fs::write(dir.database(), "not a database, but long enough to be looked at by SQLite".repeat(9))
            .unwrap();
        let error = Db::open(&dir).unwrap_err();
        assert!(is_of_damage(&error) && !is_of_full_disk(&error), "{error:?}");
        assert!(!is_of_damage(&io::Error::from_raw_os_error(28)));
    }

    #[test]
    fn a_database_says_that_its_disk_is_full() {
        let db = Db::in_memory().unwrap();
        db.pretend_full(true);
        let write = |content: usize| {
            let entry = vec![0_u8; content];
            db.write(|transaction| {
                transaction.execute("INSERT INTO faults (job, bytes) VALUES (zeroblob(32), ?1)", [entry])?;
                Ok::<_, LogError>(())
            })
        };
        let error = write(1 << 20).unwrap_err();
        assert!(is_of_full_disk(&error), "{error:?}");
        assert!(!is_of_full_disk(&ExecutionError::NotStarted(crate::domain::JobId::ZERO)));
    }
}
