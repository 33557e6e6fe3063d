//! Content by digest, and the parties that hold it.
//!
//! Digests are public, and content is not. So a party can use content only if it *holds* it: it uploaded it here,
//! sent all of it, or is this node and made it by its own run. Two holders share one stored copy, and neither can
//! tell, since every upload is read to its end.

use std::fs::File;

use rusqlite::Connection;

use super::{
    LastWordsStore,
    blobs::{BlobError, BlobWriter, Blobs},
    db::{Db, DbError},
};
use crate::domain::{Digest, NodeId};

/// The content of a node; clones share it.
#[derive(Debug, Clone)]
pub struct Content {
    db: Db,
    blobs: Blobs,
}

impl Content {
    /// The content in `blobs`, whose holders are noted in `db`.
    pub fn new(db: Db, blobs: Blobs) -> Self {
        Self { db, blobs }
    }

    /// Begins new content of at most `limit` bytes for this node's own user, who may use the whole store.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn writer(&self, limit: u64) -> Result<BlobWriter, BlobError> {
        self.blobs.writer(limit)
    }

    /// Begins new content of at most `limit` bytes for a job of another.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn writer_for_others(&self, limit: u64) -> Result<BlobWriter, BlobError> {
        self.blobs.writer_for_others(limit)
    }

    /// Stores content, durably, if it is what `expected` says, and notes that `holder` holds it. Returns its length.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`], and nothing is kept; [`BlobError::Io`], [`BlobError::Holders`].
    pub fn keep(&self, writer: BlobWriter, expected: Digest, holder: NodeId) -> Result<u64, BlobError> {
        let bytes = writer.commit_as(expected)?;
        self.db
            .write_together(move |connection| hold(connection, expected, holder))
            .map_err(BlobError::Holders)?;
        Ok(bytes)
    }

    /// The length of content in bytes, if `holder` holds it; others cannot tell it from content that is not here.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Holders`].
    pub fn length(&self, digest: Digest, holder: NodeId) -> Result<u64, BlobError> {
        self.check(digest, holder)?;
        self.blobs.length(digest)
    }

    /// Opens content that `holder` holds.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Holders`].
    pub fn open(&self, digest: Digest, holder: NodeId) -> Result<File, BlobError> {
        self.check(digest, holder)?;
        self.blobs.open_blob(digest)
    }

    /// The bytes from `offset` on of content that `holder` holds, as [`Blobs::read_range`] bounds them.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Holders`].
    pub fn read_range(
        &self,
        digest: Digest,
        holder: NodeId,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, BlobError> {
        self.check(digest, holder)?;
        self.blobs.read_range(digest, offset, length)
    }

    /// Notes that this node, `me`, holds the results of its own runs, for databases that predate holders.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn hold_own_results(&self, me: NodeId) -> Result<(), DbError> {
        let sql = "INSERT OR IGNORE INTO holdings (digest, holder)
                   SELECT output_root, ?1 FROM executions WHERE stage = 'finished'";
        self.db.execute(sql, [me])
    }

    /// What failed runs left, beside the content in the same database.
    pub fn last_words(&self) -> LastWordsStore {
        LastWordsStore::new(self.db.clone())
    }

    /// The most that jobs of others may fill the store to, in bytes.
    pub fn cap_for_others(&self) -> u64 {
        self.blobs.cap_for_others()
    }

    /// Bytes that jobs of others may still take.
    pub fn room_for_others(&self) -> u64 {
        self.blobs.room_for_others()
    }

    fn check(&self, digest: Digest, holder: NodeId) -> Result<(), BlobError> {
        let connection = self.db.connection();
        let sql = "SELECT 1 FROM holdings WHERE digest = ?1 AND holder = ?2";
        let held = connection.prepare_cached(sql).and_then(|mut held| held.exists((digest, holder)));
        if held.map_err(failed)? { Ok(()) } else { Err(BlobError::NotFound(digest)) }
    }
}

