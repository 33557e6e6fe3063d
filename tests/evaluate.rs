//! The figures of `docs/verification.md` on verdicts are those of the evaluation, and they meet what the methods are for.
//!
//! `cargo bench --no-default-features --bench evaluate` prints the tables.

#[path = "../benches/evaluate/draw.rs"]
mod draw;
#[path = "../benches/evaluate/outputs.rs"]
mod outputs;
#[path = "../benches/evaluate/traces.rs"]
mod traces;
#[path = "../benches/evaluate/work.rs"]
mod work;

use assay::{
    domain::{Digest, FingerprintWord, JobId, LogDomain, Method, NodeId, Opening, SummaryWord},
    verdict::{Run, Terms, decide},
};

const DOCUMENT: &str = include_str!("../docs/verification.md");

fn assert_documented(tables: &[String]) {
    let missing: Vec<&str> =
        tables.iter().map(String::as_str).filter(|table| !DOCUMENT.contains(table)).collect();
    assert!(missing.is_empty(), "docs/verification.md has other tables than\n\n{}\n", missing.join("\n\n"));
}

#[test]
fn the_document_has_the_tables_of_fourteen_jobs() {
    assert_documented(&traces::tables());
}

#[test]
fn the_document_has_the_tables_of_traces_with_page_faults() {
    assert_documented(&work::tables());
}

#[test]
fn the_document_has_the_table_of_seeded_jobs() {
    assert_documented(&outputs::tables());
}

#[test]
fn on_seeded_jobs_near_outputs_catch_every_liar_and_reject_no_honest_run() {
    let tallies = outputs::evaluate();
    for (liar, recall) in outputs::near_recall(&tallies) {
        assert!(recall >= 100.0, "{liar}: {recall} % are caught");
    }
    for tally in outputs::all_and_none(&tallies, outputs::NEAR) {
        assert_eq!((tally.honest_rejected, tally.undecided, tally.bad_accepted), (0, 0, 0), "{tally:?}");
        assert!(tally.judged > 1000, "{tally:?}");
    }
}

#[test]
fn required_work_accepts_few_wrong_traces_and_rejects_few_honest_runs() {
    let [idle, faker, none] = work::required();
    let both = idle.plus(faker);
    assert!(both.accepted() <= 5.0, "right outputs with wrong traces: {both:?}");
    assert!(both.honest_rejected() <= 0.5 && none.honest_rejected() <= 0.5, "{both:?}, {none:?}");
}

/// Before reveals a copycat knows the commitments of others and nothing else. The evaluation has what it could do without them.
#[test]
fn a_copycat_of_a_commitment_is_never_accepted() {
    let (domain, job) = (LogDomain::default(), JobId::new([7; 32]));
    let node = |seat: u8| NodeId::new([seat + 1; 20]);
    let word = |byte| Digest::new([byte; 32]);
    let opening = Opening {
        result_hash: word(1),
        output_root: word(2),
        exit_code: 0,
        fingerprint: FingerprintWord::VOID,
        summary: SummaryWord::VOID,
        salt: word(3),
    };
    for seats in [3_u8, 5, 7, 11, 31] {
        for copycat in 1..seats {
            let copied = opening.commitment(domain, job, 0, node(0));
            let opens = |seat: u8, node: NodeId| opening.commitment(domain, job, seat, node) == copied;
            assert!(opens(0, node(0)) && !opens(copycat, node(copycat)) && !opens(0, node(copycat)));
        }
        // It opens nothing, so that it takes no part.
        let honest = Run { output: Some([1; 32]), ..Run::ABSENT };
        let runs: Vec<Run> =
            std::iter::repeat_n(honest, usize::from(seats) - 1).chain([Run::ABSENT]).collect();
        for method in [Method::Hash, Method::Near] {
            let outcome = decide(&Terms::new(method, u32::from(seats) / 2 + 1), &runs);
            assert_eq!(
                (outcome.accepted.len(), outcome.absent.as_slice()),
                (runs.len() - 1, &[runs.len() - 1][..])
            );
        }
    }
}
