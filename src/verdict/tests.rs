use alloy_primitives::U256;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{Method, Profile, SummaryWord, TENTHS};

mod naive;
mod near;

const REFERENCE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/verdict-reference.json"));
const RANDOM: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/verdict-random.json"));

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

/// An output of its own for every `id`; 0 is none.
fn output(id: u8) -> Option<[u8; 32]> {
    (id > 0).then_some([id; 32])
}

fn flat(kib: u32) -> Option<Profile> {
    Some(Profile { memory_kib: [kib; TENTHS], cpu_ms: 900, faults: 0 })
}

/// A run with an output of its own and that memory.
fn unlike(index: usize, profile: Option<Profile>) -> Run {
    Run { output: output(u8::try_from(index + 1).unwrap()), profile, ..Run::ABSENT }
}

fn terms(method: Method, confidence: u32, tolerance_kib: u32, relative_permille: u16) -> Terms {
    Terms { tolerance_kib, relative_permille, ..Terms::new(method, confidence) }
}

/// The vectors' memory row is in order of time; `ball` compares it sorted.
fn profile(row: &Value, cpu_ms: &Value, method: Method) -> Option<Profile> {
    let mut memory_kib: [u32; TENTHS] = serde_json::from_value::<Option<_>>(row.clone()).unwrap()?;
    if method == Method::Ball {
        memory_kib.sort_unstable();
    }
    Some(Profile { memory_kib, cpu_ms: number(cpu_ms), faults: 0 })
}

/// What the scorer says when it is asked without the gate.
fn scored(terms: &Terms, runs: &[Run]) -> Outcome {
    let present: Vec<(usize, Profile)> =
        runs.iter().enumerate().filter_map(|(i, run)| Some((i, run.profile?))).collect();
    let field = outcome::Field {
        asked: runs.len(),
        confidence: terms.confidence as usize,
        absent: (0..runs.len()).filter(|&i| runs[i].profile.is_none()).collect(),
        has_one_exit: true,
    };
    match terms.method {
        Method::KMeans => kmeans::score(field, &present, terms),
        Method::Ball | Method::Hash | Method::Near => ball::score(field, &present, terms),
    }
}

#[test]
fn reference_vectors_agree_bit_for_bit() {
    let vectors: Value = serde_json::from_str(REFERENCE).unwrap();
    let vectors = vectors["verdicts"].as_array().unwrap();
    assert_eq!(vectors.len(), 15);
    for vector in vectors {
        let scorers =
            [("kmeans_0", Method::KMeans, 0), ("ball_300", Method::Ball, 300), ("ball_0", Method::Ball, 0)];
        for (key, method, permille) in scorers {
            let rows = vector["rows"].as_array().unwrap().iter();
            let profiles = rows.flat_map(|row| vec![profile(&row[1], &row[2], method); number(&row[0])]);
            let runs: Vec<Run> = profiles.enumerate().map(|(i, profile)| unlike(i, profile)).collect();
            let terms =
                terms(method, number(&vector["confidence"]), number(&vector["tolerance_kib"]), permille);
            // Alone, a run's own output is a majority: the vector says what the scorer would.
            let mut expected = vector[key].clone();
            if runs.len() == 1 {
                expected["note"] = json!("equal outputs");
                expected["scores"] = json!({});
            }
            assert_eq!(json!(decide(&terms, &runs)), expected, "{} {key}", vector["name"]);
            assert_eq!(json!(scored(&terms, &runs)), vector[key], "{} {key}", vector["name"]);
        }
    }
}

#[test]
fn random_cases_agree_with_the_reference_bit_for_bit() {
    let vectors: Vec<Value> = serde_json::from_str(RANDOM).unwrap();
    assert_eq!(vectors.len(), 300);
    for vector in &vectors {
        for method in [Method::KMeans, Method::Ball] {
            let runs: Vec<Run> = vector["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| Run {
                    output: output(number(&row[0])),
                    profile: profile(&row[1], &row[2], method),
                    ..Run::ABSENT
                })
                .collect();
            let terms = Terms {
                tolerance_kib: number(&vector["tolerance_kib"]),
                relative_permille: number(&vector["relative_permille"]),
                deterministic: vector["deterministic"].as_bool().unwrap(),
                ..Terms::new(method, number(&vector["confidence"]))
            };
            assert_eq!(json!(decide(&terms, &runs)), vector[method.name()], "{method} {vector}");
        }
    }
}

#[test]
fn parameters_that_make_no_sense_are_inconclusive() {
    let runs: Vec<Run> = (0..129).map(|i| unlike(i, flat(1))).collect();
    for method in [Method::Hash, Method::KMeans, Method::Ball] {
        for (n, confidence, permille) in
            [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 2, 0), (129, 65, 0), (128, u32::MAX, 0), (3, 2, 1001)]
        {
            let outcome = decide(&terms(method, confidence, 0, permille), &runs[..n]);
            assert_eq!(outcome.note, Note::BadParameters, "{n} {confidence} {permille}");
            assert_eq!(outcome.decision, Decision::Inconclusive);
            assert_eq!(outcome.absent, [0; 0]);
        }
    }
}

