use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use super::*;
use crate::{
    domain::{NodeId, Opening, Timestamp},
    store::{Blobs, Content, DataDir, Db, EventLog, Executions, NewEntry},
};

const ME: NodeId = NodeId::new([7; 20]);

fn job(byte: u8) -> JobId {
    JobId::new([byte; 32])
}

/// A store with two logs, a run and a result, in use.
struct Store {
    root: tempfile::TempDir,
    db: Db,
    result: Digest,
}

impl Store {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        let db = Db::open(&dir).unwrap();
        fs::write(dir.key_file(), "a key").unwrap();
        let log = EventLog::new(db.clone());
        for (index, height) in [(1, 1), (1, 2), (2, 1)] {
            let bytes = vec![index, height, 0xab];
            let entry_hash = Digest::sha256(&bytes);
            let entry =
                NewEntry { job: job(index), height: height.into(), entry_hash, author: Some(ME), bytes };
            log.append(&entry).unwrap();
        }
        let content = Content::new(db.clone(), Blobs::open(&dir.blobs(), 1 << 20).unwrap());
        let mut writer = content.writer(100).unwrap();
        writer.push(b"a result").unwrap();
        let (result, _) = writer.digest();
        content.keep(writer, result, ME).unwrap();
        let runs = Executions::new(db.clone());
        runs.start(job(1), Timestamp::from_secs(9)).unwrap();
        runs.finish(job(1), &Opening { output_root: result, ..Opening::sample(1) }, ME).unwrap();
        Self { root, db, result }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn file(&self) -> PathBuf {
        files_below(self.path()).unwrap()[&self.result].0.clone()
    }

    /// As a disk alters it: behind the back of the program.
    fn alter(&self, sql: &str) {
        self.db.connection().execute_batch(sql).unwrap();
    }
}

#[test]
fn a_store_in_use_is_sound_and_everything_in_it_is_read() {
    let store = Store::new();
    let checked = check(store.path()).unwrap();
    assert!(checked.is_sound(), "{checked:?}");
    assert_eq!((checked.entries, checked.runs, checked.files, checked.bytes), (3, 1, 1, 8));
    assert_eq!(usize::try_from(checked.schema).unwrap(), NEWEST_SCHEMA);
}

#[test]
fn what_comes_and_goes_while_a_check_reads_is_not_missing() {
    let store = Store::new();
    let blobs = Blobs::open(&blobs_in(store.path()), 1 << 20).unwrap();
    let content = Content::new(store.db.clone(), blobs);
    std::thread::scope(|threads| {
        let node = threads.spawn(|| {
            for round in 0..100_u32 {
                let mut writer = content.writer(100).unwrap();
                writer.push(&round.to_be_bytes()).unwrap();
                let (digest, _) = writer.digest();
                content.keep(writer, digest, ME).unwrap();
            }
        });
        while !node.is_finished() {
            assert_eq!(check(store.path()).unwrap().missing, []);
        }
    });
    assert_eq!(check(store.path()).unwrap().files, 101);
}

#[test]
fn whatever_a_disk_alters_is_found_and_named() {
    let store = Store::new();
    store.alter("UPDATE entries SET bytes = x'00' WHERE height = 2");
    store.alter("UPDATE executions SET exit_code = 77");
    let file = store.file();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "another").unwrap();
    let checked = check(store.path()).unwrap();
    assert_eq!(checked.altered_entries, [(job(1), 2)]);
    assert_eq!(checked.altered_runs, [job(1)]);
    assert_eq!((checked.damaged.as_slice(), checked.missing.len()), ([store.result].as_slice(), 0));
    fs::remove_file(file).unwrap();
    let checked = check(store.path()).unwrap();
    assert_eq!((checked.damaged.len(), checked.missing.as_slice()), (0, [store.result].as_slice()));
}

