//! Writes of several threads that wait for the disk together.
//!
//! A write is durable before it returns, and waiting for the disk takes longer than all else. So whoever gets the
//! connection also writes what others queued while they waited for it: under load one wait serves many.

use std::{
    error::Error,
    fmt,
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use super::{Db, DbError, Writer};

/// The error of a write: the database failed, or what was to be written is refused.
pub(in crate::store) trait WriteError: From<DbError> + Error + Send + 'static {
    /// The failure of the database.
    ///
    /// # Errors
    /// The refusal, if it is one.
    fn into_failure(self) -> Result<DbError, Self>;
}

impl WriteError for DbError {
    fn into_failure(self) -> Result<DbError, Self> {
        Ok(self)
    }
}

/// What waits for the connection.
#[derive(Default)]
pub(super) struct Queue(Mutex<Vec<Box<dyn Waiting>>>);

/// The outcome of one write, once there is one.
type Slot<T, E> = Arc<Mutex<Option<Result<T, E>>>>;

impl Queue {
    /// Runs `body` in a transaction, with whatever else waits; twice, if another of them fails. Runs `stored` when that
    /// is durable, before this returns.
    pub(super) fn write<T: Send + 'static, E: WriteError>(
        &self,
        db: &Db,
        body: impl FnMut(&Connection) -> Result<T, E> + Send + 'static,
        stored: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E> {
        let slot = Slot::default();
        self.lock().push(Box::new(One { body, stored, outcome: None, slot: Arc::clone(&slot) }));
        let mut writer = db.writer();
        if locked(&slot).is_none() {
            write(&mut writer, take(&mut *self.lock()));
        }
        drop(writer);
        let written = locked(&slot).take();
        written.expect("whoever took it from the queue has written or refused it")
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<dyn Waiting>>> {
        locked(&self.0)
    }
}

/// What it guards is put there or taken whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(writer: &mut Writer<'_>, mut batch: Vec<Box<dyn Waiting>>) {
    let is_written = batch.len() > 1
        && writer
            .write(|transaction| batch.iter_mut().try_for_each(|one| one.run_among_others(transaction)))
            .is_ok();
    for mut one in batch {
        if !is_written {
            // Each learns what becomes of its own.
            one.run_alone(writer);
        }
        one.settle();
    }
}

