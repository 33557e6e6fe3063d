use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const REFERENCE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/verdict-reference.json"));

fn flat(kib: u32, cpu_ms: u64) -> Fingerprint {
    Fingerprint { w: [kib; TENTHS], q: [kib; TENTHS], cpu_ms, faults: 0 }
}

fn sample(t_ms: u64, rss_kib: u32) -> Sample {
    Sample { t_ms, rss_kib }
}

#[test]
fn reference_traces_have_the_reference_fingerprints() {
    let vectors: Value = serde_json::from_str(REFERENCE).unwrap();
    let vectors = vectors["fingerprints"].as_array().unwrap();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let samples: Vec<(u64, u32)> = serde_json::from_value(vector["samples"].clone()).unwrap();
        let samples: Vec<Sample> = samples.into_iter().map(|(t, kib)| sample(t, kib)).collect();
        let field = |name: &str| vector[name].as_u64().unwrap();
        let fingerprint =
            Fingerprint::from_samples(&samples, (field("start_ms"), field("end_ms")), field("cpu_ms"), 0);
        let rows = fingerprint.map_or(Value::Null, |f| json!({ "w": f.w, "q": f.q }));
        assert_eq!(rows, vector["fingerprint"], "{}", vector["name"]);
        assert!(fingerprint.is_none_or(|f| f.cpu_ms == field("cpu_ms")), "{}", vector["name"]);
    }
}

#[test]
fn windows_without_time_and_runs_without_samples_have_none() {
    let one = [sample(10, 5)];
    for (start, end) in [(0, 0), (5, 4), (0, MAX_TIME_MS), (MAX_TIME_MS, u64::MAX), (0, 10)] {
        assert_eq!(Fingerprint::from_samples(&one, (start, end), 0, 0), None, "{start}..{end}");
    }
    assert_eq!(Fingerprint::from_samples(&[], (0, 100), 0, 0), None);
    assert_eq!(Fingerprint::from_samples(&one, (0, MAX_TIME_MS - 1), 1, 0), Some(flat(5, 1)));
}

#[test]
fn an_unordered_sample_outside_the_window_voids_the_trace_too() {
    let samples = [sample(1, 5), sample(900, 5), sample(800, 5)];
    assert_eq!(Fingerprint::from_samples(&samples, (0, 100), 0, 0), None);
}

#[test]
fn a_run_ends_when_it_holds_memory_no_more() {
    let of = |samples: &[(u64, u32)], end| {
        let samples: Vec<Sample> = samples.iter().map(|(t_ms, kib)| sample(*t_ms, *kib)).collect();
        Fingerprint::from_samples(&samples, (0, end), 9, 8).unwrap()
    };
    let clean = of(&[(0, 500), (50, 900)], 100);
    assert_eq!(of(&[(0, 500), (50, 900), (100, 64), (140, 0)], 900), clean, "it was noticed late");
    assert_eq!(of(&[(0, 500), (50, 900), (120, 0)], 100), clean, "its end was known");
    let pause = of(&[(0, 500), (50, 0), (90, 500)], 100);
    assert_eq!(pause.q[..4], [0; 4], "what is held again was not the end");
    let small = of(&[(0, 30), (50, 64)], 100);
    assert_eq!(small.w, [30, 30, 30, 30, 30, 64, 64, 64, 64, 64], "a run that never held more is whole");
}

#[test]
fn words_are_written_as_hex_and_read_back() {
    let word = FingerprintWord::pack(&Fingerprint { faults: 3, ..flat(256, 1) }, Method::Ball);
    let text = word.to_string();
    assert_eq!(text, "0x0000030000000100001000010000100001000010000100001000010000100001");
    assert_eq!(text.parse(), Ok(word));
    assert_eq!(serde_json::from_value::<FingerprintWord>(json!(word)).unwrap(), word);
    for bad in ["", "0x", "0x0x", &text[2..], &text[..65], &format!("{text}0"), &text.replace('1', "g")] {
        assert_eq!(bad.parse::<FingerprintWord>(), Err(ParseFingerprintError), "{bad}");
    }
    assert_eq!(format!("0x{}", &text[..64]).parse::<FingerprintWord>(), Err(ParseFingerprintError));
}

