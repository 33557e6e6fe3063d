//! Packing and unpacking together, honest and hostile.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::{
        fs::{MetadataExt as _, symlink},
        net::UnixListener,
    },
};

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::{
    BlobError, Blobs,
    archive::{FILE, PackError, is_of_one_file, pack, seal},
    tree::{Links, TreeError, UnsupportedKind},
};

const LIMITS: Limits =
    Limits { bytes: 1 << 20, entries: 100, depth: 8, name_bytes: 255, path_bytes: 1 << 16 };

fn packed(source: &Path) -> (Vec<u8>, Digest) {
    let mut bytes = Vec::new();
    let packed = pack(source, &mut bytes, &LIMITS).unwrap();
    assert_eq!(packed.bytes, bytes.len() as u64);
    assert_eq!(packed.digest, Digest::sha256(&bytes));
    (bytes, packed.digest)
}

/// Unpacks hostile bytes as if they were what was asked for, and checks that a refusal leaves nothing.
fn try_unpack(bytes: &[u8], limits: &Limits) -> Result<TempDir, UnpackError> {
    let outer = tempdir().unwrap();
    let result = unpack(bytes, &outer.path().join("dest"), Digest::sha256(bytes), limits);
    let left = fs::read_dir(outer.path()).unwrap().count();
    assert_eq!(left, usize::from(result.is_ok()));
    result.map(|()| outer)
}

fn refusal(bytes: &[u8]) -> UnpackError {
    try_unpack(bytes, &LIMITS).unwrap_err()
}

/// A tree of files: content and executable bit by path; a path that ends in `/` is a directory.
type Files = BTreeMap<String, (Vec<u8>, bool)>;

fn write_tree(root: &Path, files: &Files) {
    for (path, (content, executable)) in files {
        let full = root.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).unwrap();
            continue;
        }
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(&full, content).unwrap();
        let mode = if *executable { 0o700 } else { 0o604 };
        fs::set_permissions(&full, Permissions::from_mode(mode)).unwrap();
    }
}

fn sample() -> TempDir {
    let dir = tempdir().unwrap();
    let long = format!("deep/{}/file", "n".repeat(120));
    let files = [("a/x", "1", false), ("a-b", "22", true), ("a/empty/", "", false), (&long, "3", false)];
    let files = files.map(|(path, content, executable)| (path.to_owned(), (content.into(), executable)));
    write_tree(dir.path(), &files.into());
    dir
}

