//! A picture shows who lies, by colour, by dash, by mark and by sentence.

use super::*;
use crate::{
    api::types::{ResultView, SeatState},
    domain::{Amount, Digest},
    verdict::{Cpu, Reason, Rule},
};

fn seat(number: u8, mib: u32, cpu_ms: u64, judgement: Judgement) -> SeatView {
    let apart = u64::from(mib.abs_diff(100)) * 1024;
    let work = Work {
        agrees: apart < 30 * 1024,
        memory_apart_kib: apart,
        memory_limit_kib: 30 * 1024,
        cpu: Some(Cpu { ms: cpu_ms, least_ms: 600, most_ms: Some(1350) }),
        faults: None,
    };
    SeatView {
        seat: number,
        node: NodeId::new([number + 1; 20]),
        price: Amount::ZERO,
        status: SeatState::Revealed,
        failure: None,
        result: Some(ResultView {
            exit_code: 0,
            result_hash: Digest::ZERO,
            output_root: Digest::ZERO,
            memory_kib: Some([mib * 1024; TENTHS]),
            cpu_ms: Some(cpu_ms),
            faults: Some(9),
            summary: None,
        }),
        score: None,
        judgement: Some(judgement),
        reason: Some(format!("memory {mib} < \"much\"")),
        measured: Some(Reason { rule: Rule::Ball, alike: 1, number_steps: None, work: Some(work) }),
    }
}

fn drawn(seats: &[SeatView], curves: &Curves, is_over: bool) -> String {
    svg(&Subject { job: JobId::ZERO, method: Method::Ball, is_over, seats }, curves)
}

fn with_a_liar() -> [SeatView; 3] {
    [
        seat(0, 100, 900, Judgement::Accepted),
        seat(1, 101, 910, Judgement::Accepted),
        seat(2, 4, 10, Judgement::Rejected),
    ]
}

#[test]
fn the_liar_has_another_colour_its_name_and_its_sentence() {
    let picture = drawn(&with_a_liar(), &Curves::new(), true);
    // Two charts: samples and CPU time.
    assert_eq!(picture.matches(r#"<g class="run accepted""#).count(), 4);
    assert_eq!(picture.matches(r#"<g class="run rejected""#).count(), 2);
    assert!(
        picture.contains("<title>03030303 rejected: memory 4 &lt; &quot;much&quot;</title>"),
        "{picture}"
    );
    assert!(picture.contains(r##"text-anchor="end" fill="#c2185b">03030303</text>"##));
    // Ten samples a run, and the total of its CPU time.
    assert_eq!(picture.matches(r#"class="sample""#).count(), 33);
    assert_eq!(picture.matches(r#"<polygon class="ball""#).count(), 2);
}

#[test]
fn the_ball_lies_around_the_run_at_the_centre() {
    let seats = with_a_liar();
    let subject = Subject { job: JobId::ZERO, method: Method::Ball, is_over: true, seats: &seats };
    let runs: Vec<Run<'_>> = seats.iter().map(run).collect();
    let band = ball(&subject, &runs).unwrap();
    assert_eq!((band.low[0], band.high[9]), ((5, 70 * 1024), (95, 130 * 1024)));
    let mean = ball(&Subject { method: Method::KMeans, ..subject }, &runs).unwrap();
    assert_eq!(mean.low[0], (5, 70 * 1024 + 512), "around the mean of both that agree");
}

#[test]
fn whole_curves_are_drawn_where_the_results_are_here() {
    let seats = with_a_liar();
    let point = |t_ms| Point { t_ms, rss_kib: 1024 + t_ms, cpu_ms: t_ms };
    let curves = Curves::from([(seats[0].node, (0..50).map(|step| point(step * 20)).collect())]);
    let picture = drawn(&seats, &curves, true);
    assert!(picture.contains("Memory over time"), "{picture}");
    assert_eq!(picture.matches(r#"<g class="run rejected""#).count(), 2, "its curve is not here");
}

#[test]
fn a_picture_without_runs_says_what_is_missing() {
    assert!(drawn(&[], &Curves::new(), false).contains("Nothing to draw yet"));
    assert!(drawn(&[], &Curves::new(), true).contains("no run has revealed a result"));
    let mut short = seat(0, 1, 1, Judgement::Accepted);
    let result = short.result.as_mut().unwrap();
    (result.memory_kib, result.cpu_ms) = (None, None);
    assert!(drawn(&[short], &Curves::new(), true).contains("too short to be measured"));
}
