//! Reasons name the rule that decided, and their figures are those that it went by.

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{SummaryForm, SummaryWord},
    verdict::{Cpu, Decision, Faults, MAX_RUNS},
};

fn run(output: u8, kib: u32, cpu_ms: u64) -> Run {
    Run {
        output: Some([output; 32]),
        profile: Some(Profile { memory_kib: [kib; 10], cpu_ms, faults: 5000 }),
        ..Run::ABSENT
    }
}

fn work(reason: Option<Reason>) -> Work {
    reason.unwrap().work.unwrap()
}

#[test]
fn a_ball_shows_the_memory_the_cpu_time_and_the_page_faults_that_it_allows() {
    let terms = Terms::new(Method::Ball, 2);
    let runs = [run(1, 10_240, 428), run(2, 10_340, 430), run(3, 40_960, 219)];
    let reasons = reasons(&terms, &runs);
    let cpu = |ms| Some(Cpu { ms, least_ms: 228, most_ms: Some(641) });
    let faults = Some(Faults { count: 5000, least: 4000, most: 6250 });
    let work_of = |agrees, apart, ms| Work {
        agrees,
        memory_apart_kib: apart,
        memory_limit_kib: 3102,
        cpu: cpu(ms),
        faults,
    };
    assert_eq!(work(reasons[0]), work_of(true, 0, 428));
    assert_eq!(work(reasons[1]), work_of(true, 100, 430));
    assert_eq!(work(reasons[2]), work_of(false, 30_720, 219));
    assert!(reasons.iter().all(|reason| reason.unwrap().rule == Rule::Ball));
}

#[test]
fn kmeans_claims_nothing_of_cpu_time() {
    let terms = Terms::new(Method::KMeans, 2);
    let runs = [run(1, 10_000, 400), run(2, 10_000, 40_000), run(3, 90_000, 400)];
    let reasons = reasons(&terms, &runs);
    assert_eq!(reasons[0].unwrap().rule, Rule::Kmeans);
    let far =
        Work { agrees: false, memory_apart_kib: 80_000, memory_limit_kib: 3000, cpu: None, faults: None };
    assert_eq!(work(reasons[2]), far);
    assert_eq!(work(reasons[1]), Work { agrees: true, memory_apart_kib: 0, ..far });
}

#[test]
fn a_trace_that_differs_where_outputs_decided_is_shown_and_rejects_nobody() {
    let terms = Terms::new(Method::Hash, 2);
    let runs = [run(1, 10_000, 400), run(1, 10_000, 410), run(1, 100, 9000), run(2, 10_000, 400)];
    let reasons = reasons(&terms, &runs);
    assert_eq!(decide(&terms, &runs).accepted, [0, 1, 2]);
    let shown: Vec<bool> = reasons.iter().map(|reason| work(*reason).agrees).collect();
    assert_eq!(shown, [true, true, false, true]);
    let rule = reasons[2].unwrap().rule;
    assert_eq!((rule, rule.asks_for_work()), (Rule::Outputs, false));
    let alike: Vec<usize> = reasons.iter().map(|reason| reason.unwrap().alike).collect();
    assert_eq!(alike, [3, 3, 3, 1]);
}

#[test]
fn near_numbers_are_told_in_steps_of_their_tolerance() {
    let form: SummaryForm = "abs:64".parse().unwrap();
    let near = |output, number: &str| Run {
        summary: SummaryWord::of(form, number.as_bytes()).unwrap(),
        ..run(output, 10_000, 400)
    };
    let terms = Terms::new(Method::Near, 1);
    let runs = [near(1, "1000"), near(2, "1010"), near(3, "5000"), run(4, 10_000, 400)];
    let reasons = reasons(&terms, &runs[..3]);
    let steps: Vec<_> = reasons.iter().map(|reason| reason.unwrap().number_steps).collect();
    assert_eq!(steps, [Some(0), Some(10), Some(4000)]);
    assert!(reasons.iter().all(|reason| reason.unwrap().rule == Rule::Near));
    let with_void = super::reasons(&terms, &runs[1..]);
    assert_eq!(with_void[2].unwrap().number_steps, None, "it has no numbers");
}

