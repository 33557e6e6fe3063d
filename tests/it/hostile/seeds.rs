//! Valid documents that fuzzing starts from, as files below `fuzz/seeds`, and what it found, which stands there too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolEvent, SolValue};
use assay::{
    api::types::{PruneRequest, SubmitRequest},
    audit::LogDocument,
    domain::{Deal, Event, ImageName, Opening, Resources, Spec, Timestamp, codec},
    executor::{Reading, Trace},
    node::ComputeLimits,
    scheduler::libp2p::{
        announce::Announcement,
        entry::Entry,
        wire::{LogRequest, LogResponse, WireRefusal},
    },
    store::{LastWords, Limits, pack},
};

use super::{deal, entry, signed, submission, targets::TARGETS};

alloy_sol_types::sol!("contracts/src/IJobScheduler.sol");
use IJobScheduler as abi;

/// Seeds of which files are written have this prefix; all other files were found.
const SEED: &str = "valid-";

/// As geth and `cast` write them; the secret is that of the specification's examples.
const SCRYPT: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"d14f72ebd84c7367c878f2b79e3425b1"},"ciphertext":"2a50ce41034432e1be0c09b4de5ca6c04dda3121ad7559edb1f98cc8f9c915c3","kdf":"scrypt","kdfparams":{"dklen":32,"n":8192,"p":1,"r":8,"salt":"b16b4b4dd8836cfe131879c62d667b845f7626ee06dcc7482e6cb82843a443af"},"mac":"f3fdf3cb12e33acac3044cbd3711170ed02e535d735f7f96f5e5cd84ebdf4fef"},"id":"bf827a06-6214-4759-9582-3ac6f6c278d1","version":3}"#;
const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;

/// An exported log whose job was verified.
const VERIFIED: &[u8] = include_bytes!("../../../examples/data/verified.json");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

/// The entries of the exported log.
fn entries() -> Vec<Entry> {
    let document = LogDocument::parse(VERIFIED).unwrap();
    let proofs = document.logs.iter().flat_map(|log| &log.entries).map(|entry| entry.proof.clone());
    proofs.map(|proof| Entry::decode(&alloy_primitives::hex::decode(proof).unwrap()).unwrap()).collect()
}

fn api() -> Vec<Vec<u8>> {
    let rich = Spec {
        resources: Resources { memory_bytes: 1 << 30, ..Resources::default() },
        environment: [("A".to_owned(), "1".to_owned())].into(),
        seeded: true,
        ..Spec::sample()
    };
    let rich = SubmitRequest::again(rich, deal());
    vec![
        serde_json::to_vec(&rich).unwrap(),
        serde_json::to_vec(&SubmitRequest::again(Spec::sample(), Deal::default())).unwrap(),
        serde_json::to_vec(&PruneRequest { dry_run: true }).unwrap(),
        br#"{"error":{"code":"not_found","message":"no such job","hint":null}}"#.to_vec(),
    ]
}

fn archive() -> Vec<u8> {
    let from = tempfile::tempdir().unwrap();
    fs::create_dir_all(from.path().join("d/e")).unwrap();
    fs::write(from.path().join("d/file"), "content").unwrap();
    fs::write(from.path().join("d/e").join("n".repeat(120)), "1").unwrap();
    std::os::unix::fs::symlink("d/file", from.path().join("link")).unwrap();
    let mut archive = Vec::new();
    pack(from.path(), &mut archive, &Limits::with_bytes(1 << 20)).unwrap();
    archive
}

fn messages() -> Vec<Vec<u8>> {
    let first = entry();
    let (job, bytes) = (first.job(), assay::network::WireBytes(first.encode()));
    let action = assay::network::WireBytes(codec::encode_action(&first.action));
    let requests = [
        LogRequest::Submit { action: action.clone(), after_height: 1 },
        LogRequest::Read { job, after_height: 3 },
        LogRequest::Push { entries: vec![bytes.clone(), bytes.clone()] },
        LogRequest::Witness { action },
        LogRequest::Time,
    ];
    let responses = [
        LogResponse::Placed { height: 2, entries: vec![bytes.clone()] },
        LogResponse::Entries { height: 2, entries: vec![bytes] },
        LogResponse::Time { now: Timestamp::from_secs(9) },
        LogResponse::Rejected(3),
        LogResponse::Refused(WireRefusal::WrongSequence { expected: 2 }),
    ];
    let words = LastWords { reason: "no memory".to_owned(), stdout: b"out".to_vec(), stderr: vec![0; 40] };
    let requests = requests.iter().map(LogRequest::encode);
    requests.chain(responses.iter().map(LogResponse::encode)).chain([words.encode()]).collect()
}

