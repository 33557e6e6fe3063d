//! What every backend must do: one suite, run against each of them, those of other crates included.
//!
//! A backend brings a [`World`]: [`PARTIES`] parties, each with a key and its own way into one log, and a clock that
//! the suite sets ([`Backend`]). [`conformance_tests!`](crate::conformance_tests) makes a test of each case:
//!
//! ```
//! use assay::{
//!     domain::{LogDomain, Timestamp},
//!     identity::NodeKey,
//!     scheduler::{
//!         conformance::{Backend, PARTIES, Party, START, World, suite},
//!         local::LocalLog,
//!     },
//! };
//!
//! #[derive(Debug)]
//! struct InMemory(std::sync::Arc<LocalLog>);
//!
//! impl Backend for InMemory {
//!     fn set_now(&self, now: Timestamp) {
//!         self.0.set_now(now);
//!     }
//!
//!     fn holds_every_job(&self) -> bool {
//!         true
//!     }
//! }
//!
//! async fn world() -> World {
//!     let log = LocalLog::new(LogDomain::default(), START);
//!     let party = |_| {
//!         let key = NodeKey::generate().unwrap();
//!         Party::new(log.join(key.node_id()), key)
//!     };
//!     let parties = (0..PARTIES).map(party).collect();
//!     World::new(Box::new(InMemory(log)), parties)
//! }
//!
//! // In a test module: `assay::conformance_tests!(world);`. By hand, one case:
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! suite::a_job_runs_from_submission_to_verdict(world().await).await;
//! # }
//! ```
//!
//! A case panics when the backend fails it, as a test does.

pub mod suite;
mod world;

pub use world::{Backend, Party, World};

use crate::domain::Timestamp;

/// When every job of the suite begins: the backend's clock stands here at first.
pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The requester, four nodes and a stranger, in this order.
pub const PARTIES: usize = 6;

/// A `#[tokio::test]` for each case of the suite; `$world` is an async function that makes a new
/// [`World`].
#[macro_export]
macro_rules! conformance_tests {
    ($world:path) => {
        $crate::conformance_tests! { $world:
            a_job_runs_from_submission_to_verdict,
            openings_may_come_with_the_verdict,
            the_same_action_again_has_the_same_place,
            envelopes_are_checked_before_the_rules,
            only_the_requester_chooses_and_ends,
            an_update_voids_every_earlier_bid,
            a_withdrawn_bid_is_passed_over,
            a_node_that_took_its_bid_back_may_bid_again,
            a_failed_seat_goes_to_another_node_while_there_is_time,
            deadlines_end_what_nobody_does,
            who_ends_a_job_in_anothers_stead_reads_what_follows,
            who_does_not_reveal_does_not_stop_a_verdict,
            a_copied_commitment_cannot_be_opened,
            a_requester_may_stop_a_running_job,
            readers_get_every_entry_in_order_from_any_cursor,
            readers_are_told_once_where_the_history_ends,
            actions_on_an_unknown_job_are_refused,
            a_retired_job_is_read_from_the_disk_alone,
        }
    };
    ($world:path: $($case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::scheduler::conformance::suite::$case($world().await).await;
        })*
    };
}