/// One write, whatever it writes.
trait Waiting: Send {
    /// Runs it in a transaction of its own.
    fn run_alone(&mut self, writer: &mut Writer<'_>);

    /// Runs it so that a refusal takes nothing else with it. A failure of the disk does: the database may have given
    /// up the whole transaction.
    fn run_among_others(&mut self, connection: &Connection) -> Result<(), DbError>;

    /// Tells its thread the outcome of the last run, which is durable by now.
    fn settle(self: Box<Self>);
}

struct One<Body, Stored, T, E> {
    body: Body,
    stored: Stored,
    outcome: Option<Result<T, E>>,
    slot: Slot<T, E>,
}

impl<Body, Stored, T: Send, E: WriteError> Waiting for One<Body, Stored, T, E>
where
    Body: FnMut(&Connection) -> Result<T, E> + Send,
    Stored: FnOnce(&T) + Send,
{
    fn run_alone(&mut self, writer: &mut Writer<'_>) {
        self.outcome = Some(writer.write(|transaction| (self.body)(transaction)));
    }

    fn run_among_others(&mut self, connection: &Connection) -> Result<(), DbError> {
        connection.prepare_cached("SAVEPOINT one")?.execute(())?;
        let outcome = match (self.body)(connection).map_err(E::into_failure) {
            Ok(value) => Ok(value),
            Err(Ok(failure)) => return Err(failure),
            Err(Err(refusal)) => {
                connection.prepare_cached("ROLLBACK TO one")?.execute(())?;
                Err(refusal)
            }
        };
        connection.prepare_cached("RELEASE one")?.execute(())?;
        self.outcome = Some(outcome);
        Ok(())
    }

    fn settle(self: Box<Self>) {
        let Self { stored, outcome, slot, .. } = *self;
        if let Some(Ok(value)) = &outcome {
            stored(value);
        }
        *locked(&slot) = outcome;
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread::{scope, yield_now},
    };

    use super::*;
    use crate::{
        domain::{Digest, FailureKind, JobId, NodeId, Timestamp},
        store::{DataDir, EventLog, Executions, LogError, NewEntry},
    };

    fn entry(job: u8, height: u64, content: u8) -> NewEntry {
        let entry_hash = Digest::sha256([job, content, u8::try_from(height).unwrap()]);
        let author = Some(NodeId::new([job; 20]));
        NewEntry { job: JobId::new([job; 32]), height, entry_hash, author, bytes: vec![content; 9] }
    }

    #[test]
    fn what_many_threads_append_is_there_whole_and_in_its_order() {
        let root = tempfile::tempdir().unwrap();
        let log = EventLog::new(Db::open(&DataDir::open(root.path()).unwrap()).unwrap());
        scope(|threads| {
            for job in 0..8 {
                let log = log.clone();
                threads.spawn(move || {
                    let cursors = (1..=30).map(|height| log.append(&entry(job, height, 0)).unwrap());
                    assert!(cursors.is_sorted());
                });
            }
        });
        let read = log.read_after(0, 1000).unwrap();
        assert_eq!((read.len(), *log.watch_head().borrow()), (240, read[239].cursor));
        for job in 0..8 {
            let of_job = read.iter().filter(|stored| stored.entry.job == JobId::new([job; 32]));
            assert!(of_job.map(|stored| stored.entry.height).eq(1..=30));
        }
    }

    #[test]
    fn a_refused_append_takes_no_other_with_it_and_is_never_called_stored() {
        let log = EventLog::new(Db::in_memory().unwrap());
        log.append(&entry(1, 1, 0)).unwrap();
        let stored = Arc::new(AtomicUsize::new(0));
        let results = scope(|threads| {
            let held = log.hold();
            // Of these, the second has another entry at a height that is taken, and the third lacks one before it.
            let appends = [entry(2, 1, 0), entry(1, 1, 9), entry(3, 2, 0), entry(1, 2, 0)];
            let handles: Vec<_> = appends
                .into_iter()
                .enumerate()
                .map(|(before, entry)| {
                    let (its, stored) = (log.clone(), Arc::clone(&stored));
                    let handle = threads.spawn(move || {
                        let count = move || {
                            stored.fetch_add(1, Ordering::SeqCst);
                        };
                        its.append_then(vec![entry], None, count)
                    });
                    // In this order.
                    while log.waiting() <= before {
                        yield_now();
                    }
                    handle
                })
                .collect();
            assert_eq!(stored.load(Ordering::SeqCst), 0);
            drop(held);
            handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(matches!(results[1], Err(LogError::Conflict { height: 1, .. })), "{results:?}");
        assert!(matches!(results[2], Err(LogError::Gap { expected: 1, .. })), "{results:?}");
        assert!(results[0].is_ok() && results[3].is_ok(), "{results:?}");
        assert_eq!((stored.load(Ordering::SeqCst), log.read_after(0, 9).unwrap().len()), (2, 3));
    }

    #[test]
    fn whatever_several_threads_write_waits_for_the_disk_once() {
        let db = Db::in_memory().unwrap();
        let (log, runs) = (EventLog::new(db.clone()), Executions::new(db.clone()));
        let (one, other) = (JobId::new([1; 32]), JobId::new([2; 32]));
        runs.start(one, Timestamp::ZERO).unwrap();
        let before = db.commits();
        scope(|threads| {
            let held = db.writer();
            threads.spawn(|| log.append(&entry(1, 1, 0)).unwrap());
            threads.spawn(|| assert!(runs.start(other, Timestamp::ZERO).unwrap()));
            threads.spawn(|| runs.fail(one, FailureKind::Timeout).unwrap());
            // Nothing of that job was started.
            threads.spawn(|| runs.fail(JobId::new([9; 32]), FailureKind::Timeout).unwrap_err());
            while db.waiting() < 4 {
                yield_now();
            }
            drop(held);
        });
        assert_eq!(db.commits() - before, 1);
        assert_eq!(log.read_after(0, 9).unwrap().len(), 1);
        assert_eq!(runs.get(other).unwrap().map(|run| run.job), Some(other));
    }
}
