//! Handlers about what a node keeps on its disk.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
};

use super::{
    error::Failure,
    state::Api,
    types::{ForgetReply, KeepView, PruneReply, PruneRequest, PrunedContent, UsagePart, UsageReply},
};
use crate::node::{Forgotten, Gone, Keep, Part, Pruned, Usage};

type Reply<T> = Result<Json<T>, Failure>;

/// What takes how much of the node's disk.
#[utoipa::path(
    get,
    path = "/api/v1/node/usage",
    responses((status = 200, description = "The answer", body = UsageReply))
)]
pub(super) async fn usage(State(Api { node, .. }): State<Api>) -> Reply<UsageReply> {
    let Usage { content, cap, ended, database, database_free, keep } = node.usage().await?;
    let part = |Part { pieces, bytes, next }: Part| UsagePart { pieces, bytes, next };
    let Keep { results, own, inputs, logs, bytes } = keep;
    Ok(Json(UsageReply {
        content: content.into_iter().map(|(kind, found)| (kind, part(found))).collect(),
        cap_bytes: cap,
        ended_jobs: ended,
        database_bytes: database,
        database_free_bytes: database_free,
        keep: KeepView { results, own, inputs, logs, bytes },
    }))
}

/// Drops what is kept no longer.
#[utoipa::path(
    post,
    path = "/api/v1/node/prune",
    request_body = PruneRequest,
    responses((status = 200, description = "The answer", body = PruneReply))
)]
pub(super) async fn prune(
    State(Api { node, .. }): State<Api>,
    request: Result<Json<PruneRequest>, JsonRejection>,
) -> Reply<PruneReply> {
    let Json(PruneRequest { dry_run }) = request?;
    let Pruned { content, jobs } = node.prune(dry_run).await?;
    let one = |Gone { digest, kind, why, bytes }: Gone| PrunedContent { digest, kind, why, bytes };
    let content: Vec<_> = content.into_iter().map(one).collect();
    let bytes = content.iter().map(|content| content.bytes).sum();
    Ok(Json(PruneReply { dry_run, content, jobs, bytes }))
}

/// Drops what the node keeps of a job that ended.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/forget",
    responses((status = 200, description = "The answer", body = ForgetReply))
)]
pub(super) async fn forget(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
) -> Reply<ForgetReply> {
    let job = node.find_job(&job)?;
    let Forgotten { pieces, bytes } = Arc::clone(&node).forget_job(job).await?;
    Ok(Json(ForgetReply { job, pieces, bytes }))
}