/// Means and quantiles by looking at every millisecond.
fn by_the_millisecond(samples: &[Sample], start: u64, end: u64) -> Option<Fingerprint> {
    let held = samples.iter().rposition(|s| s.rss_kib > 64).map_or(samples.len(), |last| last + 1);
    let gone = samples.iter().skip(held).find(|s| s.t_ms > start);
    let end = gone.map_or(end, |s| s.t_ms.min(end));
    let usable: Vec<_> = samples.iter().filter(|s| s.t_ms < end).collect();
    let first = usable.first()?.rss_kib;
    let at = |t: u64| usable.iter().rev().find(|s| s.t_ms <= t).map_or(first, |s| s.rss_kib);
    let values: Vec<u32> = (start..end).map(at).collect();
    let mut sorted = values.clone();
    sorted.sort_unstable();
    let duration = u64::try_from(values.len()).unwrap();
    let tenth = |k: u64| {
        let ticks = k * duration..(k + 1) * duration;
        let area: u64 = ticks.map(|tick| u64::from(values[usize::try_from(tick / 10).unwrap()])).sum();
        u32::try_from((2 * area + duration) / (2 * duration)).unwrap()
    };
    let quantile = |k: u64| {
        let rank = ((2 * k + 1) * duration).div_ceil(20);
        sorted[usize::try_from(rank).unwrap() - 1]
    };
    Some(Fingerprint {
        w: std::array::from_fn(|k| tenth(k as u64)),
        q: std::array::from_fn(|k| quantile(k as u64)),
        cpu_ms: 7,
        faults: 6,
    })
}

proptest! {
    #[test]
    fn a_fingerprint_is_what_every_millisecond_says(
        steps in prop::collection::vec((1u64..40, prop_oneof![0u32..1000, 0u32..130]), 0..20),
        start in 0u64..60,
        duration in 1u64..200,
    ) {
        let mut t_ms = 0;
        let samples: Vec<Sample> = steps.into_iter().map(|(step, kib)| { t_ms += step; sample(t_ms, kib) }).collect();
        let end = start + duration;
        prop_assert_eq!(
            Fingerprint::from_samples(&samples, (start, end), 7, 6),
            by_the_millisecond(&samples, start, end)
        );
    }

    #[test]
    fn any_samples_give_a_fingerprint_or_none(
        samples in prop::collection::vec((any::<u64>(), any::<u32>()), 0..20),
        sort in any::<bool>(),
        start in any::<u64>(),
        end in 0..2 * MAX_TIME_MS,
    ) {
        let mut samples: Vec<Sample> = samples.into_iter().map(|(t, kib)| sample(t, kib)).collect();
        if sort {
            samples.sort_by_key(|s| s.t_ms);
        }
        if let Some(fingerprint) = Fingerprint::from_samples(&samples, (start % MAX_TIME_MS, end), 0, 0) {
            prop_assert!(fingerprint.q.is_sorted());
        }
    }

    #[test]
    fn packing_keeps_what_fits_to_the_nearest_unit(
        w in any::<[u32; TENTHS]>(),
        q in any::<[u32; TENTHS]>(),
        cpu_ms in any::<u64>(),
        faults in 0..1u64 << 16,
    ) {
        let fingerprint = Fingerprint { w, q, cpu_ms, faults };
        for method in [Method::Hash, Method::KMeans, Method::Ball] {
            let profile = fingerprint.profile(method);
            let packed = FingerprintWord::pack(&fingerprint, method);
            let unpacked = packed.unpack().unwrap().unwrap();
            prop_assert_eq!(unpacked.cpu_ms, cpu_ms.min(u64::from(u32::MAX)));
            prop_assert_eq!(unpacked.faults, faults);
            for (kib, unpacked_kib) in profile.memory_kib.into_iter().zip(unpacked.memory_kib) {
                let fits = kib.min(((1 << 20) - 1) * 256);
                prop_assert_eq!(unpacked_kib % 256, 0);
                prop_assert!(unpacked_kib.abs_diff(fits) <= 128);
            }
            let Profile { memory_kib: row, cpu_ms, faults } = unpacked;
            let again = Fingerprint { w: row, q: row, cpu_ms, faults };
            prop_assert_eq!(FingerprintWord::pack(&again, method), packed);
        }
    }

    #[test]
    fn a_word_is_void_or_dirty_or_has_one_encoding(bytes in any::<[u8; 32]>(), top in 0u8..16) {
        let mut bytes = bytes;
        bytes[0] = bytes[0] & 0x0f | top << 4;
        let word = FingerprintWord(bytes);
        match word.unpack() {
            Ok(Some(Profile { memory_kib, cpu_ms, faults })) => {
                prop_assert_eq!(top, 0);
                let fingerprint = Fingerprint { w: memory_kib, q: memory_kib, cpu_ms, faults };
                prop_assert_eq!(FingerprintWord::pack(&fingerprint, Method::Ball), word);
            }
            Ok(None) => prop_assert_eq!(word, FingerprintWord::VOID),
            Err(DirtyFingerprint) => prop_assert_ne!(top, 0),
        }
    }
}
