//! How fast the pure parts are: rules, fold, verdicts, 2-means, encoding, signatures; and reading a stored log.
//!
//! `cargo bench --bench pure [NAME...]`. What is compared with something else is timed in turn with it, and printed as
//! JSON, one object a line; the rest is a table of divan's, with the memory that was asked for.

#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::unwrap_used, reason = "what is measured is made here, and valid")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

use std::{hint::black_box, time::Instant};

use assay::{
    domain::{
        Action, Deal, Digest, Event, Facts, FingerprintWord, JobId, LogDomain, Method, NodeId, Opening,
        Profile, SeatOpening, SeatSet, SignedAction, Spec, Stamped, SummaryWord, TENTHS, Timestamp, codec,
    },
    identity::NodeKey,
    rules::{Ledger, transition},
    store::{Db, EventLog, NewEntry},
    verdict::{Run, Terms, decide, two_means},
};
use divan::{AllocProfiler, Bencher, counter::ItemsCount};

const REQUESTER: NodeId = NodeId::new([0xAA; 20]);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);
/// Of a job with three seats: submission, three bids, acceptances and commitments, the verdict.
const EVENTS_A_JOB: usize = 11;
/// Entries of a page, as readers of a stored log take them.
const PAGE: u32 = 64;

/// Counts what is allocated, and how much of it at a time.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    compare_two_means();
    compare_growth();
    divan::main();
}

/// SplitMix64: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn word(&mut self) -> u32 {
        u32::try_from(self.roll() >> 32).unwrap()
    }
}

fn values(count: usize) -> Vec<u32> {
    let mut dice = Dice(1);
    (0..count).map(|_| dice.word()).collect()
}

fn bidder(number: u8) -> NodeId {
    NodeId::new([number + 1; 20])
}

fn opening(seat: u8) -> Opening {
    Opening {
        result_hash: Digest::new([1; 32]),
        output_root: Digest::new([2; 32]),
        exit_code: 0,
        fingerprint: FingerprintWord::VOID,
        summary: SummaryWord::VOID,
        salt: Digest::new([seat; 32]),
    }
}

/// The whole life of one job with three seats.
fn life(nonce: u64, document: &[u8], deal: &Deal) -> Vec<Stamped<Event>> {
    let (domain, revision) = (LogDomain::default(), deal.revision());
    let job = domain.job_id(REQUESTER, nonce, Spec::hash_document(document), revision);
    let submitted = Event::Submitted { deal: deal.clone(), spec: document.to_vec(), nonce };
    let mut events = vec![(REQUESTER, submitted)];
    events.extend((0..3).map(|n| (bidder(n), Event::BidPlaced { price: deal.price })));
    events.extend((0..3).map(|n| (REQUESTER, Event::BidAccepted { node: bidder(n) })));
    events.extend((0..3).map(|seat| {
        let commitment = opening(seat).commitment(domain, job, seat, bidder(seat));
        (bidder(seat), Event::Committed { commitment })
    }));
    let openings = (0..3).map(|seat| SeatOpening { seat, opening: opening(seat) }).collect();
    let accepted: SeatSet = [0_u8, 1, 2].into_iter().collect();
    events.push((REQUESTER, Event::VerdictPosted { openings, accepted }));
    assert_eq!(events.len(), EVENTS_A_JOB);
    let stamp =
        |(author, event)| Stamped { job, author, at: START, revision, facts: Facts::MONEYLESS, event };
    events.into_iter().map(stamp).collect()
}

fn history(events: usize) -> Vec<Stamped<Event>> {
    let (document, deal) = (Spec::sample().to_document(), Deal::default());
    let jobs = (0..).take(events.div_ceil(EVENTS_A_JOB));
    jobs.flat_map(|nonce| life(nonce, &document, &deal)).take(events).collect()
}

fn fold(events: &[Stamped<Event>]) -> Ledger {
    let mut ledger = Ledger::new(LogDomain::default());
    for event in events {
        ledger.apply(event).unwrap();
    }
    ledger
}

