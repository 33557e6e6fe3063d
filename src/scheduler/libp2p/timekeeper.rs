//! Asks peers for their time, and notes by how much this node's clock differs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use super::{
    clocks::ahead_of,
    shared::Shared,
    wire::{LogRequest, LogResponse},
};
use crate::domain::NodeId;

/// Most peers asked.
const MAX_ASKED: usize = 16;

/// How often a peer is asked while the clocks agree, and while this one is thought to be wrong: it may be set any time.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_WHILE_WRONG: Duration = Duration::from_secs(5);

/// Asks peers for their time until the backend stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut status = shared.network.status();
    let mut asked: BTreeMap<NodeId, Instant> = BTreeMap::new();
    let mut asking: JoinSet<()> = JoinSet::new();
    loop {
        let peers = chosen(&asked, &status.borrow_and_update().subscribed);
        shared.clocks.keep(&peers);
        asked.retain(|peer, _| peers.contains(peer));
        let pause = if shared.clocks.trouble().is_some() { PAUSE_WHILE_WRONG } else { PAUSE };
        let now = Instant::now();
        for peer in &peers {
            if asked.get(peer).is_none_or(|at| *at + pause <= now) {
                asked.insert(*peer, now);
                asking.spawn(ask(Arc::clone(&shared), *peer));
            }
        }
        let next = asked.values().min().map_or(now + PAUSE, |at| *at + pause);
        tokio::select! {
            () = shared.stop.cancelled() => break,
            changed = status.changed() => if changed.is_err() { break },
            () = tokio::time::sleep_until(next) => {}
            Some(ended) = asking.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "asking a peer for its time panicked");
            },
        }
    }
    asking.shutdown().await;
}

/// The peers to ask: connected ones that were asked before, then others.
fn chosen(asked: &BTreeMap<NodeId, Instant>, here: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let (known, new): (Vec<NodeId>, Vec<NodeId>) = here.iter().partition(|peer| asked.contains_key(*peer));
    known.into_iter().chain(new).take(MAX_ASKED).collect()
}

async fn ask(shared: Arc<Shared>, peer: NodeId) {
    let before = shared.now();
    match shared.ask(peer, &LogRequest::Time).await {
        Ok(LogResponse::Time { now }) => shared.clocks.note(peer, ahead_of(now, before, shared.now())),
        Ok(other) => tracing::debug!(%peer, ?other, "a peer did not tell its time"),
        Err(error) => tracing::debug!(%peer, %error, "a peer cannot be asked for its time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_asked_and_those_first_that_were() {
        let peer = |byte| NodeId::new([byte; 20]);
        let here: BTreeSet<NodeId> = (0..40).map(peer).collect();
        let asked = BTreeMap::from([(peer(39), Instant::now()), (peer(41), Instant::now())]);
        let chosen = chosen(&asked, &here);
        assert_eq!(chosen.len(), MAX_ASKED);
        assert!(chosen.contains(&peer(39)) && !chosen.contains(&peer(41)));
    }
}
