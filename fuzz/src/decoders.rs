//! The decoders of what peers, chains, clients, files and containers send.

use alloy_primitives::B256;
use assay::{
    api::types::{
        EarningsReply, ErrorReply, InputRequest, JobList, JobView, NodeInfo, PauseRequest, PruneRequest,
        SessionRequest, SubmitRequest, UsageReply,
    },
    audit::{self, LogDocument, attestation},
    domain::{
        Digest, Fingerprint, FingerprintWord, ImageName, LogDomain, MAX_TIME_MS, Method, NodeId, Offer,
        Sample, Spec, Timestamp, codec,
    },
    executor::Trace,
    identity::Keystore,
    scheduler::{
        contract::{Answer, read_log},
        libp2p::{
            announce::Announcement,
            entry::Entry,
            wire::{LogRequest, LogResponse},
        },
    },
    store::{LastWords, Limits, unpack},
};
use serde::de::DeserializeOwned;

const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };

/// When documents are judged: after everything that a seed says.
const NOW: Timestamp = Timestamp::from_secs(4_000_000_000);

/// A decoder with one form for each value: what it accepts encodes to the same bytes.
fn canonical<T, E>(bytes: &[u8], decoded: Result<T, E>, encode: impl Fn(&T) -> Vec<u8>) -> Option<T> {
    let value = decoded.ok()?;
    assert_eq!(encode(&value), bytes, "a second form of a value is accepted");
    Some(value)
}

/// A signed action.
pub fn action(bytes: &[u8]) -> bool {
    let action = canonical(bytes, codec::decode_action(bytes), codec::encode_action);
    action.is_some_and(|action| action.author(DOMAIN).is_ok())
}

/// A log's entry.
pub fn entry(bytes: &[u8]) -> bool {
    let entry = canonical(bytes, Entry::decode(bytes), Entry::encode);
    entry.is_some_and(|entry| entry.signer(DOMAIN).is_ok() && entry.stamped(DOMAIN).is_ok())
}

/// A job that is announced to strangers.
pub fn announcement(bytes: &[u8]) -> bool {
    let Some(announced) = canonical(bytes, Announcement::decode(bytes), Announcement::encode) else {
        return false;
    };
    let source = announced.entry.signer(DOMAIN);
    source.is_ok_and(|source| announced.check(DOMAIN, source).is_ok())
}

/// The terms of a job, or the opening of a commitment.
pub fn opening(bytes: &[u8]) -> bool {
    if let Some(deal) = canonical(bytes, codec::decode_deal(bytes), codec::encode_deal) {
        return deal.validate().is_ok();
    }
    let opening = canonical(bytes, codec::decode_opening(bytes), codec::encode_opening);
    opening.is_some_and(|opening| {
        let _well_formed = opening.summary.is_well_formed();
        opening.fingerprint.unpack().is_ok()
    })
}

