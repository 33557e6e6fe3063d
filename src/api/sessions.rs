//! Handlers of tickets: one is given out, one is redeemed.

use alloy_primitives::hex;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::{HeaderName, header},
    routing::post,
};
use tokio::time::Instant;

use super::{
    error::Failure,
    server::V1,
    state::Gate,
    tickets::{ISSUE, LIFETIME, REDEEM},
    types::{ErrorCode, SessionReply, SessionRequest, TicketReply},
};

/// A ticket in JSON, several times over.
const MAX_BODY_BYTES: usize = 1024;

pub(super) fn router<S: Clone + Send + Sync + 'static>(gate: Gate) -> Router<S> {
    let limit = DefaultBodyLimit::max(MAX_BODY_BYTES);
    Router::new()
        .route(&format!("{V1}{ISSUE}"), post(issue))
        .route(&format!("{V1}{REDEEM}"), post(redeem).layer(limit))
        .with_state(gate)
}

/// What keeps an answer with a secret out of every cache.
const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

type Secret<T> = Result<([(HeaderName, &'static str); 1], Json<T>), Failure>;

/// Gives out a ticket, which a browser redeems for the token.
#[utoipa::path(
    post,
    path = "/api/v1/tickets",
    operation_id = "issue_ticket",
    responses((status = 200, description = "The answer", body = TicketReply))
)]
async fn issue(State(gate): State<Gate>) -> Secret<TicketReply> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| Failure::new(ErrorCode::Unexpected, error.to_string()))?;
    gate.tickets.keep(secret, Instant::now());
    Ok((NO_STORE, Json(TicketReply { ticket: hex::encode(secret), seconds: LIFETIME.as_secs() })))
}

/// Redeems a ticket.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    operation_id = "redeem_ticket",
    request_body = SessionRequest,
    security(()),
    responses((status = 200, description = "The answer", body = SessionReply))
)]
async fn redeem(
    State(gate): State<Gate>,
    request: Result<Json<SessionRequest>, JsonRejection>,
) -> Secret<SessionReply> {
    let Json(SessionRequest { ticket }) = request?;
    if gate.tickets.redeem(&ticket, Instant::now()) {
        return Ok((NO_STORE, Json(SessionReply { token: gate.token.text() })));
    }
    Err(Failure::new(ErrorCode::Unauthorized, "the ticket was used before, or is older than a minute")
        .with_hint("run assay dashboard again for a new address"))
}
