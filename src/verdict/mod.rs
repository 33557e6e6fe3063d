//! Which of N runs of one job agree: the output gate, then the scorers.
//!
//! [`decide()`] is the only entry. It asks first whether a strict majority of all nodes asked brought the same
//! output, and only for a job that is not deterministic whether a strict majority used memory and CPU
//! alike. All arithmetic is on integers, so every implementation comes to the same result bit for bit: the
//! Solidity twin is `contracts/src/Verdicts.sol`. The methods, their limits and how well they do are in
//! `docs/verification.md`.
//!
//! - `decide`: the terms, a run, and the order of the questions
//! - `gate`: equal outputs
//! - `kmeans`, `ball`: the scorers; each takes rows of ten numbers and answers with an [`Outcome`]
//! - `two_means`: the exact one-dimensional split that `kmeans` repeats
//! - `outcome`: what a verdict says and the one rule that makes it one
//! - `batch`: verdicts over JSON lines

mod ball;
pub mod batch;
mod decide;
mod gate;
mod kmeans;
mod outcome;
mod two_means;

#[cfg(test)]
mod tests;

pub use decide::{MAX_RUNS, Run, Terms, decide};
pub use outcome::{Decision, Note, Outcome};
pub use two_means::{Split, two_means};
