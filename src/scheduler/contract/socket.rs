//! JSON-RPC over one WebSocket connection.
//!
//! When a connection is lost, alloy reconnects at once and sends every request without an answer again. An endpoint whose
//! answer is too long would be asked again and again until the request times out, and send gigabytes. So a lost
//! connection is an error here, and `rpc` decides whether to retry.

use std::future::Future;

use alloy::{
    providers::WsConnect,
    pubsub::{ConnectionHandle, PubSubConnect},
    transports::{TransportError, TransportErrorKind},
};

/// Connects once, and never again.
pub(super) struct Socket(pub(super) WsConnect);

impl PubSubConnect for Socket {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    fn connect(&self) -> impl Future<Output = Result<ConnectionHandle, TransportError>> + Send {
        self.0.connect()
    }

    async fn try_reconnect(&self) -> Result<ConnectionHandle, TransportError> {
        Err(TransportErrorKind::backend_gone())
    }
}
