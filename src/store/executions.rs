//! This node's own runs, one a job, from which it goes on after a restart.
//!
//! A finished run holds the whole opening of its commitment, salt included, and is stored before the
//! commitment is sent: a node that commits and then crashes can still reveal. It never changes after that,
//! since a second salt would open nothing. What the run left lies in the blob of its output root.

use rusqlite::{Connection, Row, params, types::ValueRef};

use super::{
    content::hold,
    db::{Db, DbError, Unsigned, WriteError},
};
use crate::domain::{Digest, FailureKind, FingerprintWord, JobId, NodeId, Opening, SummaryWord, Timestamp};

/// Most starts of one run. Two crashes may be chance.
pub const MAX_STARTS: u8 = 3;

/// A step that does not fit the run's stage.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// Nothing was started for the job.
    #[error("job {0} was not started here")]
    NotStarted(JobId),
    /// The run has already ended in another way.
    #[error("the run of job {0} has ended already, in another way")]
    Ended(JobId),
    /// The row is not as it was written.
    #[error("the record of the run of job {0} was altered on the disk")]
    Altered(JobId),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl WriteError for ExecutionError {
    fn into_failure(self) -> Result<DbError, Self> {
        match self {
            Self::Db(failure) => Ok(failure),
            refusal @ (Self::NotStarted(_) | Self::Ended(_) | Self::Altered(_)) => Err(refusal),
        }
    }
}

impl From<rusqlite::Error> for ExecutionError {
    fn from(err: rusqlite::Error) -> Self {
        Self::Db(err.into())
    }
}

/// One run of one job on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// The job.
    pub job: JobId,
    /// When this node started it.
    pub started_at: Timestamp,
    /// How far it is.
    pub stage: Stage,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The container may be running.
    Started,
    /// There is a result; this is all that its commitment covers.
    Finished(Opening),
    /// There will be none.
    Failed(FailureKind),
}

/// The runs in a database; clones share it.
#[derive(Debug, Clone)]
pub struct Executions {
    db: Db,
}

impl Executions {
    /// The runs in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Notes, durably, that the run of `job` is about to start. A run that a crash cut off may start again, and
    /// keeps its first time. `false` if one has ended, since a result is never replaced by another, and after
    /// [`MAX_STARTS`], since the job may be what brings the node down.
    ///
    /// # Errors
    /// [`ExecutionError::Db`].
    pub fn start(&self, job: JobId, at: Timestamp) -> Result<bool, ExecutionError> {
        let sql = "INSERT INTO executions (job, started_at, starts, stage) VALUES (?1, ?2, 1, 'started')
                   ON CONFLICT (job) DO UPDATE SET starts = starts + 1
                   WHERE stage = 'started' AND starts < ?3";
        self.db.write_together(move |connection| {
            let values = (job, Unsigned(at.as_secs()), MAX_STARTS);
            let started = connection.prepare_cached(sql)?.execute(values)? == 1;
            seal(connection, job)?;
            Ok(started)
        })
    }

    /// Notes, durably, what a started run left, and that `holder` holds it. Once more with the same is no error.
    ///
    /// # Errors
    /// [`ExecutionError::NotStarted`]; [`ExecutionError::Ended`] if it ended with anything else.
    pub fn finish(&self, job: JobId, opening: &Opening, holder: NodeId) -> Result<(), ExecutionError> {
        let opening = *opening;
        self.db.write_together(move |connection| {
            end(connection, job, Stage::Finished(opening))?;
            Ok(hold(connection, opening.output_root, holder)?)
        })
    }

    /// Notes, durably, that a started run gives no result. Once more with the same kind is no error.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn fail(&self, job: JobId, kind: FailureKind) -> Result<(), ExecutionError> {
        self.db.write_together(move |connection| end(connection, job, Stage::Failed(kind)))
    }

    /// The run of a job, if this node has started one.
    ///
    /// # Errors
    /// [`ExecutionError::Altered`], [`ExecutionError::Db`].
    pub fn get(&self, job: JobId) -> Result<Option<Execution>, ExecutionError> {
        get(&self.db.connection(), job)
    }
}