/// The terms as the contract takes them: of the ABI encoding of each field its last bytes, then the allow-list.
fn packed(deal: &Deal) -> Vec<u8> {
    const WIDTHS: [usize; 24] =
        [1, 1, 4, 2, 1, 1, 1, 12, 12, 12, 4, 4, 4, 4, 1, 0, 12, 1, 32, 1, 2, 1, 32, 32];
    let words: Vec<Vec<u8>> = codec::encode_deal(deal).chunks(32).map(<[u8]>::to_vec).collect();
    let fields = WIDTHS.iter().zip(&words[1..]).flat_map(|(width, word)| &word[32 - width..]);
    let nodes = words[2 + WIDTHS.len()..].iter().flat_map(|word| &word[12..]);
    fields.chain(nodes).copied().collect()
}

fn chain_logs() -> Vec<Vec<u8>> {
    fn log(event: &impl SolEvent) -> Vec<u8> {
        let data = event.encode_log_data();
        let topics = data.topics().iter().flat_map(|topic| topic.0);
        [u8::try_from(data.topics().len()).unwrap()]
            .into_iter()
            .chain(topics)
            .chain(data.data.to_vec())
            .collect()
    }
    let (job, node) = (B256::repeat_byte(7), Address::repeat_byte(1));
    let opening = abi::Opening::abi_decode(&codec::encode_opening(&Opening::sample(1))).unwrap();
    let opened = abi::SeatOpening { seat: 1, node, price: "10".parse().unwrap(), opening: opening.clone() };
    let (terms, spec) = (packed(&deal()).into(), Spec::sample().to_document().into());
    let price = "10".parse().unwrap();
    let commitment = B256::repeat_byte(9);
    let kind = abi::FailureKind::try_from(1).unwrap();
    let returned = "9".parse().unwrap();
    vec![
        log(&abi::Submitted { job, requester: node, nonce: 3, terms, spec }),
        log(&abi::DealUpdated { job, terms: packed(&Deal::default()).into() }),
        log(&abi::Cancelled { job }),
        log(&abi::BidPlaced { job, node, price }),
        log(&abi::BidAccepted { job, node, seat: 1 }),
        log(&abi::BidSkipped { job, node }),
        log(&abi::FailureReported { job, node, seat: 1, kind, returned }),
        log(&abi::Committed { job, node, commitment }),
        log(&abi::SecretPublished { job, secret: commitment }),
        log(&abi::Revealed { job, sender: node, seat: 1, opening }),
        log(&abi::VerdictPosted { job, keeper: node, openings: vec![opened], accepted: 3 }),
        log(&abi::Expired { job, keeper: node, state: abi::JobState::try_from(6).unwrap() }),
        log(&abi::Remarked { job, node, remark: "late".to_owned() }),
    ]
}

fn traces() -> Vec<Vec<u8>> {
    let reading = |t_ms| Reading { t_ms, rss_kib: 1024, cpu_ms: t_ms / 2, faults: 90 };
    [1, 30]
        .map(|count| (0..count).map(|at| reading(at * 40)).collect())
        .map(|readings| Trace { readings, ..Trace::default() }.to_csv().into_bytes())
        .to_vec()
}

/// Jobs from their submission to their end, as steps of the target `transition`.
fn walks() -> Vec<Vec<u8>> {
    const BID: u8 = 0;
    const ACCEPT: u8 = 2;
    const FAIL: u8 = 4;
    const COMMIT: u8 = 5;
    const REVEAL: u8 = 7;
    const VERDICT: u8 = 9;
    const EXPIRE: u8 = 11;
    const STOP: u8 = 13;
    const SECRET: u8 = 14;
    const FOLLOW_UP: u8 = 17;
    let walk = |head: [u8; 4], steps: &[[u8; 4]]| [&head[..], steps.concat().as_slice()].concat();
    let seats = |count: u8, is_first_come: bool| {
        let bids = (0..count).map(|node| [BID, node, 10, 1]);
        let accepted = (0..if is_first_come { 0 } else { count }).map(|node| [ACCEPT, 0, node, 1]);
        bids.chain(accepted).collect::<Vec<_>>()
    };
    let each = |what: u8, count: u8| (0..count).map(move |seat| [what, 0, seat, 1]);
    let run = |count: u8, is_first_come: bool| {
        let committed = seats(count, is_first_come).into_iter().chain(each(COMMIT, count));
        committed.collect::<Vec<_>>()
    };
    let judged = |mut steps: Vec<[u8; 4]>, count: u8| {
        steps.extend(each(REVEAL, count).chain([[VERDICT, 0, 31, 1]]));
        steps
    };
    let audited = {
        let mut steps = run(1, false);
        steps.extend([[SECRET, 8, 0, 1]]);
        steps.extend(run(3, false));
        judged(steps, 3)
    };
    let failed = {
        let mut steps = seats(3, false);
        steps.extend([[FAIL, 0, 0, 1], [BID, 4, 10, 1], [ACCEPT, 0, 4, 1], [EXPIRE, 1, 0, 0xC2]]);
        steps
    };
    let late = {
        let mut steps = run(3, false);
        steps.extend([[REVEAL, 0, 0, 1], [EXPIRE, 8, 0, 0xC2], [VERDICT, 8, 3, 0xC2]]);
        steps
    };
    // Everybody lies, so that nobody agrees, and the requester asks more nodes.
    let inconclusive = {
        let mut steps = judged(run(3, false), 3);
        steps.extend([[FOLLOW_UP, 0, 1, 1]]);
        steps.extend(judged(run(7, false), 7));
        steps
    };
    let stopped = [seats(3, false), vec![[STOP, 0, 0, 1]]].concat();
    vec![
        walk([2, 10, 10, 0xF0], &judged(run(3, false), 3)),
        walk([2, 10, 9, 0xF4], &judged(run(3, true), 3)),
        walk([0, 10, 20, 0xF1], &audited),
        walk([2, 10, 20, 0xF0], &failed),
        walk([2, 10, 20, 0x20], &late),
        walk([2, 10, 10 ^ 0xFF, 0xF8], &inconclusive),
        walk([0xC2, 10, 10, 0xF0], &judged(run(3, false), 3)),
        walk([0x82, 10, 10, 0xF2], &judged(run(3, false), 3)),
        walk([0x22, 10, 20, 0], &stopped),
    ]
}

