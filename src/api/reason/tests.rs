//! Every row of a verdict says which rule decided, what was measured, and what was allowed.

use super::*;
use crate::verdict::Faults;

const WORK: Work = Work {
    agrees: false,
    memory_apart_kib: 23_360,
    memory_limit_kib: 3072,
    cpu: Some(Cpu { ms: 219, least_ms: 285, most_ms: Some(571) }),
    faults: Some(Faults { count: 3100, least: 4000, most: 6250 }),
};

fn reason(rule: Rule) -> Reason {
    Reason { rule, alike: 2, number_steps: None, work: Some(WORK) }
}

fn said(reason: Reason, judgement: Judgement) -> String {
    compared(&FIGURES, &reason, Some(judgement))
}

const FIGURES: Figures = Figures { asked: 3, needed: 2, is_decided: true, exit_code: 137, same_exit_code: 1 };

/// As [`said`], where there is no verdict.
fn undecided(reason: Reason) -> String {
    compared(&Figures { is_decided: false, ..FIGURES }, &reason, None)
}

#[test]
fn traces_are_told_in_mib_and_ms_with_their_limits() {
    assert_eq!(
        said(reason(Rule::Ball), Judgement::Rejected),
        "unlike the majority: memory 22.8 MiB apart, 3 MiB allowed; CPU 219 ms, 285 to 571 allowed; \
         page faults 3100, 4000 to 6250 allowed"
    );
    let alike = Work { agrees: true, memory_apart_kib: 12, cpu: None, faults: None, ..WORK };
    let alike = Reason { work: Some(alike), ..reason(Rule::Ball) };
    assert_eq!(said(alike, Judgement::Accepted), "like the majority: memory within 3 MiB");
    let endless = Work { cpu: Some(Cpu { ms: 9, least_ms: 0, most_ms: None }), faults: None, ..WORK };
    let endless = Reason { work: Some(endless), ..reason(Rule::Ball) };
    assert!(said(endless, Judgement::Rejected).ends_with("CPU 9 ms, 0 or more allowed"));
    let untraced = Reason { work: None, ..reason(Rule::Ball) };
    assert_eq!(said(untraced, Judgement::Absent), "its run was too short to be measured");
}

#[test]
fn kmeans_does_not_speak_of_cpu_time() {
    let work = Work { cpu: None, faults: None, ..WORK };
    let said = said(Reason { work: Some(work), ..reason(Rule::Kmeans) }, Judgement::Rejected);
    assert_eq!(said, "memory 22.8 MiB from the mean of those that agree; 3 MiB or more splits off");
}

#[test]
fn outputs_are_counted_and_a_trace_that_differs_counts_for_nothing() {
    let equal = Reason { number_steps: Some(0), work: None, ..reason(Rule::Outputs) };
    assert_eq!(said(equal, Judgement::Accepted), "its output equals that of 2 of 3 nodes, 2 needed");
    let strange = Reason { work: Some(WORK), ..equal };
    assert_eq!(
        said(strange, Judgement::Accepted),
        "its output equals that of 2 of 3 nodes, 2 needed; not counted: memory 22.8 MiB apart, 3 MiB allowed; \
         CPU 219 ms, 285 to 571 allowed; \
         page faults 3100, 4000 to 6250 allowed"
    );
    let other = Reason { alike: 1, work: None, ..reason(Rule::Outputs) };
    assert_eq!(
        said(other, Judgement::Rejected),
        "its output differs from the majority's; 1 of 3 nodes have it, 2 needed"
    );
}

#[test]
fn near_numbers_are_told_in_percent_of_what_is_allowed() {
    let near = |steps| Reason { number_steps: steps, work: None, ..reason(Rule::Near) };
    assert_eq!(
        said(near(Some(0)), Judgement::Accepted),
        "its output or its numbers are those of the majority"
    );
    assert_eq!(
        said(near(Some(80)), Judgement::Rejected),
        "its numbers are up to 125 % of their tolerance away from the majority's, 100 % allowed"
    );
    assert_eq!(
        said(near(None), Judgement::Rejected),
        "its output differs from the majority's, and it has no numbers to compare"
    );
}

#[test]
fn required_work_is_told_beside_the_output() {
    let both = Reason { number_steps: Some(0), ..reason(Rule::OutputsAndWork) };
    assert_eq!(
        said(both, Judgement::Rejected),
        "its output equals that of 2 of 3 nodes, 2 needed; memory 22.8 MiB apart, 3 MiB allowed; \
         CPU 219 ms, 285 to 571 allowed; \
         page faults 3100, 4000 to 6250 allowed"
    );
}

#[test]
fn a_single_run_was_compared_with_nothing() {
    let alone = Reason { alike: 1, work: None, ..reason(Rule::Alone) };
    assert_eq!(said(alone, Judgement::Accepted), "the only run: compared with nothing");
}

#[test]
fn an_exit_code_is_told_with_how_many_state_it() {
    let strange = Reason { work: None, ..reason(Rule::ExitCode) };
    assert_eq!(said(strange, Judgement::Rejected), "its exit code is 137; 1 of 3 nodes state it, 2 needed");
}

#[test]
fn where_nobody_agrees_no_row_speaks_of_a_majority() {
    let of =
        |rule, number_steps| undecided(Reason { alike: 1, number_steps, work: Some(WORK), ..reason(rule) });
    let alone = "its output equals that of 1 of 3 nodes, 2 needed";
    for steps in [Some(0), None] {
        assert!(of(Rule::Outputs, steps).starts_with(alone), "{}", of(Rule::Outputs, steps));
    }
    assert_eq!(
        undecided(Reason { number_steps: Some(80), work: None, ..reason(Rule::Near) }),
        "its numbers are up to 125 % of their tolerance away from the largest set's, 100 % allowed; \
         2 of 3 nodes must agree"
    );
    let rules =
        [Rule::Outputs, Rule::Near, Rule::OutputsAndWork, Rule::NearAndWork, Rule::Ball, Rule::Kmeans];
    for (rule, steps) in
        rules.into_iter().flat_map(|rule| [Some(0), Some(80), None].map(|steps| (rule, steps)))
    {
        let said = of(rule, steps);
        assert!(!said.contains("majority") && !said.contains("that agree"), "{rule:?}: {said}");
    }
}
