//! Handlers that read a job's log, whole or as it grows.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::watch;

use super::{error::Failure, server::Api, types::LogEntry};
use crate::{
    domain::{Digest, JobId},
    node::{Node, RequestError},
};

/// Silence in a stream after which a comment is sent, so that both sides notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
pub(super) struct After {
    /// The height of the last entry that the client has.
    #[serde(default)]
    after: u64,
}

pub(super) async fn log(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
) -> Result<Json<Vec<LogEntry>>, Failure> {
    let job = node.find_job(&job)?;
    let items = node.board.entries_after(job, 0);
    Ok(Json((1..).zip(items).map(|(height, item)| LogEntry::new(height, item)).collect()))
}

pub(super) async fn follow(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let after = query?.after;
    let job = node.find_job(&job)?;
    let changed = node.board.watch(job).ok_or(RequestError::NoSuchJob(job))?;
    let known = node.board.entries_after(job, 0).into_iter();
    let sent = known.take(usize::try_from(after).unwrap_or(usize::MAX)).map(|item| item.entry).collect();
    let tail = Tail { node, job, sent, changed };
    let entries = stream::unfold(tail, Tail::next).flat_map(stream::iter);
    let events = entries.map(|entry| {
        let event = Event::default().id(entry.height.to_string());
        Ok(event.json_data(&entry).expect("an entry has string keys only, so that JSON can hold it"))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The rest of a job's log, until the job is over, its log is broken, or the node stops.
struct Tail {
    node: Arc<Node>,
    job: JobId,
    /// The entries that the client has. Where a chain took entries back, others come at their heights.
    sent: Vec<Digest>,
    changed: watch::Receiver<u64>,
}

impl Tail {
    async fn next(mut self) -> Option<(Vec<LogEntry>, Self)> {
        loop {
            self.changed.borrow_and_update();
            // In this order: what is read after the job was seen to be over is all of it.
            let is_over = self.node.board.read(self.job, |job| job.state.is_terminal()).unwrap_or(false)
                || self.node.board.is_broken(self.job);
            let (same, items) = self.node.board.entries_beyond(self.job, &self.sent);
            self.sent.truncate(same);
            let height = u64::try_from(same).unwrap_or(u64::MAX);
            let entries: Vec<_> =
                (height + 1..).zip(items).map(|(height, item)| LogEntry::new(height, item)).collect();
            if !entries.is_empty() {
                self.sent.extend(entries.iter().map(|entry| entry.entry));
                return Some((entries, self));
            }
            if is_over {
                return None;
            }
            self.node.stop.run_until_cancelled(self.changed.changed()).await?.ok()?;
        }
    }
}