fn end(connection: &Connection, job: JobId, stage: Stage) -> Result<(), ExecutionError> {
    let known = get(connection, job)?.ok_or(ExecutionError::NotStarted(job))?;
    if known.stage == stage {
        return Ok(());
    }
    if known.stage != Stage::Started {
        return Err(ExecutionError::Ended(job));
    }
    match stage {
        Stage::Started => return Ok(()),
        Stage::Finished(Opening { result_hash, output_root, exit_code, fingerprint, summary, salt }) => {
            let sql = "UPDATE executions SET stage = 'finished', result_hash = ?2, output_root = ?3,
                       exit_code = ?4, fingerprint = ?5, salt = ?6, summary = ?7 WHERE job = ?1";
            let values = params![job, result_hash, output_root, exit_code, fingerprint.0, salt, summary.0];
            connection.prepare_cached(sql)?.execute(values)?
        }
        Stage::Failed(kind) => {
            let sql = "UPDATE executions SET stage = 'failed', failure = ?2 WHERE job = ?1";
            connection.prepare_cached(sql)?.execute((job, kind.index()))?
        }
    };
    seal(connection, job)
}

fn get(connection: &Connection, job: JobId) -> Result<Option<Execution>, ExecutionError> {
    let mut statement = connection.prepare_cached("SELECT * FROM executions WHERE job = ?1")?;
    let mut rows = statement.query([job])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    if is_altered(row)? {
        return Err(ExecutionError::Altered(job));
    }
    Ok(Some(execution_of_row(row)?))
}

/// How many runs there are, and those whose row is not as it was written.
pub(super) fn altered(connection: &Connection) -> rusqlite::Result<(u64, Vec<JobId>)> {
    let mut statement = connection.prepare("SELECT * FROM executions")?;
    let (mut rows, mut count, mut altered) = (statement.query(())?, 0, Vec::new());
    while let Some(row) = rows.next()? {
        count += 1;
        if is_altered(row)? {
            altered.push(row.get("job")?);
        }
    }
    Ok((count, altered))
}

fn is_altered(row: &Row<'_>) -> rusqlite::Result<bool> {
    let written: Option<Vec<u8>> = row.get("checksum")?;
    Ok(written.is_some_and(|written| written != checksum(row).unwrap_or(Digest::ZERO).as_bytes()))
}

/// Seals the row of a job, so that later alterations by the disk are noticed.
fn seal(connection: &Connection, job: JobId) -> Result<(), ExecutionError> {
    let mut statement = connection.prepare_cached("SELECT * FROM executions WHERE job = ?1")?;
    let checksum = statement.query_row([job], checksum)?;
    let sql = "UPDATE executions SET checksum = ?2 WHERE job = ?1";
    connection.prepare_cached(sql)?.execute((job, checksum))?;
    Ok(())
}

/// SHA-256 over the columns that say something, each with its kind and length.
fn checksum(row: &Row<'_>) -> rusqlite::Result<Digest> {
    let columns = ["job", "started_at", "starts", "stage", "result_hash", "output_root", "exit_code"];
    let mut bytes = Vec::new();
    for name in columns.into_iter().chain(["fingerprint", "salt", "failure", "summary"]) {
        let (kind, value) = match row.get_ref(name)? {
            // A column that older rows did not have when they were sealed.
            ValueRef::Null if name == "summary" => continue,
            ValueRef::Null => (0, Vec::new()),
            ValueRef::Integer(number) => (1, number.to_be_bytes().to_vec()),
            ValueRef::Real(number) => (2, number.to_be_bytes().to_vec()),
            ValueRef::Text(text) => (3, text.to_vec()),
            ValueRef::Blob(blob) => (4, blob.to_vec()),
        };
        bytes.push(kind);
        bytes.extend((value.len() as u64).to_be_bytes());
        bytes.extend(value);
    }
    Ok(Digest::sha256(bytes))
}

