//! Tolerances are three times the range, rounded up, and what no job could write voids the pilots with a reason.

use proptest::prelude::*;

use super::*;

fn of(pilots: &[&str]) -> Result<Proposal, ProposalFault> {
    let pilots: Vec<&[u8]> = pilots.iter().map(|pilot| pilot.as_bytes()).collect();
    propose(&pilots)
}

fn form(pilots: &[&str]) -> String {
    of(pilots).unwrap().form.to_string()
}

fn passes(proposal: &Proposal, liar: KnownLiar) -> bool {
    proposal.liars.iter().find(|(known, _)| *known == liar).unwrap().1
}

#[test]
fn a_number_that_never_differs_is_exact_and_others_get_three_ranges() {
    assert_eq!(form(&["3.1412 100", "3.1420 100", "3.1416 100"]), "rel:765ppm,exact");
    assert_eq!(form(&["-5", "-5", "-5.1"]), "rel:60000ppm");
    assert_eq!(form(&["-1", "2", "0"]), "abs:9", "no relative tolerance spans zero");
    assert_eq!(form(&["1", "2", "1.5"]), "abs:3", "three times as much is no last digit");
    assert_eq!(form(&["0", "0.0", "0"]), "abs:1e-9", "one value in two texts");
    assert_eq!(form(&["1e-300", "2e-300", "1e-300"]), "abs:3e-64", "no tolerance is of smaller parts");
    assert_eq!(form(&["-1e9", "1e9", "0"]), "abs:6e9");
    assert_eq!(form(&["1e100", "1.0001e100", "1e100"]), "rel:300ppm", "no absolute tolerance is so large");
    assert_eq!(form(&["1000.1", "-1", "1000.2"]), "abs:3010", "rounded up to three digits");
}

#[test]
fn the_range_is_shown_as_the_pilots_wrote_it() {
    let proposal = of(&["1e2", "-3.50", "7"]).unwrap();
    let number = &proposal.numbers[0];
    assert_eq!((number.least.as_str(), number.greatest.as_str()), ("-3.50", "1e2"));
}

#[test]
fn what_is_no_summary_voids_the_pilots_with_the_reason() {
    let void = |pilot, fault| ProposalFault::Void { pilot, fault };
    let ok = "1 2";
    for (bad, fault) in [
        ("1 nan", void(3, SummaryFault::NotANumber { number: 2 })),
        ("inf 2", void(3, SummaryFault::NotANumber { number: 1 })),
        ("-Infinity 2", void(3, SummaryFault::NotANumber { number: 1 })),
        ("1", void(3, SummaryFault::Count { found: 1, expected: 2 })),
        ("1 2 3 4 5 6 7 8 9 10 11", ProposalFault::Numbers { pilot: 3, found: 11 }),
        ("", ProposalFault::Numbers { pilot: 3, found: 0 }),
        ("1 \u{e9}", void(3, SummaryFault::NotText)),
    ] {
        assert_eq!(of(&[ok, ok, bad]), Err(fault), "{bad}");
    }
    let long = format!("1 {}", "9".repeat(41));
    assert_eq!(of(&[ok, ok, &long]), Err(void(3, SummaryFault::NumberTooLong { number: 2 })));
    assert_eq!(of(&[ok, ok, &"1 ".repeat(600)]), Err(void(3, SummaryFault::TooLong)));
    assert_eq!(of(&[ok, ok]), Err(ProposalFault::TooFew { found: 2 }));
    let wide = of(&["1e-400", "1", "1"]).map(|proposal| proposal.form.to_string());
    assert_eq!(wide.as_deref(), Ok("abs:3"), "400 powers of ten are compared");
    assert!(matches!(of(&["1e-400", "1e1", "1"]), Err(ProposalFault::TooWide { number: 1, .. })));
    assert!(matches!(of(&["-1e70", "1e70", "1"]), Err(ProposalFault::TooWide { .. })));
    let said = of(&[ok, ok, "1 nan"]).unwrap_err().to_string();
    assert_eq!(
        said,
        "pilot 3: number 2 of the summary is not a decimal number; NaN, infinities and hexadecimal are not accepted"
    );
}

