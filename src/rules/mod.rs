//! The only place where a job changes.
//!
//! [`open`] turns a submission into a job; [`transition()`] applies an event to a job and returns the next one. Both
//! are pure and refuse with a [`Rejection`]. [`Ledger`] folds a log with them. The Solidity twin is
//! `contracts/src/Rules.sol`; it must pass the cases that [`cases`] enumerates into `tests/vectors/`.
//!
//! ```
//! use assay::{
//!     domain::{Amount, Deal, Event, Facts, JobState, LogDomain, NodeId, Spec, Stamped, Timestamp},
//!     rules::{Ledger, Rejection},
//! };
//!
//! let (requester, node) = (NodeId::new([1; 20]), NodeId::new([2; 20]));
//! let (domain, deal, spec) = (LogDomain::default(), Deal::default(), Spec::sample().to_document());
//! let submitted = Stamped {
//!     job: domain.job_id(requester, 0, Spec::hash_document(&spec), deal.revision()),
//!     author: requester,
//!     at: Timestamp::from_secs(1000),
//!     revision: deal.revision(),
//!     facts: Facts::MONEYLESS,
//!     event: Event::Submitted { deal, spec, nonce: 0 },
//! };
//! let mut ledger = Ledger::new(domain);
//! assert_eq!(ledger.apply(&submitted)?.state, JobState::Open);
//!
//! let bid = Stamped { author: node, event: Event::BidPlaced { price: Amount::ZERO }, ..submitted };
//! ledger.apply(&bid)?;
//! assert_eq!(ledger.apply(&bid), Err(Rejection::AlreadyBid), "and nothing has changed");
//! # Ok::<(), Rejection>(())
//! ```

mod accounts;
pub mod cases;
mod effect;
mod ledger;
mod payout;
mod reasons;
mod rejection;
mod sound;
mod transition;

pub use accounts::Accounts;
pub use ledger::Ledger;
pub use payout::{MoneyError, Payouts, did_its_part, gain, held, locked, owes_first_wave, payouts};
pub use reasons::{SeatReason, reasons_of};
pub use rejection::Rejection;
pub use sound::{Unsound, sound};
pub use transition::{open, openings_of, run_order, transition, verdict_of};
