//! The only place where a job changes.
//!
//! [`open`] makes a job of a submission, [`transition()`] makes the next job of a job and an event; both are
//! pure and refuse with a [`Rejection`]. [`Ledger`] folds a log with them. The Solidity twin is
//! `contracts/src/Rules.sol`, held to these by the cases that [`cases`] enumerates into `tests/vectors/`.

mod accounts;
pub mod cases;
mod effect;
mod ledger;
mod payout;
mod rejection;
mod transition;

pub use accounts::Accounts;
pub use ledger::Ledger;
pub use payout::{MoneyError, Payouts, did_its_part, held, locked, payouts};
pub use rejection::Rejection;
pub use transition::{open, openings_of, run_order, transition, verdict_of};