#[test]
fn liars_pass_where_the_tolerances_let_them() {
    let narrow = of(&["100.0", "100.01", "100.02"]).unwrap();
    assert_eq!(narrow.form.to_string(), "rel:600ppm");
    let passing: Vec<KnownLiar> =
        narrow.liars.iter().filter(|(_, passes)| *passes).map(|(liar, _)| *liar).collect();
    assert_eq!(passing, [KnownLiar::Replayer, KnownLiar::CutShort]);
    let wide = of(&["100", "101", "103"]).unwrap();
    assert!(passes(&wide, KnownLiar::Nearer) && !passes(&wide, KnownLiar::Near), "{:?}", wide.form);
    let around_zero = of(&["-1", "1", "0.5"]).unwrap();
    assert!(passes(&around_zero, KnownLiar::Zeros) && passes(&around_zero, KnownLiar::Near));
    let fixed = of(&["1", "1", "1"]).unwrap();
    assert!(passes(&fixed, KnownLiar::Replayer) && !passes(&fixed, KnownLiar::CutShort));
    assert_eq!((fixed.honest_rejected_ppm, fixed.left_out_rejected), (0, 0));
}

#[test]
fn an_outlier_among_the_pilots_is_counted() {
    let calm = of(&["1.00", "1.01", "1.02", "1.03", "1.00", "1.02", "1.01", "1.03"]).unwrap();
    assert_eq!((calm.left_out_rejected, calm.honest_rejected_ppm), (0, 503));
    let wild = of(&["1.00", "1.01", "1.02", "1.03", "1.00", "1.02", "1.01", "9"]).unwrap();
    assert_eq!(wild.left_out_rejected, 1);
}

/// The chance that two normal numbers differ by more than `3` times the range of `n` others, by integrating the density
/// of that range.
fn honest_ppm(n: i32) -> f64 {
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    // The distribution function by Simpson's rule, from the density.
    let step = 0.05;
    let grid: Vec<f64> = (0..=720).map(|place| f64::from(place) * step - 18.0).collect();
    let mut below = vec![0.0];
    for x in grid.windows(2) {
        let sum = density(x[0]) + 4.0 * density(f64::midpoint(x[0], x[1])) + density(x[1]);
        below.push(below[below.len() - 1] + sum * step / 6.0);
    }
    let place = |x: f64| {
        let index = ((x + 18.0) / step).floor().clamp(0.0, 719.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the grid")]
        let index = index as usize;
        let rest = (x - grid[index]) / step;
        below[index] + rest * (below[index + 1] - below[index])
    };
    let mut sum = 0.0;
    for k in 0..900 {
        let range = (f64::from(k) + 0.5) * 0.01;
        let inner: f64 = (0..360)
            .map(|k| {
                let x = f64::from(k) * step - 9.0;
                density(x) * density(x + range) * (place(x + range) - place(x)).powi(n - 2) * step
            })
            .sum();
        let further = 2.0 * (1.0 - place(3.0 * range / 2.0_f64.sqrt()).min(1.0));
        sum += f64::from(n * (n - 1)) * inner * 0.01 * further;
    }
    1e6 * sum
}

#[test]
fn the_rate_of_honest_rejects_is_that_of_normal_noise() {
    for (n, expected) in (3..).zip(HONEST_PPM) {
        let found = honest_ppm(n);
        let expected = f64::from(expected);
        assert!((found - expected).abs() <= 1.0 + expected / 50.0, "{n} pilots: {found}, not {expected}");
    }
}

fn number() -> impl Strategy<Value = String> {
    (any::<i32>(), -60..60_i32).prop_map(|(digits, exponent)| format!("{digits}e{exponent}"))
}

proptest! {
    /// Whatever the pilots wrote, they agree with each other under what they propose.
    #[test]
    fn pilots_agree_under_their_own_proposal(
        pilots in prop::collection::vec((number(), number()).prop_map(|(a, b)| format!("{a} {b}")), 3..9),
    ) {
        let pilots: Vec<&[u8]> = pilots.iter().map(String::as_bytes).collect();
        if let Ok(proposal) = propose(&pilots) {
            let words: Vec<SummaryWord> =
                pilots.iter().map(|pilot| SummaryWord::of(proposal.form, pilot).unwrap()).collect();
            prop_assert!(words.iter().all(|word| word.agrees_with(words[0])));
        }
    }

    #[test]
    fn hostile_pilots_never_panic(pilots in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6)) {
        let pilots: Vec<&[u8]> = pilots.iter().map(Vec::as_slice).collect();
        let _ = propose(&pilots);
    }
}
