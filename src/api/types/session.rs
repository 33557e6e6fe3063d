//! How a browser gets the token of a node.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer to `POST /api/v1/tickets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TicketReply {
    /// What one browser can redeem for the token, in hex digits.
    pub ticket: String,
    /// For so many seconds.
    pub seconds: u64,
}

/// Body of `POST /api/v1/session`, which needs no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The ticket.
    pub ticket: String,
}

/// Answer to `POST /api/v1/session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionReply {
    /// The token that every other request bears, in hex digits.
    pub token: String,
}
