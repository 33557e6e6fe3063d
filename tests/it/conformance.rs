//! The suite of `scheduler::conformance`, run against each backend.

use std::sync::Arc;

use assay::{
    domain::{LogDomain, Timestamp},
    identity::NodeKey,
    scheduler::{
        conformance::{Backend, PARTIES, Party, START, World},
        contract::Running as ContractRunning,
        libp2p::Running,
        local::LocalLog,
    },
};

use crate::{contract::chain::Chain, libp2p::node::TestClock};

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
            assay::conformance_tests!(super::$backend);
        })*
    };
}

conforms!(local, libp2p, contract);
