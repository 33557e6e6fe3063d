//! Delivers entries to followers and evidence to seats, a few times over, without anybody waiting for it.
//!
//! Whoever posts a parcel sends it over a bounded channel; what cannot be delivered is dropped and counted, since
//! followers also ask. Stops with the backend.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet};

use super::shared::Shared;
use crate::{
    domain::NodeId,
    network::{LogRequest, LogResponse, RequestError},
};

/// Deliveries under way: a job of 31 seats, twice.
const MAX_DELIVERIES: usize = 64;

/// Attempts for each parcel. A follower asks by itself within seconds, so that more would be of no use.
const ATTEMPTS: u32 = 3;

/// The pause after the first attempt, which doubles.
const PAUSE: Duration = Duration::from_millis(300);

/// A message and who gets it.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) to: NodeId,
    pub(super) request: LogRequest,
}

pub(super) async fn run(shared: Arc<Shared>, mut parcels: mpsc::Receiver<Parcel>) {
    let mut deliveries = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            parcel = parcels.recv(), if deliveries.len() < MAX_DELIVERIES => match parcel {
                Some(parcel) => {
                    deliveries.spawn(deliver(Arc::clone(&shared), parcel));
                }
                None => break,
            },
            Some(delivered) = deliveries.join_next() => {
                if let Err(error) = delivered {
                    tracing::error!(%error, "a delivery panicked");
                }
            }
        }
    }
    deliveries.shutdown().await;
}

async fn deliver(shared: Arc<Shared>, Parcel { to, request }: Parcel) {
    let mut pause = PAUSE;
    for attempt in 1..=ATTEMPTS {
        match shared.network.request(to, request.clone()).await {
            Ok(LogResponse::Busy) => {}
            Ok(_) | Err(RequestError::Stopped) => return,
            Err(error) => tracing::debug!(%to, %error, attempt, "a message was not delivered"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    shared.counting.messages_dropped.fetch_add(1, Ordering::Relaxed);
}