#[test]
fn damaged_pages_are_told_in_the_words_of_the_database() {
    let store = Store::new();
    let Store { root, db, .. } = store;
    db.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(db);
    let file = fs::OpenOptions::new().write(true).open(database_in(root.path())).unwrap();
    // The first page holds the schema, without which nothing can be read.
    for page in 2..6 {
        file.write_all_at(&[0xff; 512], page * 4096).unwrap();
    }
    drop(file);
    let checked = check(root.path()).unwrap();
    assert!(!checked.pages.is_empty() && !checked.is_sound());
}

#[test]
fn a_backup_of_a_store_in_use_is_a_store_that_a_node_starts_on() {
    let store = Store::new();
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("a/copy");
    let copied = back_up(store.path(), &to, true).unwrap();
    assert_eq!((copied.files, copied.bytes, copied.has_key), (1, 8, true));
    assert!(copied.database > 0);
    assert!(matches!(back_up(store.path(), &to, true), Err(CheckError::Exists { .. })));
    // What is written after it is not in it.
    store.db.set_cursor("later", 1).unwrap();

    assert!(check(&to).unwrap().is_sound());
    let dir = DataDir::open(&to).unwrap();
    let db = Db::open(&dir).unwrap();
    assert_eq!(db.cursor("later").unwrap(), 0);
    assert_eq!(EventLog::new(db.clone()).read_after(0, 9).unwrap().len(), 3);
    let content = Content::new(db, Blobs::open(&dir.blobs(), 1 << 20).unwrap());
    assert_eq!(content.length(store.result, ME).unwrap(), 8);
    assert_eq!(fs::read_to_string(dir.key_file()).unwrap(), "a key");
}

#[test]
fn a_backup_without_content_says_what_is_not_there() {
    let store = Store::new();
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("copy");
    assert_eq!(back_up(store.path(), &to, false).unwrap().files, 0);
    assert_eq!(check(&to).unwrap().missing, [store.result]);
}

#[test]
fn where_no_node_was_there_is_nothing_to_check() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(check(empty.path()), Err(CheckError::NoStore { .. })));
    assert!(fs::read_dir(empty.path()).unwrap().next().is_none(), "nothing is created");
}

#[test]
fn a_store_of_a_newer_program_is_refused_by_name() {
    let store = Store::new();
    store.alter(&format!("PRAGMA user_version = {}", NEWEST_SCHEMA + 1));
    assert!(matches!(check(store.path()), Err(CheckError::Db(DbError::NewerSchema { .. }))));
}

#[test]
fn a_repair_removes_what_is_damaged_and_says_what_is_left() {
    let store = Store::new();
    store.alter("UPDATE entries SET bytes = x'00' WHERE height = 2");
    let file = store.file();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "another").unwrap();
    assert!(matches!(repair(store.path()), Err(CheckError::Dir(DirError::Locked { .. }))), "a node runs");
    let Store { root, db, .. } = store;
    drop(db);
    let repaired = repair(root.path()).unwrap();
    assert_eq!((repaired.removed, repaired.bytes, repaired.disclaimed), (1, 7, 1));
    assert!(!file.exists() && !repaired.indexes);
    let Checked { altered_entries, damaged, missing, .. } = repaired.left;
    assert_eq!(altered_entries, [(job(1), 2)], "nobody here knows what was written");
    assert_eq!((damaged, missing), (vec![], vec![]));
}

#[test]
fn an_index_that_lost_a_row_is_built_again() {
    let store = Store::new();
    // The rows stay in their table, and the index is emptied.
    store.alter(
        "PRAGMA writable_schema = ON;
         CREATE TABLE hollow (cursor INTEGER);
         CREATE INDEX hollow_index ON hollow (cursor) WHERE cursor = 1;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'hollow_index')
           WHERE name = 'first_entries';
         DELETE FROM sqlite_schema WHERE name IN ('hollow', 'hollow_index');
         PRAGMA writable_schema = OFF;",
    );
    let Store { root, db, .. } = store;
    drop(db);
    assert!(!check(root.path()).unwrap().pages.is_empty());
    let repaired = repair(root.path()).unwrap();
    assert!(repaired.indexes);
    assert!(repaired.left.altered_entries.is_empty());
}