fn archive_of(entries: &[(&str, Kind, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, kind, content) in entries {
        bytes.extend(entry_head(path, kind));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + padding(content.len() as u64), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

const EMPTY_FILE: Kind = Kind::File { executable: false, length: 0 };

#[test]
fn what_is_unpacked_packs_to_the_same_bytes() {
    let (bytes, digest) = packed(sample().path());
    let outer = try_unpack(&bytes, &LIMITS).unwrap();
    let dest = outer.path().join("dest");
    assert_eq!(packed(&dest), (bytes, digest));
    assert!(dest.join("a/empty").is_dir());
    let mode = |path| fs::metadata(dest.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("."), mode("a"), mode("a/x"), mode("a-b")], [0o755, 0o755, 0o644, 0o755]);
}

/// The digest is that of the same entries written by Python's `tarfile` in its GNU format.
#[test]
fn the_golden_archive_holds() {
    let (bytes, digest) = packed(sample().path());
    assert_eq!(bytes.len(), 8192);
    assert_eq!(digest.to_string(), "0x913f82887e7709b910266c5f14890ff6de2b3f0cd308e872c78e9b2c3d7cd738");
}

#[test]
fn an_ordinary_tar_reader_understands_the_archive() {
    let (bytes, _) = packed(sample().path());
    let mut archive = tar::Archive::new(bytes.as_slice());
    let paths: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned())
        .collect();
    let long = format!("deep/{}/", "n".repeat(120));
    let long_file = format!("{long}file");
    assert_eq!(paths, ["a/", "a-b", "a/empty/", "a/x", "deep/", &long, &long_file]);
}

#[test]
fn a_single_file_has_one_archive_whatever_it_is_called() {
    let dir = sample();
    let (bytes, digest) = packed(&dir.path().join("a-b"));
    let outer = try_unpack(&bytes, &LIMITS).unwrap();
    assert_eq!(fs::read(outer.path().join("dest").join(FILE)).unwrap(), b"22");
    assert_eq!(fs::read_dir(outer.path().join("dest")).unwrap().count(), 1);
    fs::rename(dir.path().join("a-b"), dir.path().join("another")).unwrap();
    assert_eq!(packed(&dir.path().join("another")).1, digest);
}

#[test]
fn the_archive_of_one_file_is_told_from_all_others() {
    let file = |length| Kind::File { executable: false, length };
    let alone: Vec<Vec<u8>> = [&b""[..], &b"x"[..], &[7; 512], &[7; 513]]
        .iter()
        .map(|content| archive_of(&[(FILE, file(content.len() as u64), content)]))
        .chain([archive_of(&[(FILE, Kind::File { executable: true, length: 1 }, b"x")])])
        .collect();
    let others = [
        archive_of(&[]),
        archive_of(&[("other", file(1), b"x")]),
        archive_of(&[(FILE, Kind::Directory, b"")]),
        archive_of(&[(FILE, file(1), b"x"), ("more", file(0), b"")]),
    ];
    let is_one = |bytes: &[u8]| is_of_one_file(bytes, bytes.len() as u64);
    assert!(alone.iter().all(|bytes| is_one(bytes)));
    assert!(!others.iter().any(|bytes| is_one(bytes)));
    assert!(!is_one(&[]) && !is_one(&[0xff; 2000]));
}

#[test]
fn paths_that_are_too_long_together_are_refused_by_both_ends() {
    let limits = Limits { path_bytes: 20, ..LIMITS };
    let dir = tempdir().unwrap();
    fs::create_dir_all(dir.path().join("0123456789/0123456789")).unwrap();
    let err = pack(dir.path(), &mut Vec::new(), &limits).unwrap_err();
    assert!(matches!(err, PackError::Tree(TreeError::PathsTooLong { limit: 20, .. })), "{err}");
    let (bytes, _) = packed(dir.path());
    assert!(matches!(try_unpack(&bytes, &limits), Err(UnpackError::PathsTooLong { limit: 20 })));
}

#[test]
fn the_deepest_archive_of_the_network_takes_no_time_to_speak_of() {
    // As deep as there may be directories, in paths that Linux still takes.
    let name = "d".repeat(100);
    let chain: Vec<String> = (1..=31).map(|depth| vec![name.as_str(); depth].join("/")).collect();
    let deepest = chain.last().unwrap().clone();
    let leaves: Vec<String> = (0..5_600).map(|leaf| format!("{deepest}/{leaf:05}")).collect();
    let entries: Vec<(&str, Kind, &[u8])> =
        chain.iter().chain(&leaves).map(|path| (path.as_str(), Kind::Directory, &b""[..])).collect();
    let bytes = archive_of(&entries);
    let refused = try_unpack(&bytes, &Limits::with_bytes(1 << 30));
    assert!(matches!(refused, Err(UnpackError::PathsTooLong { .. })), "it makes 17 MiB of paths");
}

type Make = fn(&Path);

#[test]
fn sockets_and_links_that_lead_out_are_refused_with_their_path() {
    let cases: [Make; 4] = [
        |path| symlink("/etc/passwd", path).unwrap(),
        |path| symlink("../x", path).unwrap(),
        |path| symlink("x/../../y", path).unwrap(),
        |path| drop(UnixListener::bind(path).unwrap()),
    ];
    for make in cases {
        let dir = sample();
        let odd = dir.path().join("odd");
        make(&odd);
        let err = pack(dir.path(), &mut io::sink(), &LIMITS).unwrap_err();
        let (PackError::Tree(TreeError::UnsupportedFile { path, kind: UnsupportedKind::Socket })
        | PackError::Tree(TreeError::LinkOut { path, .. })) = err
        else {
            panic!("{err}")
        };
        assert_eq!(path, odd);
    }
}

#[test]
fn links_inside_a_tree_and_second_names_survive_the_round_trip() {
    let dir = sample();
    let long = format!("deep/{}/file", "n".repeat(120));
    for (path, target) in [("a/up", "..//a-b"), ("a/x-too", "./x"), ("dangling", "missing"), ("self", ".")] {
        symlink(target, dir.path().join(path)).unwrap();
    }
    symlink(&long, dir.path().join("to-long")).unwrap();
    symlink("../../a-b", dir.path().join(&long).with_file_name("from-long")).unwrap();
    fs::hard_link(dir.path().join("a-b"), dir.path().join("second")).unwrap();
    let (bytes, digest) = packed(dir.path());
    let outer = try_unpack(&bytes, &LIMITS).unwrap();
    let dest = outer.path().join("dest");
    assert_eq!(packed(&dest).1, digest);
    let target = |path: &str| fs::read_link(dest.join(path)).unwrap().into_os_string().into_string().unwrap();
    assert_eq!(
        ["a/up", "a/x-too", "dangling", "self", "to-long"].map(target),
        ["../a-b", "x", "missing", ".", &long]
    );
    assert_eq!(fs::read(dest.join("second")).unwrap(), b"22");
    assert_eq!(fs::metadata(dest.join("second")).unwrap().nlink(), 1);
    let mut archive = tar::Archive::new(bytes.as_slice());
    let links = archive
        .entries()
        .unwrap()
        .filter_map(|entry| entry.unwrap().link_name().unwrap().map(|name| name.into_owned()));
    assert!(links.collect::<Vec<_>>().contains(&long.into()), "an ordinary reader understands long targets");
}

#[test]
fn an_archive_whose_link_leads_out_or_has_another_form_is_refused() {
    for target in ["/etc/passwd", "../x", "x/../y", "./x", "x/", "a//b", "..", "b/../../x", "/outputs/x"] {
        let link = Kind::Link { target: target.to_owned() };
        let bad = matches!(refusal(&archive_of(&[("l", link, b"")])), UnpackError::BadLink { .. });
        assert!(bad, "{target:?}");
    }
    let not_shortest = Kind::Link { target: "../a/x".to_owned() };
    let archive = archive_of(&[("a", Kind::Directory, b""), ("a/l", not_shortest, b"")]);
    assert!(matches!(refusal(&archive), UnpackError::BadLink { .. }));
}

#[test]
fn a_file_that_took_anothers_place_is_noticed() {
    let dir = sample();
    let found =
        crate::store::tree::walk(dir.path(), &LIMITS, Links::Inside, &CancellationToken::new()).unwrap();
    let path = dir.path().join("a-b");
    fs::rename(dir.path().join("a/x"), &path).unwrap();
    let result = crate::store::tree::open(&path, &found["a-b"]);
    assert!(matches!(result, Err(TreeError::Changed { .. })));
}

#[test]
fn packing_stops_at_each_limit() {
    let dir = sample();
    let try_pack = |limits| pack(dir.path(), &mut io::sink(), &limits).unwrap_err();
    assert!(matches!(try_pack(Limits { bytes: 2048, ..LIMITS }), PackError::TooLarge { limit: 2048, .. }));
    let few = try_pack(Limits { entries: 3, ..LIMITS });
    assert!(matches!(few, PackError::Tree(TreeError::TooManyEntries { limit: 3, .. })));
    for limits in [Limits { depth: 2, ..LIMITS }, Limits { name_bytes: 100, ..LIMITS }] {
        assert!(matches!(try_pack(limits), PackError::Tree(TreeError::TooLongOrDeep { .. })));
    }
    assert!(pack(dir.path(), &mut io::sink(), &Limits { bytes: 8192, ..LIMITS }).is_ok());
}

#[test]
fn unpacking_stops_at_each_limit() {
    let (bytes, _) = packed(sample().path());
    let refused = |limits| try_unpack(&bytes, &limits).unwrap_err();
    assert!(matches!(refused(Limits { bytes: 8191, ..LIMITS }), UnpackError::TooLarge { limit: 8191 }));
    assert!(matches!(refused(Limits { entries: 3, ..LIMITS }), UnpackError::TooManyEntries { limit: 3 }));
    assert!(matches!(refused(Limits { depth: 2, ..LIMITS }), UnpackError::BadPath { .. }));
    assert!(matches!(refused(Limits { name_bytes: 100, ..LIMITS }), UnpackError::BadPath { .. }));
    assert!(try_unpack(&bytes, &Limits { bytes: 8192, ..LIMITS }).is_ok());
}

#[test]
fn another_archive_than_the_one_asked_for_is_refused() {
    let (bytes, _) = packed(sample().path());
    let outer = tempdir().unwrap();
    let err = unpack(&bytes[..], &outer.path().join("dest"), Digest::ZERO, &LIMITS).unwrap_err();
    assert!(matches!(err, UnpackError::Mismatch { expected: Digest::ZERO, .. }));
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
}

#[test]
fn a_destination_that_holds_something_is_left_alone() {
    let (bytes, digest) = packed(sample().path());
    let outer = tempdir().unwrap();
    let dest = outer.path().join("dest");
    fs::create_dir(&dest).unwrap();
    fs::write(dest.join("mine"), "precious").unwrap();
    assert!(matches!(unpack(&bytes[..], &dest, digest, &LIMITS), Err(UnpackError::Write { .. })));
    assert_eq!(fs::read(dest.join("mine")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let long = "n".repeat(256);
    for path in ["/etc/x", "../x", "..", ".", "./x", "a/../x", "a//x", "a/", "", &long] {
        for kind in [EMPTY_FILE, Kind::Directory] {
            let err = refusal(&archive_of(&[(path, kind, b"")]));
            let bad = matches!(err, UnpackError::BadPath { .. } | UnpackError::NotCanonical { .. });
            assert!(bad, "{path:?}: {err}");
        }
    }
}

#[test]
fn entries_have_one_order_and_come_once() {
    let link = || Kind::Link { target: "b".to_owned() };
    let disorders: [&[(&str, Kind, &[u8])]; 7] = [
        &[("a", link(), b""), ("a/x", EMPTY_FILE, b"")],
        &[("a", link(), b""), ("a", EMPTY_FILE, b"")],
        &[("b", EMPTY_FILE, b""), ("a", EMPTY_FILE, b"")],
        &[("a", EMPTY_FILE, b""), ("a", EMPTY_FILE, b"")],
        &[("a", Kind::Directory, b""), ("a", EMPTY_FILE, b"")],
        &[("a", EMPTY_FILE, b""), ("a/x", EMPTY_FILE, b"")],
        &[("a/x", EMPTY_FILE, b"")],
    ];
    for entries in disorders {
        assert!(matches!(refusal(&archive_of(entries)), UnpackError::OutOfOrder { .. }));
    }
}

/// The archive of one empty file `a`, with its header changed and the checksum put right.
fn with_header(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut bytes = archive_of(&[("a", EMPTY_FILE, b"")]);
    let mut header = Header::from_byte_slice(&bytes[..BLOCK]).clone();
    change(&mut header);
    seal(&mut header);
    bytes[..BLOCK].copy_from_slice(header.as_bytes());
    bytes
}

#[test]
fn a_header_has_one_form() {
    assert!(try_unpack(&with_header(|_| ()), &LIMITS).is_ok());
    let changes: [fn(&mut Header); 13] = [
        |header| header.set_mode(0o600),
        |header| header.set_mode(0o4755),
        |header| header.set_uid(1),
        |header| header.set_gid(1),
        |header| header.set_mtime(1),
        |header| header.set_username("root").unwrap(),
        |header| header.set_groupname("root").unwrap(),
        |header| header.set_entry_type(EntryType::Symlink),
        |header| header.set_entry_type(EntryType::Link),
        |header| header.set_entry_type(EntryType::Fifo),
        |header| header.set_entry_type(EntryType::Char),
        |header| header.set_entry_type(EntryType::GNUSparse),
        |header| header.as_old_mut().linkname[0] = b'x',
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let err = refusal(&with_header(change));
        assert!(matches!(err, UnpackError::NotCanonical { offset: 512 }), "{index}: {err}");
    }
}

#[test]
fn a_directory_with_content_is_refused() {
    let mut bytes = archive_of(&[("d", Kind::Directory, b"")]);
    let mut header = Header::from_byte_slice(&bytes[..BLOCK]).clone();
    header.set_size(512);
    seal(&mut header);
    bytes[..BLOCK].copy_from_slice(header.as_bytes());
    assert!(matches!(refusal(&bytes), UnpackError::NotCanonical { offset: 512 }));
}

#[test]
fn a_short_path_in_the_form_of_a_long_one_is_refused() {
    let mut long = entry_head(&"n".repeat(101), &EMPTY_FILE);
    long[BLOCK + 1..2 * BLOCK].fill(0);
    long.resize(long.len() + 2 * BLOCK, 0);
    assert!(matches!(refusal(&long), UnpackError::BadPath { .. } | UnpackError::NotCanonical { .. }));
}

#[test]
fn padding_and_end_are_zeros_and_nothing_follows() {
    let file = Kind::File { executable: false, length: 1 };
    let good = archive_of(&[("a", file, b"x")]);
    assert!(try_unpack(&good, &LIMITS).is_ok());
    let mut dirty = good.clone();
    dirty[BLOCK + 1] = 1;
    assert!(matches!(refusal(&dirty), UnpackError::NotCanonical { .. }));
    let mut longer = good.clone();
    longer.push(0);
    assert!(matches!(refusal(&longer), UnpackError::NotCanonical { .. }));
    for length in [0, 1, 511, 512, 513, 1024, good.len() - 1] {
        assert!(matches!(refusal(&good[..length]), UnpackError::Truncated { .. }), "{length}");
    }
}

#[test]
fn a_length_that_cannot_follow_is_refused_before_anything_is_written() {
    let bytes = archive_of(&[("a", Kind::File { executable: false, length: u64::MAX }, b"")]);
    assert!(matches!(refusal(&bytes), UnpackError::TooLarge { .. }));
}

#[test]
fn a_failing_destination_is_named() {
    let (bytes, digest) = packed(sample().path());
    let outer = tempdir().unwrap();
    File::create(outer.path().join("file")).unwrap();
    let dest = outer.path().join("file/dest");
    assert!(matches!(unpack(&bytes[..], &dest, digest, &LIMITS), Err(UnpackError::Write { .. })));
}

#[test]
fn an_archive_goes_into_the_blobs_and_comes_out_of_them() {
    let root = tempdir().unwrap();
    let blobs = Blobs::open(&root.path().join("blobs"), 8192).unwrap();
    let mut writer = blobs.writer(LIMITS.bytes).unwrap();
    let packed = pack(sample().path(), &mut writer, &LIMITS).unwrap();
    assert_eq!(writer.commit_as(packed.digest).unwrap(), packed.bytes);
    let dest = root.path().join("dest");
    unpack(blobs.open_blob(packed.digest).unwrap(), &dest, packed.digest, &LIMITS).unwrap();
    assert_eq!(fs::read(dest.join("a-b")).unwrap(), b"22");

    let mut writer = blobs.writer(LIMITS.bytes).unwrap();
    let err = pack(sample().path(), &mut writer, &LIMITS).unwrap_err();
    let PackError::Write(cause) = err else { panic!("{err}") };
    assert!(matches!(cause.downcast(), Ok(BlobError::Full { used: 8192, cap: 8192 })));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab.\\-é ]{1,3}", 1 => "[ab]{99,130}"]
        .prop_filter("no step up or nowhere", |name| !matches!(name.as_str(), "." | ".."))
}

/// Files in directories whose names no file has.
fn tree() -> impl Strategy<Value = Files> {
    let dirs = proptest::collection::vec(name().prop_map(|name| format!("d{name}/")), 0..3);
    let path = (dirs, prop_oneof![name().prop_map(|name| format!("f{name}")), Just(String::new())])
        .prop_map(|(dirs, file)| dirs.concat() + &file)
        .prop_filter("the root is no entry", |path| !path.is_empty());
    let content = (proptest::collection::vec(any::<u8>(), 0..1100), any::<bool>());
    proptest::collection::btree_map(path, content, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_survives_the_round_trip(files in tree()) {
        let dir = tempdir().unwrap();
        write_tree(dir.path(), &files);
        let (bytes, digest) = packed(dir.path());
        let outer = try_unpack(&bytes, &LIMITS).unwrap();
        let dest = outer.path().join("dest");
        for (path, (content, _)) in files.iter().filter(|(path, _)| !path.ends_with('/')) {
            prop_assert_eq!(&fs::read(dest.join(path)).unwrap(), content);
        }
        prop_assert_eq!(packed(&dest).1, digest);
    }

    #[test]
    fn an_archive_with_any_byte_changed_is_refused_or_is_canonical_itself(at: prop::sample::Index, to: u8) {
        let (mut bytes, _) = packed(sample().path());
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(outer) = try_unpack(&bytes, &LIMITS) {
            prop_assert_eq!(packed(&outer.path().join("dest")).0, bytes);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes: Vec<u8>, blocks in 0_usize..4, kind: u8, size: [u8; 12]) {
        let mut hostile = with_header(|header| {
            header.as_old_mut().linkflag = [kind];
            header.as_old_mut().size = size;
        });
        hostile.truncate(BLOCK * blocks);
        hostile.extend(bytes);
        if let Ok(outer) = try_unpack(&hostile, &LIMITS) {
            prop_assert_eq!(packed(&outer.path().join("dest")).0, hostile);
        }
    }
}
