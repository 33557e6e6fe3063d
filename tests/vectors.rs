//! The vectors that the contract reads too are those of this implementation.
//!
//! `UPDATE_VECTORS=1 cargo test --no-default-features --test vectors` writes them anew. The formats are described
//! in `docs/verification.md`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "vectors/verdicts.rs"]
mod verdicts;

use std::{env, fs, path::PathBuf};

use alloy_primitives::U256;
use assay::domain::{Fingerprint, FingerprintWord, JobId, Method, Seed, SummaryForm, SummaryWord, TENTHS};
use serde_json::{Value, json};

/// The largest sample of a word: 2^20 - 1 units of 256 KiB.
const LARGEST_KIB: u32 = ((1 << 20) - 1) * 256;

/// Compares the file with what it should hold, or writes it when asked to.
fn check(name: &str, expected: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "vectors", name].iter().collect();
    if env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is stale: run this test with UPDATE_VECTORS=1", path.display());
}

/// A JSON array with one element a line, so that changes can be read.
fn lines(elements: &[Value]) -> String {
    let elements: Vec<String> = elements.iter().map(Value::to_string).collect();
    format!("[\n{}\n]", elements.join(",\n"))
}

/// A fixed sequence of numbers (SplitMix64), so that the vectors are the same everywhere.
struct Numbers(u64);

impl Numbers {
    /// The next number below `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((x ^ x >> 31) % u64::from(bound)).unwrap()
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let bound = u32::try_from(choices.len()).unwrap();
        choices[usize::try_from(self.below(bound)).unwrap()]
    }
}

