//! The last words of a run: why it gave no result, and the end of what it printed.
//!
//! Its node keeps them for the job's requester. Nothing in the log names them, so they are one node's word and no more.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use rusqlite::{OptionalExtension as _, params};

use super::{
    db::{Db, DbError},
    layout::{STDERR, STDOUT},
};
use crate::domain::{Digest, JobId, NodeId};

/// Most bytes of the reason.
pub const MAX_REASON_BYTES: usize = 1024;

/// Most bytes of each stream.
pub const MAX_TAIL_BYTES: usize = 64 * 1024;

/// Most bytes of the whole document.
pub const MAX_LAST_WORDS_BYTES: u64 = (1 + 3 * 4 + MAX_REASON_BYTES + 2 * MAX_TAIL_BYTES) as u64;

/// For how many runs a node keeps them: 33 MB. Strangers may let runs fail as often as they like.
const KEPT: u32 = 256;

/// The first byte of a document.
const VERSION: u8 = 1;

/// Bytes of a peer that are no last words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed last words of a run")]
pub struct MalformedLastWords;

/// What a failed run leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWords {
    /// Why there is no result, at most [`MAX_REASON_BYTES`] long.
    pub reason: String,
    /// The end of its standard output, at most [`MAX_TAIL_BYTES`] long.
    pub stdout: Vec<u8>,
    /// The same of standard error.
    pub stderr: Vec<u8>,
}

impl LastWords {
    /// Those of a run that left its streams, if it came so far, in this directory. Blocks.
    ///
    /// The names of the directory and of its parent, which is the run's, are left out of the reason: where a node keeps its
    /// files is its own business.
    pub fn of_run(reason: &str, result_dir: &Path) -> Self {
        let mut reason = result_dir
            .ancestors()
            .take(2)
            .fold(reason.to_owned(), |reason, dir| reason.replace(&format!("{}/", dir.display()), ""));
        let end = (0..=MAX_REASON_BYTES).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
        let stream = |name| tail(&result_dir.join(name)).unwrap_or_default();
        Self { reason, stdout: stream(STDOUT), stderr: stream(STDERR) }
    }

    /// The name under which a node is asked for those of its run of a job, in place of the digest of content.
    pub fn address(job: JobId, node: NodeId) -> Digest {
        let parts: [&[u8]; 3] = [b"assay last words v1\0", job.as_bytes(), node.as_bytes()];
        Digest::sha256(parts.concat())
    }

    /// The bytes that are stored and sent: the version, then for the reason and both streams 4 bytes length, big
    /// endian, and the content.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for part in [self.reason.as_bytes(), &self.stdout, &self.stderr] {
            bytes.extend(u32::try_from(part.len()).expect("every part is bounded").to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote, or what a peer claims to be that.
    ///
    /// # Errors
    /// [`MalformedLastWords`], also when a part is longer than it may be.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedLastWords> {
        let (&version, mut rest) = bytes.split_first().ok_or(MalformedLastWords)?;
        let mut part = |limit: usize| {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length =
                usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= limit)?;
            let (part, after) = after.split_at_checked(length)?;
            rest = after;
            Some(part.to_vec())
        };
        let parts = (part(MAX_REASON_BYTES), part(MAX_TAIL_BYTES), part(MAX_TAIL_BYTES));
        let (Some(reason), Some(stdout), Some(stderr)) = parts else { return Err(MalformedLastWords) };
        let reason = String::from_utf8(reason).map_err(|_| MalformedLastWords)?;
        if version != VERSION || !rest.is_empty() {
            return Err(MalformedLastWords);
        }
        Ok(Self { reason, stdout, stderr })
    }
}

fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let most = MAX_TAIL_BYTES as u64;
    file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last words in a database; clones share it.
#[derive(Debug, Clone)]
pub struct LastWordsStore {
    db: Db,
}

impl LastWordsStore {
    /// Those in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Keeps those of this node's run of a job, durably, in place of earlier ones. The oldest of many go.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn keep(&self, job: JobId, words: &LastWords) -> Result<(), DbError> {
        self.db.write(|transaction| {
            let sql = "INSERT OR REPLACE INTO last_words (job, document) VALUES (?1, ?2)";
            transaction.execute(sql, params![job, words.encode()])?;
            let sql = "DELETE FROM last_words WHERE rowid NOT IN
                       (SELECT rowid FROM last_words ORDER BY rowid DESC LIMIT ?1)";
            transaction.execute(sql, [KEPT])?;
            Ok(())
        })
    }

    /// Those of this node's run of a job, encoded.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn get(&self, job: JobId) -> Result<Option<Vec<u8>>, DbError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached("SELECT document FROM last_words WHERE job = ?1")?;
        Ok(statement.query_row([job], |row| row.get(0)).optional()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> LastWords {
        LastWords { reason: "too slow".to_owned(), stdout: vec![b'a', 0xff], stderr: vec![] }
    }

    #[test]
    fn every_cut_and_every_surplus_is_refused() {
        let bytes = words().encode();
        assert_eq!(LastWords::decode(&bytes), Ok(words()));
        for end in 0..bytes.len() {
            assert_eq!(LastWords::decode(&bytes[..end]), Err(MalformedLastWords), "{end}");
        }
        assert_eq!(LastWords::decode(&[bytes.as_slice(), b"x"].concat()), Err(MalformedLastWords));
        assert_eq!(LastWords::decode(&[&[2], &bytes[1..]].concat()), Err(MalformedLastWords));
        let long = LastWords { stdout: vec![0; MAX_TAIL_BYTES + 1], ..words() };
        assert_eq!(LastWords::decode(&long.encode()), Err(MalformedLastWords));
    }

    #[test]
    fn the_end_of_a_stream_is_kept_and_the_place_on_the_node_is_not_told() {
        let dir = tempfile::tempdir().unwrap();
        let result_dir = dir.path().join("result");
        std::fs::create_dir(&result_dir).unwrap();
        let printed = [vec![b'a'; 10], vec![b'b'; MAX_TAIL_BYTES]].concat();
        std::fs::write(result_dir.join(STDOUT), printed).unwrap();
        let (output, input) = (result_dir.join("outputs/x"), dir.path().join("input-0"));
        let reason = format!("{output:?} {input:?} {}", "é".repeat(MAX_REASON_BYTES));
        let words = LastWords::of_run(&reason, &result_dir);
        assert_eq!(words.stdout, [b'b'; MAX_TAIL_BYTES]);
        assert!(words.stderr.is_empty(), "there is no such file");
        assert!(words.reason.starts_with("\"outputs/x\" \"input-0\" é"), "{}", words.reason);
        assert!(
            words.reason.len() <= MAX_REASON_BYTES && words.encode().len() as u64 <= MAX_LAST_WORDS_BYTES
        );
    }

    #[test]
    fn the_newest_are_kept() {
        let store = LastWordsStore::new(Db::in_memory().unwrap());
        let job = |number: u32| JobId::new(*Digest::sha256(number.to_be_bytes()).as_bytes());
        for number in 0..=KEPT {
            store.keep(job(number), &words()).unwrap();
        }
        let other = LastWords { reason: "again".to_owned(), ..words() };
        store.keep(job(KEPT), &other).unwrap();
        assert_eq!(store.get(job(0)).unwrap(), None);
        assert_eq!(store.get(job(1)).unwrap(), Some(words().encode()));
        assert_eq!(store.get(job(KEPT)).unwrap(), Some(other.encode()));
    }
}
