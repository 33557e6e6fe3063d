//! Verdicts over the words that a contract sees.

use alloy_primitives::U256;
use assay::domain::{Fingerprint, FingerprintWord, Method, SummaryWord, TENTHS};
use assay::verdict::{Decision, Run, Terms, decide};
use serde_json::{Value, json};

use super::{LARGEST_KIB, Numbers, check, lines};

/// What a node brought: the number of its output (0 is none) and its words.
type Brought = (u32, FingerprintWord, SummaryWord);

fn word(kib: u32, cpu_ms: u64) -> FingerprintWord {
    faulting(kib, cpu_ms, 7000)
}

fn faulting(kib: u32, cpu_ms: u64, faults: u64) -> FingerprintWord {
    let row = [kib; TENTHS];
    FingerprintWord::pack(&Fingerprint { w: row, q: row, cpu_ms, faults }, Method::Ball)
}

/// The verdict over runs that all state the exit code 0.
fn case(name: &str, terms: &Terms, brought: &[Brought]) -> Value {
    case_with_exits(name, terms, brought, &vec![0; brought.len()])
}

fn case_with_exits(name: &str, terms: &Terms, brought: &[Brought], exit_codes: &[i32]) -> Value {
    assert_eq!(brought.len(), exit_codes.len(), "{name}");
    let output = |id: u32| -> [u8; 32] {
        let mut output = [0; 32];
        output[28..].copy_from_slice(&id.to_be_bytes());
        output
    };
    let runs: Vec<Run> = brought
        .iter()
        .zip(exit_codes)
        .map(|(&(id, word, summary), &exit_code)| Run {
            output: (id > 0).then(|| output(id)),
            exit_code,
            profile: word.unpack().unwrap(),
            summary,
        })
        .collect();
    let outcome = decide(terms, &runs);
    let mask = |indices: &[usize]| indices.iter().fold(0u32, |mask, index| mask | 1 << index);
    json!({
        "name": name,
        "confidence": terms.confidence,
        "tolerance_kib": terms.tolerance_kib,
        "relative_permille": terms.relative_permille,
        "method": u8::from(terms.method),
        "deterministic": terms.deterministic,
        "require_work": terms.require_work,
        "cpu_permille": terms.cpu_permille,
        "outputs": brought.iter().map(|&(id, ..)| FingerprintWord(output(id))).collect::<Vec<_>>(),
        "exit_codes": exit_codes,
        "words": brought.iter().map(|&(_, word, _)| word).collect::<Vec<_>>(),
        "summaries": brought.iter().map(|&(_, _, summary)| summary).collect::<Vec<_>>(),
        "verdict": outcome.decision == Decision::Verdict,
        "accepted": mask(&outcome.accepted),
        "rejected": mask(&outcome.rejected),
        "absent": mask(&outcome.absent),
    })
}

/// Outputs that all differ.
fn unlike(words: &[FingerprintWord]) -> Vec<Brought> {
    (1..).zip(words).map(|(id, word)| (id, *word, SummaryWord::VOID)).collect()
}

/// Outputs of these numbers.
fn outputs(brought: &[(u32, FingerprintWord)]) -> Vec<Brought> {
    brought.iter().map(|&(id, word)| (id, word, SummaryWord::VOID)).collect()
}

const VOID: FingerprintWord = FingerprintWord::VOID;

