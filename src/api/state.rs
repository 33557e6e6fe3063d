//! The state shared by all handlers.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::Semaphore;

use super::{tickets::Tickets, token::Token};
use crate::node::Node;

/// The node, and where it is asked.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) node: Arc<Node>,
    pub(super) bound: SocketAddr,
    /// One permit an archive that is taken in.
    pub(super) uploads: Arc<Semaphore>,
}

/// Admission: the address and the token.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) bound: SocketAddr,
    pub(super) token: Token,
    /// Opens the node's numbers, and nothing else.
    pub(super) metrics: Token,
    pub(super) tickets: Tickets,
}
