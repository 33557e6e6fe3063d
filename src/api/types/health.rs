//! Whether a node answers, and how far it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/health` and `/healthz`, and `/readyz`, whose status is 503 until the node is ready: they need no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether the API answers; always true.
    pub alive: bool,
    /// How far the node is.
    #[serde(default)]
    pub state: Readiness,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It reads its logs.
    Loading,
    /// It answers.
    #[default]
    Ready,
}
