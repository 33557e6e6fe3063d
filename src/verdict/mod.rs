//! Which of N runs of one job agree: the output gate, then the scorers.
//!
//! Nodes call [`decide()`]; [`decide_by()`] tries another method. [`decide()`] first asks whether a strict majority of
//! all nodes asked brought the same output. If none did and the job is not deterministic, it asks whether a strict
//! majority did like work. All arithmetic is on integers, so every implementation gives the same result bit
//! for bit: the Solidity twin is `contracts/src/Verdicts.sol`. The methods, their limits and their accuracy are in
//! `docs/verification.md`.
//!
//! - `terms`: what is asked: terms, runs, tolerances
//! - `decide`: the order of the questions
//! - `gate`: equal outputs
//! - `kmeans`, `ball`: the scorers; each takes rows of ten numbers and answers with an [`Outcome`]
//! - `near`: outputs that are equal or near, and work that is required, as one relation
//! - `traces`: when two runs did like work
//! - `two_means`: the exact one-dimensional split that `kmeans` repeats
//! - `outcome`: what a verdict says, and the one rule that decides whether there is one
//! - `work`: what a run took beside others
//! - `reasons`: what decided on each run, what was measured, and the limit that applied
//! - `batch`: verdicts over JSON lines
//!
//! ```
//! use assay::{
//!     domain::Method,
//!     verdict::{Decision, Note, Run, Terms, decide},
//! };
//!
//! let method = Method::Hash;
//! let terms = Terms { deterministic: true, ..Terms::new(method, 2) };
//! let runs = [Some([1; 32]), Some([1; 32]), None].map(|output| Run { output, ..Run::ABSENT });
//! let outcome = decide(&terms, &runs);
//! assert_eq!((outcome.decision, outcome.note), (Decision::Verdict, Note::EqualOutputs));
//! assert_eq!((outcome.accepted, outcome.absent), (vec![0, 1], vec![2]));
//! ```

mod ball;
pub mod batch;
mod decide;
mod gate;
mod kmeans;
mod near;
mod outcome;
mod reasons;
mod terms;
mod traces;
mod two_means;
mod work;

#[cfg(test)]
mod tests;

pub use decide::{decide, decide_by};
pub use outcome::{Decision, Note, Outcome};
pub use reasons::{Reason, Rule, reasons};
pub use terms::{Agreement, MAX_RUNS, Run, Terms};
pub use two_means::{Split, two_means};
pub use work::{Cpu, Faults, Work};
