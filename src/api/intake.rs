//! Handlers about whether the node takes on work.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};

use super::{
    error::Failure,
    state::Api,
    types::{IntakeReply, MAX_DRAIN_WAIT, PauseRequest},
};
use crate::node::{Node, RequestError};

type Reply<T> = Result<Json<T>, Failure>;

/// Pauses the node, and waits until it owes nothing, as long as the client asks for.
#[utoipa::path(
    post,
    path = "/api/v1/node/pause",
    request_body = PauseRequest,
    responses((status = 200, description = "The answer", body = IntakeReply))
)]
pub(super) async fn pause(
    State(Api { node, .. }): State<Api>,
    request: Result<Json<PauseRequest>, JsonRejection>,
) -> Reply<IntakeReply> {
    let Json(PauseRequest { wait_secs }) = request?;
    store(&node, |node| node.pause_work().map(|_| ())).await?;
    let wait = Duration::from_secs(u64::from(wait_secs.min(MAX_DRAIN_WAIT)));
    let owes = node.settled(wait).await;
    Ok(Json(IntakeReply { paused_since: node.paused_since(), owes }))
}

/// Has the node take on work again.
#[utoipa::path(
    post,
    path = "/api/v1/node/resume",
    responses((status = 200, description = "The answer", body = IntakeReply))
)]
pub(super) async fn resume(State(Api { node, .. }): State<Api>) -> Reply<IntakeReply> {
    store(&node, Node::resume_work).await?;
    Ok(Json(IntakeReply { paused_since: node.paused_since(), owes: node.settled(Duration::ZERO).await }))
}

/// Runs what waits for the disk where it holds up no other request.
async fn store(
    node: &Arc<Node>,
    change: impl FnOnce(&Node) -> Result<(), crate::store::DbError> + Send + 'static,
) -> Result<(), Failure> {
    let node = Arc::clone(node);
    let changed = tokio::task::spawn_blocking(move || change(&node)).await;
    Ok(changed.expect("a change returns its errors").map_err(RequestError::Db)?)
}
