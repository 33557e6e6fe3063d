//! The suite of `scheduler::conformance`, run against each backend.

use std::sync::{Arc, atomic::Ordering};

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

use crate::{
    contract::{
        chain::{Chain, Member, PATIENCE},
        signed::{Hub, join},
    },
    libp2p::node::TestClock,
};

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

/// A contract whose nodes hand to each other what they sign: jobs are offered, and take three transactions.
#[derive(Debug)]
struct Signed {
    contract: Contract,
    hub: Arc<Hub>,
}

impl Backend for Signed {
    fn set_now(&self, now: Timestamp) {
        self.contract.set_now(now);
    }

    fn set_handing_over(&self, allowed: bool) -> bool {
        self.hub.refuses.store(!allowed, Ordering::SeqCst);
        true
    }
}

async fn signed() -> World {
    let (chain, hub) = (Chain::start(Some(START.as_secs())).await, Arc::new(Hub::default()));
    let mut members = Vec::new();
    for _ in 0..PARTIES {
        let member = join(&chain, &hub, chain.config()).await;
        member.scheduler.announce("/ip4/127.0.0.1/tcp/1").await.unwrap();
        members.push(member);
    }
    for member in &members {
        let mut announced = member.scheduler.announced();
        let all = announced.wait_for(|known| known.len() == PARTIES);
        tokio::time::timeout(PATIENCE, all).await.unwrap().unwrap();
    }
    // The contract gives the lowest address the first seat.
    members[1..].sort_by_key(Member::id);
    let (mut parties, mut running) = (Vec::new(), Vec::new());
    for member in members {
        parties.push(Party::new(member.scheduler, member.key));
        running.push(member.running);
    }
    World::new(Box::new(Signed { contract: Contract { chain, _running: running }, hub }), parties)
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

/// The cases of jobs that run, and one that begins without bids.
mod signed {
    assay::conformance_tests! { super::signed:
        a_job_runs_from_submission_to_verdict,
        openings_may_come_with_the_verdict,
        only_the_requester_chooses_and_ends,
        deadlines_end_what_nobody_does,
        who_ends_a_job_in_anothers_stead_reads_what_follows,
        who_does_not_reveal_does_not_stop_a_verdict,
        a_copied_commitment_cannot_be_opened,
        a_requester_may_stop_a_running_job,
        readers_get_every_entry_in_order_from_any_cursor,
    }
}
