//! Which ended jobs used what, and the deletion of content that nobody needs.

use std::time::SystemTime;

use rusqlite::params;

use super::{Content, failed};
use crate::{
    domain::{Digest, JobId, NodeId, Timestamp},
    store::{
        blobs::BlobError,
        db::{DbError, Unsigned},
    },
};

/// What an ended job used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobContent {
    /// The job.
    pub job: JobId,
    /// Its inputs.
    pub inputs: Vec<Digest>,
    /// The results that its nodes revealed.
    pub results: Vec<Digest>,
}

/// The use of content by an ended job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedUse {
    /// The job.
    pub job: JobId,
    /// Who asked for it.
    pub requester: NodeId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whether it is a result of the job; else it is an input.
    pub is_result: bool,
    /// Whether this node still wants to compare it with a run of its own.
    pub awaits_own_run: bool,
}

/// Content on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptContent {
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// When it was stored last, on this machine's clock.
    pub stored_at: SystemTime,
    /// By ended jobs.
    pub uses: Vec<EndedUse>,
    /// Whether it is the result of this node's run of a job that has not ended.
    pub is_of_live_run: bool,
}

impl Content {
    /// Notes what jobs that end use: once they left memory, nothing else says so without reading their logs.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn note_uses(&self, jobs: Vec<JobContent>) -> Result<(), DbError> {
        self.db.write_together(move |connection| {
            let sql = "INSERT OR IGNORE INTO ended_content (digest, job, is_result) VALUES (?1, ?2, ?3)";
            let mut insert = connection.prepare_cached(sql)?;
            for JobContent { job, inputs, results } in &jobs {
                let results = results.iter().map(|digest| (digest, true));
                for (digest, is_result) in inputs.iter().map(|digest| (digest, false)).chain(results) {
                    insert.execute(params![digest, job, is_result])?;
                }
            }
            Ok(())
        })
    }

    /// All content. Reads every directory of the store: for administration.
    ///
    /// # Errors
    /// [`BlobError::Io`], [`BlobError::Holders`].
    pub fn kept(&self) -> Result<Vec<KeptContent>, BlobError> {
        let files = self.blobs.list_with_times()?;
        let connection = self.db.connection();
        let live_runs = "SELECT 1 FROM executions WHERE output_root = ?1
                         AND NOT EXISTS (SELECT 1 FROM ended WHERE ended.job = executions.job)
                         AND EXISTS (SELECT 1 FROM entries WHERE entries.job = executions.job)";
        let uses = "SELECT u.job, e.requester, e.ended_at, u.is_result,
                           EXISTS (SELECT 1 FROM replications r WHERE r.job = u.job AND r.own_run = 'due')
                    FROM ended_content u JOIN ended e ON e.job = u.job WHERE u.digest = ?1";
        let mut live_runs = connection.prepare_cached(live_runs).map_err(failed)?;
        let mut uses = connection.prepare_cached(uses).map_err(failed)?;
        let mut kept = Vec::with_capacity(files.len());
        for (digest, (bytes, stored_at)) in files {
            let rows = uses.query_map([digest], |row| {
                let Unsigned(ended_at) = row.get(2)?;
                Ok(EndedUse {
                    job: row.get(0)?,
                    requester: row.get(1)?,
                    ended_at: Timestamp::from_secs(ended_at),
                    is_result: row.get(3)?,
                    awaits_own_run: row.get(4)?,
                })
            });
            let uses = rows.and_then(Iterator::collect).map_err(failed)?;
            let is_of_live_run = live_runs.exists([digest]).map_err(failed)?;
            kept.push(KeptContent { digest, bytes, stored_at, uses, is_of_live_run });
        }
        Ok(kept)
    }

    /// Deletes content, and forgets who held it, unless it was stored again after `unless_after`. Returns the bytes that
    /// this freed.
    ///
    /// # Errors
    /// [`BlobError::Io`], [`BlobError::Holders`].
    pub fn remove(&self, digest: Digest, unless_after: SystemTime) -> Result<Option<u64>, BlobError> {
        // The file goes while the database waits: whoever stores it meanwhile is noted as a holder afterwards.
        let mut freed = Ok(None);
        let forgotten = self.db.write(|transaction| -> Result<(), DbError> {
            freed = self.blobs.remove(digest, unless_after);
            if matches!(freed, Ok(Some(_))) {
                transaction.execute("DELETE FROM holdings WHERE digest = ?1", [digest])?;
                transaction.execute("DELETE FROM ended_content WHERE digest = ?1", [digest])?;
            }
            Ok(())
        });
        let freed = freed?;
        forgotten.map_err(BlobError::Holders)?;
        Ok(freed)
    }

    /// How many bytes the database has on the disk, and how many of them it will use again before it grows.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn database_bytes(&self) -> Result<(u64, u64), DbError> {
        let connection = self.db.connection();
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        let [Unsigned(page), Unsigned(count), Unsigned(free)] =
            [pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?];
        Ok((page.saturating_mul(count), page.saturating_mul(free)))
    }

    /// The bytes of all content, and the most that it may take.
    pub fn filled(&self) -> (u64, u64) {
        (self.blobs.used_bytes(), self.blobs.cap())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        time::Duration,
    };

    use super::*;
    use crate::store::{Blobs, Db, EndedJob, EventLog, NewEntry};

    const ME: NodeId = NodeId::new([1; 20]);

    fn keep(content: &Content, bytes: &[u8]) -> Digest {
        let mut writer = content.writer(1000).unwrap();
        writer.push(bytes).unwrap();
        content.keep(writer, Digest::sha256(bytes), ME).unwrap();
        Digest::sha256(bytes)
    }

    fn ended(log: &EventLog, byte: u8) -> JobId {
        let job = JobId::new([byte; 32]);
        let entry =
            NewEntry { job, height: 1, entry_hash: Digest::sha256([byte]), author: None, bytes: vec![7] };
        log.append(&entry).unwrap();
        let row = EndedJob {
            job,
            height: 1,
            requester: ME,
            parent: None,
            member_of: None,
            state: "verified".to_owned(),
            submitted_at: Timestamp::from_secs(1),
            ended_at: Timestamp::from_secs(u64::from(byte)),
            is_honest: false,
            summary: Vec::new(),
        };
        assert_eq!(log.retire(&[row]).unwrap(), [job]);
        job
    }

    #[test]
    fn content_says_which_ended_jobs_used_it_until_they_are_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let db = Db::in_memory().unwrap();
        let (log, content) =
            (EventLog::new(db.clone()), Content::new(db, Blobs::open(root.path(), 1000).unwrap()));
        let [input, result, unused] =
            [b"input".as_slice(), b"result", b"unused"].map(|bytes| keep(&content, bytes));
        let [one, two] = [3, 5].map(|byte| ended(&log, byte));
        let uses =
            |job, results: &[Digest]| JobContent { job, inputs: vec![input], results: results.to_vec() };
        for _again in 0..2 {
            content.note_uses(vec![uses(one, &[result]), uses(two, &[])]).unwrap();
        }
        // A job that never ended, or not here.
        content.note_uses(vec![uses(JobId::new([9; 32]), &[unused])]).unwrap();
        let users = || -> BTreeMap<Digest, BTreeSet<(JobId, bool)>> {
            let of = |kept: KeptContent| {
                (kept.digest, kept.uses.iter().map(|one| (one.job, one.is_result)).collect())
            };
            content.kept().unwrap().into_iter().map(of).collect()
        };
        let expected = BTreeMap::from([
            (input, BTreeSet::from([(one, false), (two, false)])),
            (result, BTreeSet::from([(one, true)])),
            (unused, BTreeSet::new()),
        ]);
        assert_eq!(users(), expected);
        assert_eq!(log.ended().before(Timestamp::from_secs(5), 9).unwrap(), [one]);
        assert_eq!(log.ended().forget(&[one, JobId::new([9; 32])]).unwrap(), [one]);
        assert!(log.read_job(one, 0, 9).unwrap().is_empty() && !log.ended().contains(one).unwrap());
        assert_eq!(users()[&result], BTreeSet::new());
        assert_eq!(users()[&input], BTreeSet::from([(two, false)]));
    }

    #[test]
    fn what_goes_has_no_holder_and_what_was_stored_since_stays() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::new(Db::in_memory().unwrap(), Blobs::open(root.path(), 1000).unwrap());
        let digest = keep(&content, b"content");
        let stored_at = content.kept().unwrap()[0].stored_at;
        assert_eq!(content.remove(digest, stored_at - Duration::from_secs(1)).unwrap(), None);
        assert_eq!((content.length(digest, ME).unwrap(), content.filled()), (7, (7, 1000)));
        assert_eq!(content.remove(digest, stored_at).unwrap(), Some(7));
        assert!(matches!(content.length(digest, ME), Err(BlobError::NotFound(_))));
        assert_eq!((content.kept().unwrap().len(), content.filled()), (0, (0, 1000)));
        assert_eq!(content.remove(digest, stored_at).unwrap(), None, "it is gone");
        // It may come again, from somebody who has to send all of it.
        keep(&content, b"content");
        assert_eq!(content.length(digest, ME).unwrap(), 7);
    }
}
