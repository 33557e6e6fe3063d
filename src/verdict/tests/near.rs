//! The summary as a part of the output that its hash leaves out.

use super::*;
use crate::domain::SummaryWord;

fn run(output: u8, lane: Option<u8>) -> Run {
    let mut word = [0; 32];
    word[31] = lane.unwrap_or_default();
    let summary = if lane.is_some() { SummaryWord(word) } else { SummaryWord::VOID };
    Run { output: Some([output; 32]), summary, ..Run::ABSENT }
}

fn accepted(deterministic: bool, runs: &[Run]) -> Vec<usize> {
    let deal = crate::domain::Deal { method: Method::Near, deterministic, ..Default::default() };
    decide(&Terms::of(&deal), runs).accepted
}

#[test]
fn equal_hashes_do_not_hide_numbers_that_differ() {
    let runs = [run(1, Some(0)), run(1, Some(64)), run(1, Some(200))];
    assert_eq!(accepted(false, &runs), [0, 1]);
    assert!(accepted(true, &runs).is_empty(), "where only equal outputs count, these are three");
    assert_eq!(accepted(true, &[run(1, Some(9)), run(1, Some(9)), run(1, None)]), [0, 1]);
}

#[test]
fn runs_without_numbers_agree_by_equal_hashes_alone() {
    assert_eq!(accepted(false, &[run(1, None), run(1, None), run(1, Some(0))]), [0, 1]);
    assert_eq!(accepted(false, &[run(1, None), run(1, None), run(2, None)]), [0, 1]);
}
