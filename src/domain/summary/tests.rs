use proptest::prelude::*;

use super::*;

fn form(text: &str) -> SummaryForm {
    text.parse().unwrap()
}

fn word(kinds: &str, numbers: &str) -> SummaryWord {
    SummaryWord::of(form(kinds), numbers.as_bytes()).unwrap()
}

fn agree(kinds: &str, a: &str, b: &str) -> bool {
    word(kinds, a).agrees_with(word(kinds, b))
}

#[test]
fn numbers_agree_within_their_tolerance() {
    assert!(agree("abs:0.01", "3.1415", "3.1514") && !agree("abs:0.01", "3.1415", "3.1518"));
    assert!(agree("abs:0.01", "-0.004", "0.005") && !agree("abs:0.01", "-0.006", "0.006"));
    assert!(agree("rel:1000ppm", "1e300", "1.0009e300") && !agree("rel:1000ppm", "1e300", "1.0012e300"));
    assert!(agree("rel:1000ppm", "0.001", "0.0010009") && !agree("rel:1000ppm", "5", "-5"));
    assert!(agree("rel:1000ppm", "0.9999", "1.0001"), "the logarithm changes its sign");
    assert!(agree("rel:1000ppm", "0.0", "-0") && agree("exact", "12", "12") && !agree("exact", "12", "13"));
    assert!(agree("rel:10ppm,abs:0.5,exact", "1 2\n3\n", " 1.000009\t2.49 3"));
    assert!(!agree("rel:10ppm,abs:0.5,exact", "1 2 3", "1 2.6 3"));
}

#[test]
fn what_is_no_number_makes_the_summary_void() {
    let fault = |kinds: &str, text: &str| SummaryWord::of(form(kinds), text.as_bytes()).unwrap_err();
    for text in ["nan", "inf", "-Infinity", "0x10", "1e", "1e1000", "1e401", "1_0", "--1", ".", "1.2.3", "e5"]
    {
        for kind in ["rel:10ppm", "abs:1"] {
            assert_eq!(fault(kind, text), SummaryFault::NotANumber { number: 1 }, "{text}");
        }
    }
    assert_eq!(fault("exact", &"1".repeat(41)), SummaryFault::NumberTooLong { number: 1 });
    assert_eq!(fault("exact,exact", "1 2 3"), SummaryFault::Count { found: 3, expected: 2 });
    assert_eq!(fault("exact", ""), SummaryFault::Count { found: 0, expected: 1 });
    assert_eq!(fault("exact", "\u{661}"), SummaryFault::NotText);
    assert_eq!(fault("exact", "1\0"), SummaryFault::NotText);
    assert_eq!(fault("exact", &" ".repeat(1025)), SummaryFault::TooLong);
    for text in ["1e400", "1e-400", "+1.", ".5", "0000000000000000000000000000000000000001"] {
        word("rel:1ppm", text);
        word("abs:1e63", text);
        word("abs:1e-64", text);
    }
}

#[test]
fn a_void_summary_agrees_with_nothing() {
    let some = word("exact", "1");
    assert!(some.agrees_with(some) && !SummaryWord::VOID.agrees_with(SummaryWord::VOID));
    assert!(!some.agrees_with(SummaryWord::VOID) && !SummaryWord::VOID.agrees_with(some));
    assert!(SummaryWord::VOID.is_well_formed() && some.is_well_formed());
    assert!(!SummaryWord([0xfe; 32]).is_well_formed() && !SummaryWord([4; 32]).is_well_formed());
}

#[test]
fn a_form_has_one_text_and_one_word() {
    for text in
        ["exact", "rel:1ppm", "rel:1000000ppm", "abs:0.5", "abs:10", "abs:999000", "abs:1e-64", "abs:99e61"]
    {
        let parsed = form(text);
        assert_eq!(parsed.to_string(), text);
        assert_eq!(SummaryForm::new(&parsed.kinds()), Some(parsed));
    }
    assert_eq!(form("abs:0.50,abs:5e-1").kinds()[0], form("abs:0.5").kinds()[0]);
    for bad in [
        "",
        "rel:0ppm",
        "rel:1000001ppm",
        "rel:1",
        "abs:0",
        "abs:-1",
        "abs:1234",
        "abs:1e70",
        "near",
        "exact,",
    ] {
        assert!(bad.parse::<SummaryForm>().is_err(), "{bad}");
    }
    let eleven = ["exact"; 11].join(",");
    assert!(eleven.parse::<SummaryForm>().is_err());
}

proptest! {
    #[test]
    fn every_word_is_a_form_and_reads_back(bytes in any::<[u8; 32]>(), numbers in "[0-9 .eE+-]{0,60}") {
        let form = SummaryForm(bytes);
        prop_assert_eq!(form.to_string().parse(), Ok(form));
        if let Ok(word) = SummaryWord::of(form, numbers.as_bytes()) {
            prop_assert!(word.is_well_formed() && word.agrees_with(word));
        }
    }

    #[test]
    fn distance_is_symmetric_and_round_a_circle(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
        let (a, b) = (SummaryWord(a), SummaryWord(b));
        prop_assert_eq!(a.distance(b), b.distance(a));
        prop_assert!(a.distance(b).is_none_or(|distance| distance <= 1 << 24));
    }

    #[test]
    fn near_numbers_agree_and_far_ones_do_not(
        number in -1e12_f64..1e12, share in 0.0_f64..0.98, beyond in 1.05_f64..1000.0,
    ) {
        let (near, far) = (number + 0.5 * share, number + 0.5 * beyond);
        // Doubles of this size are exact to 2^-13.
        let at = |number: f64| format!("{number:.4}");
        prop_assert!(agree("abs:0.5", &at(number), &at(near)));
        prop_assert!(!agree("abs:0.5", &at(number), &at(far)));
        if number.abs() > 1e-3 {
            let at = |number: f64| format!("{number:e}");
            let (near, far) = (number * (1.0 + 1e-4 * share), number * (1.0 + 1e-4 * beyond));
            prop_assert!(agree("rel:100ppm", &at(number), &at(near)));
            prop_assert!(!agree("rel:100ppm", &at(number), &at(far)));
        }
    }
}