#[test]
fn one_run_alone_is_accepted_uncompared() {
    for method in [Method::Hash, Method::KMeans, Method::Ball] {
        let outcome = decide(&terms(method, 1, 0, 0), &[unlike(0, None)]);
        assert_eq!((outcome.decision, outcome.note), (Decision::Verdict, Note::EqualOutputs));
        assert!(outcome.scores.is_empty());
    }
}

#[test]
fn of_two_that_differ_neither_is_blamed() {
    let runs = [unlike(0, flat(0)), unlike(1, flat(1 << 20))];
    for method in [Method::Hash, Method::KMeans, Method::Ball] {
        let outcome = decide(&terms(method, 1, 1024, 300), &runs);
        assert_eq!(outcome.decision, Decision::Inconclusive, "{method}");
        assert!(outcome.accepted.is_empty() && outcome.rejected.is_empty() && outcome.absent.is_empty());
    }
}

#[test]
fn an_output_with_a_majority_ends_the_matter() {
    let group = |size: usize, n: usize| -> Vec<Run> {
        (0..n).map(|i| if i < size { unlike(199, flat(7)) } else { unlike(i, flat(7)) }).collect()
    };
    for method in [Method::Hash, Method::KMeans, Method::Ball] {
        let outcome = decide(&terms(method, 3, 0, 0), &group(3, 5));
        assert_eq!((outcome.accepted, outcome.rejected), (vec![0, 1, 2], vec![3, 4]));
        assert_eq!(outcome.note, Note::EqualOutputs);

        let outcome = decide(&terms(method, 4, 0, 0), &group(3, 5));
        assert_eq!((outcome.decision, outcome.note), (Decision::Inconclusive, Note::FewerThanConfidence));
        assert!(outcome.scores.is_empty());
    }
}

#[test]
fn a_plurality_of_outputs_decides_nothing() {
    let runs = [1, 1, 2, 3].map(|id| Run { output: output(id), profile: flat(7), ..Run::ABSENT });
    let hash = decide(&terms(Method::Hash, 2, 0, 0), &runs);
    assert_eq!((hash.decision, hash.note), (Decision::Inconclusive, Note::OutputsDisagree));
    let deterministic = Terms { deterministic: true, ..terms(Method::Ball, 2, 0, 0) };
    assert_eq!(decide(&deterministic, &runs).note, Note::OutputsDisagree);
    assert_eq!(decide(&terms(Method::Ball, 2, 0, 0), &runs).accepted, [0, 1, 2, 3]);
}

#[test]
fn a_run_without_output_is_absent_for_the_gate_and_for_the_scorer() {
    let none = Run { profile: flat(7), ..Run::ABSENT };
    let gated = decide(&terms(Method::Ball, 2, 0, 0), &[none, unlike(0, None), unlike(0, None)]);
    assert_eq!((gated.accepted, gated.rejected, gated.absent), (vec![1, 2], vec![], vec![0]));

    let scored = decide(&terms(Method::Ball, 2, 0, 0), &[none, unlike(0, flat(7)), unlike(1, flat(7))]);
    assert_eq!((scored.accepted, scored.rejected, scored.absent), (vec![1, 2], vec![], vec![0]));
    assert!(!scored.scores.contains_key(&0));

    let all = decide(&terms(Method::Hash, 1, 0, 0), &[none, none]);
    assert_eq!((all.decision, all.absent), (Decision::Inconclusive, vec![0, 1]));
}

#[test]
fn a_void_fingerprint_is_absent_for_the_scorer_alone() {
    let runs = [unlike(0, None), unlike(1, flat(7)), unlike(2, flat(7))];
    for method in [Method::KMeans, Method::Ball] {
        assert_eq!(decide(&terms(method, 2, 0, 0), &runs).absent, [0]);
    }
    assert!(decide(&terms(Method::Hash, 2, 0, 0), &runs).absent.is_empty());
    let void = runs.map(|run| Run { profile: None, ..run });
    assert_eq!(decide(&terms(Method::Ball, 2, 0, 0), &void).note, Note::NoTraces);
    assert_eq!(decide(&terms(Method::KMeans, 2, 0, 0), &void).note, Note::NoMajorityAgrees);
}

