//! Handlers about the node and its jobs.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::HeaderMap,
};
use serde::Deserialize;

use super::{
    error::Failure,
    state::Api,
    types::{
        CancelReply, Cursor, Defaults, EarnedJob, EarningsReply, ErrorCode, IDEMPOTENCY_KEY, JobFilter,
        JobList, JobRow, JobView, MAX_ROWS, Member, NodeInfo, NodeLimits, NodeRow, OutlookRow, Page,
        SubmitReply, SubmitRequest, UpdateReply,
    },
    view,
};
use crate::{
    domain::{Amount, Deal, Job, NodeId, Resources, Span, Spec, Timestamp},
    node::{Earning, Ended, InvalidKey, RequestKey},
    scheduler::Anchor,
};

/// Jobs of a page when the client does not say.
const ROWS: usize = 50;

type Reply<T> = Result<Json<T>, Failure>;

/// The node.
#[utoipa::path(
    get,
    path = "/api/v1/node",
    responses((status = 200, description = "The answer", body = NodeInfo))
)]
pub(super) async fn node_info(State(Api { node, bound, .. }): State<Api>) -> Reply<NodeInfo> {
    let jobs = node.states()?;
    let (about, limits) = (node.about(), node.limits());
    Ok(Json(NodeInfo {
        id: node.id(),
        peer_id: about.peer_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backend: about.backend.clone(),
        domain: node.domain(),
        asset: node.asset(),
        api: format!("http://{bound}"),
        listen: about.listen.clone(),
        compute_slots: node.compute_slots(),
        limits: Some(NodeLimits {
            resources: limits.max_resources,
            timeout: limits.max_timeout,
            run: limits.max_run,
            shortest_reveal: limits.min_reveal,
            reveal: limits.max_reveal,
            bond: limits.max_bond,
            price: limits.min_price,
        }),
        admission: node.admission().clone(),
        paused_since: node.paused_since(),
        owes: node.owed(),
        members: node.members().len(),
        links: node.links(),
        jobs,
        warnings: node.warnings(None),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TermsQuery {
    /// In seconds.
    timeout: Option<Span>,
    /// Of a seat.
    price: Option<Amount>,
}

/// The terms and limits of a job about which its user says nothing else.
#[utoipa::path(
    get,
    path = "/api/v1/defaults",
    params(TermsQuery),
    responses((status = 200, description = "The answer", body = Defaults))
)]
pub(super) async fn defaults(
    State(Api { node, .. }): State<Api>,
    query: Result<Query<TermsQuery>, QueryRejection>,
) -> Reply<Defaults> {
    let Query(TermsQuery { timeout, price }) = query?;
    let usual = Deal::default();
    let (timeout, price) = (timeout.unwrap_or(usual.timeout), price.unwrap_or(usual.price));
    let reveal = usual.reveal.max(node.limits().min_reveal);
    let deal = Deal { timeout, run: Deal::run_for(timeout), reveal, price, bond: price, ..usual };
    Ok(Json(Defaults { deal, resources: Resources::default() }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EarningsQuery {
    /// The earliest end of a job, in Unix seconds.
    since: Timestamp,
    /// The most jobs; 10,000 at most, and if it is not said.
    limit: Option<usize>,
    /// The `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// What the node's seats brought.
#[utoipa::path(
    get,
    path = "/api/v1/node/earnings",
    params(EarningsQuery),
    responses((status = 200, description = "The answer", body = EarningsReply))
)]
pub(super) async fn earnings(
    State(Api { node, .. }): State<Api>,
    query: Result<Query<EarningsQuery>, QueryRejection>,
) -> Reply<EarningsReply> {
    let Query(EarningsQuery { since, limit, after }) = query?;
    let limit = limit.unwrap_or(MAX_ROWS).min(MAX_ROWS);
    let (earned, has_more) = node.earnings(since, after.map(|after| (after.at, after.job)), limit).await?;
    let last = earned.last().map(|last| Cursor { at: last.ended_at, job: last.job });
    let next = has_more.then(|| last.or(after)).flatten();
    let one = |Earning { job, requester, ended_at, state, paid, lost }: Earning| EarnedJob {
        job,
        requester,
        ended_at,
        state,
        paid,
        lost,
    };
    Ok(Json(EarningsReply { since, jobs: earned.into_iter().map(one).collect(), has_more, next }))
}

/// Every node that is there, and every one that was in a job with this one.
#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    params(Page<NodeId>),
    responses((status = 200, description = "The answer", body = Vec<NodeRow>))
)]
pub(super) async fn nodes(
    State(Api { node, .. }): State<Api>,
    page: Result<Query<Page<NodeId>>, QueryRejection>,
) -> Reply<Vec<NodeRow>> {
    let Query(page) = page?;
    let counts = node.counts();
    let (members, offers) = (node.members(), node.offers());
    let mut ids: Vec<_> = members.iter().copied().chain(counts.keys().copied()).chain([node.id()]).collect();
    ids.sort_unstable();
    ids.dedup();
    let row = |id| {
        let standing = counts.get(&id).copied().unwrap_or_default();
        let is_self = id == node.id();
        NodeRow {
            id,
            is_self,
            known: is_self || members.contains(&id),
            accepted: standing.tally.accepted.into(),
            rejected: standing.tally.rejected.into(),
            failed: standing.tally.failed.into(),
            absent: standing.tally.absent.into(),
            offer: offers.get(&id).cloned(),
        }
    };
    Ok(Json(page.of(ids, |id| *id).into_iter().map(row).collect()))
}

/// Submits a job.
#[utoipa::path(
    post,
    path = "/api/v1/jobs",
    params(
        ("idempotency-key" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{8,64}$", description = "Carry out retries under this key once"),
    ),
    request_body = SubmitRequest,
    responses((status = 200, description = "The answer", body = SubmitReply))
)]
pub(super) async fn submit(
    State(Api { node, .. }): State<Api>,
    headers: HeaderMap,
    request: Result<Json<SubmitRequest>, JsonRejection>,
) -> Reply<SubmitReply> {
    let Json(request) = request?;
    let (spec, deal, replication) = request.into_parts();
    let too_few = node.too_few(&spec, &deal);
    let (job, image) = match key_in(&headers)? {
        Some(key) => node.submit_job_once(&key, spec.clone(), deal, replication).await?,
        None => node.submit_replicated(spec.clone(), deal, replication).await?,
    };
    let unseeded_program = node.unseeded_program(&Spec { image: image.clone(), ..spec }).await;
    Ok(Json(SubmitReply { job, image, too_few, unseeded_program }))
}

/// The jobs that the node knows, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    operation_id = "jobs",
    params(JobFilter),
    responses((status = 200, description = "The answer", body = JobList))
)]
pub(super) async fn list(
    State(Api { node, .. }): State<Api>,
    query: Result<Query<JobFilter>, QueryRejection>,
) -> Reply<JobList> {
    let Query(wanted) = query?;
    let limit = wanted.limit.unwrap_or(ROWS).min(MAX_ROWS);
    let now = node.now();
    let Some(group) = &wanted.group else {
        let window = if wanted.is_narrow() { MAX_ROWS } else { limit };
        let mut rows = node.read_jobs(|job, is_broken| view::row(&node, job, is_broken, now));
        let ended = node.ended_jobs(wanted.after.map(|after| (after.at, after.job)), window)?;
        let last = ended.last().filter(|_| ended.len() == window);
        let horizon = last.map(|last| Cursor { at: last.submitted_at, job: last.job });
        rows.extend(ended.iter().filter_map(view::ended_row));
        rows.retain(|row| wanted.has(row));
        // Older jobs than those of the disk that were read are not wanted.
        let horizon = horizon.filter(|last| wanted.since.is_none_or(|since| last.at >= since));
        let mut list = JobList::page(rows, wanted.after, horizon, limit);
        if !wanted.is_narrow() {
            list.total = node.states()?.values().sum();
        }
        return Ok(Json(list));
    };
    let is_wanted = |job: &Job| {
        let member = Member::of(&job.spec.environment);
        job.requester == node.id() && member.is_some_and(|member| member.group.starts_with(group))
    };
    let row = |job: &Job, is_broken| is_wanted(job).then(|| view::row(&node, job, is_broken, now));
    let mut rows: Vec<JobRow> = node.read_jobs(row).into_iter().flatten().collect();
    rows.extend(node.ended_of_group(group)?.iter().filter_map(view::ended_row));
    rows.retain(|row| wanted.has(row));
    Ok(Json(JobList::page(rows, wanted.after, None, limit)))
}