fn timed<T>(action: impl FnOnce() -> T) -> f64 {
    let begun = Instant::now();
    black_box(action());
    begun.elapsed().as_secs_f64()
}

/// Prints two series that were taken in turn.
fn compare(
    name: &str,
    against: &str,
    at_most: Option<f64>,
    rounds: usize,
    mut both: impl FnMut() -> (f64, f64),
) {
    both();
    let (ours, reference): (Vec<f64>, Vec<f64>) = (0..rounds).map(|_| both()).unzip();
    let line = serde_json::json!({
        "name": name, "against": against, "at_most": at_most, "ours_s": ours, "reference_s": reference,
    });
    println!("{line}");
}

fn compare_two_means() {
    let values = values(1_000_000);
    compare("1-D 2-means of 10^6 values", "sort_unstable", Some(1.5), 21, || {
        let (mut a, mut b) = (values.clone(), values.clone());
        (timed(|| two_means(&mut a)), timed(|| b.sort_unstable()))
    });
}

/// Ten times the events should take ten times as long.
fn compare_growth() {
    let (few, many) = (history(10_000), history(100_000));
    compare("fold of 100,000 events", "10,000 (10x is linear)", None, 11, || {
        (timed(|| fold(&many)), timed(|| fold(&few)))
    });
    let (few, many) = (stored(10_000), stored(100_000));
    compare("paging through 100,000 stored events", "10,000 (10x is linear)", None, 11, || {
        (timed(|| read(&many)), timed(|| read(&few)))
    });
}

/// A stored log. In memory: what is measured is finding and reading, not the disk.
fn stored(events: usize) -> EventLog {
    let log = EventLog::new(Db::in_memory().unwrap());
    for (job, chunk) in history(events).chunks(EVENTS_A_JOB).enumerate() {
        let mut dice = Dice(u64::try_from(job).unwrap());
        let entry = |(height, stamped): (u64, &Stamped<Event>)| {
            let hash: Vec<u8> = (0..4).flat_map(|_| dice.roll().to_be_bytes()).collect();
            let entry_hash = Digest::new(hash.try_into().unwrap());
            let bytes = codec::encode_event(&stamped.event);
            NewEntry { job: stamped.job, height, entry_hash, author: None, bytes }
        };
        let entries: Vec<NewEntry> = (1..).zip(chunk).map(entry).collect();
        log.append_all(&entries).unwrap();
    }
    log
}

fn read(log: &EventLog) -> usize {
    let (mut cursor, mut count) = (0, 0);
    loop {
        let page = log.read_after(cursor, PAGE).unwrap();
        let Some(last) = page.last() else { return count };
        cursor = last.cursor;
        count += page.len();
    }
}

#[divan::bench_group(name = "transition")]
mod rules {
    use super::{Bencher, Deal, EVENTS_A_JOB, Spec, fold, life, transition};

    #[divan::bench]
    fn bid(bencher: Bencher<'_, '_>) {
        let events = life(0, &Spec::sample().to_document(), &Deal::default());
        let open = fold(&events[..1]).jobs().next().unwrap().clone();
        bencher.bench_local(|| transition(&open, &events[1]).unwrap());
    }

    #[divan::bench(name = "verdict of 3")]
    fn verdict(bencher: Bencher<'_, '_>) {
        let events = life(0, &Spec::sample().to_document(), &Deal::default());
        let running = fold(&events[..EVENTS_A_JOB - 1]).jobs().next().unwrap().clone();
        bencher.bench_local(|| transition(&running, &events[EVENTS_A_JOB - 1]).unwrap());
    }
}

#[divan::bench(name = "fold of events", args = [10_000, 1_000_000], sample_count = 10)]
fn folds(bencher: Bencher<'_, '_>, count: usize) {
    let events = history(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| fold(&events));
}

