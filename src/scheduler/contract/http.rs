//! JSON-RPC over HTTP, as alloy has it, but with a bound on what an endpoint may answer: alloy's own transport takes
//! any number of bytes into memory before it looks at them.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{TransportError, TransportErrorKind, TransportFut, http::reqwest::Url},
};
use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use tower_service::Service;

/// Most bytes of an answer. The receipts of a full block, or fifty headers, stay far below it.
pub(super) const MAX_ANSWER: usize = 32 << 20;

/// Most bytes read of a failed answer.
const MAX_REFUSAL: usize = 64 << 10;

/// An endpoint's answer is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its answer is longer than {} MiB", MAX_ANSWER >> 20)]
pub(super) struct TooLong;

/// The way to one endpoint; clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct Http {
    pub(super) client: reqwest::Client,
    pub(super) url: Url,
}

impl Http {
    async fn ask(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let asked = self.client.post(self.url).headers(request.headers()).json(&request).send();
        let response = asked.await.map_err(failed)?;
        let (status, after) = (response.status(), retry_after(&response));
        if status.is_success() {
            let body =
                read(response, MAX_ANSWER).await?.ok_or_else(|| TransportErrorKind::custom(TooLong))?;
            return serde_json::from_slice(&body)
                .map_err(|error| TransportError::deser_err(error, String::from_utf8_lossy(&body)));
        }
        // If the connection ends here, the status is known all the same.
        let body = read(response, MAX_REFUSAL).await.ok().flatten().unwrap_or_default();
        refusal(status, &body, after)
    }
}

impl Service<RequestPacket> for Http {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(request))
    }
}

/// The whole body, or `None` when it is longer than `limit`; the rest of it is not read.
async fn read(mut response: Response, limit: usize) -> Result<Option<Vec<u8>>, TransportError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// Some endpoints send JSON-RPC errors with an HTTP error status.
fn refusal(
    status: StatusCode,
    body: &[u8],
    after: Option<Duration>,
) -> Result<ResponsePacket, TransportError> {
    match serde_json::from_slice::<ResponsePacket>(body) {
        Ok(response) if response.is_error() => Ok(response),
        Ok(_) | Err(_) => {
            let body = String::from_utf8_lossy(body).into_owned();
            Err(TransportErrorKind::http_error_with_retry_after(status.as_u16(), body, after))
        }
    }
}

/// In seconds; the form with a date is rare.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn failed(error: reqwest::Error) -> TransportError {
    TransportErrorKind::custom(error)
}
