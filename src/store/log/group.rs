//! Appends of several threads that wait for the disk together.
//!
//! An append is durable before it returns, and waiting for the disk takes longer than all else. So whoever gets the
//! connection also writes what others queued while they waited for it: under load one wait serves many.

use std::{
    fmt,
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, params};

use super::{
    super::db::{Db, DbError, Writer},
    LogError, NewEntry, insert,
};
use crate::domain::JobId;

/// What one thread wants to have written, all or none.
pub(super) struct Append {
    entries: Vec<NewEntry>,
    fault: Option<(JobId, Vec<u8>)>,
    stored: Box<dyn FnOnce() + Send>,
    result: Outcome,
}

/// The cursors of the entries, once they are written or refused.
type Outcome = Arc<Mutex<Option<Result<Vec<u64>, LogError>>>>;

/// What waits for the connection.
#[derive(Default)]
pub(super) struct Queue(Mutex<Vec<Append>>);

impl Queue {
    /// Writes an append, with whatever else waits. Runs `stored` when it is durable, before any reader hears of it.
    pub(super) fn append(
        &self,
        db: &Db,
        entries: Vec<NewEntry>,
        fault: Option<(JobId, Vec<u8>)>,
        stored: Box<dyn FnOnce() + Send>,
    ) -> Result<Vec<u64>, LogError> {
        let result = Outcome::default();
        self.lock().push(Append { entries, fault, stored, result: Arc::clone(&result) });
        let mut writer = db.writer();
        if is_open(&result) {
            write(&mut writer, db, take(&mut *self.lock()));
        }
        drop(writer);
        let written = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        written.expect("whoever took it from the queue has written or refused it")
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Append>> {
        // Pushed or taken whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_open(result: &Outcome) -> bool {
    result.lock().unwrap_or_else(PoisonError::into_inner).is_none()
}

fn write(writer: &mut Writer<'_>, db: &Db, batch: Vec<Append>) {
    let together = writer.write(|transaction| {
        let alone = batch.len() == 1;
        batch.iter().map(|append| append.write_into(transaction, alone)).collect::<Result<Vec<_>, LogError>>()
    });
    let results = match together {
        Ok(results) => results,
        Err(error) if batch.len() == 1 => vec![Err(error)],
        // Each learns what becomes of its own.
        Err(_) => batch.iter().map(|append| writer.write(|transaction| append.insert(transaction))).collect(),
    };
    let mut newest = 0;
    for (Append { stored, result, .. }, written) in batch.into_iter().zip(results) {
        if let Ok(cursors) = &written {
            stored();
            newest = cursors.iter().copied().max().unwrap_or_default().max(newest);
        }
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
    }
    db.head().send_if_modified(|head| {
        let rises = newest > *head;
        *head = newest.max(*head);
        rises
    });
}

impl Append {
    /// Writes it so that a refusal takes nothing else with it. A failure of the disk does: the database may have given
    /// up the whole transaction.
    fn write_into(
        &self,
        connection: &Connection,
        alone: bool,
    ) -> Result<Result<Vec<u64>, LogError>, LogError> {
        if alone {
            return self.insert(connection).map(Ok);
        }
        connection.prepare_cached("SAVEPOINT one")?.execute(())?;
        let inserted = match self.insert(connection) {
            Err(LogError::Db(error)) => return Err(LogError::Db(error)),
            Err(refusal) => {
                connection.prepare_cached("ROLLBACK TO one")?.execute(())?;
                Err(refusal)
            }
            Ok(cursors) => Ok(cursors),
        };
        connection.prepare_cached("RELEASE one")?.execute(())?;
        Ok(inserted)
    }

    fn insert(&self, connection: &Connection) -> Result<Vec<u64>, LogError> {
        if let Some((job, bytes)) = &self.fault {
            let sql = "INSERT INTO faults (job, bytes) VALUES (?1, ?2) ON CONFLICT (job) DO NOTHING";
            connection.prepare_cached(sql).map_err(DbError::from)?.execute(params![job, bytes])?;
        }
        self.entries.iter().map(|entry| insert(connection, entry)).collect()
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
        domain::{Digest, NodeId},
        store::{DataDir, EventLog},
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
}