/// All that the node knows of a job.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}",
    responses((status = 200, description = "The answer", body = JobView))
)]
pub(super) async fn describe(State(Api { node, .. }): State<Api>, Path(job): Path<String>) -> Reply<JobView> {
    let job = node.find_job(&job)?;
    Ok(Json(view::job(&node, job)?))
}

/// Why each known node has a seat in a job or none.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/nodes",
    params(Page<NodeId>),
    responses((status = 200, description = "The answer", body = Vec<OutlookRow>))
)]
pub(super) async fn outlooks(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    page: Result<Query<Page<NodeId>>, QueryRejection>,
) -> Reply<Vec<OutlookRow>> {
    let Query(page) = page?;
    let job = node.find_job(&job)?;
    let row = |(id, outlook)| OutlookRow { node: id, is_self: id == node.id(), outlook };
    Ok(Json(page.of(node.outlooks(job)?, |(id, _)| *id).into_iter().map(row).collect()))
}

/// Where the entries of a job's log stand on a chain; empty where they stand on none.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/anchors",
    params(Page<u64>),
    responses((status = 200, description = "The answer", body = Vec<Anchor>))
)]
pub(super) async fn anchors(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    page: Result<Query<Page<u64>>, QueryRejection>,
) -> Reply<Vec<Anchor>> {
    let Query(page) = page?;
    let job = node.find_job(&job)?;
    Ok(Json(page.of(node.anchors(job).await?, |anchor| anchor.height)))
}

