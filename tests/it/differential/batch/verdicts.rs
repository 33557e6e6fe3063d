//! Random verdicts: `Verdicts` in Solidity held to `verdict::decide`.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use alloy_sol_types::SolValue;
use assay::{
    domain::{FingerprintWord, Method, SummaryWord},
    verdict::{Run, Terms, decide},
};

use super::{super::stored::abi, BATCH, Harness};
use assay::sim::chance::Chance;

/// Confidence, tolerance and so on as the contract has them: asked, confidence, KiB, thousandths, method,
/// deterministic, thousandths of CPU time, work required.
type QuestionThere = (U256, U256, U256, U256, abi::Method, bool, U256, bool);

/// The question, and of every run brought its output, its words and the key that settles ties.
type RunsThere = (QuestionThere, (Vec<U256>, Vec<U256>, Vec<U256>, Vec<U256>));

/// Whether a node brought a result, and then its output, fingerprint and summary.
type Brought = Option<([u8; 32], FingerprintWord, SummaryWord)>;

/// A run that was brought: its index here, the key that settles ties, its output and words.
type Entrant = (usize, [u8; 32], [u8; 32], FingerprintWord, SummaryWord);

/// Runs of one job: what is asked there, and the runs accepted here.
fn runs(chance: &mut Chance) -> (RunsThere, u32) {
    let asked = usize::try_from(chance.within(1..32)).unwrap();
    let method = chance.pick(&[Method::Hash, Method::KMeans, Method::Ball, Method::Near, Method::Near]);
    let require_work = matches!(method, Method::Hash | Method::Near) && chance.permille(400);
    let n = u32::try_from(asked).unwrap();
    let terms = Terms {
        confidence: chance.pick(&[0, 1, n / 2 + 1, n / 2 + 1, n / 2 + 1, n, n + 1]),
        tolerance_kib: chance.pick(&[0, 64, 1024, 1024, 5120, 1 << 28, u32::MAX]),
        relative_permille: chance.pick(&[0, 1, 300, 300, 999, 1000, 1001]),
        method,
        deterministic: chance.permille(60),
        require_work,
        cpu_permille: chance.pick(&[0, 100, 333, 333, 1000]),
    };
    let outputs = chance.pick(&[1, 2, 3, 100, 100, 100, 100]);
    let near = chance.pick(&[0, 33_554_400]);
    let (spread, levels) = (chance.pick(&[1, 2, 40, 1_048_576]), [0, 1000, 1001, 500, 1_048_575]);
    let (base, cpu) = (chance.pick(&levels), chance.pick(&[0, 600, 4_294_967_295]));
    let faults = chance.pick(&[0, 2400, 32_767, 500_000, (1 << 20) - 602]);
    let all_present = chance.permille(700);
    // In the order of their keys, as the rules index them.
    let mut brought: BTreeMap<[u8; 32], Brought> = BTreeMap::new();
    for _ in 0..asked {
        let is_there = all_present || !chance.permille(150);
        let mut output = [0; 32];
        output[31] = u8::try_from(chance.within(0..outputs)).unwrap();
        let level = if chance.permille(800) { base } else { chance.pick(&levels) };
        let mut word = U256::ZERO;
        for k in 0..10 {
            let sample = (level + chance.within(0..spread)).min((1 << 20) - 1);
            word |= U256::from(sample) << (20 * k);
        }
        let cpu = (cpu + chance.pick(&[0, 0, 1, 199, 200, 201, 300])).min(u64::from(u32::MAX));
        let cpu = if chance.permille(900) { cpu } else { chance.pick(&[0, 4_294_967_295]) };
        word |= U256::from(cpu) << 200;
        // Codes: 600 faults apart, and the ends of the range.
        word |= U256::from(faults + chance.pick(&[0, 0, 1, 599, 600, 601])) << 232;
        let word =
            if chance.permille(60) { FingerprintWord::VOID } else { FingerprintWord(word.to_be_bytes()) };
        let summary = summary(chance, near);
        brought.insert(chance.bytes(), is_there.then_some((output, word, summary)));
    }
    let here: Vec<Run> = brought
        .values()
        .map(|run| {
            run.map_or(Run::ABSENT, |(output, word, summary)| Run {
                output: Some(output),
                exit_code: 0,
                profile: word.unpack().unwrap(),
                summary,
            })
        })
        .collect();
    let accepted = decide(&terms, &here).accepted;
    // The contract has them in the order of seats, which is any; it is given those that are there alone.
    let mut there: Vec<Entrant> = brought
        .iter()
        .enumerate()
        .filter_map(|(index, (key, run))| {
            run.map(|(output, word, summary)| (index, *key, output, word, summary))
        })
        .collect();
    let order: Vec<u64> = there.iter().map(|_| chance.next()).collect();
    let mut shuffled: Vec<_> = order.into_iter().zip(there).collect();
    shuffled.sort_by_key(|(order, _)| *order);
    there = shuffled.into_iter().map(|(_, run)| run).collect();
    let mask = (0..).zip(&there).filter(|(_, (index, ..))| accepted.contains(index));
    let mask = mask.fold(0_u32, |mask, (bit, _)| mask | 1 << bit);
    let question = (
        U256::from(asked),
        U256::from(terms.confidence),
        U256::from(terms.tolerance_kib),
        U256::from(terms.relative_permille),
        abi::Method::try_from(u8::from(method)).unwrap(),
        terms.deterministic,
        U256::from(terms.cpu_permille),
        terms.require_work,
    );
    let word = |bytes: &[u8; 32]| U256::from_be_bytes(*bytes);
    let runs = (
        there.iter().map(|(_, _, output, _, _)| word(output)).collect(),
        there.iter().map(|(_, _, _, fingerprint, _)| word(&fingerprint.0)).collect(),
        there.iter().map(|(_, _, _, _, summary)| word(&summary.0)).collect(),
        there.iter().map(|(_, key, _, _, _)| word(key)).collect(),
    );
    ((question, runs), mask)
}