#[test]
fn an_exit_code_that_no_majority_states_is_the_rule_for_all_and_too_few_runs_of_one_code_are_not() {
    let terms = Terms::new(Method::Ball, 2);
    let ending = |output, exit_code| Run { exit_code, ..run(output, 10_000, 400) };
    let rules = |runs: &[Run]| -> Vec<Option<Rule>> {
        assert_eq!(decide(&terms, runs).decision, Decision::Inconclusive);
        reasons(&terms, runs).into_iter().map(|reason| reason.map(|reason| reason.rule)).collect()
    };
    assert_eq!(rules(&[ending(1, 0), ending(2, 1), ending(3, 137)]), [Some(Rule::ExitCode); 3]);
    assert_eq!(rules(&[ending(1, 0), Run::ABSENT, Run::ABSENT]), [Some(Rule::Ball), None, None]);
}

#[test]
fn one_run_is_compared_with_nothing_and_missing_output_has_no_reason() {
    let terms = Terms::new(Method::Ball, 1);
    let alone = reasons(&terms, &[run(1, 10_000, 400)])[0].unwrap();
    assert_eq!((alone.rule, alone.work), (Rule::Alone, None));
    assert_eq!(reasons(&terms, &[Run::ABSENT, run(1, 1, 1), run(1, 1, 1)])[0], None);
    assert_eq!(reasons(&Terms { confidence: 9, ..terms }, &[run(1, 1, 1)]), [None]);
}

fn any_run() -> impl Strategy<Value = Run> {
    (0..4_u8, 0..3_u32, 0..900_u64, 0..40_u8).prop_map(|(output, level, cpu_ms, drop)| match drop {
        0 => Run::ABSENT,
        1 => Run { profile: None, ..run(output, 0, 0) },
        _ => run(output, 8000 + 900 * level, cpu_ms),
    })
}

proptest! {
    /// What a reason says of work is what decided, wherever work did.
    #[test]
    fn under_ball_and_required_work_those_accepted_agree_and_those_rejected_do_not(
        runs in prop::collection::vec(any_run(), 1..8),
        by_ball: bool,
    ) {
        let method = if by_ball { Method::Ball } else { Method::Hash };
        let terms = Terms { require_work: !by_ball, ..Terms::new(method, 1) };
        let outcome = decide(&terms, &runs);
        let reasons = reasons(&terms, &runs);
        for run in outcome.accepted {
            let reason = reasons[run].unwrap();
            prop_assert!(!reason.rule.asks_for_work() || reason.work.unwrap().agrees);
        }
        for run in outcome.rejected {
            let reason = reasons[run].unwrap();
            if reason.rule == Rule::Ball {
                prop_assert!(!reason.work.unwrap().agrees);
            }
        }
    }

    /// The range of CPU times is exactly what agrees.
    #[test]
    fn a_cpu_time_agrees_if_and_only_if_it_is_within_the_range(
        centre in 0..5000_u64, ms in 0..20_000_u64, cpu_permille in 0..=1000_u16,
    ) {
        let terms = Terms { cpu_permille, ..Terms::new(Method::Ball, 1) };
        // Two twins are the centre, whatever the third is.
        let runs = [run(1, 9000, centre), run(2, 9000, centre), run(3, 9000, ms)];
        prop_assume!(runs.len() <= MAX_RUNS && decide(&terms, &runs).decision == Decision::Verdict);
        let work = work(reasons(&terms, &runs)[2]);
        let cpu = work.cpu.unwrap();
        let within = (cpu.least_ms..=cpu.most_ms.unwrap_or(u64::MAX)).contains(&ms);
        prop_assert_eq!(within, work.agrees);
    }

    /// And that of page faults.
    #[test]
    fn page_faults_agree_if_and_only_if_they_are_within_the_range(centre in 0..9000_u64, count in 0..20_000_u64) {
        let faulting = |output, faults| {
            let run = run(output, 9000, 900);
            Run { profile: run.profile.map(|profile| Profile { faults, ..profile }), ..run }
        };
        let runs = [faulting(1, centre), faulting(2, centre), faulting(3, count)];
        let work = work(reasons(&Terms::new(Method::Ball, 1), &runs)[2]);
        let faults = work.faults.unwrap();
        prop_assert_eq!((faults.least..=faults.most).contains(&count), work.agrees);
    }
}