/// Cancels an open job of this node, or stops a running one.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/cancel",
    params(
        ("idempotency-key" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{8,64}$", description = "Carry out retries under this key once"),
    ),
    responses((status = 200, description = "The answer", body = CancelReply))
)]
pub(super) async fn cancel(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Reply<CancelReply> {
    let job = node.find_job(&job)?;
    let ended = match key_in(&headers)? {
        Some(key) => node.cancel_job_once(&key, job).await?,
        None => node.cancel_job(job).await?,
    };
    Ok(Json(CancelReply { job, stopped: ended == Ended::Stopped }))
}

/// Changes the terms of an open job of this node.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/deal",
    params(
        ("idempotency-key" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{8,64}$", description = "Carry out retries under this key once"),
    ),
    request_body = Deal,
    responses((status = 200, description = "The answer", body = UpdateReply))
)]
pub(super) async fn update(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
    headers: HeaderMap,
    deal: Result<Json<Deal>, JsonRejection>,
) -> Reply<UpdateReply> {
    let Json(deal) = deal?;
    let job = node.find_job(&job)?;
    let revision = match key_in(&headers)? {
        Some(key) => node.update_deal_once(&key, job, deal).await?,
        None => node.update_deal(job, deal).await?,
    };
    Ok(Json(UpdateReply { job, revision }))
}

/// The key by which a client names this request, if it does.
fn key_in(headers: &HeaderMap) -> Result<Option<RequestKey>, Failure> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().map_err(|_| InvalidKey).and_then(str::parse);
    let bad = |error: InvalidKey| Failure::new(ErrorCode::BadRequest, format!("{IDEMPOTENCY_KEY}: {error}"));
    key.map(Some).map_err(bad)
}