/// Lanes about the border of agreement from `near`, round the circle of 2^25; now and then void.
fn summary(chance: &mut Chance, near: u64) -> SummaryWord {
    if chance.permille(60) {
        return SummaryWord::VOID;
    }
    let lanes = chance.pick(&[1, 2, 10]);
    let word = (0..lanes).fold(U256::ZERO, |word, lane| {
        let apart = chance.pick(&[0, 0, 1, 32, 32, 64, 65]);
        let value = if chance.permille(970) { near + apart } else { chance.within(0..1 << 25) };
        word | U256::from(value % (1 << 25)) << (25 * lane)
    });
    SummaryWord(word.to_be_bytes())
}

#[tokio::test]
async fn thousands_of_random_verdicts_are_the_same_in_solidity() {
    let harness = Harness::start().await;
    let mut chance = Chance::new(7);
    // By method: how many had a verdict, and how many none.
    let mut compared: BTreeMap<u8, (usize, usize)> = BTreeMap::new();
    for _ in 0..16 {
        let (there, here): (Vec<RunsThere>, Vec<u32>) = (0..BATCH).map(|_| runs(&mut chance)).unzip();
        let answer = harness.ask("verdicts", &there);
        let found = Vec::<U256>::abi_decode(&answer).unwrap();
        assert_eq!(found.len(), here.len(), "the contract answers every case");
        for ((asked, here), found) in there.iter().zip(here).zip(found) {
            assert_eq!(found, U256::from(here), "{asked:?}");
            let count = compared.entry(asked.0.4 as u8).or_default();
            if here == 0 { count.1 += 1 } else { count.0 += 1 }
        }
    }
    let whole = |(verdicts, none): &(usize, usize)| *verdicts > 100 && *none > 100;
    assert!(compared.len() == 4 && compared.values().all(whole), "{compared:?}");
}