/// Runs of which nine of ten use about as much memory, and none has the output of another.
fn runs(count: usize) -> Vec<Run> {
    let mut dice = Dice(2);
    let run = |number: usize| {
        let base = if number % 10 == 9 { 1_000_000 } else { 100_000 };
        let memory_kib: [u32; TENTHS] = std::array::from_fn(|_| base + dice.word() % 500);
        let mut output = [0; 32];
        output[..8].copy_from_slice(&number.to_be_bytes());
        Run {
            output: Some(output),
            profile: Some(Profile { memory_kib, cpu_ms: 900, faults: 0 }),
            ..Run::ABSENT
        }
    };
    (0..count).map(run).collect()
}

/// 31 seats is the largest job; 128 runs are the most that a verdict compares.
#[divan::bench_group(name = "verdict of runs")]
mod verdicts {
    use super::{Bencher, Method, Terms, decide, runs};

    fn measure(bencher: Bencher<'_, '_>, method: Method, count: usize) {
        let runs = runs(count);
        let confidence = u32::try_from(count / 2 + 1).unwrap();
        let terms = Terms::new(method, confidence);
        bencher.bench_local(|| decide(&terms, &runs));
    }

    #[divan::bench(args = [3, 31, 128])]
    fn hash(bencher: Bencher<'_, '_>, count: usize) {
        measure(bencher, Method::Hash, count);
    }

    #[divan::bench(args = [3, 31, 128])]
    fn kmeans(bencher: Bencher<'_, '_>, count: usize) {
        measure(bencher, Method::KMeans, count);
    }

    #[divan::bench(args = [3, 31, 128])]
    fn ball(bencher: Bencher<'_, '_>, count: usize) {
        measure(bencher, Method::Ball, count);
    }
}

#[divan::bench_group(name = "10^6 values", sample_count = 10)]
mod million {
    use super::{Bencher, two_means, values};

    #[divan::bench(name = "two_means")]
    fn means(bencher: Bencher<'_, '_>) {
        let values = values(1_000_000);
        bencher.with_inputs(|| values.clone()).bench_local_refs(|values| two_means(values));
    }

    #[divan::bench]
    fn sort_unstable(bencher: Bencher<'_, '_>) {
        let values = values(1_000_000);
        bencher.with_inputs(|| values.clone()).bench_local_refs(|values| values.sort_unstable());
    }
}

#[divan::bench_group(name = "submission")]
mod submissions {
    use super::{
        Action, Bencher, Deal, Digest, JobId, LogDomain, NodeKey, SignedAction, Spec, Stamped, codec, life,
    };

    fn signed() -> (NodeKey, SignedAction) {
        let key = NodeKey::from_bytes(&[7; 32]).unwrap();
        let Stamped { revision, event, .. } =
            life(0, &Spec::sample().to_document(), &Deal::default()).swap_remove(0);
        let action = Action { job: JobId::ZERO, revision, sequence: 0, seen: Digest::ZERO, event };
        let signature = key.sign(action.signing_digest(LogDomain::default()));
        (key, SignedAction { action, signature })
    }

    #[divan::bench]
    fn encode(bencher: Bencher<'_, '_>) {
        let (_, signed) = signed();
        bencher.bench_local(|| codec::encode_action(&signed));
    }

    #[divan::bench]
    fn decode(bencher: Bencher<'_, '_>) {
        let bytes = codec::encode_action(&signed().1);
        bencher.bench_local(|| codec::decode_action(&bytes).unwrap());
    }

    #[divan::bench]
    fn digest(bencher: Bencher<'_, '_>) {
        let (_, signed) = signed();
        bencher.bench_local(|| signed.action.signing_digest(LogDomain::default()));
    }

    #[divan::bench]
    fn sign(bencher: Bencher<'_, '_>) {
        let (key, signed) = signed();
        let digest = signed.action.signing_digest(LogDomain::default());
        bencher.bench_local(|| key.sign(digest));
    }

    #[divan::bench(name = "check signature")]
    fn check(bencher: Bencher<'_, '_>) {
        let (_, signed) = signed();
        bencher.bench_local(|| signed.author(LogDomain::default()).unwrap());
    }
}

#[divan::bench(name = "page through stored events", args = [10_000, 100_000], sample_count = 10)]
fn paging(bencher: Bencher<'_, '_>, count: usize) {
    let log = stored(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| read(&log));
}
