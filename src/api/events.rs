//! Handlers that read a job's log, whole or as it grows.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use serde::Deserialize;

use super::{
    error::Failure,
    state::Api,
    types::{LogEntry, Page},
};
/// Silence in a stream after which a comment is sent, so that both sides notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// The height of the last entry that the client has.
    #[serde(default)]
    after: u64,
}

/// A job's log, whole.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/log",
    params(Page<u64>),
    responses((status = 200, description = "The answer", body = Vec<LogEntry>))
)]
pub(super) async fn log(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    page: Result<Query<Page<u64>>, QueryRejection>,
) -> Result<Json<Vec<LogEntry>>, Failure> {
    let Query(page) = page?;
    let entries = page.of(node.entries(node.find_job(&job)?), |(height, _)| *height);
    Ok(Json(entries.into_iter().map(|(height, item)| LogEntry::new(height, item)).collect()))
}

/// An event whenever the log of any job grows, with how far the node has read. Several changes at once may be one event.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "events",
    responses(
        (status = 200, description = "Server-sent events without end", body = String, content_type = "text/event-stream"),
    )
)]
pub(super) async fn all(
    State(Api { node, .. }): State<Api>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(node.progress(), async |mut progress| {
        progress.changed().await.ok()?;
        let cursor = *progress.borrow_and_update();
        Some((Ok(Event::default().data(cursor.0.to_string())), progress))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// A job's log as it grows.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/events",
    operation_id = "job_events",
    params(After),
    responses(
        (status = 200, description = "Server-sent events, one LogEntry each; they end with the job", body = String, content_type = "text/event-stream"),
    )
)]
pub(super) async fn follow(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let after = query?.after;
    let job = node.find_job(&job)?;
    let entries = stream::unfold(node.follow_entries(job, after)?, async |mut entries| {
        Some((entries.next().await?, entries))
    });
    let events = entries.flat_map(stream::iter).map(|(height, item)| {
        let event = Event::default().id(height.to_string());
        let entry = LogEntry::new(height, item);
        Ok(event.json_data(&entry).expect("an entry has string keys only, so that JSON can hold it"))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