#[test]
fn seeds_are_current() {
    let counted = JobId::new(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    let ids = [0, 1, 2, 3, 0x7F, 0x80, 0xFF].map(|byte| JobId::new([byte; 32]));
    let seeds = ids.into_iter().chain([counted]).map(|job| {
        let seed = Seed::of(job);
        json!({ "job": job, "seed": seed, "seed32": seed.small() })
    });
    check("seed.json", &format!("{}\n", lines(&seeds.collect::<Vec<_>>())));
}

#[test]
fn fingerprint_words_are_current() {
    let ramp = std::array::from_fn(|k| 256 * u32::try_from(k).unwrap());
    let edge = [0, 127, 128, 383, 384, 639, LARGEST_KIB - 1, LARGEST_KIB + 127, LARGEST_KIB + 128, u32::MAX];
    let pack: Vec<Value> = [
        ("zeros are a fingerprint", [0; TENTHS], [0; TENTHS], 0, 0),
        ("one unit, one millisecond, one fault", [256; TENTHS], [256; TENTHS], 1, 1),
        ("the rows differ", ramp, [6400; TENTHS], 1234, 32_767),
        ("rounded half up, cut at the largest", edge, edge, 600, 32_768),
        ("everything cut", [u32::MAX; TENTHS], [u32::MAX; TENTHS], (1 << 40) - 1, 1 << 46),
        ("the largest time that fits", [0; TENTHS], ramp, u64::from(u32::MAX), 65_535),
        ("the first time that does not", ramp, [0; TENTHS], 1 << 32, 65_536),
        ("faults are rounded down", ramp, ramp, 0, 65_537),
        ("the last faults of an exponent", ramp, ramp, 0, 131_071),
        ("the largest faults", ramp, ramp, 0, 65_535 << 30),
        ("the largest number of faults", ramp, ramp, 0, u64::MAX >> 1),
    ]
    .into_iter()
    .map(|(name, w, q, cpu_ms, faults)| {
        let fingerprint = Fingerprint { w, q, cpu_ms, faults };
        let word = |method| FingerprintWord::pack(&fingerprint, method);
        assert_eq!(word(Method::Hash), word(Method::Ball));
        json!({
            "name": name, "w": w, "q": q, "cpu_ms": cpu_ms, "faults": faults,
            "kmeans": word(Method::KMeans), "ball": word(Method::Ball),
        })
    })
    .collect();

    let mut words: Vec<FingerprintWord> = ["ball", "kmeans"]
        .iter()
        .flat_map(|key| pack.iter().map(move |v| serde_json::from_value(v[key].clone()).unwrap()))
        .collect();
    let bit = |bit: usize| std::array::from_fn(|byte| if 31 - bit / 8 == byte { 1 << (bit % 8) } else { 0 });
    words.extend(
        [0, 19, 20, 39, 199, 200, 231, 232, 246, 247, 251, 252, 253, 254, 255]
            .map(|at| FingerprintWord(bit(at))),
    );
    words.push(FingerprintWord::VOID);
    // Void but for one bit: dirty, whichever it is.
    words.extend([0, 200, 232, 251].map(|at| FingerprintWord(bit(at).map(|byte: u8| !byte))));
    // Void but for the top bits: the largest fingerprint.
    words.push(FingerprintWord(std::array::from_fn(|byte| if byte == 0 { 0x0f } else { 0xff })));
    let unpack: Vec<Value> = words
        .into_iter()
        .map(|word| {
            let profile = word.unpack();
            let row = profile.ok().flatten();
            json!({
                "word": word, "void": profile == Ok(None), "dirty": profile.is_err(),
                "memory_kib": row.map_or([0; TENTHS], |row| row.memory_kib),
                "cpu_ms": row.map_or(0, |row| row.cpu_ms),
                "faults": row.map_or(0, |row| row.faults),
            })
        })
        .collect();

    let counts = format!("\"pack_count\":{},\n\"unpack_count\":{}", pack.len(), unpack.len());
    check(
        "fingerprint.json",
        &format!("{{{counts},\n\"pack\":{},\n\"unpack\":{}}}\n", lines(&pack), lines(&unpack)),
    );
}

#[test]
fn summary_words_are_current() {
    let kinds = [
        "exact",
        "abs:0.5",
        "abs:1e-64",
        "abs:999e12",
        "rel:1ppm",
        "rel:10ppm",
        "rel:1000ppm",
        "rel:1000000ppm",
    ];
    let numbers = [
        "0",
        "-0",
        "1",
        "-1",
        "0.5",
        "3.14159265358979",
        "-2.5e-7",
        "1e400",
        "-1e-400",
        "99999999999999999999",
        ".25",
        "7.",
        "+12",
        "1E3",
        "0.1e1",
        "1e",
        "nan",
        "inf",
        "0x1",
        "1e401",
        "--1",
        "1_000",
    ];
    let mut cases = Vec::new();
    let mut push = |kinds: &str, text: &str| {
        let form: SummaryForm = kinds.parse().unwrap();
        let word = SummaryWord::of(form, text.as_bytes()).unwrap_or(SummaryWord::VOID);
        let form = FingerprintWord(form.0);
        cases.push(json!({ "kinds": kinds, "form": form, "text": text, "word": word }));
    };
    for kind in kinds {
        for number in numbers {
            push(kind, number);
        }
    }
    push(&["exact"; 10].join(","), "1 2 3 4 5 6 7 8 9 10");
    push("rel:10ppm,abs:0.5,exact", "3.14159\n 17\t42\n");
    push("rel:10ppm,abs:0.5,exact", "3.14159 17");
    push("rel:10ppm,abs:0.5,exact", "3.14159 17 42 43");
    let agree: Vec<Value> = [
        (0, 0),
        (0, 64),
        (0, 65),
        ((1 << 25) - 1, 63),
        ((1 << 25) - 1, 64),
        (100, 36),
        (100, 35),
        (0, 1 << 24),
    ]
    .into_iter()
    .flat_map(|(a, b): (u32, u32)| {
        [0, 25, 225].map(|shift| {
            let word = |lane: u32| {
                let word: U256 = U256::from(lane) << shift;
                SummaryWord(word.to_be_bytes())
            };
            json!({ "a": word(a), "b": word(b), "agree": word(a).agrees_with(word(b)) })
        })
    })
    .chain([json!({ "a": SummaryWord::VOID, "b": SummaryWord::VOID, "agree": false })])
    .collect();
    check(
        "summary.json",
        &format!(
            "{{\"count\":{},\"agree_count\":{},\n\"cases\":{},\n\"agree\":{}}}\n",
            cases.len(),
            agree.len(),
            lines(&cases),
            lines(&agree)
        ),
    );
}