/// Notes that `holder` holds content.
pub(super) fn hold(connection: &Connection, digest: Digest, holder: NodeId) -> Result<(), DbError> {
    let sql = "INSERT OR IGNORE INTO holdings (digest, holder) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((digest, holder))?;
    Ok(())
}

fn failed(error: rusqlite::Error) -> BlobError {
    BlobError::Holders(error.into())
}

mod retained;

pub use retained::{EndedUse, JobContent, KeptContent};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{FingerprintWord, JobId, Opening, SummaryWord, Timestamp},
        store::Executions,
    };

    const ALICE: NodeId = NodeId::new([1; 20]);
    const BOB: NodeId = NodeId::new([2; 20]);

    fn content() -> (tempfile::TempDir, Content) {
        let root = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(root.path(), 1000).unwrap();
        (root, Content::new(Db::in_memory().unwrap(), blobs))
    }

    fn keep(content: &Content, bytes: &[u8], holder: NodeId) -> Digest {
        let mut writer = content.writer(1000).unwrap();
        writer.push(bytes).unwrap();
        content.keep(writer, Digest::sha256(bytes), holder).unwrap();
        Digest::sha256(bytes)
    }

    #[test]
    fn content_is_there_for_its_holders_alone() {
        let (_root, content) = content();
        let digest = keep(&content, b"private", ALICE);
        assert_eq!(content.length(digest, ALICE).unwrap(), 7);
        let absent = Digest::sha256("never seen");
        for unknown in [digest, absent] {
            let refusals = [
                content.length(unknown, BOB).unwrap_err(),
                content.open(unknown, BOB).unwrap_err(),
                content.read_range(unknown, BOB, 0, 9).unwrap_err(),
            ];
            for refusal in refusals {
                assert!(matches!(refusal, BlobError::NotFound(digest) if digest == unknown), "{refusal}");
            }
        }
        assert_eq!(keep(&content, b"private", BOB), digest);
        assert_eq!(content.read_range(digest, BOB, 0, 9).unwrap(), b"private");
        assert_eq!(content.room_for_others(), 743, "both share one copy");
    }

    #[test]
    fn jobs_of_others_leave_a_quarter_of_the_store_to_its_own_user() {
        let (_root, content) = content();
        let mut theirs = content.writer_for_others(1000).unwrap();
        theirs.push(&[7; 750]).unwrap();
        assert_eq!((content.room_for_others(), content.cap_for_others()), (0, 750));
        assert!(matches!(theirs.push(&[7]), Err(BlobError::Full { used: 750, cap: 750 })));
        let mut own = content.writer(1000).unwrap();
        own.push(&[8; 250]).unwrap();
        assert!(matches!(own.push(&[8]), Err(BlobError::Full { used: 1000, cap: 1000 })));
        drop(theirs);
        assert_eq!(content.room_for_others(), 500, "what is taken counts, whosever it is");
    }

    #[test]
    fn whoever_sends_something_else_holds_nothing() {
        let (_root, content) = content();
        let digest = keep(&content, b"private", ALICE);
        let mut writer = content.writer(1000).unwrap();
        writer.push(b"made up").unwrap();
        assert!(matches!(content.keep(writer, digest, BOB), Err(BlobError::Mismatch { .. })));
        assert!(content.length(digest, BOB).is_err());
    }

    #[test]
    fn an_older_database_says_whose_its_own_results_are() {
        let (_root, content) = content();
        let root = keep(&content, b"a result", BOB);
        let opening = Opening {
            result_hash: Digest::ZERO,
            output_root: root,
            exit_code: 0,
            fingerprint: FingerprintWord::VOID,
            summary: SummaryWord::VOID,
            salt: Digest::ZERO,
        };
        let executions = Executions::new(content.db.clone());
        executions.start(JobId::new([1; 32]), Timestamp::from_secs(1)).unwrap();
        executions.finish(JobId::new([1; 32]), &opening, BOB).unwrap();
        for _start in 0..2 {
            content.hold_own_results(ALICE).unwrap();
        }
        assert_eq!(content.length(root, ALICE).unwrap(), 8);
    }
}
