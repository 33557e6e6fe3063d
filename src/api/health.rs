//! Handlers that say whether the node is there, and how far it is. They need no token.

use axum::{Json, extract::State, http::StatusCode};

use super::types::{Health, Readiness};

/// Whether the node is there, and how far it is.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    security(()),
    responses((status = 200, description = "The answer", body = Health))
)]
pub(super) async fn health(State(state): State<Readiness>) -> Json<Health> {
    Json(Health { alive: true, state })
}

/// The same at the address that service managers know.
#[utoipa::path(
    get,
    path = "/healthz",
    security(()),
    responses((status = 200, description = "The answer", body = Health))
)]
pub(super) async fn alive(state: State<Readiness>) -> Json<Health> {
    health(state).await
}

/// The same, with a status that says whether the node answers about its jobs.
#[utoipa::path(
    get,
    path = "/readyz",
    security(()),
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "Not yet", body = Health),
    )
)]
pub(super) async fn ready(State(state): State<Readiness>) -> (StatusCode, Json<Health>) {
    let status = match state {
        Readiness::Ready => StatusCode::OK,
        Readiness::Loading => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Health { alive: true, state }))
}
