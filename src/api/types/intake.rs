//! Whether a node takes on work, and what it still owes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::Timestamp;
pub use crate::node::Obligations;

/// The longest that one request waits for a node to owe nothing, in seconds. A client that waits longer asks again.
pub const MAX_DRAIN_WAIT: u32 = 20;

/// Body of `POST /api/v1/node/pause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PauseRequest {
    /// How many seconds to wait until the node owes nothing; at most [`MAX_DRAIN_WAIT`].
    #[serde(default)]
    pub wait_secs: u32,
}

/// Answer to `POST /api/v1/node/pause` and `POST /api/v1/node/resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IntakeReply {
    /// Since when the node takes on no work; null if it does.
    pub paused_since: Option<Timestamp>,
    /// What it still owes in jobs of others; null while it reads its log, because it does not know yet.
    pub owes: Option<Obligations>,
}
