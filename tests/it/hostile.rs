//! Every decoder of foreign bytes, on valid documents that were mutated, and on noise: none panics, and what one accepts is
//! the one form of what it says.
//!
//! `HOSTILE_CASES` says how many cases each decoder gets; a case that fails is kept below `proptest-regressions`.

use std::fmt;

use assay::{
    api::types::{JobView, NodeInfo, PruneRequest, SubmitRequest},
    audit::LogDocument,
    domain::{
        Action, Deal, Digest, Event, ImageName, LogDomain, NodeId, Offer, Opening, Resources, SignedAction,
        Spec, Timestamp, codec,
    },
    identity::NodeKey,
    node::ComputeLimits,
    scheduler::libp2p::{
        announce::Announcement,
        entry::Entry,
        sequence::Sequencer,
        wire::{LogRequest, LogResponse},
    },
    store::{LastWords, Limits, pack, unpack},
};
use proptest::{
    prelude::*,
    test_runner::{Config, FileFailurePersistence, TestRunner},
};

mod seeds;
#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are another package's library")]
mod targets;

const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };

/// Cases of each decoder: some seconds for all of them together.
const CASES: u32 = 2_000;

/// One change to a document.
#[derive(Debug, Clone)]
enum Mutation {
    /// Sets a byte.
    Set(prop::sample::Index, u8),
    /// Flips a bit.
    Flip(prop::sample::Index, u8),
    /// Cuts the end off.
    Truncate(prop::sample::Index),
    /// Removes some bytes.
    Remove(prop::sample::Index, usize),
    /// Inserts bytes.
    Insert(prop::sample::Index, Vec<u8>),
    /// Repeats a part of the document in another place.
    Repeat(prop::sample::Index, prop::sample::Index, usize),
    /// Makes what may be a length enormous.
    Inflate(prop::sample::Index),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << (bit % 8),
            Self::Truncate(at) => bytes.truncate(at.index(length)),
            Self::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..length.min(at + count));
            }
            Self::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Repeat(from, to, count) => {
                let from = from.index(length);
                let part = bytes[from..length.min(from + count)].to_vec();
                let to = to.index(length);
                bytes.splice(to..to, part);
            }
            Self::Inflate(at) => {
                let at = at.index(length);
                bytes[at..length.min(at + 4)].fill(0xff);
            }
        }
    }
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<prop::sample::Index>;
    let one = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        at().prop_map(Mutation::Truncate),
        (at(), 1..64_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (at(), prop::collection::vec(any::<u8>(), 1..32)).prop_map(|(at, more)| Mutation::Insert(at, more)),
        (at(), at(), 1..256_usize).prop_map(|(from, to, count)| Mutation::Repeat(from, to, count)),
        at().prop_map(Mutation::Inflate),
    ];
    prop::collection::vec(one, 0..6)
}