/// What a job runs, an image's name, or what a node says it takes on.
pub fn spec(bytes: &[u8]) -> bool {
    if canonical(bytes, Spec::from_document(bytes), Spec::to_document).is_some() {
        return true;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if let Ok(name) = ImageName::parse(text) {
        assert_eq!(name.to_string(), text, "a name changes when it is written");
        return true;
    }
    let Some(offer) = Offer::parse(text) else { return false };
    assert_eq!(Offer::parse(&offer.to_text()), Some(offer), "an offer changes when it is written");
    true
}

/// What nodes say to each other.
pub fn message(bytes: &[u8]) -> bool {
    let (request, response) = (LogRequest::decode(bytes), LogResponse::decode(bytes));
    if let Some(request) = &request {
        assert_eq!(LogRequest::decode(&request.encode()).as_ref(), Some(request));
    }
    if let Some(response) = &response {
        assert_eq!(LogResponse::decode(&response.encode()).as_ref(), Some(response));
    }
    let answer = Answer::decode(bytes).inspect(|answer| assert_eq!(answer.encode(), bytes));
    let words = canonical(bytes, LastWords::decode(bytes), LastWords::encode);
    request.is_some() || response.is_some() || answer.is_some() || words.is_some()
}

/// A canonical archive: nothing appears beside its destination, and nothing at it if the archive is refused.
pub fn archive(bytes: &[u8]) -> bool {
    let root = tempfile::tempdir().expect("there is room for a directory");
    let target = root.path().join("copy");
    let limits = Limits { entries: 64, ..Limits::with_bytes(1 << 16) };
    let unpacked = unpack(bytes, &target, Digest::sha256(bytes), &limits).is_ok();
    let left = std::fs::read_dir(root.path()).expect("the directory is there").count();
    assert_eq!(left, usize::from(unpacked), "it left something behind, or wrote beside its target");
    unpacked
}

/// The readings of a run.
pub fn trace(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(readings) = Trace::readings_of(text) else { return false };
    let last = *readings.last().expect("a trace has a reading");
    let (duration_ms, cpu_ms) = (last.t_ms.saturating_add(1).min(MAX_TIME_MS - 1), last.cpu_ms);
    let trace = Trace { readings, duration_ms, cpu_ms, faults: last.faults };
    assert_eq!(Trace::readings_of(&trace.to_csv()).as_ref(), Some(&trace.readings));
    if let Some(fingerprint) = trace.fingerprint() {
        for method in [Method::KMeans, Method::Ball, Method::Near] {
            let word = FingerprintWord::pack(&fingerprint, method);
            assert!(matches!(word.unpack(), Ok(Some(_))), "a fingerprint does not survive its word");
        }
    }
    let samples: Vec<Sample> =
        trace.readings.iter().map(|of| Sample { t_ms: of.t_ms, rss_kib: of.rss_kib }).collect();
    let _in_the_middle =
        Fingerprint::from_samples(&samples, (last.t_ms / 3, last.t_ms / 2 + 1), last.cpu_ms, last.faults);
    true
}

/// A body that a client sends to a node, or an answer that a client reads of a node that may lie.
pub fn api(bytes: &[u8]) -> bool {
    fn is<T: DeserializeOwned>(bytes: &[u8]) -> bool {
        serde_json::from_slice::<T>(bytes).is_ok()
    }
    if let Ok(request) = serde_json::from_slice::<SubmitRequest>(bytes) {
        let (spec, deal, _) = request.into_parts();
        let _valid = deal.validate();
        let document = spec.to_document();
        if let Ok(read) = Spec::from_document(&document) {
            assert_eq!(read, spec, "a spec changes on its way into a log");
        }
        return true;
    }
    let asked = [is::<PauseRequest>, is::<PruneRequest>, is::<SessionRequest>, is::<InputRequest>];
    let answered = [
        is::<JobView>,
        is::<JobList>,
        is::<NodeInfo>,
        is::<EarningsReply>,
        is::<UsageReply>,
        is::<ErrorReply>,
    ];
    asked.iter().chain(&answered).any(|is| is(bytes))
}

/// A key file: read, not opened, since deriving a key takes a second.
pub fn keystore(bytes: &[u8]) -> bool {
    Keystore::parse(bytes).is_ok()
}

/// A log of the contract: the number of its topics, the topics, and the data.
pub fn chain_log(bytes: &[u8]) -> bool {
    let Some((count, rest)) = bytes.split_first() else { return false };
    let topics = usize::from(count % 5);
    let Some((topics, data)) = rest.split_at_checked(topics * 32) else { return false };
    let topics: Vec<B256> = topics.chunks_exact(32).map(B256::from_slice).collect();
    let read = read_log(&topics, data);
    if let (Some(named), Some((job, _))) = (topics.get(1), &read) {
        assert_eq!(B256::from(*job), *named, "an event is of the job that it names");
    }
    read.is_some_and(|(_, event)| event.is_ok())
}

/// A job's exported logs, or attestations.
pub fn document(bytes: &[u8]) -> bool {
    if let Ok(document) = LogDocument::parse(bytes) {
        return audit::audit(&document, NOW).is_ok();
    }
    let Ok(bundle) = attestation::parse(bytes) else { return false };
    bundle.attestations.iter().take(4).all(|envelope| attestation::check(envelope, NOW).is_ok())
}
