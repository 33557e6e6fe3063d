//! What every scheduler backend must do: one suite, run against each of them.
//!
//! A backend brings parties, each with a key and its own way into the log, and a clock that the suite sets.

mod suite;
pub(crate) mod world;

use std::sync::Arc;

use assay::{
    domain::{LogDomain, Timestamp},
    identity::NodeKey,
    scheduler::{contract::Running as ContractRunning, libp2p::Running, local::LocalLog},
};
use world::{Backend, Party, World};

use crate::{contract::chain::Chain, libp2p::node::TestClock};

/// When every job of the suite begins.
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The requester, four nodes and a stranger.
const PARTIES: usize = 6;

#[derive(Debug)]
struct Local(Arc<LocalLog>);

impl Backend for Local {
    fn set_now(&self, now: Timestamp) {
        self.0.set_now(now);
    }

    fn holds_every_job(&self) -> bool {
        true
    }
}

async fn local() -> World {
    let log = LocalLog::new(LogDomain::default(), START);
    let parties = (0..PARTIES)
        .map(|_| {
            let key = NodeKey::generate().unwrap();
            Party::new(log.join(key.node_id()), key)
        })
        .collect();
    World::new(Box::new(Local(log)), parties)
}

/// Nodes that are all connected to the requester, over real connections.
#[derive(Debug)]
struct Libp2p {
    clock: TestClock,
    _running: Vec<Running>,
}

impl Backend for Libp2p {
    fn set_now(&self, now: Timestamp) {
        self.clock.set(now);
    }

    fn ordered_by_requester(&self) -> bool {
        true
    }
}

async fn libp2p() -> World {
    let clock = TestClock::new();
    let (requester, nodes) = crate::libp2p::network(&clock, PARTIES - 1).await;
    let (mut parties, mut running) = (Vec::new(), Vec::new());
    for node in std::iter::once(requester).chain(nodes) {
        parties.push(Party::new(node.scheduler, node.key));
        running.push(node.running);
    }
    World::new(Box::new(Libp2p { clock, _running: running }), parties)
}

/// A contract on a chain of its own.
#[derive(Debug)]
struct Contract {
    chain: Chain,
    _running: Vec<ContractRunning>,
}

impl Backend for Contract {
    fn set_now(&self, now: Timestamp) {
        self.chain.set_now(now);
    }
}

async fn contract() -> World {
    let chain = Chain::start(Some(START.as_secs())).await;
    let (mut parties, mut running) = (Vec::new(), Vec::new());
    for _ in 0..PARTIES {
        let member = chain.member().await;
        parties.push(Party::new(member.scheduler, member.key));
        running.push(member.running);
    }
    World::new(Box::new(Contract { chain, _running: running }), parties)
}

/// Every case of the suite, against each backend.
macro_rules! conforms {
    ($($backend:ident),*) => {
        $(mod $backend {
            conforms!(@cases $backend:
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
                who_does_not_reveal_does_not_stop_a_verdict,
                a_copied_commitment_cannot_be_opened,
                a_requester_may_stop_a_running_job,
                readers_get_every_entry_in_order_from_any_cursor,
                readers_are_told_once_where_the_history_ends,
                actions_on_an_unknown_job_are_refused,
            );
        })*
    };
    (@cases $backend:ident: $($case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            super::suite::$case(super::$backend().await).await;
        })*
    };
}

conforms!(local, libp2p, contract);
