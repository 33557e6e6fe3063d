//! Delivers entries to followers and evidence to seats, a few times over, without anybody waiting for it.
//!
//! Whoever posts a parcel sends it over a bounded channel; what cannot be delivered is dropped and counted, since
//! followers also ask. Stops with the backend.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::shared::Shared;
use crate::{
    domain::NodeId,
    network::{LogRequest, LogResponse, RequestError},
};

/// Deliveries under way: a job of 31 seats, twice.
const MAX_DELIVERIES: usize = 64;

/// The pause after the first attempt, which doubles.
const PAUSE: Duration = Duration::from_millis(300);

/// No attempt begins later than this after a parcel was posted: an entry that comes late would look as if the
/// requester's clock were wrong, and followers ask by themselves within seconds.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// How long nothing is sent to a node that could not be reached, so that the living need not wait for the dead.
const REST: Duration = Duration::from_secs(10);

/// A message and who gets it.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) to: NodeId,
    pub(super) request: LogRequest,
    pub(super) posted: Instant,
}

pub(super) async fn run(shared: Arc<Shared>, mut parcels: mpsc::Receiver<Parcel>) {
    let mut deliveries = JoinSet::new();
    let mut resting: BTreeMap<NodeId, Instant> = BTreeMap::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            parcel = parcels.recv(), if deliveries.len() < MAX_DELIVERIES => match parcel {
                Some(parcel) => {
                    let now = Instant::now();
                    resting.retain(|_, until| *until > now);
                    if resting.contains_key(&parcel.to) {
                        shared.counting.messages_dropped.fetch_add(1, Ordering::Relaxed);
                    } else {
                        deliveries.spawn(deliver(Arc::clone(&shared), parcel));
                    }
                }
                None => break,
            },
            Some(delivered) = deliveries.join_next() => match delivered {
                Ok(Some(unreached)) => {
                    shared.counting.messages_dropped.fetch_add(1, Ordering::Relaxed);
                    resting.insert(unreached, Instant::now() + REST);
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a delivery panicked"),
            },
        }
    }
    deliveries.shutdown().await;
}

/// Delivers a parcel, or says who could not be reached.
async fn deliver(shared: Arc<Shared>, Parcel { to, request, posted }: Parcel) -> Option<NodeId> {
    let mut pause = PAUSE;
    while posted.elapsed() < STALE_AFTER {
        match shared.network.request(to, request.clone()).await {
            Ok(LogResponse::Busy) => {}
            Ok(_) | Err(RequestError::Stopped) => return None,
            Err(error @ RequestError::UnknownPeer(_)) => {
                tracing::debug!(%to, %error, "a message cannot be delivered");
                return Some(to);
            }
            Err(error @ (RequestError::Failed(_) | RequestError::Busy)) => {
                tracing::debug!(%to, %error, "a message was not delivered");
            }
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Some(to)
}