/// Hands every case to `decode`, which must not panic. The documents themselves are cases too.
fn attack<E: fmt::Debug>(name: &'static str, documents: &[Vec<u8>], decode: impl Fn(&[u8]) -> Result<(), E>) {
    assert!(documents.iter().all(|document| !document.is_empty()), "{name}");
    for document in documents {
        decode(document).unwrap_or_else(|error| panic!("{name}: a valid document: {error:?}"));
    }
    let cases = std::env::var("HOSTILE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let kept = FileFailurePersistence::Direct("proptest-regressions/hostile.txt");
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: Some(Box::new(kept)), ..Config::default() });
    let noise = prop::collection::vec(any::<u8>(), 0..512);
    let mutated = (prop::sample::select(documents.to_vec()), mutations()).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    let ran = runner.run(&prop_oneof![4 => mutated.boxed(), 1 => noise.boxed()], |bytes| {
        let _refused_or_not = decode(&bytes);
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

/// A decoder with one form for each value: what it accepts encodes to the same bytes.
fn attack_canonical<T, E: fmt::Debug>(
    name: &'static str,
    documents: &[Vec<u8>],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    attack(name, documents, |bytes| {
        decode(bytes).map(|value| assert_eq!(encode(&value), bytes, "{name} accepts a second form"))
    });
}

fn key() -> NodeKey {
    NodeKey::from_bytes(&[7; 32]).unwrap()
}

fn signed(event: Event, sequence: u64) -> SignedAction {
    let spec = Spec::sample().to_document();
    let revision = deal().revision();
    let job = DOMAIN.job_id(key().node_id(), 0, Spec::hash_document(&spec), revision);
    let action = Action { job, revision, sequence, seen: Digest::ZERO, event };
    SignedAction { signature: key().sign(action.signing_digest(DOMAIN)), action }
}

fn deal() -> Deal {
    Deal { allow_list: vec![NodeId::new([1; 20]), NodeId::new([2; 20])], ..Deal::default() }
}

fn submission() -> SignedAction {
    signed(Event::Submitted { deal: deal(), spec: Spec::sample().to_document(), nonce: 0 }, 0)
}

/// The first entry of a log.
fn entry() -> Entry {
    let log = Sequencer::open(key(), DOMAIN, None, Timestamp::from_secs(1000), submission()).unwrap();
    log.job_log().entry(1).unwrap().clone()
}

#[test]
fn terms_openings_and_actions_have_one_form_and_their_decoders_stand_anything() {
    let deals = [codec::encode_deal(&Deal::default()), codec::encode_deal(&deal())];
    attack_canonical("deal", &deals, codec::decode_deal, codec::encode_deal);
    let openings = [0, 7].map(|index| codec::encode_opening(&Opening::sample(index)));
    attack_canonical("opening", &openings, codec::decode_opening, codec::encode_opening);
    let events = [Event::BidWithdrawn, Event::Expired, Event::DealUpdated { deal: deal() }];
    let revealed = Event::Revealed { seat: 1, opening: Opening::sample(1) };
    let actions: Vec<Vec<u8>> = events
        .into_iter()
        .chain([revealed])
        .map(|event| codec::encode_action(&signed(event, 3)))
        .chain([codec::encode_action(&submission())])
        .collect();
    attack_canonical("action", &actions, codec::decode_action, codec::encode_action);
}

#[test]
fn specs_names_and_offers_stand_anything() {
    let sample = Spec::sample();
    let rich = Spec {
        resources: Resources { memory_bytes: 1 << 30, ..Resources::default() },
        seeded: true,
        ..Spec::sample()
    };
    attack("spec", &[sample.to_document(), rich.to_document()], |bytes| {
        Spec::from_document(bytes).map(|_| ())
    });
    let names =
        ["busybox", "registry.example:5000/a/b:tag", "a/b@sha256:0123"].map(|name| name.as_bytes().to_vec());
    attack("image name", &names[..2], |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        ImageName::parse(&text).map(|name| assert_eq!(name.to_string(), text))
    });
    let offer = ComputeLimits::default().offer(2).unwrap().to_text().into_bytes();
    attack("offer", &[offer], |bytes| {
        Offer::parse(&String::from_utf8_lossy(bytes)).map(|_| ()).ok_or("no offer")
    });
}

#[test]
fn what_peers_send_stands_anything() {
    attack_canonical("entry", &[entry().encode()], Entry::decode, Entry::encode);
    let announcement =
        Announcement { entry: entry(), addresses: vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap()] };
    attack_canonical("announcement", &[announcement.encode()], Announcement::decode, Announcement::encode);
    let job = entry().job();
    let requests =
        [LogRequest::Read { job, after_height: 3 }, LogRequest::Time].map(|request| request.encode());
    attack("request", &requests, |bytes| LogRequest::decode(bytes).map(|_| ()).ok_or("malformed"));
    let responses = [
        LogResponse::Time { now: Timestamp::from_secs(9) },
        LogResponse::Entries { height: 2, entries: vec![] },
    ];
    let responses = responses.map(|response| response.encode());
    attack("response", &responses, |bytes| LogResponse::decode(bytes).map(|_| ()).ok_or("malformed"));
    let words = LastWords { reason: "no memory".to_owned(), stdout: b"out".to_vec(), stderr: vec![0; 40] };
    attack_canonical("last words", &[words.encode()], LastWords::decode, LastWords::encode);
}

#[test]
fn archives_stand_anything_and_leave_nothing_outside() {
    let (from, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(from.path().join("d")).unwrap();
    std::fs::write(from.path().join("d/file"), "content").unwrap();
    std::os::unix::fs::symlink("d/file", from.path().join("link")).unwrap();
    let (mut archive, limits) = (Vec::new(), Limits::with_bytes(1 << 20));
    pack(from.path(), &mut archive, &limits).unwrap();
    attack("archive", &[archive], |bytes| {
        let target = root.path().join("copy");
        let unpacked = unpack(bytes, &target, Digest::sha256(bytes), &limits);
        if target.exists() {
            std::fs::remove_dir_all(&target).unwrap();
        }
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "it wrote beside its target");
        unpacked.map(|_| ())
    });
}

#[test]
fn documents_of_the_api_and_of_logs_stand_anything() {
    let request = serde_json::json!({ "image": "demo", "command": ["true"], "deal": Deal::default() });
    let request = serde_json::to_vec(&request).unwrap();
    attack("submission", &[request], |bytes| serde_json::from_slice::<SubmitRequest>(bytes).map(|_| ()));
    attack("prune", &[b"{\"dry_run\":true}".to_vec()], |bytes| {
        serde_json::from_slice::<PruneRequest>(bytes).map(|_| ())
    });
    // What a client reads of a node that may lie. The valid form is no matter here.
    for text in ["{\"id\":1}", "[[[["] {
        assert!(serde_json::from_slice::<NodeInfo>(text.as_bytes()).is_err());
        assert!(serde_json::from_slice::<JobView>(text.as_bytes()).is_err());
    }
    let log = br#"{"version":3,"logs":[]}"#.to_vec();
    let runs = |bytes: &[u8]| {
        let _parsed = LogDocument::parse(bytes);
        Ok::<_, ()>(())
    };
    attack("log document", &[log], runs);
}