/// What each target starts from.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "action" => {
            let events = [Event::BidWithdrawn, Event::Expired, Event::DealUpdated { deal: deal() }];
            let made = events.into_iter().map(|event| signed(event, 3)).chain([submission()]);
            made.chain(entries().into_iter().map(|entry| entry.action))
                .map(|action| codec::encode_action(&action))
                .collect()
        }
        "announcement" => {
            let addresses = vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap()];
            let own = Announcement { entry: entry(), addresses };
            let log =
                entries().into_iter().take(1).map(|entry| Announcement { entry, addresses: Vec::new() });
            log.chain([own]).map(|announced| announced.encode()).collect()
        }
        "api" => api(),
        "archive" => vec![archive()],
        "chain_log" => chain_logs(),
        "document" => vec![VERIFIED.to_vec()],
        "entry" => entries().iter().chain([&entry()]).map(Entry::encode).collect(),
        "keystore" => [SCRYPT, PBKDF2].map(|text| text.as_bytes().to_vec()).to_vec(),
        "message" => messages(),
        "opening" => {
            let openings = [0, 7].map(|salt| codec::encode_opening(&Opening::sample(salt)));
            [Deal::default(), deal()].iter().map(codec::encode_deal).chain(openings).collect()
        }
        "spec" => {
            let rich = Spec {
                resources: Resources { memory_bytes: 1 << 30, ..Resources::default() },
                seeded: true,
                ..Spec::sample()
            };
            let name = "registry.example:5000/a/b:tag";
            assert_eq!(ImageName::parse(name).unwrap().to_string(), name);
            let offer = ComputeLimits::default().offer(2).unwrap().to_text();
            vec![Spec::sample().to_document(), rich.to_document(), name.into(), offer.into_bytes()]
        }
        "trace" => traces(),
        "transition" => walks(),
        unknown => panic!("the target {unknown} has no seed"),
    }
}

#[test]
fn seeds_of_fuzzing_are_current_and_accepted() {
    let is_update = std::env::var_os("UPDATE_SEEDS").is_some();
    for (target, attempt) in TARGETS {
        let place = folder().join(target);
        for (number, bytes) in seeds(target).into_iter().enumerate() {
            assert!(attempt(&bytes), "seed {number} of {target} is refused");
            let path = place.join(format!("{SEED}{number}"));
            if is_update {
                fs::create_dir_all(&place).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            let is_current = fs::read(&path).is_ok_and(|file| file == bytes);
            assert!(is_current, "{} is stale: run this test once with UPDATE_SEEDS=1", path.display());
        }
    }
}

#[test]
fn what_fuzzing_found_stands_and_every_target_is_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: PathBuf| {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<String> =
            files.map(|name| name.to_str().unwrap().trim_end_matches(".rs").to_owned()).collect();
        names.sort_unstable();
        names
    };
    let targets = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(names(root.join("fuzz/fuzz_targets")), targets);
    assert_eq!(names(folder()), targets);
    for (target, attempt) in TARGETS {
        for file in fs::read_dir(folder().join(target)).unwrap() {
            // Whether it is accepted is no matter; a target panics where something is wrong.
            let _ = attempt(&fs::read(file.unwrap().path()).unwrap());
        }
    }
}
