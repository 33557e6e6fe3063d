//! The way to the chain: several endpoints, of which one is in use, and every request bounded in time.

use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use alloy::{
    eips::BlockNumberOrTag,
    providers::{DynProvider, Provider, ProviderBuilder, WsConnect},
    rpc::types::Header,
    transports::{RpcError, TransportError, TransportErrorKind, http::reqwest::Url},
};
use tokio::{sync::Mutex, time::timeout};

use super::convert::{Revert, revert_of};
use crate::{scheduler::BackendError, tls};

/// Longest wait for one answer.
const REQUEST: Duration = Duration::from_secs(10);

/// How often a chain on this machine is asked for news, and how often another one.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How much sooner than that it is asked when something has just happened, since what answers it may be near.
const SOONER: u32 = 32;

/// When to ask for news again: soon after something happened, and ever later while nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    next: Duration,
    longest: Duration,
}

impl Pace {
    /// Begins soon; never waits longer than `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self { next: longest / SOONER, longest }
    }

    /// Something happened.
    pub(super) fn hurry(&mut self) {
        *self = Self::new(self.longest);
    }

    /// How long to wait now; the next wait is twice as long.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (2 * pause).min(self.longest);
        pause
    }
}

/// An endpoint that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No endpoint was given.
    #[error("no RPC endpoint was given; name one, such as http://127.0.0.1:8545")]
    None,
    /// The text is no URL of a known kind.
    #[error("{url:?} is no RPC endpoint: expected http://, https://, ws:// or wss://")]
    Url {
        /// What was given.
        url: String,
    },
}

/// Endpoints of one chain; requests go to one until it fails, then to the next.
pub(super) struct Endpoints {
    list: Vec<Endpoint>,
    current: AtomicUsize,
}

struct Endpoint {
    url: Url,
    /// Connected when first needed, and anew after a failure.
    provider: Mutex<Option<DynProvider>>,
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AskError {
    /// The call would revert.
    Reverted(Revert),
    /// The endpoint answered with an error.
    Answer(String),
    /// No endpoint answered.
    Unreachable(BackendError),
}

impl Endpoints {
    pub(super) fn new(urls: &[String]) -> Result<Self, EndpointError> {
        let endpoint = |text: &String| {
            let url = text.parse::<Url>().ok();
            let url =
                url.filter(|url| matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host());
            let url = url.ok_or_else(|| EndpointError::Url { url: text.clone() })?;
            Ok(Endpoint { url, provider: Mutex::new(None) })
        };
        let list: Vec<Endpoint> = urls.iter().map(endpoint).collect::<Result<_, _>>()?;
        if list.is_empty() {
            Err(EndpointError::None)
        } else {
            Ok(Self { list, current: AtomicUsize::new(0) })
        }
    }