#[test]
fn the_cpu_tolerance_is_a_third_of_the_larger_or_200_ms() {
    let agree = |a, b| {
        let run = |i, cpu_ms| unlike(i, Some(Profile { memory_kib: [0; TENTHS], cpu_ms, faults: 0 }));
        decide(&terms(Method::Ball, 2, 0, 0), &[run(0, a), run(1, b)]).decision == Decision::Verdict
    };
    assert!(agree(0, 200) && !agree(0, 201));
    assert!(agree(667, 1000) && !agree(666, 1000));
    assert!(agree(u64::MAX, u64::MAX) && !agree(0, u64::MAX));
}

#[test]
fn the_tolerance_of_page_faults_is_a_fifth_of_the_larger_or_600() {
    let agree = |a, b| {
        let run = |i, faults| unlike(i, Some(Profile { memory_kib: [0; TENTHS], cpu_ms: 0, faults }));
        decide(&terms(Method::Ball, 2, 0, 0), &[run(0, a), run(1, b)]).decision == Decision::Verdict
    };
    assert!(agree(0, 600) && !agree(0, 601));
    assert!(agree(8000, 10_000) && !agree(7999, 10_000));
    assert!(agree(u64::MAX, u64::MAX) && !agree(0, u64::MAX));
}

#[test]
fn no_run_with_another_exit_code_is_accepted_whatever_it_agrees_in() {
    let runs = |exits: [i32; 3]| {
        exits.map(|exit_code| Run { output: output(1), exit_code, profile: flat(7), ..Run::ABSENT })
    };
    for method in Method::ALL {
        let of = |runs: &[Run]| decide(&terms(method, 2, 1024, 0), runs);
        let outcome = of(&runs([0, 3, 0]));
        assert_eq!((outcome.accepted, outcome.rejected), (vec![0, 2], vec![1]), "{method}");
        assert_eq!(of(&runs([3, 3, 3])).accepted, [0, 1, 2], "{method}: any code will do");
        assert_eq!(of(&runs([0, 1, 2])).decision, Decision::Inconclusive, "{method}");
        let mut traces_alone = runs([0, 3, 0]);
        for (index, run) in traces_alone.iter_mut().enumerate() {
            run.output = output(u8::try_from(index + 1).unwrap());
        }
        assert!(!of(&traces_alone).accepted.contains(&1), "{method}");
    }
    let reason = reasons(&terms(Method::Hash, 2, 0, 0), &runs([0, 3, 0]))[1].unwrap();
    assert_eq!((reason.rule, reason.alike), (Rule::ExitCode, 3));
}

#[test]
fn a_run_with_another_exit_code_changes_nothing_for_the_others() {
    let near = |exit_code, lane| {
        let mut word = [0; 32];
        word[31] = lane;
        Run { output: output(1), exit_code, summary: SummaryWord(word), ..Run::ABSENT }
    };
    // Its ball would be as large as that of the runs that can be accepted, and comes first.
    let runs = [near(1, 64), near(0, 3), near(0, 4), near(0, 128), near(0, 129)];
    for turn in 0..runs.len() {
        let mut turned = runs;
        turned.rotate_left(turn);
        assert_eq!(decide(&terms(Method::Near, 2, 0, 0), &turned).decision, Decision::Inconclusive, "{turn}");
    }
    let runs = [near(1, 64), near(0, 3), near(0, 4), near(0, 5), near(0, 128)];
    let outcome = decide(&terms(Method::Near, 2, 0, 0), &runs);
    assert_eq!((outcome.accepted, outcome.rejected), (vec![1, 2, 3], vec![0, 4]));

    // It pulls no mean: without it the three are alike.
    let traced = |index: u8, exit_code, kib| Run {
        output: output(index),
        exit_code,
        profile: flat(kib),
        ..Run::ABSENT
    };
    let others = [traced(1, 0, 1000), traced(2, 0, 1000), traced(3, 0, 1100)];
    let with = [traced(4, 1, 1_000_000), others[0], others[1], others[2]];
    for method in [Method::KMeans, Method::Ball] {
        let outcome = decide(&terms(method, 2, 1024, 0), &with);
        assert_eq!((outcome.accepted, outcome.rejected), (vec![1, 2, 3], vec![0]), "{method}");
        assert!(!outcome.scores.contains_key(&0), "{method}");
    }
}

/// Few values, so that ties and equal runs are common, and the extremes.
fn kib() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..4, 2 => 5_000u32..9_000, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

fn row() -> impl Strategy<Value = [u32; TENTHS]> {
    prop_oneof![kib().prop_map(|kib| [kib; TENTHS]), prop::array::uniform10(kib())]
}

fn run() -> impl Strategy<Value = Run> {
    let cpu_ms = prop_oneof![Just(900u64), 0u64..1_500, any::<u64>()];
    let faults = prop_oneof![Just(900u64), 0u64..4_000, any::<u64>()];
    let profile = (row(), cpu_ms, faults).prop_map(|(memory_kib, cpu_ms, faults)| Profile {
        memory_kib,
        cpu_ms,
        faults,
    });
    let exit_code = prop_oneof![6 => Just(0), 1 => Just(1), 1 => any::<i32>()];
    (prop_oneof![0u8..4, 4u8..=255], exit_code, prop::option::weighted(0.9, profile), summary())
        .prop_map(|(id, exit_code, profile, summary)| Run { output: output(id), exit_code, profile, summary })
}

