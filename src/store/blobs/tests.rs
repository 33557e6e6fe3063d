use std::thread;

use super::*;

const CAP: u64 = 1000;

fn blobs() -> (tempfile::TempDir, Blobs) {
    let root = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(root.path(), CAP).unwrap();
    (root, blobs)
}

fn scratch_files(blobs: &Blobs) -> usize {
    fs::read_dir(blobs.shared.root.join(SCRATCH)).unwrap().count()
}

#[test]
fn content_is_found_by_its_digest_also_after_a_restart() {
    let (root, blobs) = blobs();
    let (digest, length) = blobs.insert(&b"hello"[..], 5).unwrap();
    assert_eq!((digest, length), (Digest::sha256("hello"), 5));
    let hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(fs::read(root.path().join("2c").join(hex)).unwrap(), b"hello");
    drop(blobs);
    let blobs = Blobs::open(root.path(), CAP).unwrap();
    assert_eq!(blobs.used_bytes(), 5);
    assert_eq!(blobs.list().unwrap(), BTreeMap::from([(digest, 5)]));
    assert_eq!(blobs.length(digest).unwrap(), 5);
    assert_eq!(io::read_to_string(blobs.open_blob(digest).unwrap()).unwrap(), "hello");
    assert_eq!(scratch_files(&blobs), 0);
}

#[test]
fn ranges_are_cut_at_the_end_and_at_the_bound() {
    let (_root, blobs) = blobs();
    let (digest, _) = blobs.insert(&b"0123456789"[..], 10).unwrap();
    assert_eq!(blobs.read_range(digest, 3, 4).unwrap(), b"3456");
    assert_eq!(blobs.read_range(digest, 8, u64::MAX).unwrap(), b"89");
    assert_eq!(blobs.read_range(digest, 10, 1).unwrap(), b"");
    assert_eq!(blobs.read_range(digest, u64::MAX, u64::MAX).unwrap(), b"");
    let root = tempfile::tempdir().unwrap();
    let large = Blobs::open(root.path(), u64::MAX).unwrap();
    let (digest, _) = large.insert(io::repeat(1).take(MAX_RANGE_BYTES + 7), u64::MAX).unwrap();
    assert_eq!(large.read_range(digest, 0, u64::MAX).unwrap().len() as u64, MAX_RANGE_BYTES);
}

#[test]
fn content_beyond_its_bound_leaves_nothing() {
    let (_root, blobs) = blobs();
    let err = blobs.insert(&b"123456"[..], 5).unwrap_err();
    assert!(matches!(err, BlobError::TooLarge { limit: 5 }));
    assert_eq!((blobs.used_bytes(), scratch_files(&blobs)), (0, 0));
}

#[test]
fn a_full_store_says_so_and_takes_what_still_fits() {
    let (_root, blobs) = blobs();
    blobs.insert(&[1; 600][..], CAP).unwrap();
    let err = blobs.insert(&[2; 401][..], CAP).unwrap_err();
    assert!(matches!(err, BlobError::Full { used: 600, cap: CAP }));
    blobs.insert(&[3; 400][..], CAP).unwrap();
    assert_eq!(blobs.used_bytes(), CAP);
}

#[test]
fn content_that_was_not_announced_is_not_kept() {
    let (_root, blobs) = blobs();
    let mut writer = blobs.writer(CAP).unwrap();
    writer.push(b"lie").unwrap();
    let expected = Digest::sha256("truth");
    assert!(matches!(writer.commit_as(expected), Err(BlobError::Mismatch { .. })));
    assert_eq!(blobs.list().unwrap(), BTreeMap::new());
    assert_eq!((blobs.used_bytes(), scratch_files(&blobs)), (0, 0));
    let mut writer = blobs.writer(CAP).unwrap();
    writer.push(b"truth").unwrap();
    assert_eq!(writer.commit_as(expected).unwrap(), 5);
}

#[test]
fn the_same_content_from_many_threads_is_stored_and_counted_once() {
    let (_root, blobs) = blobs();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| blobs.insert(&[7; 100][..], CAP).unwrap());
        }
    });
    assert_eq!(blobs.list().unwrap().len(), 1);
    assert_eq!((blobs.used_bytes(), scratch_files(&blobs)), (100, 0));
}

#[test]
fn content_that_the_disk_altered_is_replaced_when_it_comes_again() {
    let (root, blobs) = blobs();
    let (digest, _) = blobs.insert(&b"hello"[..], 5).unwrap();
    let hex = digest.to_string()[2..].to_owned();
    fs::write(root.path().join(&hex[..2]).join(&hex), b"hel").unwrap();
    blobs.insert(&b"hello"[..], 5).unwrap();
    assert_eq!(blobs.read_range(digest, 0, 9).unwrap(), b"hello");
}

#[test]
fn a_failing_source_leaves_nothing() {
    #[derive(Debug)]
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("cable"))
        }
    }
    let (_root, blobs) = blobs();
    let err = blobs.insert((&b"12"[..]).chain(Broken), CAP).unwrap_err();
    assert!(matches!(err, BlobError::Source(_)));
    assert_eq!((blobs.used_bytes(), scratch_files(&blobs)), (0, 0));
}

#[test]
fn what_a_crash_left_half_written_is_removed() {
    let (root, blobs) = blobs();
    drop(blobs);
    fs::write(root.path().join(SCRATCH).join("half"), "x").unwrap();
    fs::write(root.path().join("stray"), "not ours").unwrap();
    let blobs = Blobs::open(root.path(), CAP).unwrap();
    assert_eq!((blobs.used_bytes(), scratch_files(&blobs)), (0, 0));
}