    /// How long to wait at most before asking for news again.
    pub(super) fn poll_interval(&self) -> Duration {
        let local = self
            .list
            .iter()
            .all(|endpoint| matches!(endpoint.url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")));
        if local { POLL.0 } else { POLL.1 }
    }

    /// Has one endpoint answer: the one in use, or the next that does. All requests of `ask` go to the same one.
    ///
    /// # Errors
    /// [`AskError`]; what an endpoint answered is not asked of another.
    pub(super) async fn ask<T, F: Future<Output = Result<T, TransportError>> + Send>(
        &self,
        ask: impl Fn(DynProvider) -> F + Send + Sync,
    ) -> Result<T, AskError> {
        let mut failures = Vec::new();
        for _ in 0..self.list.len() {
            let current = self.current.load(Ordering::Relaxed);
            let endpoint = &self.list[current % self.list.len()];
            let answered = timeout(REQUEST, async { ask(endpoint.provider().await?).await }).await;
            let failure = match answered {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => match answer_of(&error) {
                    Some(answer) => return Err(answer),
                    None => innermost(&error),
                },
                Err(_) => format!("no answer within {} s", REQUEST.as_secs()),
            };
            endpoint.provider.lock().await.take();
            failures.push(format!("{}: {failure}", endpoint.shown()));
            // Whoever failed at the same endpoint meanwhile has moved on already.
            let next = current.wrapping_add(1);
            let _ = self.current.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        Err(AskError::Unreachable(BackendError::Chain { reason: failures.join("; ") }))
    }

    /// Leaves the endpoint in use for the next one. Says whether there is another.
    pub(super) fn move_on(&self) -> bool {
        let is_one_of_many = self.list.len() > 1;
        if is_one_of_many {
            self.current.fetch_add(1, Ordering::Relaxed);
        }
        is_one_of_many
    }

    /// A subscription to new blocks on the endpoint in use, if that can push.
    pub(super) async fn new_blocks(&self) -> Option<alloy::pubsub::Subscription<Header>> {
        let current = self.current.load(Ordering::Relaxed) % self.list.len();
        let endpoint = &self.list[current];
        if endpoint.is_http() {
            return None;
        }
        let subscribed =
            timeout(REQUEST, async { endpoint.provider().await?.subscribe_blocks().await }).await;
        subscribed.ok()?.ok()
    }
}

impl Endpoint {
    async fn provider(&self) -> Result<DynProvider, TransportError> {
        let mut held = self.provider.lock().await;
        if let Some(provider) = &*held {
            return Ok(provider.clone());
        }
        let builder = ProviderBuilder::default();
        let provider = if self.is_http() {
            builder.connect_reqwest(self.http_client()?, self.url.clone()).erased()
        } else {
            tls::prepare();
            // A lost connection is an error here, and made anew here: requests must not wait in a dead one.
            builder.connect_ws(WsConnect::new(self.url.as_str()).with_max_retries(0)).await?.erased()
        };
        *held = Some(provider.clone());
        Ok(provider)
    }

    fn is_http(&self) -> bool {
        matches!(self.url.scheme(), "http" | "https")
    }

    fn http_client(&self) -> Result<reqwest::Client, TransportError> {
        let client = tls::http_client();
        let client = if self.url.scheme() == "https" {
            // Nobody on the way may lead requests to where they can be read.
            client.https_only(true)
        } else {
            // Without TLS the machine need not trust any authority.
            client.tls_certs_only([])
        };
        client.build().map_err(TransportErrorKind::custom)
    }

    /// The URL without the secrets that providers put into path and user name.
    fn shown(&self) -> String {
        format!("{}://{}", self.url.scheme(), self.url.authority().rsplit('@').next().unwrap_or_default())
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(Endpoint::shown)).finish()
    }
}

/// The cause that alone says something new; those around it repeat the URL, in which providers put secrets.
fn innermost(error: &TransportError) -> String {
    let causes = std::iter::successors(Some(error as &dyn Error), |cause| (*cause).source());
    let reason = causes.last().unwrap_or(error).to_string();
    if reason.contains("invalid peer certificate") {
        return format!(
            "{reason}: no authority that this machine trusts vouches for it; SSL_CERT_FILE names a file of others"
        );
    }
    reason
}

/// What an endpoint said, unless it is that it cannot answer.
fn answer_of(error: &TransportError) -> Option<AskError> {
    let RpcError::ErrorResp(payload) = error else { return None };
    // Nodes that are overloaded or still catching up say so with errors of the server's own range.
    if payload.is_retry_err() {
        return None;
    }
    match payload.as_revert_data() {
        Some(data) => Some(AskError::Reverted(revert_of(&data, &payload.message))),
        None => Some(AskError::Answer(payload.message.to_string())),
    }
}

impl From<AskError> for BackendError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unreachable(error) => error,
            AskError::Answer(reason) => Self::Chain { reason },
            AskError::Reverted(revert) => Self::Chain { reason: format!("the contract refused: {revert:?}") },
        }
    }
}

/// The header of a block.
///
/// # Errors
/// Also when the endpoint does not have the block, so that another one is asked.
pub(super) async fn header(
    provider: &DynProvider,
    block: BlockNumberOrTag,
) -> Result<Header, TransportError> {
    let found = provider.get_block_by_number(block).await?;
    found
        .map(|block| block.header)
        .ok_or_else(|| TransportErrorKind::custom_str(&format!("it has no block {block}")))
}