/// Two lanes about the border of agreement, the circle's seam among them.
fn summary() -> impl Strategy<Value = SummaryWord> {
    let lane = prop_oneof![3 => 0u32..=66, 1 => (1u32 << 25) - 66..1 << 25, 1 => 0u32..1 << 25];
    let word = [lane.clone(), lane].prop_map(|[first, last]| {
        let word: U256 = U256::from(first) | (U256::from(last) << 225);
        SummaryWord(word.to_be_bytes())
    });
    prop_oneof![9 => word, 1 => Just(SummaryWord::VOID)]
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let tolerance = prop_oneof![Just(0), 0u32..3_000, any::<u32>()];
    let work = (prop::bool::weighted(0.3), prop_oneof![Just(333), 0u16..=1000]);
    let method = prop::sample::select(Method::ALL.to_vec());
    (0u32..9, tolerance, 0u16..=1000, method, any::<bool>(), work).prop_map(
        |(confidence, tolerance_kib, relative_permille, method, deterministic, work)| Terms {
            tolerance_kib,
            relative_permille,
            deterministic,
            require_work: work.0,
            cpu_permille: work.1,
            ..Terms::new(method, confidence)
        },
    )
}

proptest! {
    #[test]
    fn verdicts_are_those_of_a_naive_engine(terms in any_terms(), runs in prop::collection::vec(run(), 0..9)) {
        prop_assert_eq!(decide(&terms, &runs), naive::decide(&terms, &runs));
    }

    #[test]
    fn extreme_runs_never_overflow(
        method in prop_oneof![Just(Method::KMeans), Just(Method::Ball)],
        picks in prop::collection::vec(0u8..4, 100..=129),
        tolerance_kib in prop_oneof![Just(0), Just(u32::MAX), any::<u32>()],
        permille in any::<u16>(),
    ) {
        let runs: Vec<Run> = picks.iter().enumerate().map(|(i, pick)| unlike(i, match pick {
            0 => flat(0),
            1 => flat(u32::MAX),
            2 => Some(Profile {
 memory_kib: std::array::from_fn(|k| if k % 2 == 0 { 0 } else { u32::MAX }),
 cpu_ms: u64::MAX,
 faults: u64::MAX,
 }),
            _ => None,
        })).collect();
        let outcome = decide(&terms(method, 1, tolerance_kib, permille), &runs);
        if outcome.decision == Decision::Verdict {
            let listed = outcome.accepted.len() + outcome.rejected.len() + outcome.absent.len();
            prop_assert_eq!(listed, runs.len());
        } else {
            prop_assert!(outcome.accepted.is_empty() && outcome.rejected.is_empty());
        }
    }

    #[test]
    fn the_order_of_the_runs_does_not_matter(
        terms in any_terms(),
        runs in prop::collection::vec(run(), 1..9),
        turn in 0usize..9,
    ) {
        // Ties of `ball` are settled by index, so only its number of accepted runs is free of the order.
        let mut turned = runs.clone();
        turned.rotate_left(turn % runs.len());
        let back = |index: usize| (index + turn) % runs.len();
        let (outcome, other) = (decide(&terms, &runs), decide(&terms, &turned));
        prop_assert_eq!((outcome.decision, outcome.note), (other.decision, other.note));
        prop_assert_eq!(outcome.accepted.len(), other.accepted.len());
        let is_ball = matches!(terms.method, Method::Ball | Method::Near) || terms.require_work;
        if !is_ball || (terms.method == Method::Ball && outcome.note == Note::EqualOutputs) {
            let mut accepted: Vec<usize> = other.accepted.into_iter().map(back).collect();
            accepted.sort_unstable();
            prop_assert_eq!(outcome.accepted, accepted);
            prop_assert_eq!(outcome.scores, other.scores.into_iter().map(|(r, s)| (back(r), s)).collect());
        }
    }

    #[test]
    fn two_means_is_the_best_of_all_bipartitions(
        values in prop::collection::vec(prop_oneof![0u32..6, 0u32..1000, any::<u32>()], 0..11),
    ) {
        let mut sorted = values.clone();
        prop_assert_eq!(two_means(&mut sorted), naive::two_means(&values));
        prop_assert!(sorted.is_sorted());
    }
}

#[test]
fn two_means_takes_a_million_extreme_values() {
    let mut values: Vec<u32> = (0..1_000_000).map(|i| if i % 4 == 0 { u32::MAX - i } else { i }).collect();
    assert_eq!(two_means(&mut values).unwrap().low, 750_000);
}