/// Name, confidence, tolerance in KiB and in permille, whether outputs must be equal, and the runs.
type Edge = (&'static str, u32, u32, u16, bool, Vec<Brought>);

/// The edges, each for every method.
fn edges() -> Vec<Edge> {
    let w = |kib| word(kib, 900);
    let (low, high) = (w(256), w(102_400));
    let mut peeled = vec![w(64_000); 16];
    peeled.extend((1..=15).map(|k| word(64_000 << k.min(12), 900)));
    let faults = |faults: [u64; 3]| faults.map(|faults| faulting(6400, 900, faults));
    let flat_31 = vec![w(LARGEST_KIB); 31];
    vec![
        ("one alone", 1, 1024, 300, false, unlike(&[high])),
        ("two alike", 2, 1024, 300, false, unlike(&[high, w(102_656)])),
        ("two that differ", 1, 1024, 300, false, unlike(&[high, low])),
        ("two against two", 2, 1024, 300, false, unlike(&[high, high, low, low])),
        ("one idle of three", 2, 1024, 300, false, unlike(&[high, w(102_912), low])),
        ("all equal, no tolerance", 3, 0, 0, false, unlike(&[high; 5])),
        ("a unit apart, no tolerance", 2, 0, 0, false, unlike(&[w(6400), w(6656), w(6400)])),
        ("exactly the tolerance apart", 2, 256, 0, false, unlike(&[w(6400), w(6656), w(6912)])),
        (
            "three agree where four should",
            4,
            512,
            300,
            false,
            unlike(&[w(49_920), w(50_176), w(50_432), low, low]),
        ),
        (
            "masking: one huge beside one idle",
            3,
            2048,
            0,
            false,
            unlike(&[high, w(103_424), w(104_448), low, w(2_048_000)]),
        ),
        ("opposite sides", 2, 512, 0, false, unlike(&[w(0), high, w(204_800)])),
        (
            "a ball's tie is settled by index",
            2,
            256,
            0,
            false,
            unlike(&[w(0), w(256), w(512), w(768), w(1024)]),
        ),
        (
            "one without the CPU time",
            2,
            512,
            300,
            false,
            unlike(&[word(3328, 1500), word(3328, 1480), word(3072, 30)]),
        ),
        (
            "CPU exactly a third apart",
            2,
            512,
            300,
            false,
            unlike(&[word(256, 667), word(256, 1000), word(256, 666)]),
        ),
        (
            "CPU exactly 200 ms apart",
            2,
            512,
            300,
            false,
            unlike(&[word(256, 0), word(256, 200), word(256, 201)]),
        ),
        (
            "CPU at the largest",
            2,
            512,
            300,
            false,
            unlike(&[word(256, u64::MAX), word(256, u64::MAX), word(256, 0)]),
        ),
        ("faults exactly 600 apart", 2, 512, 300, false, unlike(&faults([0, 600, 601]))),
        ("faults exactly a fifth apart", 2, 512, 300, false, unlike(&faults([8000, 10_000, 7999]))),
        (
            "faults a fifth apart but for rounding",
            2,
            512,
            300,
            false,
            unlike(&faults([80_001, 100_003, 125_006])),
        ),
        ("faults at the largest", 2, 512, 300, false, unlike(&faults([u64::MAX, 1 << 45, 0]))),
        ("one void", 2, 512, 300, false, unlike(&[high, high, VOID])),
        ("all void", 2, 512, 300, false, unlike(&[VOID; 3])),
        ("all zero", 2, 0, 300, false, unlike(&[w(0); 3])),
        (
            "a majority of outputs, whatever the words",
            2,
            0,
            0,
            false,
            outputs(&[(7, high), (7, VOID), (8, low)]),
        ),
        ("a majority of outputs, too few", 3, 512, 300, false, outputs(&[(7, high), (7, high), (8, high)])),
        (
            "a plurality of outputs",
            2,
            512,
            300,
            false,
            outputs(&[(7, high), (7, high), (8, high), (9, high)]),
        ),
        ("half of the outputs", 2, 512, 300, false, outputs(&[(7, high), (7, high), (8, low), (9, low)])),
        ("no majority where outputs must be equal", 2, 512, 300, true, unlike(&[high; 3])),
        (
            "a majority where outputs must be equal",
            2,
            512,
            300,
            true,
            outputs(&[(7, low), (8, low), (7, high)]),
        ),
        ("a node without a result", 2, 512, 300, false, outputs(&[(1, high), (0, VOID), (2, high)])),
        (
            "a node without a result beside a majority",
            2,
            512,
            300,
            true,
            outputs(&[(7, high), (0, VOID), (7, high)]),
        ),
        ("one result of three", 1, 512, 300, false, outputs(&[(7, high), (0, VOID), (0, VOID)])),
        ("no results", 1, 512, 300, false, outputs(&[(0, VOID); 3])),
        ("one liar peeled a round", 16, 1024, 300, false, unlike(&peeled)),
        ("widest, all equal", 31, 0, 0, false, unlike(&flat_31)),
        (
            "widest, 16 against 15",
            16,
            u32::MAX,
            0,
            false,
            unlike(&[vec![w(LARGEST_KIB); 16], vec![w(0); 15]].concat()),
        ),
        ("confidence of none", 0, 512, 300, false, unlike(&[high; 3])),
        ("confidence above all", 4, 512, 300, false, unlike(&[high; 3])),
    ]
}

/// Runs that do not all state one exit code, each for every method: name, confidence, runs and codes.
fn exits() -> Vec<(&'static str, u32, Vec<Brought>, Vec<i32>)> {
    let w = |kib| word(kib, 900);
    let near = |id, lane: u32| {
        let word = U256::from(lane);
        (id, w(6400), SummaryWord(word.to_be_bytes()))
    };
    let (same, large) = (outputs(&[(7, w(6400)); 3]), w(LARGEST_KIB));
    vec![
        ("a false code beside the output of all", 2, same.clone(), vec![0, 1, 0]),
        ("a code below zero, and the largest", 2, same.clone(), vec![i32::MIN, i32::MAX, i32::MIN]),
        ("three codes", 1, same.clone(), vec![0, 1, 2]),
        ("a false code, and too few without it", 3, same, vec![0, 1, 0]),
        ("half state each code", 2, outputs(&[(7, w(6400)); 4]), vec![0, 0, 1, 1]),
        (
            "most state the code of a minority's output",
            3,
            outputs(&[(7, w(6400)), (7, w(6400)), (7, w(6400)), (8, w(6400)), (9, w(6400))]),
            vec![1, 1, 0, 0, 0],
        ),
        ("a huge run with another code shifts no mean", 3, unlike(&[large, w(6400), w(6400), w(6400)]), {
            vec![1, 0, 0, 0]
        }),
        (
            "a ball with another code wins no tie",
            2,
            vec![near(1, 64), near(2, 3), near(3, 4), near(4, 128), near(5, 129)],
            vec![1, 0, 0, 0, 0],
        ),
        (
            "a node without a result states nothing",
            2,
            outputs(&[(7, w(6400)), (0, VOID), (7, w(6400))]),
            vec![1, 0, 1],
        ),
    ]
}

/// Two lanes about the border of agreement, round the circle; now and then no summary.
fn summary(numbers: &mut Numbers) -> SummaryWord {
    if numbers.below(12) == 0 {
        return SummaryWord::VOID;
    }
    let mut lane = || U256::from((numbers.pick(&[0, 0, 30, 64, 65]) + (1 << 25) - 30) % (1_u32 << 25));
    let word: U256 = lane() | (lane() << 225);
    SummaryWord(word.to_be_bytes())
}

/// Jobs with a few levels of memory, so that groups, ties and borders are common.
fn random_case(numbers: &mut Numbers, index: usize, has_exits: bool) -> Value {
    let n = numbers.pick(&[1, 2, 3, 3, 3, 4, 5, 5, 7, 9]);
    let level = numbers.pick(&[0, 640, 32_000, 128_000, LARGEST_KIB / 2]);
    let levels = [level, level, level, level / 2, level * 2, numbers.below(200_000)];
    let jitter = numbers.pick(&[1, 200, level / 10 + 1, level / 2 + 1]);
    let cpu = numbers.pick(&[100, 600, 5000]);
    let faults = numbers.pick(&[0, 2000, 200_000]);
    let outputs = numbers.pick(&[2, 100, 100, 100]);
    let method = numbers.pick(&[Method::KMeans, Method::Ball, Method::Hash, Method::Near, Method::Near]);
    let mut brought = Vec::new();
    for _ in 0..n {
        let base = numbers.pick(&levels);
        let mut w = [0; TENTHS];
        for kib in &mut w {
            *kib = base + numbers.below(jitter);
        }
        let mut q = w;
        q.sort_unstable();
        let cpu_ms = u64::from(cpu + numbers.below(cpu));
        let word = match numbers.below(16) {
            0 => FingerprintWord::VOID,
            _ => {
                let faults = u64::from(faults + numbers.below(faults / 3 + 1200));
                FingerprintWord::pack(&Fingerprint { w, q, cpu_ms, faults }, method)
            }
        };
        let id = numbers.below(outputs + 1);
        let word = if id == 0 { FingerprintWord::VOID } else { word };
        brought.push((id, word, if id == 0 { SummaryWord::VOID } else { summary(numbers) }));
    }
    let terms = Terms {
        confidence: numbers.pick(&[1, n / 2 + 1, n / 2 + 1, n]),
        tolerance_kib: numbers.pick(&[0, 64, 1024, 1024, 5120]),
        relative_permille: numbers.pick(&[0, 100, 300, 300, 1000]),
        method,
        deterministic: numbers.below(10) == 0,
        require_work: matches!(method, Method::Hash | Method::Near) && numbers.below(3) == 0,
        cpu_permille: numbers.pick(&[333, 333, 0, 1000]),
    };
    let exit_code = |_| if has_exits { numbers.pick(&[0, 0, 0, 0, 0, 1, 137]) } else { 0 };
    let exit_codes: Vec<i32> = (0..n).map(exit_code).collect();
    case_with_exits(&format!("random {index}"), &terms, &brought, &exit_codes)
}

#[test]
fn packed_verdicts_are_current() {
    let mut cases = Vec::new();
    let methods = [
        (Method::Hash, false),
        (Method::Hash, true),
        (Method::KMeans, false),
        (Method::Ball, false),
        (Method::Near, false),
        (Method::Near, true),
    ];
    for (name, confidence, tolerance_kib, relative_permille, deterministic, brought) in edges() {
        for (method, require_work) in methods {
            let terms = Terms {
                tolerance_kib,
                relative_permille,
                deterministic,
                require_work,
                ..Terms::new(method, confidence)
            };
            cases.push(case(name, &terms, &brought));
        }
    }
    let mut numbers = Numbers(1);
    cases.extend((0..200).map(|index| random_case(&mut numbers, index, false)));
    for (name, confidence, brought, exit_codes) in exits() {
        for (method, require_work) in methods {
            let terms = Terms { require_work, ..Terms::new(method, confidence) };
            cases.push(case_with_exits(name, &terms, &brought, &exit_codes));
        }
    }
    cases.extend((200..300).map(|index| random_case(&mut numbers, index, true)));
    check("verdict-packed.json", &format!("{{\"count\":{},\n\"cases\":{}}}\n", cases.len(), lines(&cases)));
}