fn execution_of_row(row: &Row<'_>) -> rusqlite::Result<Execution> {
    let Unsigned(started_at) = row.get("started_at")?;
    let stage = match row.get_ref("stage")?.as_str()? {
        "started" => Stage::Started,
        "finished" => Stage::Finished(Opening {
            result_hash: row.get("result_hash")?,
            output_root: row.get("output_root")?,
            exit_code: row.get("exit_code")?,
            fingerprint: FingerprintWord(row.get("fingerprint")?),
            summary: row.get::<_, Option<_>>("summary")?.map_or(SummaryWord::VOID, SummaryWord),
            salt: row.get("salt")?,
        }),
        // The schema knows no fourth stage.
        _failed => {
            let index: u8 = row.get("failure")?;
            let kind = FailureKind::from_index(index)
                .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::from(index)))?;
            Stage::Failed(kind)
        }
    };
    Ok(Execution { job: row.get("job")?, started_at: Timestamp::from_secs(started_at), stage })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;

    const AT: Timestamp = Timestamp::from_secs(1_700_000_000);

    const ME: NodeId = NodeId::new([7; 20]);

    fn job(byte: u8) -> JobId {
        JobId::new([byte; 32])
    }

    fn opening() -> Opening {
        Opening {
            result_hash: Digest::new([1; 32]),
            output_root: Digest::new([2; 32]),
            exit_code: -3,
            fingerprint: FingerprintWord([4; 32]),
            summary: SummaryWord([6; 32]),
            salt: Digest::new([5; 32]),
        }
    }

    fn executions() -> Executions {
        Executions::new(Db::in_memory().unwrap())
    }

    #[test]
    fn an_opening_survives_a_restart_and_is_never_changed() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        let runs = Executions::new(Db::open(&dir).unwrap());
        runs.start(job(1), AT).unwrap();
        runs.finish(job(1), &opening(), ME).unwrap();
        drop(runs);
        let runs = Executions::new(Db::open(&dir).unwrap());
        assert_eq!(runs.get(job(1)).unwrap().unwrap().stage, Stage::Finished(opening()));
        runs.finish(job(1), &opening(), ME).unwrap();
        let other = Opening { salt: Digest::new([6; 32]), ..opening() };
        assert!(matches!(runs.finish(job(1), &other, ME), Err(ExecutionError::Ended(_))));
        assert!(matches!(runs.fail(job(1), FailureKind::Engine), Err(ExecutionError::Ended(_))));
        assert_eq!(runs.get(job(1)).unwrap().unwrap().stage, Stage::Finished(opening()));
    }

    #[test]
    fn what_was_not_started_cannot_end() {
        let runs = executions();
        assert!(matches!(runs.finish(job(1), &opening(), ME), Err(ExecutionError::NotStarted(_))));
        assert!(matches!(runs.fail(job(1), FailureKind::Disk), Err(ExecutionError::NotStarted(_))));
        assert_eq!(runs.get(job(1)).unwrap(), None);
    }

    #[test]
    fn every_kind_of_failure_is_kept() {
        let runs = executions();
        for kind in FailureKind::ALL {
            let job = job(kind.index());
            runs.start(job, AT).unwrap();
            runs.fail(job, kind).unwrap();
            runs.fail(job, kind).unwrap();
            assert_eq!(runs.get(job).unwrap().unwrap().stage, Stage::Failed(kind));
        }
    }

    #[test]
    fn only_a_run_that_has_not_ended_may_start_again() {
        let runs = executions();
        let later = Timestamp::from_secs(AT.as_secs() + 60);
        assert_eq!(runs.get(job(1)).unwrap(), None);
        for byte in 1..=3 {
            assert!(runs.start(job(byte), AT).unwrap());
        }
        runs.finish(job(2), &opening(), ME).unwrap();
        runs.fail(job(3), FailureKind::Memory).unwrap();
        assert!(runs.start(job(1), later).unwrap());
        assert!(runs.start(job(1), later).unwrap());
        assert!(!runs.start(job(1), later).unwrap(), "more than MAX_STARTS");
        assert!(!runs.start(job(2), later).unwrap());
        assert!(!runs.start(job(3), later).unwrap());
        let run = |byte| runs.get(job(byte)).unwrap().unwrap();
        assert_eq!((run(1).stage, run(1).started_at), (Stage::Started, AT));
        assert_eq!(run(2).stage, Stage::Finished(opening()));
        assert_eq!(run(3).stage, Stage::Failed(FailureKind::Memory));
    }

    #[test]
    fn an_altered_record_is_refused_and_the_others_are_read() {
        let runs = Executions::new(Db::in_memory().unwrap());
        for byte in [1, 2] {
            runs.start(job(byte), AT).unwrap();
            runs.finish(job(byte), &opening(), ME).unwrap();
        }
        let alter = "UPDATE executions SET salt = zeroblob(32) WHERE job = ?1";
        runs.db.connection().execute(alter, [job(1)]).unwrap();
        assert!(matches!(runs.get(job(1)), Err(ExecutionError::Altered(altered)) if altered == job(1)));
        assert!(matches!(runs.finish(job(1), &opening(), ME), Err(ExecutionError::Altered(_))));
        assert_eq!(runs.get(job(2)).unwrap().unwrap().stage, Stage::Finished(opening()));
    }
}
